"""The conversation with an identity provider: what is asked when, and how long it is remembered.

Descriptions and keys are remembered for some minutes in each process. Keys are asked for
once more where a token names one that is not among them: providers change theirs. The
outside world (``Fetch``, clock) is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from proxy.oidc.authentication import Turned, token_request
from proxy.oidc.discovery import Metadata, discovery_address, read_metadata
from proxy.oidc.failures import Busy, LoginRefused, ProviderFailed, UnknownKey
from proxy.oidc.fetching import Answer, Fetch, Request, parse_object, read_object
from proxy.oidc.id_token import Expected, verify
from proxy.oidc.signing_keys import KeyRing
from proxy.store import IdentityProvider
from vault import Secret

REMEMBERED_SECONDS: Final = 300.0
"""A description, and keys: a key that was withdrawn is believed no longer than that."""
ASK_AGAIN_SECONDS: Final = 10.0
"""Between two askings for keys because of a name that is not known."""
REMEMBERED: Final = 1_000
"""Providers; the one longest unused is forgotten first."""
AT_ONCE: Final = 16
"""Conversations at once: each has a connection."""
AT_ONCE_OF_ONE: Final = 4
"""Of these, with one provider: a slow one keeps nobody else's administrators out."""

# What RFC 6749, 5.2 names; anything else that a token endpoint says is not repeated.
_ERRORS: Final = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"}
    | {"unsupported_grant_type", "invalid_scope"}
)


@dataclass(slots=True)
class _Known:
    metadata: Metadata | None = None
    metadata_at: float = 0.0
    keys: KeyRing | None = None
    keys_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Way:
    """Where a user is sent, and what comes back with it."""

    redirect_uri: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


class Client:
    """Conversations of one process. ``clock``: seconds that never go back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, int], _Known] = OrderedDict()
        self._under_way: dict[str, int] = {}

    async def look(self, fetch: Fetch, provider: IdentityProvider) -> Metadata:
        """Ask for the description and the keys now, whatever is remembered.

        Raises ProviderFailed, Busy.
        """
        with self._place(provider):
            metadata = await self._ask_metadata(fetch, provider)
            await self._ask_keys(fetch, provider, metadata)
            return metadata

    async def address_for(self, fetch: Fetch, provider: IdentityProvider, way: Way) -> str:
        """Where to send a user who wants to log in. Raises ProviderFailed, Busy."""
        with self._place(provider):
            metadata = await self._metadata(fetch, provider)
        try:
            address: str = prepare_grant_uri(
                metadata.authorization_endpoint,
                provider.client_id,
                "code",
                redirect_uri=way.redirect_uri,
                scope=list(provider.scopes),
                state=way.state,
                nonce=way.nonce,
                code_challenge=create_s256_code_challenge(way.verifier),
                code_challenge_method="S256",
            )
        except ValueError:
            # A query of its own that cannot be read.
            raise ProviderFailed("the authorization endpoint cannot be used") from None
        return address

    async def claims_for(
        self,
        fetch: Fetch,
        provider: IdentityProvider,
        open_secret: Callable[[], Secret],
        turned: Turned,
        expected: Expected,
        issuer: str | None,
    ) -> dict[str, Any]:
        """Turn a code in; the claims of the ID token that it gives, once it is believed.

        ``issuer``: who sent the user back, as it came with the code (RFC 9207). The secret is
        opened after that has been compared. Raises LoginRefused, ProviderFailed, Busy.
        """
        with self._place(provider):
            metadata = await self._metadata(fetch, provider)
            _check_issuer(metadata, issuer)
            request = token_request(metadata, provider.client_id, open_secret(), turned)
            token = _id_token(await fetch(request))
            keys = await self._keys(fetch, provider, metadata)
            try:
                return verify(token, keys, expected)
            except UnknownKey:
                if self._clock() - self._of(provider).keys_at < ASK_AGAIN_SECONDS:
                    raise
            return verify(token, await self._ask_keys(fetch, provider, metadata), expected)

    async def _metadata(self, fetch: Fetch, provider: IdentityProvider) -> Metadata:
        known = self._of(provider)
        if known.metadata is None or self._is_old(known.metadata_at):
            return await self._ask_metadata(fetch, provider)
        return known.metadata

    async def _ask_metadata(self, fetch: Fetch, provider: IdentityProvider) -> Metadata:
        answer = await fetch(Request(discovery_address(provider.issuer)))
        document = read_object(answer, "the discovery document")
        known = self._of(provider)
        known.metadata, known.metadata_at = read_metadata(document, provider.issuer), self._clock()
        return known.metadata

    async def _keys(self, fetch: Fetch, provider: IdentityProvider, metadata: Metadata) -> KeyRing:
        known = self._of(provider)
        if known.keys is None or self._is_old(known.keys_at):
            return await self._ask_keys(fetch, provider, metadata)
        return known.keys

    async def _ask_keys(
        self, fetch: Fetch, provider: IdentityProvider, metadata: Metadata
    ) -> KeyRing:
        document = read_object(await fetch(Request(metadata.jwks_uri)), "the set of keys")
        known = self._of(provider)
        known.keys, known.keys_at = KeyRing.read(document), self._clock()
        return known.keys

    def _is_old(self, moment: float) -> bool:
        return self._clock() - moment >= REMEMBERED_SECONDS

    def _of(self, provider: IdentityProvider) -> _Known:
        # By version: what was learnt of an issuer says nothing of the next one.
        name = (provider.id, provider.version)
        known = self._known.setdefault(name, _Known())
        self._known.move_to_end(name)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known

    @contextmanager
    def _place(self, provider: IdentityProvider) -> Iterator[None]:
        mine = self._under_way.get(provider.id, 0)
        if mine >= AT_ONCE_OF_ONE or sum(self._under_way.values()) >= AT_ONCE:
            raise Busy
        self._under_way[provider.id] = mine + 1
        try:
            yield
        finally:
            self._under_way[provider.id] -= 1
            if not self._under_way[provider.id]:
                del self._under_way[provider.id]


def _check_issuer(metadata: Metadata, issuer: str | None) -> None:
    """RFC 9207, 2.4: a code of another provider is not turned in at this one."""
    if issuer is None and metadata.promises_issuer:
        raise LoginRefused("the provider did not name itself when the user came back")
    if issuer is not None and issuer != metadata.issuer:
        raise LoginRefused("the user came back from another issuer")


def _id_token(answer: Answer) -> object:
    if answer.status == 200:
        return read_object(answer, "the answer to the code").get("id_token")
    told = (parse_object(answer.body) or {}).get("error")
    if answer.status in (400, 401) and isinstance(told, str) and told in _ERRORS:
        raise LoginRefused(f"the provider refused the code: {told}")
    raise ProviderFailed(f"the code was answered with status {answer.status}")

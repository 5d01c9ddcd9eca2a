"""An administrator's login with its workspace's identity provider: begun, and finished once.

Who begins holds a text that nobody else has seen, the **login**; of it the store keeps a
digest. State, nonce and PKCE verifier are made from it with a key of the proxies, so that
neither who reads the store nor who watches the user's browser can finish it, and no page can
make a user finish another one's (login CSRF). Knows no HTTP and no rate.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from proxy.administration.oidc import open_secret
from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.people import administrator_logged_in, administrator_returned
from proxy.oidc.administrators import Administrator, administrator_of
from proxy.oidc.authentication import Turned
from proxy.oidc.client import Client, Way
from proxy.oidc.failures import Busy, LoginRefused, NotAdministrator, ProviderFailed
from proxy.oidc.fetching import Fetch
from proxy.oidc.id_token import Expected
from proxy.store import (
    ApiKey,
    ApiRole,
    IdentityProvider,
    InvalidToken,
    PendingLogin,
    Workspace,
    new_token,
    parse_token,
)
from proxy.store.api_keys import digest_of, new_session_token, parse_api_key
from proxy.store.identity import LOGIN_LIFETIME
from vault import UnsealError, Vault

LOGIN_PREFIX = "aco_"
_PURPOSE = b"accode-proxy oidc login 1\0"
_NOBODY = Administrator("", "unknown")


@dataclass(frozen=True, slots=True)
class Begun:
    """``login`` is shown once, to who has begun it; ``address`` is where its user goes."""

    login: str = field(repr=False)
    address: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Return:
    """What somebody comes back with, and from where. ``issuer``: as RFC 9207's ``iss``."""

    login: str = field(repr=False)
    state: str = field(repr=False)
    code: str = field(repr=False)
    issuer: str | None
    ip: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session has begun; ``token`` is shown once."""

    workspace: Workspace
    session: ApiKey
    token: str = field(repr=False)


@dataclass(slots=True)
class Outcome:
    """How a return ended. ``workspace``: whose login it was, where it was one.

    ``failure``: why the provider could not be asked; else a refusal without more words.
    """

    workspace: Workspace | None = None
    logged_in: LoggedIn | None = None
    failure: Exception | None = None


async def begin(
    place: Workplace,
    client: Client,
    fetch: Fetch,
    provider: IdentityProvider,
    redirect_uri: str,
    network: str,
) -> Begun | None:
    """Send somebody to the provider; None where it was changed at this moment.

    ``redirect_uri`` is one of the provider's. Raises ProviderFailed, Busy.
    """
    text = new_token(prefix=LOGIN_PREFIX)
    address = await client.address_for(fetch, provider, _way(place.vault, text, redirect_uri))
    login = PendingLogin(
        digest=_digest(text),
        provider_id=provider.id,
        provider_version=provider.version,
        redirect_uri=redirect_uri,
        network=network,
        begun_at=place.store.oidc.now(),
    )
    if not await place.store.oidc.begin(login, provider):
        return None
    return Begun(text, address, login.begun_at + LOGIN_LIFETIME)


async def finish(
    place: Workplace,
    client: Client,
    fetch_for: Callable[[Workspace], Fetch],
    back: Return,
) -> Outcome:
    """Turn a code in, once: whatever comes of it, the login is spent.

    Each refusal is recorded in the workspace's log with its reason, which is for that log
    alone. A session's record is durable before it is stored.
    """
    spent = await place.store.oidc.spend(_digest(back.login)) if _is_login(back.login) else None
    if spent is None:
        return Outcome()
    login, provider = spent
    workspace = await place.store.workspace_by_id(provider.workspace_id)
    if workspace is None:
        return Outcome()
    outcome = Outcome(workspace)
    try:
        who = await _vouched_for(place, client, fetch_for, back, login, (workspace, provider))
        outcome.logged_in = await _let_in(place, back, login, workspace, provider, who)
    except NotAdministrator as refused:
        who = Administrator(refused.subject, refused.name)
        await _record_refusal(place, back, provider, str(refused), who)
    except LoginRefused as refused:
        await _record_refusal(place, back, provider, str(refused))
    except (ProviderFailed, Busy) as failure:
        outcome.failure = failure
        await _record_refusal(place, back, provider, str(failure))
    return outcome


async def _vouched_for(
    place: Workplace,
    client: Client,
    fetch_for: Callable[[Workspace], Fetch],
    back: Return,
    login: PendingLogin,
    whose: tuple[Workspace, IdentityProvider],
) -> Administrator:
    workspace, provider = whose
    way = _way(place.vault, back.login, login.redirect_uri)
    now = place.store.oidc.now()
    if login.is_over(now):
        raise LoginRefused("the login took too long")
    if not hmac.compare_digest(back.state.encode(), way.state.encode()):
        raise LoginRefused("the state is not that of this login")
    if workspace.state != "active":
        raise LoginRefused("the workspace is suspended")
    if login.provider_version != provider.version:
        raise LoginRefused("the identity provider was changed since the login began")
    await place.trail.record(
        administrator_returned(
            workspace_id=workspace.id, issuer=provider.issuer, ip=back.ip, port=back.port
        )
    )
    try:
        claims = await client.claims_for(
            fetch_for(workspace),
            provider,
            lambda: open_secret(place.vault, workspace, provider),
            Turned(back.code, way.verifier, way.redirect_uri),
            Expected(provider.issuer, provider.client_id, way.nonce, login.begun_at, now),
            back.issuer,
        )
    except UnsealError:
        raise ProviderFailed("the stored client secret cannot be opened") from None
    return administrator_of(provider, claims)


class _ChangedError(Exception):
    """The provider or the workspace was changed while its user was asked about."""


async def _let_in(
    place: Workplace,
    back: Return,
    login: PendingLogin,
    workspace: Workspace,
    provider: IdentityProvider,
    who: Administrator,
) -> LoggedIn:
    text = new_session_token()
    wanted = ApiKey(
        id=parse_api_key(text),
        workspace_id=workspace.id,
        role=ApiRole.WORKSPACE_ADMIN,
        label=who.name,
        digest=digest_of(text),
        # Who set the provider up could vouch for itself: that is whom this session goes back to.
        created_by=provider.set_by,
        created_at=datetime.now(UTC),
        expires_at=None,
        address=back.ip,
        provider_id=provider.id,
        subject=who.subject,
    )
    lifetime = timedelta(minutes=provider.session_minutes)

    async def act() -> ApiKey:
        session = await place.store.oidc.open_session(login, wanted, lifetime)
        if session is None:
            raise _ChangedError
        return session

    event = administrator_logged_in(
        workspace_id=workspace.id,
        issuer=provider.issuer,
        ip=back.ip,
        port=back.port,
        subject=who.subject,
        name=who.name,
        session_id=wanted.id,
    )
    try:
        session = await audited(place.trail, event, act, place.warn)
    except _ChangedError:
        raise LoginRefused("the provider or the workspace was changed meanwhile") from None
    return LoggedIn(workspace, session, text)


async def _record_refusal(
    place: Workplace,
    back: Return,
    provider: IdentityProvider,
    reason: str,
    who: Administrator = _NOBODY,
) -> None:
    await place.trail.record(
        administrator_logged_in(
            workspace_id=provider.workspace_id,
            issuer=provider.issuer,
            ip=back.ip,
            port=back.port,
            subject=who.subject,
            name=who.name,
            reason=reason,
        )
    )


def _is_login(text: str) -> bool:
    try:
        parse_token(text, prefix=LOGIN_PREFIX)
    except InvalidToken:
        return False
    return True


def _digest(login: str) -> bytes:
    return hashlib.sha256(_PURPOSE + login.encode("ascii")).digest()


def _way(vault: Vault, login: str, redirect_uri: str) -> Way:
    def made(what: bytes) -> str:
        mac = hmac.digest(
            vault.fingerprint_key(), _PURPOSE + what + b"\0" + login.encode("ascii"), "sha256"
        )
        # 43 characters: also what RFC 7636, 4.1 wants of a verifier at least.
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    return Way(redirect_uri, made(b"state"), made(b"nonce"), made(b"verifier"))

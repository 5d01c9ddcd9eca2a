"""What the identity provider of a workspace may be: checked before it is stored. Dials nothing."""

from __future__ import annotations

import re
from typing import Final

from proxy.content.webaddress import WebAddress, WebAddressError, read_address
from proxy.store import IdentityProvider
from proxy.store.errors import InvalidSetting
from vault import Destination

ADDRESS_LIMIT: Final = 512
CLIENT_ID_LIMIT: Final = 255
REDIRECTS: Final = 10
"""Addresses of the platform that a login may come back to: one for each of its consoles."""
SCOPES: Final = 20
ALLOWED: Final = 200
"""Values, one of which makes an administrator."""
VALUE_LIMIT: Final = 255
MINUTES: Final = (5, 720)
"""A session's length: to a working day, as the staff's."""

_SCOPE = re.compile(r"[!#-\[\]-~]{1,64}")
"""RFC 6749, 3.3: printable, but for the space, the quote and the backslash."""
_CLIENT_ID = re.compile(r"[!-~]{1,255}")
_CLAIM = re.compile(r"[!-~]{1,128}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# What a token says of itself, not of its user.
_NO_CLAIMS: Final = frozenset(
    {"iss", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "s_hash"}
    | {"email_verified", "auth_time", "sid"}
)


def read_https(url: str) -> WebAddress | None:
    """The address of an ``https`` URL; None: it is none that is called."""
    if len(url) > ADDRESS_LIMIT:
        return None
    try:
        address = read_address(url)
    except WebAddressError:
        return None
    return address if address.is_encrypted else None


def check_provider(provider: IdentityProvider) -> None:
    """All but its secret. Raises InvalidSetting."""
    address = read_https(provider.issuer)
    if address is None or "?" in provider.issuer:
        raise InvalidSetting(
            "issuer", f"use an https address without a query, of at most {ADDRESS_LIMIT} characters"
        )
    if not _CLIENT_ID.fullmatch(provider.client_id):
        raise InvalidSetting("client_id", "use 1 to 255 printable ASCII characters without spaces")
    _check_list("redirect_uris", provider.redirect_uris, REDIRECTS)
    if not all(_may_return_to(one) for one in provider.redirect_uris):
        raise InvalidSetting(
            "redirect_uris", "use https addresses of the platform; http on this machine alone"
        )
    _check_list("scopes", provider.scopes, SCOPES)
    if "openid" not in provider.scopes:
        raise InvalidSetting("scopes", "openid is one of them, or there is no ID token")
    if not all(_SCOPE.fullmatch(one) for one in provider.scopes):
        raise InvalidSetting("scopes", "a scope is printable ASCII without space and quotes")
    if not _CLAIM.fullmatch(provider.claim) or provider.claim in _NO_CLAIMS:
        raise InvalidSetting("claim", "use a claim that says who somebody is, as email or groups")
    _check_list("allowed", provider.allowed, ALLOWED)
    for value in provider.allowed:
        if not 1 <= len(value) <= VALUE_LIMIT or not value.isprintable() or value != value.strip():
            raise InvalidSetting(
                "allowed", f"use values of 1 to {VALUE_LIMIT} printable characters"
            )
    if not MINUTES[0] <= provider.session_minutes <= MINUTES[1]:
        raise InvalidSetting("session_minutes", f"use a number from {MINUTES[0]} to {MINUTES[1]}")


def _check_list(field: str, values: tuple[str, ...], most: int) -> None:
    if not 1 <= len(values) <= most or len(set(values)) != len(values):
        raise InvalidSetting(field, f"use 1 to {most} values, each once")


def _may_return_to(url: str) -> bool:
    if len(url) > ADDRESS_LIMIT:
        return False
    try:
        address = read_address(url)
    except WebAddressError:
        return False
    return address.is_encrypted or address.host in _LOOPBACK


def destination(provider: IdentityProvider) -> Destination:
    """Where the client's secret may be used: this issuer, as this client."""
    address = read_https(provider.issuer)
    assert address is not None, "a stored issuer has been checked"
    return Destination(
        engine="oidc",
        host=address.host,
        port=address.port,
        username=provider.client_id,
        # The whole of it: one host may have many issuers, each of another owner.
        tls_identity=provider.issuer,
    )

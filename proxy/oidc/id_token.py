"""Which ID token is believed (OpenID Connect Core 1.0, 3.1.3.7): signature first, then claims.

joserfc checks the signature; authlib the claims, the audience and its authorized party among
them; what they leave to their caller, the nonce in constant time and the age, is checked
here. Pure: keys, clock and what was expected are arguments. An error names a claim, never
its value.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jws
from joserfc.errors import JoseError

from proxy.oidc.failures import LoginRefused
from proxy.oidc.fetching import parse_object
from proxy.oidc.signing_keys import Key, KeyRing, Kind

ALGORITHMS: Final[Mapping[str, Kind]] = {
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "PS512": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "Ed25519": ("OKP", "Ed25519"),
}
"""Asymmetric ones alone, each with its kind of key: never ``none``, never a MAC, for which the
public key would be the secret (RFC 8725, 2.1 and 3.1)."""
TOKEN_LIMIT: Final = 32 * 1024
"""Characters: a user in hundreds of groups has some 10 KB."""
LEEWAY: Final = 60
"""Seconds by which the clocks may differ."""

_CLAIMS: Final = ("iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "auth_time", "amr")


@dataclass(frozen=True, slots=True)
class Expected:
    """Whose token it must be, for whom, of which login."""

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    begun_at: datetime
    now: datetime


def verify(token: object, keys: KeyRing, expected: Expected) -> dict[str, Any]:
    """The token's claims. Raises LoginRefused; UnknownKey where keys may have changed."""
    if not isinstance(token, str) or not token.isascii() or len(token) > TOKEN_LIMIT:
        raise LoginRefused("the provider gave no ID token")
    try:
        unverified = jws.extract_compact(token.encode("ascii")).headers()
        key = _key_for(unverified, keys)
        signed = jws.deserialize_compact(token, key, list(ALGORITHMS))
    except (JoseError, ValueError, TypeError):
        raise LoginRefused("the ID token is not signed as it must be") from None
    claims = parse_object(signed.payload or b"")
    if claims is None:
        raise LoginRefused("the ID token holds no claims")
    _check(claims, signed.headers(), expected)
    return claims


def _key_for(header: Mapping[str, Any], keys: KeyRing) -> Key:
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise LoginRefused("the ID token is signed with an algorithm that is not believed here")
    if not isinstance(kid, str | None):
        raise LoginRefused("the ID token is not signed as it must be")
    return keys.find(ALGORITHMS[algorithm], kid)


def _check(claims: dict[str, Any], header: Mapping[str, Any], expected: Expected) -> None:
    token = CodeIDToken(
        claims,
        dict(header),
        options={
            "iss": {"essential": True, "value": expected.issuer},
            "sub": {"essential": True},
            "aud": {"essential": True, "value": expected.client_id},
            "exp": {"essential": True},
            "iat": {"essential": True},
        },
        params={"client_id": expected.client_id},
    )
    try:
        token.validate(int(expected.now.timestamp()), LEEWAY)
    except JoseError as error:
        raise _wrong(str(getattr(error, "claim", ""))) from None
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode(), expected.nonce.encode()
    ):
        raise _wrong("nonce")
    if claims["iat"] < expected.begun_at.timestamp() - LEEWAY:
        # A token of this login cannot be older than it.
        raise _wrong("iat")


def _wrong(claim: str) -> LoginRefused:
    named = f"claim {claim}" if claim in _CLAIMS else "claims"
    return LoginRefused(f"the ID token's {named} cannot be accepted")

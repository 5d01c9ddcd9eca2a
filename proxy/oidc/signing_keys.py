"""The keys that a provider signs with: read from its JWK Set (RFC 7517), and found for a token.

Only public keys of the kinds that ``ALGORITHMS`` names get in: a symmetric one would let
whoever reads the set sign. Pure.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from proxy.oidc.failures import ProviderFailed, UnknownKey

KEYS_LIMIT: Final = 50
"""Keys of a set: providers have two or three, and some a dozen."""
RSA_BITS: Final = (2_048, 8_192)
"""Less can be broken; more makes checking a signature slow."""

Key = RSAKey | ECKey | OKPKey
Kind = tuple[str, str]
"""A key's ``kty``, and its curve."""

_FIELDS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_ABOUT: Final = ("kid", "use", "alg", "key_ops")


class KeyRing:
    """A provider's keys."""

    def __init__(self, keys: list[tuple[Kind, str | None, Key]]) -> None:
        self._keys = keys

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> KeyRing:
        """From a JWK Set; what is not understood in it is passed over. Raises ProviderFailed."""
        given = document.get("keys")
        if not isinstance(given, list) or len(given) > KEYS_LIMIT:
            raise ProviderFailed(f"the set of keys is not a list of at most {KEYS_LIMIT}")
        keys = [found for one in given if (found := _key(one)) is not None]
        if not keys:
            raise ProviderFailed("the set of keys holds none that is believed here")
        return cls(keys)

    def find(self, kind: Kind, kid: str | None) -> Key:
        """The one key of that kind and name; without a name, the only one of that kind.

        Raises UnknownKey.
        """
        found = [
            key
            for its_kind, its_kid, key in self._keys
            if its_kind == kind and (kid is None or its_kid == kid)
        ]
        if len(found) != 1:
            raise UnknownKey("the ID token was signed with a key that is not known")
        return found[0]


def _key(value: object) -> tuple[Kind, str | None, Key] | None:
    if not isinstance(value, dict):
        return None
    kty, kid = value.get("kty"), value.get("kid")
    if kty not in ("RSA", "EC", "OKP") or not isinstance(kid, str | None):
        return None
    if value.get("use", "sig") != "sig":
        return None
    # Of a private key that somebody has published, the public part alone.
    wanted = ("kty", *_FIELDS[kty], *_ABOUT)
    public = {name: value[name] for name in wanted if name in value}
    if kty == "RSA" and not RSA_BITS[0] <= _bits(public.get("n")) <= RSA_BITS[1]:
        return None
    kind = (kty, "" if kty == "RSA" else str(value.get("crv")))
    try:
        return kind, kid, _imported(kty, public)
    except (JoseError, ValueError, KeyError, TypeError):
        # What the library and cryptography say to a key that is none.
        return None


def _imported(kty: str, public: dict[str, Any]) -> Key:
    if kty == "RSA":
        return RSAKey.import_key(public)
    return ECKey.import_key(public) if kty == "EC" else OKPKey.import_key(public)


def _bits(text: object) -> int:
    if not isinstance(text, str):
        return 0
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return 0
    return int.from_bytes(raw, "big").bit_length()

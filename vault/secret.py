"""``Secret``: bytes that do not show themselves.

Every use of the value goes through ``reveal``, so that a search for that one word finds
them all. It does not claim to wipe memory: Python may copy ``bytes`` and cannot erase them.
"""

from __future__ import annotations

import hmac
from typing import final

from vault.redacted import Redacted


@final
class Secret(Redacted):
    """A secret value: redacted wherever it is printed, refused wherever it is stored."""

    __slots__ = ("__value",)
    __value: bytes

    def __init__(self, value: bytes) -> None:
        if not isinstance(value, bytes):
            # The value is not repeated: it may be the secret in another type.
            raise TypeError("a Secret is made of bytes")
        object.__setattr__(self, "_Secret__value", value)

    def reveal(self) -> bytes:
        """The value itself."""
        return self.__value

    def __eq__(self, other: object) -> bool:
        """Equality in constant time for values of one length."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value, other.reveal())

    # Python takes the inherited refusal away from a class that says what equality is.
    __hash__ = None

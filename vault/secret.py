"""``Secret``: bytes that do not show themselves.

Knows only how to stay closed. Every use of the value goes through ``reveal``, so that
a search for that one word finds them all. It does not claim to wipe memory: Python
may copy ``bytes`` and cannot erase them.
"""

from __future__ import annotations

import hmac
from typing import NoReturn, final

_REDACTED = "Secret(redacted)"


@final
class Secret:
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

    def __repr__(self) -> str:
        return _REDACTED

    def __str__(self) -> str:
        return _REDACTED

    def __format__(self, specification: str) -> str:
        return _REDACTED

    def __eq__(self, other: object) -> bool:
        """Equality in constant time for values of one length."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value, other.reveal())

    # A hash would be a stable print of the value, and a dict lookup is not constant time.
    __hash__ = None  # type: ignore[assignment]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret cannot be serialized")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be serialized")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be serialized")

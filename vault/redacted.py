"""``Redacted``: what does not show itself, whatever it holds.

Knows only how to stay closed. Where the value is kept, and through which door it leaves,
is each subclass's: ``Secret`` has one, a person's password has none.
"""

from __future__ import annotations

from typing import NoReturn, Self


class Redacted:
    """A value that is redacted wherever it is printed and refused wherever it is stored."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(redacted)"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, specification: str) -> str:
        return repr(self)

    # A hash would be a stable print of the value, and a dict lookup is not constant time.
    __hash__ = None  # type: ignore[assignment]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __getstate__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be serialized")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be serialized")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be serialized")

"""The values in a Bind and the types in a Parse ("Message Formats" in the manual).

Read for the log alone, and only where the operator has switched that on: what is
malformed is left to the server, and shows no value here.
"""

from __future__ import annotations

from protocols.values import VALUE_COST, VALUE_LIMIT, BoundValue, BoundValues

_NULL = 0xFFFFFFFF
_BINARY = 1


def types_in(data: bytes, at: int, stop: int) -> tuple[int, ...]:
    """The object ids behind a Parse's text, from their count on; those that are here."""
    count = min(int.from_bytes(data[at : at + 2], "big"), max(0, stop - at - 2) // 4)
    return tuple(
        int.from_bytes(data[place : place + 4], "big")
        for place in range(at + 2, at + 2 + 4 * count, 4)
    )


def values_in(
    data: bytes, at: int, stop: int, types: tuple[int, ...], limit: int
) -> BoundValues | None:
    """The values of a Bind, from the count of its format codes on.

    ``stop`` is where the message ends or what is here of it. Of each value at most
    ``VALUE_LIMIT`` bytes are kept, of all together ``limit``; None where not even their
    number can be read.
    """
    codes = int.from_bytes(data[at : at + 2], "big")
    first_code = at + 2
    at = first_code + 2 * codes
    if at + 2 > stop:
        return None
    count = int.from_bytes(data[at : at + 2], "big")
    at += 2
    shown: list[BoundValue] = []
    left = limit
    while len(shown) < count and at + 4 <= stop:
        number = len(shown)
        size = int.from_bytes(data[at : at + 4], "big")
        at += 4
        value: bytes | None = None
        if size == _NULL:
            size = 0
        else:
            value = data[at : min(at + min(size, VALUE_LIMIT), stop)]
            at += size
        left -= VALUE_COST + len(value or b"")
        if left < 0:
            break
        # One code stands for all, none for text ("Bind").
        place = first_code + 2 * (number if codes > 1 else 0)
        code = int.from_bytes(data[place : place + 2], "big") if number < codes or codes == 1 else 0
        known = types[number] if number < len(types) else 0
        shown.append(BoundValue(value, size, code == _BINARY, known))
    return BoundValues(tuple(shown), count)

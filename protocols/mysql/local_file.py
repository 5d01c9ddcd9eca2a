"""Which file LOAD DATA LOCAL may make the server ask the client for.

The server names the file (LOCAL INFILE Request), and a hostile one names any that the
client can read ("Security Considerations for LOAD DATA LOCAL" in the MySQL manual). So
a request is relayed only where the client's own statement loads a file of that name.
"""

from __future__ import annotations

from protocols.mysql.words import statements_in

# Quotes are doubled and backslashes are escapes in the text; what is not ASCII may have
# been converted from the client's character set.
_MARKS = bytes([0x22, 0x27, 0x5C, *range(128, 256)])

NAME_LIMIT = 4_096
"""Bytes of a file's name: PATH_MAX of the systems clients run on."""


def files_in(text: bytes, *, has_escapes: bool) -> int:
    """How many statements of a text load a file of the client."""
    if b"infile" not in text.lower():
        return 0
    return sum(_loads(words) for words in statements_in(text, has_escapes=has_escapes))


def _loads(words: list[bytes]) -> bool:
    if words[0] != b"LOAD" or len(words) < 4 or words[1] not in (b"DATA", b"XML"):
        return False
    place = 3 if words[2] in (b"LOW_PRIORITY", b"CONCURRENT") else 2
    return words[place : place + 2] == [b"LOCAL", b"INFILE"]


def is_named(text: bytes, name: bytes) -> bool:
    """Whether the text of such a statement holds this file's name."""
    return name.translate(None, _MARKS) in text.translate(None, _MARKS)

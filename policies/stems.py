"""The cheap test in front of the redaction: whether a text could hold a secret at all.

Asked once for every statement, so it is one pass over the bytes and compiled with the
types in ``stems.pxd`` where there is a C compiler. Knows stems of words, no grammar.
"""

from __future__ import annotations

# None is shorter than three letters.
_STEMS: tuple[bytes, ...] = (
    b"passw",
    b"pwd",
    b"identified",
    b"subscription",
    b"mapping",
    b"server",
    b"://",
    b"uescape",
    b"authentication_string",
)
_LONGEST = max(len(stem) for stem in _STEMS)
# Any escape may spell a letter of the words above.
_ESCAPE = 0x5C


def _table(place: int) -> bytes:
    """For each byte, whether a stem has it at ``place``, in either case."""
    wanted = {stem[place] for stem in _STEMS}
    return bytes(1 if bytes((code,)).lower()[0] in wanted else 0 for code in range(256))


# Three letters are looked at before a word is taken out: "select" is not "server".
_FIRST = _table(0)
_SECOND = _table(1)
_THIRD = _table(2)


def has_stem(text: bytes) -> bool:
    """Whether any stem stands in ``text``, in any case of its letters, or an escape."""
    first = _FIRST
    second = _SECOND
    third = _THIRD
    p = text
    size = len(text)
    at = 0
    while at < size:
        code = p[at]
        at += 1
        if code == _ESCAPE:
            return True
        if first[code] and at + 1 < size and second[p[at]] and third[p[at + 1]]:
            word = text[at - 1 : at - 1 + _LONGEST].lower()
            if word.startswith(_STEMS):
                return True
    return False

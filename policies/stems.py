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


# Three letters are looked at before a word is taken out: "select" is not "server". A bit for
# each place that a byte may have in a stem (1, 2, 4), and one for the escape.
_PLACES = bytes(
    first | second << 1 | third << 2 | (8 if code == _ESCAPE else 0)
    for code, (first, second, third) in enumerate(zip(_table(0), _table(1), _table(2), strict=True))
)


def has_stem(text: bytes) -> bool:
    """Whether any stem stands in ``text``, in any case of its letters, or an escape."""
    places = _PLACES
    p = text
    size = len(text)
    at = 0
    # How far a stem may have come that began one, two or three bytes ago (Shift-And: Baeza-Yates
    # and Gonnet, "A new approach to text searching"): nothing to guess wrong at each letter.
    state = 0
    while at < size:
        # 1: one may begin here. 8: so may an escape, and with it end.
        state = ((state << 1) | 9) & places[p[at]]
        at += 1
        if state & 12:
            if state & 8:
                return True
            word = text[at - 3 : at - 3 + _LONGEST].lower()
            if word.startswith(_STEMS):
                return True
    return False

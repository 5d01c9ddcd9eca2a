"""The first words of each statement in a text, past comments, strings and ``;``.

Enough of MySQL's lexer to tell what begins a statement ("Comments", "String Literals"
in the MySQL manual), and no more: not for verdicts on what a statement does. Linear in
the text.
"""

from __future__ import annotations

import re

# The marks of executable comments (/*!50000 ... */, /*M! ... */) are blanks, what stands
# in them is text. A line comment's "--" needs a blank behind it.
_BLANK = rb"""(?P<blank>[\s\x00]+|/\*[Mm]?![0-9]{0,6}|/\*.*?(?:\*/|\Z)|\*/
    |--(?=[\s\x00]|\Z)[^\n]*|\#[^\n]*)"""
_WORD = rb"|(?P<end>;)|(?P<word>[A-Za-z0-9_$\x80-\xff]+)"
_ESCAPED = rb"""|(?P<other>'(?:[^'\\]|\\(?:.|\Z))*(?:'|\Z)|"(?:[^"\\]|\\(?:.|\Z))*(?:"|\Z)
    |`[^`]*(?:`|\Z)|.)"""
_UNESCAPED = rb"""|(?P<other>'[^']*(?:'|\Z)|"[^"]*(?:"|\Z)|`[^`]*(?:`|\Z)|.)"""
_TOKEN = re.compile(_BLANK + _WORD + _ESCAPED, re.DOTALL | re.VERBOSE)
_TOKEN_UNESCAPED = re.compile(_BLANK + _WORD + _UNESCAPED, re.DOTALL | re.VERBOSE)

WORDS = 6
"""How many words (in upper case; a string counts as one) are kept of each statement."""


def statements_in(text: bytes, *, has_escapes: bool) -> list[list[bytes]]:
    """The first words of each statement that is not empty.

    ``has_escapes``: a backslash escapes in strings (not under NO_BACKSLASH_ESCAPES).
    """
    statements: list[list[bytes]] = []
    words: list[bytes] = []
    for found in (_TOKEN if has_escapes else _TOKEN_UNESCAPED).finditer(text):
        kind = found.lastgroup
        if kind == "end":
            if words:
                statements.append(words)
            words = []
        elif kind != "blank" and len(words) < WORDS:
            words.append(found[0].upper())
    if words:
        statements.append(words)
    return statements


def has_bare_word(text: bytes, word: bytes, *, has_escapes: bool) -> bool:
    """Whether a reserved ``word`` (in upper case) stands anywhere as itself.

    Not in a string, a comment or quotes, and not as a name: behind ``.`` or ``@``, the
    only places where a reserved word is a name unquoted ("Keywords and Reserved Words").
    """
    before = b""
    for found in (_TOKEN if has_escapes else _TOKEN_UNESCAPED).finditer(text):
        if found.lastgroup == "word" and found[0].upper() == word and before not in (b".", b"@"):
            return True
        before = found[0]
    return False

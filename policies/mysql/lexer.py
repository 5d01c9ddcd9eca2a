"""Cuts SQL into tokens of which every supported server has the same reading.

Holds for a session in utf8mb4 whose sql_mode has neither ANSI_QUOTES nor
NO_BACKSLASH_ESCAPES (``session``). Whatever could be read in two ways is refused. Source:
MySQL's manual, 11.1 Literal Values, 11.2 Identifiers, 11.7 Comments; sql/sql_lex.cc.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MAX_TEXT: Final = 1 << 20
"""Bytes of a text: the parser needs some microseconds for each."""
MAX_TOKENS: Final = 100_000
MAX_DEPTH: Final = 60
"""Parentheses in one another: the parser recurses, some frames for each."""


class LexError(ValueError):
    """A text that has no certain reading; its text says why."""


class Sort(Enum):
    """What a token is. WORD is unquoted, NAME a name in backticks or after a dot."""

    WORD = auto()
    NAME = auto()
    STRING = auto()
    NUMBER = auto()
    SIGN = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` is a word as written, a name or a string without quotes, a sign."""

    sort: Sort
    text: str
    lower: str


# Comments are cut first; a version comment and a hint are judged by their caller.
_TOKEN: Final = re.compile(
    r"""
    (?P<blank>[ \t\n\v\f\r]+|\#[^\n]*|--(?=[ \t\n\v\f\r]|\Z)[^\n]*)
    |(?P<comment>/\*)
    |(?P<bits>[xXbB]'[0-9a-fA-F]*'|0x[0-9a-fA-F]+|0b[01]+)
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |[nN]?(?P<single>'(?:[^'\\]|\\.|'')*')
    |(?P<double>"(?:[^"\\]|\\.|"")*")
    |(?P<name>`(?:[^`]|``)+`)
    |(?P<word>[A-Za-z_$\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*)
    |(?P<sign>->>|->|<=>|<=|>=|<>|!=|\|\||&&|<<|>>|:=|@@|[-+*/%=<>!~^&|(),.;@?])
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD_GOES_ON: Final = re.compile(r"[A-Za-z0-9_$\u0080-\uffff]")
_BLANKS: Final = " \t\n\r"
_VERSION: Final = re.compile(r"/\*M?!(?:\d{5,6})?[ \t\r\n]")


def fold(name: str) -> str:
    """A column's name in lower case, as the server compares it."""
    return name.replace("\u0130", "i").lower()


def lex(text: bytes) -> list[list[Token]]:
    """The tokens of each statement of a text. Raises LexError."""
    if len(text) > MAX_TEXT:
        raise LexError(f"it is longer than {MAX_TEXT} bytes")
    if b"\0" in text:
        raise LexError("it holds a NUL byte")
    try:
        return _statements(text.decode("utf-8"), may_be_version=True)
    except UnicodeDecodeError:
        raise LexError("it is not UTF-8") from None


def _statements(text: str, may_be_version: bool) -> list[list[Token]]:
    found: list[list[Token]] = [[]]
    tokens = found[0]
    at = count = depth = 0
    is_closed = False
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise LexError(f"{text[at]!r} is not closed or has no place here")
        sort = str(match.lastgroup)
        if sort == "blank":
            at = match.end()
            continue
        if sort == "comment":
            end = text.find("*/", at + 2)
            if end < 0:
                raise LexError("a comment is not closed")
            # Whether a version comment runs depends on the server, but one that is a whole
            # statement either runs as it is judged, or is no statement at all.
            if text.startswith(("/*!", "/*M!", "/*m!", "/*+"), at):
                version = _VERSION.match(text, at)
                if version is not None and _is_free(text[version.end() : end], tokens):
                    at = end + 2
                    continue
                if version is not None and not text[version.end() : end].strip(_BLANKS):
                    at = end + 2
                    continue
                if version is None or not may_be_version or tokens:
                    raise LexError("a comment that may be executed")
                inside = _statements(text[version.end() : end], may_be_version=False)
                if len(inside) != 1:
                    raise LexError("a comment that may be executed")
                tokens.extend(inside[0])
                is_closed = True
            at = end + 2
            continue
        value = match[sort]
        if sort == "sign" and value == ";":
            if not may_be_version:
                raise LexError("a comment that may be executed")
            at, is_closed, depth = match.end(), False, 0
            tokens = []
            found.append(tokens)
            continue
        if is_closed:
            raise LexError("a comment that may be executed")
        count += 1
        if count > MAX_TOKENS:
            raise LexError(f"it has more than {MAX_TOKENS} tokens")
        depth += (value == "(") - (value == ")") if sort == "sign" else 0
        if not 0 <= depth <= MAX_DEPTH:
            raise LexError("its parentheses are too deep or do not match")
        at = match.end()
        tokens.append(_token(sort, value, tokens, text, at))
    return [tokens for tokens in found if tokens]


def _is_free(inside: str, before: list[Token]) -> bool:
    """Whether a version comment is one of mysqldump's that means the same if it is read or not."""
    place = " ".join(token.lower for token in before if token.sort is not Sort.STRING)
    words = " ".join(inside.lower().split())
    return (place == "select" and words == "sql_no_cache") or (
        place == "start transaction" and words == "with consistent snapshot"
    )


def _token(sort: str, value: str, before: list[Token], text: str, end: int) -> Token:
    after_dot = bool(before) and before[-1].text == "." and before[-1].sort is Sort.SIGN
    after_at = bool(before) and before[-1].text in ("@", "@@") and before[-1].sort is Sort.SIGN
    if sort in ("number", "bits"):
        is_name_before = bool(before) and before[-1].sort in (Sort.NAME, Sort.WORD)
        if after_dot or after_at or _WORD_GOES_ON.match(text, end):
            raise LexError("a number that may be a name")
        if value.startswith(".") and is_name_before:
            raise LexError("a number that may be a name")
        return Token(Sort.NUMBER, value, value)
    if sort in ("single", "double"):
        if after_at or after_dot:
            raise LexError("a quoted variable")
        # Its escapes stay as they are: who needs the value refuses a backslash in it.
        quote = value[-1]
        return Token(Sort.STRING, value[1:-1].replace(quote * 2, quote), "")
    if sort == "name":
        name = value[1:-1].replace("``", "`")
        return Token(Sort.NAME, name, fold(name))
    if sort == "word":
        if b"\xa0" in value.encode():
            # In latin1 that byte is a blank, and the word is several.
            raise LexError("a letter that may be a blank: quote the name")
        return Token(Sort.NAME if after_dot else Sort.WORD, value, fold(value))
    if after_at:
        raise LexError("a variable without a name")
    return Token(Sort.SIGN, value, value)


INTRODUCERS: Final = frozenset(
    {"_utf8mb4", "_utf8", "_utf8mb3", "_latin1", "_binary", "_ascii", "_ucs2"}
)
"""Unquoted, the servers read these as the character set of the string that follows."""
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def canonical(tokens: list[Token]) -> str:
    """The same statement with every constant replaced, of one spelling, without comments.

    What is classified is this, so that two texts with one of it have the same facts.
    """
    parts: list[str] = []
    glue = False
    for index, token in enumerate(tokens):
        if token.sort is Sort.STRING:
            part = "'$'"
        elif token.sort is Sort.NUMBER:
            part = "1"
        elif _is_system_variable(tokens, index):
            # The parser knows @@session.x only without blanks and backticks.
            part, glue = token.text, True
        elif token.sort is Sort.NAME or (token.sort is Sort.WORD and not _PLAIN.match(token.text)):
            part = "`" + token.text.replace("`", "``") + "`"
        else:
            part = token.text
            if token.lower in INTRODUCERS and tokens[index + 1 : index + 2]:
                if tokens[index + 1].sort in (Sort.STRING, Sort.NUMBER):
                    continue
        if glue and parts:
            parts[-1] += part
        else:
            parts.append(part)
        glue = token.sort is Sort.SIGN and token.text in ("@", "@@")
    return " ".join(parts)


def _is_system_variable(tokens: list[Token], index: int) -> bool:
    """Whether a token is the dot or the name in ``@@session.name``."""
    token = tokens[index]
    if token.text == "." and token.sort is Sort.SIGN:
        index += 1
    elif token.sort is not Sort.NAME:
        return False
    if not 3 <= index < len(tokens) or not _PLAIN.match(tokens[index].text):
        return False
    at, scope, dot = tokens[index - 3 : index]
    return (
        (at.sort, at.text, dot.sort, dot.text) == (Sort.SIGN, "@@", Sort.SIGN, ".")
        and scope.sort is Sort.WORD
        and scope.lower in ("session", "global", "local")
    )

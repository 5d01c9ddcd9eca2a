"""PostgreSQL's grammar: a text to libpg_query's tree, as dicts, lists and scalars.

The tree is libpg_query's JSON form, not its protobuf one: protobuf readers stop at a depth
of 100 messages, which a chain of thirty ``||`` already has. What libpg_query cannot parse,
or nests too deeply for us, is an ``UnreadableError``.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from postgast.native import lib

Node = dict[str, Any]
"""One node: its fields by name; or, where a field may hold any type, ``{type: fields}``."""

MAX_TEXT: Final = 256 * 1024
"""Bytes of a text: parsing and walking them stops the event loop for about 0.1 s."""


# Characters of operators, to which a comment's beginning belongs ("op_chars" in scan.l). In a
# run of them each comment, + and - costs the lexer the whole run: it takes the longest
# operator there is and gives back all but its beginning.
_RUN: Final = re.compile(rb"[-+*/<>=~!@#%^&|`?]{64,}")
RESCANNED: Final = 4_000_000
"""Bytes that the lexer may read again in a text: about 20 ms. Banners in comments pass."""


class UnreadableError(ValueError):
    """The text is not SQL that this grammar knows; the reason is its text, without the SQL."""


def parse(text: bytes) -> list[Node]:
    """The statements of a text, each as ``{type: fields}``. Raises UnreadableError."""
    _check(text)
    result = lib.pg_query_parse(text)
    try:
        if result.error:
            raise UnreadableError(_reason(result.error.contents.message))
        tree = json.loads(result.parse_tree)
    except RecursionError:
        raise UnreadableError("it is nested too deeply") from None
    finally:
        lib.pg_query_free_parse_result(result)
    return [statement["stmt"] for statement in tree.get("stmts", ())]


def normalize(text: bytes) -> bytes:
    """The text with each constant replaced; b"" for what cannot be parsed."""
    try:
        _check(text)
    except UnreadableError:
        return b""
    result = lib.pg_query_normalize(text)
    try:
        return b"" if result.error else bytes(result.normalized_query)
    finally:
        lib.pg_query_free_normalize_result(result)


def _check(text: bytes) -> None:
    if len(text) > MAX_TEXT:
        raise UnreadableError(f"it is longer than {MAX_TEXT} bytes")
    if b"\0" in text:
        # C's end of a text: what stands behind it would not be looked at.
        raise UnreadableError("it holds a NUL")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableError("it is not UTF-8") from None
    if _rescanned(text) > RESCANNED:
        raise UnreadableError("its operators or comments stand too close together")


def _rescanned(text: bytes) -> int:
    return sum(
        len(run) * (run.count(b"/*") + run.count(b"+") + run.count(b"-"))
        for run in _RUN.findall(text)
    )


def _reason(message: bytes | None) -> str:
    """The grammar's message without what it quotes: that is the client's own text."""
    words = (message or b"").decode("utf-8", "replace").partition(' at or near "')[0]
    return words if words in ("syntax error", "memory exhausted") else "syntax error"

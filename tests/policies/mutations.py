"""Hostile statements in other clothes: comments, case, quoting, nesting, blanks, encodings.

What comes out may mean something else than what went in, or nothing at all: a test of it
looks at what happened to the server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

EXAMPLES: Final = 250
"""Mutations that a run sends through the proxy to each server."""

# What is quoted in any way, and what stands between.
_PIECES: Final = re.compile(
    r"('(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|`[^`]*`|\$(\w*)\$.*?\$\2\$|/\*.*?\*/)", re.DOTALL
)
_BLANKS: Final = (" ", "\t", "\n", "\r\n", "\f", "\v", "  ")
_COMMENTS: Final = ("/**/", "/* ' */", '/* " */', "/*;*/", "-- x\n", "--\n", "/* -- */")
# A byte order mark, blanks that are none, a letter of full width, a stray byte.
_ODD: Final = ("\ufeff".encode(), "\u00a0".encode(), "\uff24".encode(), b"\xff", b"\x1a")


@st.composite
def _dressed(
    draw: st.DrawFn,
    corpus: Sequence[str],
    nests: Sequence[str],
    comments: Sequence[str],
    names: Sequence[tuple[str, Sequence[str]]],
) -> bytes:
    sql = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(0, 2))):
        sql = draw(st.sampled_from(nests)).replace("{}", sql)
    for name, others in names:
        if name in sql and draw(st.booleans()):
            sql = sql.replace(name, draw(st.sampled_from(others)))
    seed = draw(st.randoms(use_true_random=False))
    parts = []
    for index, piece in enumerate(_PIECES.split(sql)):
        # Of each match the pattern gives the whole, then a dollar quote's tag.
        if piece is None or index % 3 == 2:
            continue
        parts.append(piece if index % 3 else _between(piece, comments, seed.random, seed.choice))
    text = "".join(parts).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(_ODD)) + text[place:]
    return text.replace(b"\0", b"")


def _between(piece: str, comments: Sequence[str], chance: object, choice: object) -> str:
    assert callable(chance)
    assert callable(choice)
    found = []
    for letter in piece:
        if letter == " ":
            found.append(choice(_BLANKS) if chance() < 0.6 else f" {choice(comments)} ")
        else:
            found.append(letter.swapcase() if chance() < 0.3 else letter)
    return "".join(found)


def postgres_mutations(corpus: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Of statements of PostgreSQL."""
    return _dressed(
        corpus,
        (
            "{}",
            "SELECT 1; {}",
            "{}; COMMIT",
            "COMMIT; {}",
            "BEGIN; {}; COMMIT",
            "ROLLBACK; BEGIN READ WRITE; {}; COMMIT",
            "EXPLAIN ANALYZE {}",
            "EXPLAIN (ANALYZE, FORMAT JSON) {}",
            "PREPARE policy_x AS {}",
            "DO $a$ BEGIN {}; END $a$",
            "WITH policy_x AS ({} RETURNING 1) SELECT * FROM policy_x",
            "WITH policy_x AS ({}) SELECT * FROM policy_x",
            "SELECT * FROM ({}) policy_x",
            "SELECT ({})",
            "COPY ({}) TO STDOUT",
            "DECLARE policy_x CURSOR WITH HOLD FOR {}",
            "/* /* */ {} */",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; {}",
        ),
        (*_COMMENTS, "/* /* */ */"),
        (
            ("policy_orders", ('"policy_orders"', 'U&"policy\\005forders"', "ONLY policy_orders")),
            ("'on'", ("E'on'", "U&'\\006fn'", "$$on$$", "'o'\n'n'")),
            ("'off'", ("E'o\\x66f'", "U&'off'", "$$off$$", "'o'\n'ff'")),
        ),
    )


def mysql_mutations(corpus: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Of statements of MySQL and MariaDB."""
    return _dressed(
        corpus,
        (
            "{}",
            "SELECT 1; {}",
            "{}; COMMIT",
            "COMMIT; {}",
            "START TRANSACTION READ WRITE; {}; COMMIT",
            "/*! {} */",
            "/*!50000 {} */",
            "/*M! {} */",
            "/*!99999 {} */",
            "SELECT 1 /*!; {} */",
            "EXPLAIN {}",
            "ANALYZE {}",
            "SET STATEMENT sql_mode='ANSI_QUOTES' FOR {}",
            "SELECT * FROM ({}) x",
            "SELECT ({})",
            "WITH x AS ({}) SELECT * FROM x",
            "BEGIN NOT ATOMIC {}; END",
            "SET tx_read_only = 0; {}",
        ),
        (*_COMMENTS, "# x\n", "/*!*/", "/*!50000 */", "/*!99999 x */"),
        (
            ("customers", ("`customers`", "shop.customers", "`shop`.`customers`")),
            ("'x'", ('"x"', "_utf8mb4'x'", "_binary'x'", "x'78'", "0x78", "'\\x'", "N'x'")),
        ),
    )

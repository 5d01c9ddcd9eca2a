"""KILL in a statement's text: the one statement whose number means something here only.

A session's client knows the thread number that the proxy gave it; the server would kill
another session by it. So KILL never goes upstream: the form with a plain number is
carried out here, every other is refused ("KILL Statement" in the MySQL manual, "KILL"
in MariaDB's). KILL is a reserved word, so wherever else it stands bare, in a compound
statement or a program's body, it is a KILL, too. A first guard only: what an existing
stored program or a text made by SQL (PREPARE, EXECUTE IMMEDIATE) kills is the server's
to judge by the account's rights. Must never know sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.mysql.words import has_bare_word, statements_in

# Thread numbers are 64 bits in the server and 32 on the wire.
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Kill:
    """One KILL. ``number`` is None where its form is not carried out here."""

    number: int | None
    only_statement: bool


def kill_in(text: bytes, *, has_escapes: bool) -> Kill | None:
    """The KILL among a text's statements, or None.

    ``has_escapes``: as in ``words.statements_in``. A KILL beside or within other
    statements has no number: it is one to refuse.
    """
    if b"kill" not in text.lower():
        return None
    if not has_bare_word(text, b"KILL", has_escapes=has_escapes):
        return None
    statements = statements_in(text, has_escapes=has_escapes)
    is_all = len(statements) == 1 and statements[0][0] == b"KILL"
    return _form(statements[0]) if is_all else Kill(None, False)


def _form(words: list[bytes]) -> Kill:
    rest = words[1:]
    only_statement = rest[:1] == [b"QUERY"]
    if rest and rest[0] in (b"QUERY", b"CONNECTION"):
        rest = rest[1:]
    if len(rest) == 1 and rest[0].isdigit() and len(rest[0]) <= _DIGITS:
        return Kill(int(rest[0]), only_statement)
    return Kill(None, only_statement)

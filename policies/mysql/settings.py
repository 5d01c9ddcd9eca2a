"""SET, transactions and SHOW: short statements, judged by their tokens, each form by name."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from policies.facts import Name, StatementFacts
from policies.mysql.lexer import Sort, Token
from protocols.statements import Kind

_FREE: Final = frozenset(
    [
        "autocommit",
        "net_write_timeout",
        "net_read_timeout",
        "wait_timeout",
        "interactive_timeout",
        "sql_auto_is_null",
        "sql_safe_updates",
        "sql_select_limit",
        "time_zone",
        "lc_time_names",
        "max_execution_time",
        "max_statement_time",
        "group_concat_max_len",
        "sql_quote_show_create",
        "innodb_lock_wait_timeout",
        "lock_wait_timeout",
        "sql_big_selects",
        "max_join_size",
        "information_schema_stats_expiry",
        "net_buffer_length",
        "sql_notes",
        "optimizer_switch",
    ]
)
_CHARACTER_SETS: Final = frozenset(
    {"character_set_results", "character_set_client", "character_set_connection"}
)
# What the server sends in is for the client alone to read.
_RESULTS: Final = frozenset({"null", "binary", "utf8", "utf8mb3", "latin1"})
_ADDED: Final = ["concat", "(", "@@", "sql_mode", ",", ")"]
# Modes that change neither how a text is cut into tokens nor how these are read.
_MODES: Final = frozenset(
    [
        "strict_trans_tables",
        "strict_all_tables",
        "no_zero_in_date",
        "no_zero_date",
        "no_auto_create_user",
        "error_for_division_by_zero",
        "no_engine_substitution",
        "only_full_group_by",
        "traditional",
        "no_auto_value_on_zero",
        "no_unsigned_subtraction",
        "pad_char_to_full_length",
    ]
)
_TRANSACTION: Final = re.compile(
    r"(start transaction( (read only|with consistent snapshot))?( , read only)?"
    r"|begin( work)?|(commit|rollback)( work)?( and (no )?chain)?( no release)?"
    r"|savepoint \S+|release savepoint \S+|rollback( work)? to (savepoint )?\S+)\Z"
)
_ISOLATION: Final = re.compile(
    r"set (session )?transaction( isolation level"
    r" (read committed|read uncommitted|repeatable read|serializable))?( ?,? ?read only)?\Z"
)
_SHOW: Final = frozenset(
    [
        "databases",
        "schemas",
        "tables",
        "columns",
        "fields",
        "index",
        "indexes",
        "keys",
        "variables",
        "status",
        "warnings",
        "errors",
        "engines",
        "plugins",
        "collation",
        "privileges",
        "table",
        "triggers",
        "procedure",
        "function",
        "events",
        "open",
        "count",
    ]
)


def transaction(tokens: list[Token]) -> StatementFacts:
    """BEGIN, START TRANSACTION, COMMIT, ROLLBACK, SAVEPOINT, RELEASE."""
    text = " ".join(token.lower for token in tokens)
    if _TRANSACTION.match(text):
        return StatementFacts(Kind.TRANSACTION)
    if text == "start transaction read write":
        return StatementFacts(Kind.TRANSACTION, changes="the transaction's mode")
    return StatementFacts(Kind.TRANSACTION, forbidden="this form of a transaction's statement")


def setting(tokens: list[Token]) -> StatementFacts:
    """SET in all its forms; what is not known as free is forbidden."""
    text = " ".join(token.lower for token in tokens if token.sort is not Sort.STRING)
    if _ISOLATION.match(text) and len(tokens) > 2 and text.split()[-1] != "transaction":
        return StatementFacts(Kind.SET)
    if tokens[1:2] and tokens[1].lower == "names" and tokens[1].sort is Sort.WORD:
        values = [token.lower or token.text.lower() for token in tokens[2:]]
        is_safe = values[:1] == ["utf8mb4"] and (
            len(values) == 1
            or (len(values) == 3 and values[1] == "collate" and values[2].startswith("utf8mb4_"))
        )
        return StatementFacts(Kind.SET, forbidden="" if is_safe else "another character set")
    part: list[Token] = []
    depth = 0
    for token in [*tokens[1:], Token(Sort.SIGN, ",", ",")]:
        if token.sort is Sort.SIGN:
            depth += (token.text == "(") - (token.text == ")")
        if token.sort is Sort.SIGN and token.text == "," and depth == 0:
            if not _is_free(part):
                return StatementFacts(Kind.SET, forbidden="this setting")
            part = []
        else:
            part.append(token)
    return StatementFacts(Kind.SET)


def _is_free(part: list[Token]) -> bool:
    words = [token.lower for token in part]
    if words[:1] == ["@"]:
        return len(part) >= 4 and words[2] in ("=", ":=") and _is_value(part[3:])
    if words[:1] == ["@@"]:
        words, part = words[1:], part[1:]
        if words[:2] == ["session", "."]:
            words, part = words[2:], part[2:]
    elif words[:1] in (["session"], ["local"]):
        words, part = words[1:], part[1:]
    if len(part) < 3 or words[1] not in ("=", ":="):
        return False
    if words[0] == "sql_mode":
        return _are_modes(part[2:])
    if words[0] in _CHARACTER_SETS:
        value = part[2].text.lower()
        return len(part) == 3 and (
            value == "utf8mb4" or (words[0] == "character_set_results" and value in _RESULTS)
        )
    return words[0] in _FREE and _is_value(part[2:])


def _are_modes(part: list[Token]) -> bool:
    """Harmless modes by name, alone or added to those there are (MariaDB's Connector/J)."""
    words = [token.lower for token in part if token.sort is not Sort.STRING]
    if len(part) > 1:
        if words not in (_ADDED, [*_ADDED[:3], "session", ".", *_ADDED[3:]]):
            return False
        part = part[-2:-1]
    if len(part) != 1 or part[0].sort is not Sort.STRING:
        return False
    modes = part[0].text.lower().replace(" ", "").split(",")
    return set(modes) - {""} <= _MODES


def _is_value(part: list[Token]) -> bool:
    """One constant, or one variable."""
    if len(part) == 1:
        return part[0].sort in (Sort.STRING, Sort.NUMBER, Sort.WORD)
    words = [token.text for token in part]
    if words[0] in ("-", "@"):
        return len(part) == 2
    return words[0] == "@@" and (
        len(part) == 2 or (len(part) == 4 and words[1] in ("session", "global", "SESSION"))
    )


def show(tokens: list[Token]) -> StatementFacts:
    """SHOW and DESCRIBE of a table."""
    words = [token.lower for token in tokens]
    rest = words[1:]
    if "select" in rest or any(sign in words for sign in (":=", "(")):
        if not (rest[:1] == ["count"] and len(rest) == 5) and not _has_only_lists(tokens):
            return StatementFacts(Kind.SHOW, forbidden="an expression in SHOW")
    if words[0] in ("describe", "desc"):
        if tokens[1].sort not in (Sort.WORD, Sort.NAME) or len(tokens) > 5:
            return StatementFacts(Kind.SHOW, forbidden="this form of DESCRIBE")
        return StatementFacts(Kind.SHOW, reads=frozenset(_names(tokens[1:])))
    while rest[:1] and rest[0] in ("full", "extended", "session", "global", "storage"):
        rest = rest[1:]
    reads: frozenset[Name] = frozenset()
    if rest[:1] == ["create"]:
        if rest[1:2] not in (["table"], ["view"], ["database"], ["schema"]):
            return StatementFacts(Kind.SHOW, forbidden="this form of SHOW")
        if rest[1] in ("table", "view"):
            reads = frozenset(_names(tokens[len(tokens) - len(rest) + 2 :]))
    elif rest[:2] == ["character", "set"]:
        pass
    elif not rest or rest[0] not in _SHOW:
        # GRANTS among them: MariaDB's answer has the hash of the account's own password.
        return StatementFacts(Kind.SHOW, forbidden="this form of SHOW")
    elif rest[0] in ("columns", "fields", "index", "indexes", "keys"):
        places = [at for at, word in enumerate(words) if word in ("from", "in")]
        if not places:
            return StatementFacts(Kind.SHOW, forbidden="this form of SHOW")
        names = list(_names(tokens[places[0] + 1 :]))
        if len(places) > 1 and places[1] == places[0] + 2 and names:
            names = (
                [Name(tokens[places[1] + 1].text, names[0].name)]
                if (len(tokens) > places[1] + 1)
                else names
            )
        reads = frozenset(names)
    elif rest[0] in ("procedure", "function", "table", "open"):
        if rest[1:2] not in (["status"], ["tables"]):
            return StatementFacts(Kind.SHOW, forbidden="this form of SHOW")
    return StatementFacts(Kind.SHOW, reads=reads)


def _has_only_lists(tokens: list[Token]) -> bool:
    """Whether each parenthesis is that of IN, with constants in it alone."""
    signs = [token.text for token in tokens if token.sort is Sort.SIGN]
    if ":=" in signs or any(token.lower == "select" for token in tokens):
        return False
    inside = False
    for before, token in pairwise(tokens):
        if token.sort is Sort.SIGN and token.text in ("(", ")"):
            if token.text == "(" and (before.sort is not Sort.WORD or before.lower != "in"):
                return False
            inside = token.text == "("
        elif inside and token.sort not in (Sort.STRING, Sort.NUMBER) and token.text != ",":
            return False
    return True


def _names(tokens: list[Token]) -> list[Name]:
    if len(tokens) >= 3 and tokens[1].text == "." and tokens[1].sort is Sort.SIGN:
        return [Name(tokens[0].text, tokens[2].text)]
    return [Name("", tokens[0].text)] if tokens else []

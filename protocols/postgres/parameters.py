"""Which settings a client may bring along at start-up, and how ``options`` is read.

Knows the allow-list, its reasons, and PostgreSQL's own grammar of command-line options.
Must never know a value's meaning beyond what is written here: the server checks it.

On the list is what real drivers send and what any role may set for itself: how values
look, how long things may take, how the planner works. Not on it: identity (``role``,
``session_authorization``), what changes how a server writes or replicates
(``session_replication_role``), the server's sockets (``tcp_*``), logging, and libraries.
"""

from __future__ import annotations

import re

from protocols.errors import Reason, Refusal
from protocols.interface import SessionRules

ALLOWED = (
    # Every driver; PGCLIENTENCODING, PGDATESTYLE, PGTZ of libpq; pgjdbc, lib/pq, sqlx.
    "client_encoding",
    "DateStyle",
    "TimeZone",
    "IntervalStyle",
    "application_name",
    "extra_float_digits",
    "bytea_output",
    "xmloption",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "client_min_messages",
    # npgsql, pgjdbc (currentSchema), node-postgres, Prisma.
    "search_path",
    # node-postgres, pgx and asyncpg users.
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "default_transaction_deferrable",
    "synchronous_commit",
    # PGGEQO and ODBC; SQLAlchemy users of asyncpg turn jit off.
    "geqo",
    "jit",
    "plan_cache_mode",
    "work_mem",
    "maintenance_work_mem",
    "max_parallel_workers_per_gather",
    "enable_seqscan",
    "enable_nestloop",
    "enable_hashjoin",
    "enable_mergejoin",
    "row_security",
    "check_function_bodies",
    "standard_conforming_strings",
)
"""The settings that may reach the data source, spelled as PostgreSQL spells them."""

_BY_NAME = {name.lower(): name for name in ALLOWED}

_TRUE = ("on", "true", "yes", "1")
"""How drivers write "on"; with it, standard_conforming_strings is PostgreSQL's default.

Off would change where a string ends, and with it what every reader of SQL text between
client and server believes it read.
"""

_SPACES = " \t\n\v\f\r"
"""What C's isspace() takes for a space."""


def printable(text: str, limit: int = 64) -> str:
    """Text for an error or a log: printable ASCII, the rest as '?', cut at ``limit``."""
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in text[:limit])
    return shown + "..." if len(text) > limit else shown


def admit(name: str, value: str) -> tuple[str, str]:
    """The setting under its proper name. Raises Refusal where it is not on the list.

    Names are compared without case, as PostgreSQL does.
    """
    proper = _BY_NAME.get(name.lower()) if name.isascii() else None
    if proper is None:
        raise Refusal(
            Reason.PARAMETER_REFUSED,
            f'the start-up parameter "{printable(name)}" is not permitted',
        )
    if proper == "standard_conforming_strings" and value.lower() not in _TRUE:
        raise Refusal(
            Reason.PARAMETER_REFUSED,
            'the start-up parameter "standard_conforming_strings" must be on',
        )
    return proper, value


_UTF8 = ("utf8", "unicode")
"""Without what is no letter or digit, which PostgreSQL leaves out when it compares
(encnames.c, clean_encoding_name): asyncpg says 'utf-8', with the quotes."""


def pin(parameters: dict[str, str], rules: SessionRules) -> dict[str, str]:
    """The client's settings with those that the rules ask for.

    What comes in the start-up packet is the session's default: it goes before the role's
    and the database's own settings, and RESET goes back to it. Raises Refusal where the
    client asks for what would make a text mean something else.
    """
    encoding = parameters.get("client_encoding", "UTF8")
    if re.sub(r"[^a-z0-9]", "", encoding.lower()) not in _UTF8:
        raise Refusal(
            Reason.PARAMETER_REFUSED,
            "refused by policy: the client_encoding must be UTF8 where statements are judged",
        )
    pinned = parameters | {"client_encoding": "UTF8", "standard_conforming_strings": "on"}
    if rules.is_read_only:
        pinned["default_transaction_read_only"] = "on"
    if rules.search_path:
        if "search_path" in parameters:
            raise Refusal(
                Reason.PARAMETER_REFUSED,
                "refused by policy: the search_path may not be chosen (tables.schema)",
            )
        pinned["search_path"] = '"' + rules.search_path.replace('"', '""') + '"'
    return pinned


def parse_options(text: str) -> dict[str, str]:
    """The settings in an ``options`` parameter, each admitted by the same list.

    Takes what PostgreSQL takes there: ``-c name=value``, ``-cname=value`` and
    ``--name=value``. Other switches set nothing that is on the list, and are refused.
    A later setting replaces an earlier one. Raises Refusal.
    """
    settings: dict[str, str] = {}
    words = iter(split_options(text))
    for word in words:
        if word == "-c":
            assignment = next(words, "")
        elif word.startswith(("-c", "--")):
            assignment = word[2:]
        else:
            raise Refusal(
                Reason.PARAMETER_REFUSED,
                f'the option "{printable(word)}" in the start-up parameter "options"'
                " is not permitted; use -c name=value",
            )
        name, equals, value = assignment.partition("=")
        if not name or not equals:
            raise Refusal(
                Reason.PARAMETER_REFUSED,
                'the start-up parameter "options" has an option without name=value',
            )
        # PostgreSQL's ParseLongOption reads a dash in a name as an underscore.
        proper, value = admit(name.replace("-", "_"), value)
        settings[proper] = value
    return settings


def split_options(text: str) -> list[str]:
    """Words at unescaped spaces; a backslash takes the next letter as it is.

    PostgreSQL's pg_split_opts (postinit.c), the lone backslash at the end included:
    it escapes nothing and is dropped.
    """
    words: list[str] = []
    word: list[str] | None = None
    is_escaped = False
    for letter in text:
        if is_escaped:
            is_escaped = False
        elif letter in _SPACES:
            if word is not None:
                words.append("".join(word))
                word = None
            continue
        elif letter == "\\":
            is_escaped = True
            word = [] if word is None else word
            continue
        word = [] if word is None else word
        word.append(letter)
    if word is not None:
        words.append("".join(word))
    return words

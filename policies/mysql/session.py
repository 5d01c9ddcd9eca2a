"""The statements that pin a session of the server to the classifier's one reading of SQL."""

from __future__ import annotations


def session_statements(is_read_only: bool, is_mariadb: bool) -> tuple[str, ...]:
    """What to run before the client is welcomed, in order; each must succeed.

    The same text serves both servers: every mode named is one that both know.
    """
    del is_mariadb
    pinned = (
        "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
        "SET NAMES utf8mb4",
    )
    return (*pinned, "SET SESSION TRANSACTION READ ONLY") if is_read_only else pinned

"""Capability flags: what client and server agree on before anything else.

MySQL manual, "Capabilities Flags"; MariaDB, "Connection: Capabilities". The client is
offered only what every supported server can serve, since it chooses before its data
source is known, and the data source is then asked for exactly what the client took:
the shape of answers depends on it.
"""

from __future__ import annotations

LONG_PASSWORD = 1 << 0
"""Named CLIENT_MYSQL by MariaDB, whose servers leave it out: how they are recognised."""
FOUND_ROWS = 1 << 1
LONG_FLAG = 1 << 2
CONNECT_WITH_DB = 1 << 3
NO_SCHEMA = 1 << 4
COMPRESS = 1 << 5
ODBC = 1 << 6
LOCAL_FILES = 1 << 7
IGNORE_SPACE = 1 << 8
PROTOCOL_41 = 1 << 9
INTERACTIVE = 1 << 10
SSL = 1 << 11
IGNORE_SIGPIPE = 1 << 12
TRANSACTIONS = 1 << 13
RESERVED = 1 << 14
SECURE_CONNECTION = 1 << 15
MULTI_STATEMENTS = 1 << 16
MULTI_RESULTS = 1 << 17
PS_MULTI_RESULTS = 1 << 18
PLUGIN_AUTH = 1 << 19
CONNECT_ATTRS = 1 << 20
PLUGIN_AUTH_LENENC = 1 << 21
CAN_HANDLE_EXPIRED_PASSWORDS = 1 << 22
SESSION_TRACK = 1 << 23
DEPRECATE_EOF = 1 << 24
OPTIONAL_RESULTSET_METADATA = 1 << 25
ZSTD = 1 << 26
QUERY_ATTRIBUTES = 1 << 27

OFFERED = (
    LONG_PASSWORD
    | FOUND_ROWS
    | LONG_FLAG
    | CONNECT_WITH_DB
    | ODBC
    | IGNORE_SPACE
    | PROTOCOL_41
    | INTERACTIVE
    | IGNORE_SIGPIPE
    | TRANSACTIONS
    | RESERVED
    | SECURE_CONNECTION
    | MULTI_STATEMENTS
    | MULTI_RESULTS
    | PS_MULTI_RESULTS
    | PLUGIN_AUTH
    | CONNECT_ATTRS
    | PLUGIN_AUTH_LENENC
    | SESSION_TRACK
    | DEPRECATE_EOF
)
"""To every client; SSL, LOCAL_FILES and compression come on top where the listener allows them.

MariaDB's own capabilities are not offered, nor those that change a statement's or a
result's first bytes and that older servers lack (QUERY_ATTRIBUTES,
OPTIONAL_RESULTSET_METADATA).
"""

COMPRESSION = {"zlib": COMPRESS, "zstd": ZSTD}
"""The flag of each algorithm: each leg's own, and asked for by that leg's rules alone."""


def compression_of(capabilities: int) -> str:
    """The algorithm agreed on, "" for none; of two, zlib, as MySQL's own client and server."""
    return next((name for name, flag in COMPRESSION.items() if capabilities & flag), "")


ANSWER_SHAPING = MULTI_STATEMENTS | MULTI_RESULTS | PS_MULTI_RESULTS | SESSION_TRACK | DEPRECATE_EOF
"""What changes the bytes of a session: a data source must have what the client took."""

SESSION_WIDE = (
    LONG_PASSWORD
    | FOUND_ROWS
    | LONG_FLAG
    | ODBC
    | LOCAL_FILES
    | IGNORE_SPACE
    | INTERACTIVE
    | TRANSACTIONS
    | ANSWER_SHAPING
)
"""What a client chooses for its session, and is asked of the data source in its stead."""

LOGIN_WIDE = PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH | PLUGIN_AUTH_LENENC | CONNECT_WITH_DB
"""What we choose for our own login at a data source, as far as it has it."""

REQUIRED = PROTOCOL_41 | SECURE_CONNECTION
"""Without these a peer speaks the protocol of MySQL 4.0."""

PLAIN_SESSION = LONG_PASSWORD | LONG_FLAG | TRANSACTIONS | MULTI_RESULTS
"""For a session of ours for which no client waits (``source test``, KILL QUERY)."""

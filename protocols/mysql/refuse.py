"""How we say no in MySQL: a Refusal as an ERR packet's payload.

Knows which error number and SQLSTATE (MySQL's "Server Error Message Reference") fit
which reason, so that drivers retry what may be retried. Must never put anything into
the message but the refusal's public sentence.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocols.errors import Reason, Refusal
from protocols.mysql.messages import Err

CODES: Mapping[Reason, tuple[int, str]] = {
    Reason.AUTHENTICATION_FAILED: (1045, "28000"),  # ER_ACCESS_DENIED_ERROR
    Reason.TLS_REQUIRED: (3159, "HY000"),  # ER_SECURE_TRANSPORT_REQUIRED
    Reason.PROTOCOL_VIOLATION: (1043, "08S01"),  # ER_HANDSHAKE_ERROR
    Reason.UNSUPPORTED: (1235, "42000"),  # ER_NOT_SUPPORTED_YET
    Reason.PARAMETER_REFUSED: (1231, "42000"),  # ER_WRONG_VALUE_FOR_VAR
    Reason.NOT_PERMITTED: (1227, "42000"),  # ER_SPECIFIC_ACCESS_DENIED_ERROR
    Reason.UNKNOWN_SOURCE: (1049, "42000"),  # ER_BAD_DB_ERROR
    Reason.TOO_MANY_SESSIONS: (1040, "08004"),  # ER_CON_COUNT_ERROR
    Reason.LIMIT_EXCEEDED: (1153, "08S01"),  # ER_NET_PACKET_TOO_LARGE
    Reason.QUOTA_EXCEEDED: (1226, "42000"),  # ER_USER_LIMIT_REACHED
    Reason.STATEMENT_TIMEOUT: (1317, "70100"),  # ER_QUERY_INTERRUPTED, which all servers know
    Reason.TIMED_OUT: (1159, "08S01"),  # ER_NET_READ_INTERRUPTED
    Reason.SOURCE_UNREACHABLE: (1429, "HY000"),  # ER_CONNECT_TO_FOREIGN_DATA_SOURCE
    Reason.SOURCE_UNTRUSTED: (1429, "HY000"),
    Reason.SOURCE_REFUSED: (1429, "HY000"),
    # What a server says before it closes; drivers then connect again.
    Reason.SOURCE_LOST: (1053, "08S01"),  # ER_SERVER_SHUTDOWN
    Reason.CREDENTIAL_UNUSABLE: (1429, "HY000"),
    Reason.STORE_UNAVAILABLE: (1040, "08004"),
    Reason.AUDIT_UNAVAILABLE: (1290, "HY000"),  # ER_OPTION_PREVENTS_STATEMENT
    Reason.SHUTTING_DOWN: (1053, "08S01"),
    Reason.IDLE_TIMEOUT: (4031, "HY000"),  # ER_CLIENT_INTERACTION_TIMEOUT
    Reason.SESSION_TIMEOUT: (4031, "HY000"),
    Reason.SESSION_ENDED: (1317, "70100"),  # ER_QUERY_INTERRUPTED
    Reason.INTERNAL: (1105, "HY000"),  # ER_UNKNOWN_ERROR
}
"""The error number and SQLSTATE of each reason."""

INTERRUPTED = CODES[Reason.STATEMENT_TIMEOUT][0]
"""What a server says of a statement that somebody asked it to stop."""

TEXT_LIMIT = 512
"""Characters of a refusal's sentence: MYSQL_ERRMSG_SIZE, which clients copy it into."""


def refusal_payload(refusal: Refusal, *, has_sqlstate: bool = True) -> bytes:
    """The ERR packet's payload. Before a client has spoken it has no SQLSTATE."""
    code, sqlstate = CODES[refusal.reason]
    if is_sqlstate(refusal.code):
        sqlstate = refusal.code or sqlstate
    text = refusal.public.encode("utf-8", "replace")[: TEXT_LIMIT - 1]
    return Err(code, sqlstate.encode("ascii") if has_sqlstate else b"", text).encode()


def sqlstate_of(refusal: Refusal) -> str:
    """The SQLSTATE that a refusal is told with, for its record."""
    return (refusal.code or "") if is_sqlstate(refusal.code) else CODES[refusal.reason][1]


def is_sqlstate(code: str | None) -> bool:
    """Whether a code is five digits or upper-case ASCII letters."""
    return (
        code is not None
        and len(code) == 5
        and code.isascii()
        and code.isalnum()
        and code == code.upper()
    )

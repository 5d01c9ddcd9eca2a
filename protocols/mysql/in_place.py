"""ERR packets of ours in a session that is open: which number, which place.

Knows the server error numbers of MySQL's "Server Error Message Reference" that fit what
a scanner refuses. How a login is refused is told in ``refuse``. Must never put anything
into a packet but the refusal's public sentence.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocols.errors import Reason, Refusal
from protocols.mysql.ledger import InPlace
from protocols.statements import Outcome

NUMBERS: Mapping[Reason, tuple[int, str]] = {
    Reason.PROTOCOL_VIOLATION: (1835, "HY000"),  # ER_MALFORMED_PACKET
    Reason.UNSUPPORTED: (1235, "42000"),  # ER_NOT_SUPPORTED_YET
    Reason.NOT_PERMITTED: (1227, "42000"),  # ER_SPECIFIC_ACCESS_DENIED_ERROR
    Reason.LIMIT_EXCEEDED: (1226, "42000"),  # ER_USER_LIMIT_REACHED
    Reason.TIMED_OUT: (1317, "70100"),  # ER_QUERY_INTERRUPTED
    Reason.SOURCE_LOST: (1158, "08S01"),  # ER_NET_READ_ERROR
    Reason.SHUTTING_DOWN: (1053, "08S01"),  # ER_SERVER_SHUTDOWN
    Reason.IDLE_TIMEOUT: (4031, "HY000"),  # ER_CLIENT_INTERACTION_TIMEOUT
    Reason.SESSION_TIMEOUT: (3169, "HY000"),  # ER_SESSION_WAS_KILLED
    Reason.SESSION_ENDED: (3169, "HY000"),
    Reason.INTERNAL: (1815, "HY000"),  # ER_INTERNAL_ERROR
}
"""The error number and SQLSTATE of each reason that may come up in an open session."""

OTHER = (1105, "HY000")
"""ER_UNKNOWN_ERROR, for every other reason."""

TEXT_LIMIT = 500
"""Bytes of the text: client libraries keep 512 (MYSQL_ERRMSG_SIZE)."""


def error_packet(sequence: int, number: int, sqlstate: str, text: bytes) -> bytes:
    """An ERR packet ("ERR_Packet", Protocol::41)."""
    body = b"\xff" + number.to_bytes(2, "little") + b"#" + sqlstate.encode("ascii") + text
    return len(body).to_bytes(3, "little") + bytes((sequence,)) + body


def refused(refusal: Refusal) -> InPlace:
    """What stands in the place of an answer to a command that was refused."""
    number, sqlstate = NUMBERS.get(refusal.reason, OTHER)
    text = refusal.public.encode("utf-8", "replace").replace(b"\0", b"?")
    return InPlace(number, sqlstate, text[:TEXT_LIMIT], Outcome.REFUSED)


def last_word(refusal: Refusal, sequence: int) -> bytes:
    """The ERR packet that ends a session."""
    answer = refused(refusal)
    return error_packet(sequence, answer.number, answer.sqlstate, answer.text)


# The server's own words, where we answer for it.
UNKNOWN_THREAD = InPlace(1094, "HY000", b"Unknown thread id", Outcome.FAILED)
UNKNOWN_STATEMENT = InPlace(
    1243, "HY000", b"Unknown prepared statement handler given to the command", Outcome.REFUSED
)
TOO_MANY_STATEMENTS = InPlace(
    1461, "42000", b"this session holds too many prepared statements", Outcome.REFUSED
)

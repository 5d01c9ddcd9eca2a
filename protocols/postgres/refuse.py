"""How we say no in PostgreSQL: a Refusal as an ErrorResponse.

Knows which SQLSTATE (the manual's Appendix A) fits which reason, so that a driver
retries what may be retried and reports the rest. Must never put anything into the
message but the refusal's public sentence.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocols.errors import Reason, Refusal
from protocols.postgres.messages import ErrorResponse

SQLSTATES: Mapping[Reason, str] = {
    Reason.AUTHENTICATION_FAILED: "28P01",  # invalid_password
    Reason.TLS_REQUIRED: "28000",  # invalid_authorization_specification, as pg_hba.conf does
    Reason.PROTOCOL_VIOLATION: "08P01",  # protocol_violation
    Reason.UNSUPPORTED: "0A000",  # feature_not_supported
    Reason.PARAMETER_REFUSED: "22023",  # invalid_parameter_value
    Reason.NOT_PERMITTED: "42501",  # insufficient_privilege
    Reason.UNKNOWN_SOURCE: "3D000",  # invalid_catalog_name
    Reason.TOO_MANY_SESSIONS: "53300",  # too_many_connections
    Reason.LIMIT_EXCEEDED: "54000",  # program_limit_exceeded
    Reason.QUOTA_EXCEEDED: "53400",  # configuration_limit_exceeded
    Reason.STATEMENT_TIMEOUT: "57014",  # query_canceled, as statement_timeout does
    # What PostgreSQL says when authentication_timeout passes: query_canceled.
    Reason.TIMED_OUT: "57014",
    # sqlclient_unable_to_establish_sqlconnection: we are the client that could not.
    Reason.SOURCE_UNREACHABLE: "08001",
    Reason.SOURCE_UNTRUSTED: "08001",
    # sqlserver_rejected_establishment_of_sqlconnection, unless the server's own code is known.
    Reason.SOURCE_REFUSED: "08004",
    Reason.SOURCE_LOST: "08006",  # connection_failure
    # Class 28 is not retried by drivers; a stored credential does not heal by itself.
    Reason.CREDENTIAL_UNUSABLE: "28000",
    Reason.STORE_UNAVAILABLE: "57P03",  # cannot_connect_now: try again
    Reason.AUDIT_UNAVAILABLE: "58000",  # system_error
    Reason.SHUTTING_DOWN: "57P01",  # admin_shutdown
    Reason.IDLE_TIMEOUT: "57P05",  # idle_session_timeout
    Reason.SESSION_TIMEOUT: "57P01",
    Reason.SESSION_ENDED: "57P01",
    Reason.INTERNAL: "XX000",  # internal_error
}
"""The SQLSTATE of each reason."""

TEXT_LIMIT = 2_000
"""Characters of a refusal's sentence: far below the 30,000 bytes that libpq believes
before it is logged in, even at four bytes each."""


CANCELED = SQLSTATES[Reason.STATEMENT_TIMEOUT]
"""What a server says of a statement that somebody asked it to stop."""


def sqlstate(refusal: Refusal) -> str:
    """The refusal's own code where it is a valid SQLSTATE, else its reason's."""
    if is_sqlstate(refusal.code):
        return refusal.code or ""
    return SQLSTATES[refusal.reason]


def is_sqlstate(code: str | None) -> bool:
    """Whether a code is five digits or upper-case ASCII letters."""
    return (
        code is not None
        and len(code) == 5
        and code.isascii()
        and code.isalnum()
        and code == code.upper()
    )


def refusal_message(refusal: Refusal, *, is_fatal: bool = True) -> bytes:
    """The ErrorResponse for a refusal; ``is_fatal`` tells that the session ends with it."""
    severity = b"FATAL" if is_fatal else b"ERROR"
    text = refusal.public[:TEXT_LIMIT].encode("utf-8", "replace").replace(b"\0", b"?")
    return ErrorResponse(
        (
            (b"S", severity),
            (b"V", severity),
            (b"C", sqlstate(refusal).encode("ascii")),
            (b"M", text),
        )
    ).encode()

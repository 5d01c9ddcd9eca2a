"""Who is to blame, as types. Knows nothing of any one protocol.

Three parties can end or bend a session: a peer that breaks the protocol, a data
source that says no, and we who refuse. Each has its own type, so that no handler
ever shows the inner story of one to the other.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why we refuse; each protocol maps these to its own codes in ``refuse``."""

    AUTHENTICATION_FAILED = "authentication_failed"
    TLS_REQUIRED = "tls_required"
    PROTOCOL_VIOLATION = "protocol_violation"
    UNSUPPORTED = "unsupported"
    PARAMETER_REFUSED = "parameter_refused"
    NOT_PERMITTED = "not_permitted"
    UNKNOWN_SOURCE = "unknown_source"
    TOO_MANY_SESSIONS = "too_many_sessions"
    LIMIT_EXCEEDED = "limit_exceeded"
    QUOTA_EXCEEDED = "quota_exceeded"
    STATEMENT_TIMEOUT = "statement_timeout"
    TIMED_OUT = "timed_out"
    SOURCE_UNREACHABLE = "source_unreachable"
    SOURCE_REFUSED = "source_refused"
    SOURCE_UNTRUSTED = "source_untrusted"
    SOURCE_LOST = "source_lost"
    CREDENTIAL_UNUSABLE = "credential_unusable"
    STORE_UNAVAILABLE = "store_unavailable"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    SHUTTING_DOWN = "shutting_down"
    IDLE_TIMEOUT = "idle_timeout"
    SESSION_TIMEOUT = "session_timeout"
    SESSION_ENDED = "session_ended"
    INTERNAL = "internal"


class Refusal(Exception):
    """We said no.

    ``public`` is the one sentence the client sees; ``private`` is for the log and
    the audit record and never reaches the client. Neither holds a secret.
    ``code`` overrides the protocol's own code for the reason, for a code that the
    data source chose (an SQLSTATE such as 53300).
    """

    def __init__(
        self, reason: Reason, public: str, private: str = "", *, code: str | None = None
    ) -> None:
        super().__init__(public)
        self.reason = reason
        self.public = public
        self.private = private or public
        self.code = code

    def again(self) -> Refusal:
        """The same, to be raised: one that is kept would gather the traceback of every raise."""
        return Refusal(self.reason, self.public, self.private, code=self.code)


def insist(refusal: Refusal | None) -> None:
    """Raise what was found against it, if anything was.

    A caller that raised its own variable would be in the traceback of what it holds: a cycle,
    and all that the callers have in theirs would wait for the garbage collector.
    """
    if refusal is None:
        return
    try:
        raise refusal
    finally:
        del refusal


class PeerViolation(Exception):
    """The peer broke the protocol; the text says how, without repeating its bytes.

    ``is_told``: the peer has been answered in the way it understands (a TLS alert), so
    an error message of the protocol's own must not follow.
    """

    def __init__(self, text: str, *, is_told: bool = False) -> None:
        super().__init__(text)
        self.is_told = is_told


class PeerClosed(Exception):
    """The peer closed the connection where more bytes had to come."""


class UpstreamRefused(Exception):
    """The data source's server said no while we logged in.

    ``code`` is the server's own code (a five-character SQLSTATE, checked, or "").
    ``detail`` is the server's text, for nobody but tests: a hostile server may put
    the credential into it, so it is never shown, logged or recorded. ``number`` is the
    server's error number, where the protocol has one beside the SQLSTATE.
    """

    def __init__(self, code: str, detail: str = "", *, number: int = 0) -> None:
        super().__init__(f"the data source refused the login ({code or 'no code'})")
        self.code = code
        self.number = number
        self.detail = detail

"""ERR packets of ours in a session that is open: in the place of an answer, or the last.

Which number fits which refusal is told in ``refuse``. Must never put anything into a
packet but the refusal's public sentence.
"""

from __future__ import annotations

from protocols.errors import Reason, Refusal
from protocols.mysql.framing import frame
from protocols.mysql.ledger import InPlace
from protocols.mysql.messages import Err
from protocols.mysql.refuse import CODES, TEXT_LIMIT, refusal_payload, sqlstate_of
from protocols.statements import Outcome


def error_packet(sequence: int, answer: InPlace) -> bytes:
    """The ERR packet of an answer, with this number."""
    return frame(
        Err(answer.number, answer.sqlstate.encode("ascii"), answer.text).encode(), sequence
    )


def refused(refusal: Refusal) -> InPlace:
    """What stands in the place of an answer to a command that was refused."""
    text = refusal.public.encode("utf-8", "replace")[: TEXT_LIMIT - 1]
    return InPlace(CODES[refusal.reason][0], sqlstate_of(refusal), text, Outcome.REFUSED)


def last_word(refusal: Refusal, sequence: int) -> bytes:
    """The ERR packet that ends a session."""
    return frame(refusal_payload(refusal), sequence)


KILL_IN_A_TEXT = refused(
    Refusal(
        Reason.NOT_PERMITTED, "KILL is carried out only alone in a statement, with a plain number"
    )
)

# The server's own words, where we answer for it.
UNKNOWN_THREAD = InPlace(1094, "HY000", b"Unknown thread id", Outcome.FAILED)
UNKNOWN_STATEMENT = InPlace(
    1243, "HY000", b"Unknown prepared statement handler given to the command", Outcome.REFUSED
)
TOO_MANY_STATEMENTS = InPlace(
    1461, "42000", b"this session holds too many prepared statements", Outcome.REFUSED
)

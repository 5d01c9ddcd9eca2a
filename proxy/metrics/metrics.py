"""``Metrics``: everything the proxy counts.

Knows names and label sets, all of them small and fixed: never a workspace, a user, a
host or SQL. Counting is for the event loop's thread; what other parts know already
(queue depth, freshness) is asked for when somebody reads.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from protocols.errors import Reason
from protocols.remains import CAUSES
from protocols.statements import Kind, Outcome
from proxy.metrics.tallies import Histogram, Tally

# From a SELECT 1 over loopback to a report that runs for an hour.
STATEMENT_EDGES = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0),
)
# A login costs some milliseconds of SCRAM; ten seconds is the default deadline.
LOGIN_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG_EDGES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class SessionState(StrEnum):
    """Where a connection stands.

    LOGIN: not yet authenticated. CONNECTING: its source is being opened. OPEN: welcomed,
    until its last byte.
    """

    LOGIN = "login"
    CONNECTING = "connecting"
    OPEN = "open"


class Direction(StrEnum):
    """Which way bytes went."""

    FROM_CLIENT = "from_client"
    FROM_SOURCE = "from_source"


class Login(StrEnum):
    """How a client's login ended. ABANDONED: it left, or was silent for too long."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABANDONED = "abandoned"


class Credential(StrEnum):
    """What became of the use of a stored credential.

    UNUSABLE: it could not be unsealed. REJECTED: the data source did not accept it.
    """

    USED = "used"
    UNUSABLE = "unusable"
    REJECTED = "rejected"


class Connect(StrEnum):
    """How one try to log in at one host of a data source ended.

    UNREACHABLE: it did not answer, or hung up. NOT_READY: its server is full, starts or
    stops. WRONG_ROLE: a primary where a standby is wanted, and the like. REFUSED: the server
    took no login, or we gave none. UNTRUSTED: it is not who it should be. SKIPPED: it was left
    alone after failures.
    """

    OPENED = "opened"
    UNREACHABLE = "unreachable"
    NOT_READY = "not_ready"
    WRONG_ROLE = "wrong_role"
    REFUSED = "refused"
    UNTRUSTED = "untrusted"
    SKIPPED = "skipped"


class Leg(StrEnum):
    """The connection to the client, or the one to the data source."""

    CLIENT = "client"
    SOURCE = "source"


class PoolState(StrEnum):
    """What a connection of a pool does. ACTIVE: a session has it."""

    ACTIVE = "active"
    IDLE = "idle"
    RESETTING = "resetting"


class PoolClose(StrEnum):
    """Why a connection of a pool was closed.

    EVICTED: for one with other settings. CHANGED: its source, its credential or its workspace
    was. LOST: the server closed it, or spoke unasked. UNCLEAN: the session left it in a state
    that is not reset, or was ended. RESET_FAILED: the server did not reset it as it must. ROLE:
    the server is, or may be, no longer what the source asks for.
    """

    IDLE = "idle"
    AGE = "age"
    EVICTED = "evicted"
    CHANGED = "changed"
    LOST = "lost"
    UNCLEAN = "unclean"
    RESET_FAILED = "reset_failed"
    ROLE = "role"
    SHUTDOWN = "shutdown"


# A member of an Enum is looked up through its class; these are held against with every
# transaction.
_ACTIVE = PoolState.ACTIVE
_IDLE = PoolState.IDLE
_RESETTING = PoolState.RESETTING

POLICY_PARTS = (
    "access",
    "statements",
    "features",
    "tables",
    "columns",
    "functions",
    "settings",
    "limits",
)
"""The parts of a policy document whose rules refuse statements."""
TLS_PROFILES = ("none", "modern", "intermediate", "compat", "legacy")


@dataclass(frozen=True, slots=True)
class AuditReading:
    """The audit log's own counters, read at one moment. Lag in seconds.

    ``free_bytes`` and ``size_bytes`` are of its file system; None: it cannot be asked.
    """

    queue_depth: int = 0
    lag_seconds: float = 0.0
    records: int = 0
    bytes: int = 0
    lost: int = 0
    failures: int = 0
    is_failed: bool = False
    free_bytes: int | None = None
    size_bytes: int | None = None


class Metrics:
    """All counters of one process. Cheap to make; tests make their own."""

    def __init__(self) -> None:
        self.sessions = Tally(SessionState)
        self.sessions_ended: Tally[str] = Tally(("closed", *Reason))
        self.logins = Tally(Login)
        self.refusals = Tally(Reason)
        self.policy_refusals: Tally[str] = Tally(POLICY_PARTS)
        self.credentials = Tally(Credential)
        self.tls = {leg: Tally(TLS_PROFILES) for leg in Leg}
        self.cancels: Tally[str] = Tally(("forwarded", "ignored"))
        # Those of pools move with every transaction: see read_pool_connections.
        self._pool_active = 0
        self._pool_idle = 0
        self._pool_resetting = 0
        # Who asks a pool adds to these directly, too.
        self.pool_hits = 0
        self.pool_misses = 0
        self.pool_refusals = 0
        self.pool_closes = Tally(PoolClose)
        self.pool_pins: Tally[str] = Tally(CAUSES)
        self.pool_wait_seconds = Histogram(LOGIN_EDGES)
        self.connects = Tally(Connect)
        self.failovers = 0
        self.breakers_opened = 0
        self.breakers_open = 0
        self.connect_seconds = Histogram(LOGIN_EDGES)
        self.setup_seconds = Histogram(LOGIN_EDGES)
        self.loop_lag_seconds = Histogram(LAG_EDGES)
        self.loop_lag = 0.0
        self.tasks = 0
        # Whole relays add to these directly: metrics.bytes_from_client += n.
        self.bytes_from_client = 0
        self.bytes_from_source = 0
        # When they end, in seconds since 1970: the earliest of each protocol's listeners, and
        # of the weak TLS profiles of all sources.
        self.certificate_ends: dict[str, float] = {}
        self.weak_tls_end: float | None = None
        self.read_audit: Callable[[], AuditReading] = AuditReading
        self.read_store_is_current: Callable[[], bool] = _yes
        self.read_log_lines_lost: Callable[[], int] = _zero
        # Found by their values, because an Enum's own hash is a Python function.
        self._statements = {kind.value: array("q", bytes(8 * len(Outcome))) for kind in Kind}
        self._places = {outcome.value: place for place, outcome in enumerate(Outcome)}
        self._durations = {kind.value: Histogram(STATEMENT_EDGES) for kind in Kind}
        # The newest statement's kind and outcome and where they are counted: the next is
        # mostly alike.
        self._outcome = Outcome.SUCCEEDED
        self._place = self._places[self._outcome.value]
        self._kind = Kind.SELECT
        self._counts = self._statements[self._kind.value]
        self._duration = self._durations[self._kind.value]

    def statement(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        """Count a statement that has ended. Below a tenth of a microsecond."""
        if kind is not self._kind:
            self._kind = kind
            self._counts = self._statements[kind.value]
            self._duration = self._durations[kind.value]
        if outcome is not self._outcome:
            self._outcome = outcome
            self._place = self._places[outcome.value]
        self._counts[self._place] += 1
        self._duration.observe(seconds)

    def move_session(self, old: SessionState | None, new: SessionState | None) -> None:
        """A connection changes its state. ``old`` None: it arrived; ``new`` None: it left."""
        if old is not None:
            self.sessions.add(old, -1)
        if new is not None:
            self.sessions.add(new)

    def move_pooled(self, old: PoolState | None, new: PoolState | None) -> None:
        """A pool's connection changes its state. ``old`` None: opened; ``new`` None: closed."""
        self._count_pooled(old, -1)
        self._count_pooled(new, 1)

    def _count_pooled(self, state: PoolState | None, count: int) -> None:
        if state is _ACTIVE:
            self._pool_active += count
        elif state is _IDLE:
            self._pool_idle += count
        elif state is _RESETTING:
            self._pool_resetting += count

    def refused(self, reason: Reason) -> None:
        """Count a refusal, of a login or of a statement."""
        self.refusals.add(reason)

    def used_tls(self, leg: Leg, profile: str) -> None:
        """Count a connection by its TLS profile; ``none`` is plaintext."""
        self.tls[leg].add(profile)

    def shows_certificate(self, protocol: str, ends: datetime) -> None:
        """A listener shows a certificate until then."""
        known = self.certificate_ends.get(protocol, math.inf)
        self.certificate_ends[protocol] = min(known, ends.timestamp())

    def ends_weak_tls(self, ends: datetime | None) -> None:
        """The first weak TLS profile ends then, or there is none."""
        self.weak_tls_end = None if ends is None else ends.timestamp()

    def observe_loop(self, seconds: float, tasks: int) -> None:
        """How late the event loop woke a timer, and how many tasks it then had."""
        self.loop_lag = seconds
        self.tasks = tasks
        self.loop_lag_seconds.observe(seconds)

    def read_pool_connections(self) -> dict[PoolState, int]:
        """How many connections of pools there are, by state."""
        return {
            _ACTIVE: self._pool_active,
            _IDLE: self._pool_idle,
            _RESETTING: self._pool_resetting,
        }

    def read_pool_requests(self) -> dict[str, int]:
        """What became of those who asked a pool for a connection."""
        return {"hit": self.pool_hits, "miss": self.pool_misses, "refused": self.pool_refusals}

    def read_statements(self) -> dict[Kind, dict[Outcome, int]]:
        """A copy of the counts of ended statements."""
        return {
            kind: dict(zip(Outcome, self._statements[kind.value], strict=True)) for kind in Kind
        }

    def read_durations(self) -> dict[Kind, Histogram]:
        """The durations of statements, by kind."""
        return {kind: self._durations[kind.value] for kind in Kind}


def _yes() -> bool:
    return True


def _zero() -> int:
    return 0

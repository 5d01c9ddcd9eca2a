"""One open session: whose it is, what is shown of it, how long it may stay.

Knows no protocol, and no other session: those are in ``live``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from policies.effective import EffectivePolicy
from policies.grant import Grant
from protocols.errors import Reason, Refusal
from protocols.interface import SessionKey
from protocols.scanner import Scanner
from proxy.config import LimitsConfig
from proxy.gateway.deadline import Deadline
from proxy.gateway.quotas import Meter
from proxy.gateway.relay import Relay
from proxy.store.failover import Endpoint
from proxy.store.records import Source

# How long a data source may take to note that a statement is to be stopped.
STOP_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class LiveSession:
    """One open session. ``stop_statement`` asks the data source to stop what runs now."""

    id: str
    key: SessionKey
    upstream_number: int
    version: tuple[int, int]
    grant: Grant
    policy: EffectivePolicy
    workspace: str
    source: Source
    endpoint: Endpoint
    application_name: str
    client: str
    started: float
    started_at: datetime
    relay: Relay
    stop_statement: Callable[[], Awaitable[None]]
    is_encrypted: bool
    is_local: bool
    cancelling: asyncio.Task[None] | None = field(default=None)
    deadline: Deadline | None = None
    meter: Meter | None = None

    @property
    def has_statement_to_cancel(self) -> bool:
        """Whether it runs something, and nobody is stopping that already."""
        return self.scanner.has_outstanding and self.cancelling is None

    @property
    def scanner(self) -> Scanner:
        """Its inspector."""
        return self.relay.scanner

    def describe(self, now: float) -> dict[str, object]:
        """For ``session list``; no secret in it."""
        scanner = self.scanner
        if scanner.has_outstanding:
            state = "active"
        elif self.relay.is_waiting:
            state = "waiting"
        elif scanner.is_in_transaction:
            state = "idle in transaction"
        else:
            state = "idle"
        return {
            "id": self.id,
            "number": self.key.number,
            "workspace": self.workspace,
            "workspace_id": self.grant.workspace_id,
            "source": self.source.name,
            "host": str(self.endpoint),
            "token_id": self.grant.token_id,
            "application_name": self.application_name,
            "client": self.client,
            "tls": self.is_encrypted,
            "state": state,
            "started_at": self.started_at.isoformat(),
            "age_seconds": round(now - self.started, 3),
            "idle_seconds": 0.0 if state == "active" else round(now - self.relay.active, 3),
            "bytes_from_client": self.relay.bytes_from_client,
            "bytes_from_source": self.relay.bytes_from_source,
        }

    def overdue(self, limits: LimitsConfig, now: float, wall: datetime) -> Refusal | None:
        """Why it must end now, by the proxy's limits, its policy and its token; None: it may stay.

        ``now`` is on the monotonic clock.
        """
        if not self.grant.is_valid_at(wall):
            return Refusal(Reason.SESSION_ENDED, "the token of this session has expired")
        meter = self.meter
        if meter is not None and meter.cut_at is not None and now - meter.cut_at > STOP_SECONDS:
            return Refusal(
                Reason.QUOTA_EXCEEDED,
                "refused by policy: the result was cut, and the data source does not stop",
            )
        own = self.policy.limits
        longest = _shorter(limits.session_timeout, own.session_seconds)
        if longest and now - self.started > longest:
            return Refusal(Reason.SESSION_TIMEOUT, "this session has reached its longest duration")
        if self.scanner.has_outstanding or self.relay.is_closing:
            return None
        idle = now - self.relay.active
        if self.scanner.is_in_transaction:
            limit, words = limits.transaction_idle_timeout, "idle in a transaction"
        else:
            limit, words = limits.idle_timeout, "idle"
        limit = _shorter(limit, own.idle_seconds)
        if limit and idle > limit:
            return Refusal(Reason.IDLE_TIMEOUT, f"this session was {words} for too long")
        return None


def _shorter(bound: float, limit: int | None) -> float:
    """The stricter of the proxy's bound, where 0 is none, and a policy's."""
    if limit is None:
        return bound
    return min(bound, limit) if bound else float(limit)

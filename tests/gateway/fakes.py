"""Stand-ins for what the gateway's pieces work with: transports, scanners, sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from policies.effective import EffectivePolicy
from policies.grant import (
    ArrivalFacts,
    Grant,
    SourceFacts,
    TokenFacts,
    WorkspaceFacts,
    decide_access,
)
from protocols.errors import Reason, Refusal
from protocols.interface import SessionKey
from protocols.scanner import Scanner
from proxy.audit.pressure import Pressure
from proxy.gateway.live_session import LiveSession
from proxy.gateway.plain import Side
from proxy.gateway.relay import Relay
from proxy.metrics import Metrics
from proxy.store.engines import ENGINES
from proxy.store.failover import Endpoint
from proxy.store.records import Source, TlsSettings

CUT_REFUSAL = Refusal(Reason.SOURCE_UNTRUSTED, "no")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


class FakeTransport(asyncio.Transport):
    """Remembers what was written, and whether it is read; closes when it is told to."""

    def __init__(self, protocol: Side | None = None) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.is_read = True
        self.closed = False
        self.aborted = asyncio.Event()

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True
        self.aborted.set()
        self.lose()

    def lose(self) -> None:
        """The connection is over; said once."""
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connection_lost(None)


class FakeScanner(Scanner):
    """Lets everything pass; each property is what a test says."""

    has_outstanding = False
    is_idle = True
    is_in_transaction = False
    client_message_remaining = 0
    is_ended_by_server = False
    is_reusable = True
    goodbye = b"<bye>"

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.closed = 0

    def from_client(self, data: bytes, now: float) -> bytes:
        if self.error is not None:
            raise self.error
        self.has_said_goodbye = self.has_said_goodbye or self.goodbye in data
        return data

    def from_server(self, data: bytes, now: float) -> bytes:
        if self.error is not None:
            raise self.error
        return data

    def refusal(self, refusal: Refusal) -> bytes:
        return f"<{refusal.reason}>".encode()

    def close(self, now: float) -> None:
        self.closed += 1


def _nobody() -> None:
    pass


class FakeCongestion(Pressure):
    """An audit log that is as full as a test says."""

    def __init__(self) -> None:
        self.told: list[Callable[[], None]] = []
        super().__init__(100, 50, 200, wake=_nobody, soon=self.told.append)

    def drain(self) -> None:
        """The queue is short again: what waits goes on."""
        self.pending_bytes = 0
        self.tell_drained()
        for callback in self.told:
            callback()


class Wire:
    """A relay between two fake transports."""

    def __init__(self, *, has_client: bool = True) -> None:
        self.scanner = FakeScanner()
        self.congestion = FakeCongestion()
        self.relay = Relay(self.scanner, self.congestion, Metrics())
        self.client = FakeTransport(self.relay.client_side)
        self.source = FakeTransport(self.relay.source_side)
        self.relay.has_source(self.source)
        self.relay.wait_for_client()
        if has_client:
            self.relay.has_client(self.client)

    def holds_the_client(self) -> bool:
        """Whether the client is read no further."""
        return not self.client.is_read

    def lose_both(self) -> None:
        self.client.lose()
        self.source.lose()


def grant(expires_at: datetime | None = None, workspace: str = "w1") -> Grant:
    decision = decide_access(
        WorkspaceFacts(workspace, "active"),
        TokenFacts("t1", workspace, expires_at, False),
        SourceFacts("s1", workspace),
        ArrivalFacts(ip_address("127.0.0.1"), True),
        now=NOW - timedelta(days=1),
    )
    assert isinstance(decision, Grant)
    return decision


def source(**changes: Any) -> Source:
    values: dict[str, Any] = {
        "id": "s1",
        "workspace_id": "w1",
        "name": "orders",
        "engine": "postgresql",
        "host": "db.example",
        "port": 5432,
        "database": "orders",
        "username": "app",
        "tls": TlsSettings(),
        "auth_methods": ENGINES["postgresql"].default,
    }
    return Source(**(values | changes))


async def _nothing() -> None:
    pass


def session(
    wire: Wire,
    number: int = 1,
    *,
    stop: Callable[[], Awaitable[None]] = _nothing,
    expires_at: datetime | None = None,
    workspace: str = "w1",
    **changes: Any,
) -> LiveSession:
    values: dict[str, Any] = {
        "id": f"session-{number}",
        "key": SessionKey(number, bytes(32)),
        "upstream_number": 0,
        "version": (3, 0),
        "grant": grant(expires_at, workspace),
        "policy": EffectivePolicy.of(),
        "workspace": "finance",
        "source": source(),
        "endpoint": Endpoint("db.example", 5432),
        "application_name": "test",
        "client": "127.0.0.1:1",
        "started": wire.relay.active,
        "started_at": NOW,
        "relay": wire.relay,
        "stop_statement": stop,
        "is_encrypted": False,
        "is_local": True,
    }
    return LiveSession(**(values | changes))

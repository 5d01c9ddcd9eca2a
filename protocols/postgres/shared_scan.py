# cython: annotation_typing=False
"""The scanner of a PostgreSQL session that has a server connection for each transaction.

Puts ``shared_client`` and ``shared_server`` together, and says when the connection may go:
when the server waits for a command outside a transaction, owes nothing and was told
nothing by halves, and nothing of the client's is left in it.

Plain Python; compiled with the types in ``shared_scan.pxd``.
"""

from __future__ import annotations

from collections.abc import Callable

from protocols.interface import ScanLimits
from protocols.postgres import expected
from protocols.postgres.messages import ParameterStatus
from protocols.postgres.pooled import ServerMemory, Texts
from protocols.postgres.scan import PostgresScanner
from protocols.postgres.shared_client import SharedClientScan
from protocols.postgres.shared_server import SharedServerScan
from protocols.remains import Remains
from protocols.statements import StatementSink

_IDLE = expected.IDLE

# A client that sends a message slowly has no connection meanwhile, unless it is a long one.
_FIRST_LIMIT = 16 * 1024


class SharedScanner(PostgresScanner):
    """Both directions of one session, from its welcome to its end, over many connections.

    ``told`` are the settings that its client knows. ``on_pin`` is called with the cause when the
    connection would have gone but for that, ``on_reset`` when its client's reset takes that back.
    """

    def __init__(
        self,
        sink: StatementSink,
        limits: ScanLimits,
        texts: Texts,
        remains: Remains,
        told: tuple[tuple[bytes, bytes], ...],
        on_pin: Callable[[str], None],
        on_reset: Callable[[], None],
    ) -> None:
        PostgresScanner.__init__(self, sink, limits)
        shared_client = SharedClientScan(
            sink, limits, self._ledger, self._statements, texts, remains, on_reset
        )
        self._client = self._shared_client = shared_client
        self._server = self._shared_server = SharedServerScan(
            self._records, limits, self._ledger, self._statements, _IDLE, shared_client
        )
        self._told = told
        self._on_pin = on_pin
        self._is_told_of_pin = False

    def needs_server(self, data: bytes) -> int:
        """Whether the first message is whole, or too long to wait for; -1 for a Terminate."""
        size = len(data)
        if size < 5:
            return 0
        p = data
        if p[0] == 0x58:
            return -1
        length = p[1] << 24 | p[2] << 16 | p[3] << 8 | p[4]
        return 1 if size > length or size >= _FIRST_LIMIT else 0

    def attach(self, memory: object) -> bytes:
        """Its client is told of the settings in which this connection differs."""
        assert isinstance(memory, ServerMemory)
        of_server: ServerMemory = memory
        self._shared_client.attach(of_server)
        self._shared_server.attach(of_server)
        if of_server.parameters is self._told or of_server.parameters == self._told:
            return b""
        known = dict(self._told)
        self._told = of_server.parameters
        news = b""
        for name, value in of_server.parameters:
            # What the session has set itself is led there, and then told by the server.
            if known.get(name) != value and name not in self._shared_server.reported:
                news += ParameterStatus(name, value).encode()
        return news

    def detach(self) -> None:
        """The session has no connection from now on."""
        self._shared_client.detach()
        self.is_releasable = False

    def from_client(self, data: bytes, now: float) -> bytes:
        """Judge what is whole enough; return what goes upstream now."""
        data = PostgresScanner.from_client(self, data, now)
        self.is_releasable = self._ledger.count == 0 and self._may_go()
        return data

    def from_server(self, data: bytes, now: float) -> bytes:
        """Account for the server's answers; return what goes to the client now."""
        data = PostgresScanner.from_server(self, data, now)
        self.is_releasable = self._ledger.count == 0 and self._may_go()
        return data

    def _may_go(self) -> bool:
        client = self._shared_client
        ledger = self._ledger
        if (
            self._server.status != _IDLE
            or ledger.spare_ready > 0
            or ledger.is_unsynced
            or ledger.is_skipping
            or ledger.is_lost
            or self._server.is_fatal
            or not client.is_between()
            or not self._server.is_between()
        ):
            return False
        if self._shared_server.has_changed():
            client.pin("parameter")
        if not client.pinned_by:
            self._is_told_of_pin = False
            return True
        if not self._is_told_of_pin:
            self._is_told_of_pin = True
            self._on_pin(client.pinned_by)
        return False

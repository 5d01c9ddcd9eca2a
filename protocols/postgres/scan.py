# cython: annotation_typing=False
"""The scanner of one PostgreSQL session: reads headers, lets bodies pass.

It knows message types and lengths ("Message Formats" in the PostgreSQL manual), finds
the statements in them, counts rows and bytes, and tells a ``StatementSink``. Chunks go
on untouched and whole wherever nothing in them was refused. It must never know
sockets, rules, or how a record looks.

``scan_client`` reads what the client sends, ``scan_server`` the answers; what ties them
together is the ``ledger`` of answers still owed and the ``prepared`` statements and
portals. This file puts them together for the relay.

Plain Python; compiled with the types in ``scan.pxd`` where there is a C compiler.
"""

from __future__ import annotations

from protocols.errors import Refusal
from protocols.interface import ScanLimits
from protocols.postgres import expected
from protocols.postgres.ledger import Ledger
from protocols.postgres.messages import Terminate
from protocols.postgres.prepared import PreparedStatements
from protocols.postgres.records import Records
from protocols.postgres.refuse import refusal_message
from protocols.postgres.refuse import sqlstate as sqlstate_of
from protocols.postgres.scan_client import ClientScan
from protocols.postgres.scan_server import ServerScan
from protocols.scanner import Scanner
from protocols.statements import Outcome, StatementSink

_IDLE = expected.IDLE
_TERMINATE = Terminate().encode()
_ENDED_BY_READY = (expected.QUERY, expected.FUNCTION, expected.SYNC)


class PostgresScanner(Scanner):
    """Both directions of one session, from its welcome to its end."""

    def __init__(self, sink: StatementSink, limits: ScanLimits, status: int = _IDLE) -> None:
        super().__init__()
        self._ledger = Ledger()
        self._statements = PreparedStatements(limits.prepared, limits.prepared_bytes)
        self._records = Records(sink)
        self._client = ClientScan(sink, limits, self._ledger, self._statements)
        self._server = ServerScan(self._records, limits, self._ledger, self._statements, status)

    def from_client(self, data: bytes, now: float) -> bytes:
        """Judge what is whole enough; return what goes upstream now."""
        data = self._client.read(data, now)
        self.is_crowded = self._client.is_crowded()
        self.has_said_goodbye = self._client.has_said_goodbye()
        return data

    def from_server(self, data: bytes, now: float) -> bytes:
        """Account for the server's answers; return what goes to the client now."""
        data = self._server.read(data, now)
        self.is_crowded = self._client.is_crowded()
        return data

    @property
    def goodbye(self) -> bytes:
        """Terminate."""
        return _TERMINATE

    @property
    def status(self) -> int:
        """The transaction's, as the last ReadyForQuery told it."""
        return self._server.status

    @property
    def settings(self) -> dict[bytes, bytes]:
        """Those that change how statements are read, as the server last told them."""
        return self._server.settings

    @property
    def has_outstanding(self) -> bool:
        """Whether the server still owes an answer."""
        return self._ledger.owes()

    @property
    def oldest(self) -> object | None:
        """What the server is answering: the same object until it has; None for nothing."""
        return self._ledger.first() if self._ledger.owes() else None

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, nothing is half sent and no transaction is open.

        Not while a ReadyForQuery may still come for a Sync that a failed COPY may have
        swallowed: the next answer settles that.
        """
        return (
            self._ledger.is_settled()
            and self._server.status == _IDLE
            and self._client.is_between()
            and self._server.is_between()
        )

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return self._server.status != _IDLE

    @property
    def client_message_remaining(self) -> int:
        """How much of the message now going to the client is still to come."""
        return self._server.remaining()

    @property
    def is_ended_by_server(self) -> bool:
        """Whether the server has sent a FATAL error."""
        return self._server.is_fatal

    @property
    def owes_ready(self) -> bool:
        """Whether a ReadyForQuery will end what runs now."""
        return any(entry.code in _ENDED_BY_READY for entry in self._ledger.waiting())

    @property
    def answering(self) -> bytes:
        """The portal whose Bind or Execute the server answers next; b"" for anything else."""
        ledger = self._ledger
        is_portal = ledger.head in (expected.BIND, expected.EXECUTE)
        return ledger.first().name if is_portal else b""

    @property
    def is_reusable(self) -> bool:
        """Whether the server waits for a command, and would take one of ours as one.

        Not where it discards everything up to a Sync, nor where our command would be the
        end, and so the commit, of a sequence that its client never ended.
        """
        ledger = self._ledger
        return (
            ledger.is_settled()
            and not ledger.is_skipping
            and not ledger.is_unsynced
            and not ledger.is_lost
            and not self._server.is_fatal
            and self._client.is_between()
            and self._server.is_between()
        )

    def refusal(self, refusal: Refusal) -> bytes:
        """A fatal ErrorResponse; between two messages it may stand anywhere."""
        return refusal_message(refusal)

    def close(self, now: float) -> None:
        """End every open record: what was running is interrupted, its effect unknown."""
        if self.is_in_transaction:
            self._records.settle()
        else:
            self._records.abandon()
        for entry in self._ledger.drain():
            statement = entry.statement
            if statement is None or statement.outcome is not Outcome.PENDING:
                continue
            if entry.refusal is not None:
                assert isinstance(entry.refusal, Refusal)
                outcome = Outcome.REFUSED
                statement.code = sqlstate_of(entry.refusal)
            else:
                outcome = Outcome.FAILED if statement.code else Outcome.INTERRUPTED
            self._records.end(statement, outcome, now)
        statements = self._statements
        for name in statements.names():
            self._server.forget(name, now)
        statements.close_portals()
        statements.drop_all()

# cython: annotation_typing=False
"""The scanner of one MySQL session: both directions, and what they agree on.

``scan_client`` reads commands, ``scan_server`` answers; what ties them together is the
``ledger`` of answers still owed and the prepared statements. This file puts them
together for the relay. It must never know sockets, rules, or how a record looks.
"""

from __future__ import annotations

from protocols.errors import Refusal
from protocols.interface import Kill, ScanLimits
from protocols.metering import ResultMeter
from protocols.mysql import capabilities as capabilities_
from protocols.mysql import expected
from protocols.mysql import status as flags
from protocols.mysql.commands import QUIT
from protocols.mysql.in_place import last_word
from protocols.mysql.ledger import Ledger
from protocols.mysql.prepared import PreparedStatements
from protocols.mysql.scan_client import ClientScan
from protocols.mysql.scan_server import ServerScan
from protocols.scanner import Scanner
from protocols.statements import Outcome, Statement, StatementSink

_DEPRECATE_EOF = capabilities_.DEPRECATE_EOF
_FILE_COMING = expected.FILE_COMING
_IN_TRANS = flags.IN_TRANS
_AUTOCOMMIT = flags.AUTOCOMMIT


class MysqlScanner(Scanner):
    """Both directions of one session, from its welcome to its end.

    ``capabilities`` are those in force on both legs; ``status`` is the status flags of
    the server's OK to our login. ``local_infile``: LOAD DATA LOCAL is relayed.
    ``is_client_compressed`` and ``is_server_compressed``: what arrives from there was.
    ``meter`` bounds the answers.
    """

    def __init__(
        self,
        sink: StatementSink,
        limits: ScanLimits,
        kill: Kill,
        *,
        capabilities: int,
        is_mariadb: bool,
        local_infile: bool,
        status: int = _AUTOCOMMIT,
        is_client_compressed: bool = False,
        is_server_compressed: bool = False,
        meter: ResultMeter | None = None,
    ) -> None:
        super().__init__()
        self._sink = sink
        self._ledger = Ledger(status)
        self._prepared = PreparedStatements(limits.prepared, limits.prepared_bytes)
        self._client = ClientScan(
            sink,
            limits,
            kill,
            self._ledger,
            self._prepared,
            is_mariadb,
            local_infile,
            is_client_compressed,
        )
        self._server = ServerScan(
            sink,
            limits,
            self._ledger,
            self._prepared,
            bool(capabilities & _DEPRECATE_EOF),
            is_server_compressed,
            meter,
        )

    def from_client(self, data: bytes, now: float) -> bytes:
        """Judge what is whole enough; return what goes upstream now."""
        data = self._client.read(data, now)
        self.is_crowded = self._client.is_crowded()
        self.has_said_goodbye = self._client.has_said_goodbye()
        return data

    def from_server(self, data: bytes, now: float) -> bytes:
        """Account for the server's answers; return what goes to the client now."""
        data = self._server.read(data, now, self._client.next_sequence())
        self.is_crowded = self._client.is_crowded()
        return data

    def refusal(self, refusal: Refusal) -> bytes:
        """An ERR packet with the number that the client expects next."""
        return last_word(refusal, self._server.next_sequence(self._client.next_sequence()))

    @property
    def goodbye(self) -> bytes:
        """COM_QUIT."""
        return QUIT

    @property
    def has_outstanding(self) -> bool:
        """Whether the server still owes an answer."""
        return self._ledger.count > 0

    @property
    def oldest(self) -> object | None:
        """What the server is answering: the same object until it has; None for nothing."""
        return self._ledger.first() if self._ledger.count > 0 else None

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, nothing is half sent and no transaction is open."""
        ledger = self._ledger
        return (
            ledger.count == 0
            and not ledger.status & _IN_TRANS
            and self._client.is_between()
            and self._server.is_between()
        )

    @property
    def is_reusable(self) -> bool:
        """Whether the server waits for a command."""
        return (
            self._ledger.count == 0
            and not self._ledger.is_fatal
            and self._client.is_between()
            and self._server.is_between()
        )

    @property
    def is_between_commands(self) -> bool:
        """Whether the client is not in the middle of a command."""
        return self._client.is_between()

    @property
    def is_between_answers(self) -> bool:
        """Whether nothing is here of the answer that comes next."""
        return self._server.is_between_answers()

    @property
    def is_file_coming(self) -> bool:
        """Whether the client has been asked for a file and has not sent its end."""
        return self._ledger.file_state == _FILE_COMING

    @property
    def files(self) -> int:
        """How many files the client has been asked for."""
        return self._ledger.files

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, by the status flags of the last OK or EOF."""
        return self._ledger.status & _IN_TRANS != 0

    @property
    def client_message_remaining(self) -> int:
        """How much of the message now going to the client is still to come."""
        return self._server.remaining()

    @property
    def is_ended_by_server(self) -> bool:
        """Whether the server has said that it ends the session, and why."""
        return self._ledger.is_fatal

    def close(self, now: float) -> None:
        """End every open record: what was running is interrupted, its effect unknown."""
        for entry in self._ledger.drain():
            statement = entry.statement
            if statement is None or statement.outcome is not Outcome.PENDING:
                continue
            answer = entry.in_place
            if answer is None:
                self._end(statement, Outcome.INTERRUPTED, "", now)
            else:
                self._end(statement, answer.outcome, answer.sqlstate, now)

    def _end(self, statement: Statement, outcome: Outcome, sqlstate: str, now: float) -> None:
        statement.outcome = outcome
        statement.code = sqlstate
        statement.ended = now
        self._sink.end(statement)

"""What a scenario needs of a protocol, and nothing of any one of them.

A protocol is one file with a ``Driver`` and its line in ``conftest``; every scenario of this
folder then runs on it, against its real server behind the real proxy. Sessions are bare
sockets: they see every byte and its place, which drivers hide.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from protocols.errors import Reason
from tests.servers.proxy import DataServer
from tests.servers.roles import Role

TABLE = "conformance"
"""A table of every server: ``id`` INT, the primary key, and ``note``; rows (1, 'one'),
(2, 'two'). Scenarios leave it as it is."""


class Told(Exception):
    """An error that a session was told. ``code`` is what the protocol's drivers show,
    ``sqlstate`` what the audit log records of it.
    """

    def __init__(self, code: str, sqlstate: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.sqlstate = sqlstate
        self.text = text

    def __repr__(self) -> str:
        return f"Told({self.code}, {self.sqlstate}, {self.text!r})"


Answer = list[str] | Told
"""The first column of every row, or the error."""


class Session(ABC):
    """One connection. Every wait has a deadline; ``wait_at_most`` changes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @property
    @abstractmethod
    def number(self) -> int:
        """The number that ``session list`` shows."""

    @abstractmethod
    def log_in(self, workspace: str, token: str, source: str, *, tls: bool = False) -> Self:
        """Up to the welcome. Raises Told, after which nothing more may come."""

    @abstractmethod
    def send(self, *statements: str) -> None:
        """Send statements in one piece and wait for nothing; an answer each is then due."""

    @abstractmethod
    def answer(self) -> Answer:
        """The next answer that is due, whole."""

    @abstractmethod
    def prepare_and_execute(self, sql: str, times: int) -> list[list[str]]:
        """Prepare a statement, execute it, close it; the answers of its executions."""

    @abstractmethod
    def ended(self) -> Told:
        """The last word: an error that ends the session, in its place, and then the end."""

    @abstractmethod
    def is_at_its_end(self) -> bool:
        """Whether the connection is closed, with not a byte before that."""

    @abstractmethod
    def wait_at_most(self, seconds: float) -> None:
        """How long any one wait from now on may take."""

    @abstractmethod
    def may_be_lost(self) -> None:
        """From now on an answer may be a last word that was said before the statement was read."""

    @abstractmethod
    def close(self) -> None:
        """Leave at once, without a word."""

    def rows(self, sql: str) -> list[str]:
        """The first column of a statement's rows. Raises Told."""
        self.send(sql)
        answer = self.answer()
        if isinstance(answer, Told):
            raise answer
        return answer

    def value(self, sql: str) -> str:
        """The first column of the one row. Raises Told."""
        (found,) = self.rows(sql)
        return found

    def error(self, sql: str) -> Told:
        """The error of a statement; the session goes on."""
        self.send(sql)
        answer = self.answer()
        assert isinstance(answer, Told), answer
        return answer


class Driver(ABC):
    """A protocol and its real server.

    ``listener`` is the configuration of the proxy's listener. ``codes`` are written down
    here once more, apart from the proxy's own: what a client is told for each reason.
    """

    name: ClassVar[str]
    fixture: ClassVar[str]
    """The fixture that is the server."""
    listener: ClassVar[Mapping[str, Any]]
    codes: ClassVar[Mapping[Reason, str]]
    account: ClassVar[Role]
    """Who the sources are at the server; it may do with ``TABLE`` what it likes."""
    stops_without_login: ClassVar[bool]
    """Whether a statement is stopped by a request that is no login, which needs no record."""
    missing_table: ClassVar[str]
    """The SQLSTATE of a statement that names a table that is not there."""

    def __init__(self, server: Any) -> None:
        self.server: DataServer = server

    @abstractmethod
    def furnish(self) -> None:
        """Make ``TABLE``."""

    @abstractmethod
    def execute(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run a statement at the server itself; its rows."""

    @abstractmethod
    def connect(self, port: int) -> Session:
        """A connection to a proxy that has said nothing yet."""

    @abstractmethod
    def running(self, text: str) -> int:
        """How many statements that contain ``text`` the server runs now."""

    @abstractmethod
    def logins(self) -> int:
        """How many logins of ``account`` the server has let in."""

    @abstractmethod
    def sleep(self, seconds: float, word: str) -> str:
        """A statement of one row that takes so long and contains ``word``."""

    @abstractmethod
    def series(self, count: int) -> str:
        """A statement of ``count`` rows, numbered from 1."""

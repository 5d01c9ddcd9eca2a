"""A client so small that it is never the bottleneck: what both protocols' clients share.

Knows sockets, TLS and big reads. Must never know a protocol: ``wire`` is PostgreSQL's client,
``mysql_wire`` MySQL's. Both are independent of the product's own codecs on purpose: a benchmark
that shared them could share their mistakes.
"""

from __future__ import annotations

import socket
import ssl
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from benchmarks.processes import BenchmarkError

# Big enough that the cost of a Python call per read disappears (about 1 us per 100 KB or more).
READ_BYTES = 1 << 20
_SOCKET_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect and who to say we are; ``tls``: encrypted, not verified."""

    port: int
    user: str
    password: str
    database: str
    tls: bool = False
    host: str = "127.0.0.1"

    def libpq_environment(self) -> dict[str, str]:
        """The same as PG* variables, for pgbench and psql."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
            "PGSSLMODE": "require" if self.tls else "disable",
            "PGGSSENCMODE": "disable",
            "PGCONNECT_TIMEOUT": "20",
        }


class Drained(NamedTuple):
    """The rest of a result: its bytes, and the rows of the whole result."""

    size: int
    rows: int


class Session(Protocol):
    """A logged-in session that throws results away."""

    def query(self, sql: str) -> None:
        """Send one statement as text."""

    def read_some(self, buffer: memoryview) -> int:
        """Read a part of a result. Raises BenchmarkError when the peer has closed."""

    def drain(self, seconds: float = 120.0) -> Drained:
        """Throw the rest of a result away. Raises BenchmarkError unless it ends well."""

    def tls_description(self) -> str:
        """TLS version and cipher, or "none"."""

    def close(self) -> None:
        """Close without a goodbye."""


class SocketSession(ABC):
    """A blocking socket, with TLS if need be."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._socket: socket.socket = socket.create_connection(
            (endpoint.host, endpoint.port), timeout=_SOCKET_SECONDS
        )
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin(endpoint)
        except BaseException:
            self._socket.close()
            raise

    @abstractmethod
    def _begin(self, endpoint: Endpoint) -> None:
        """Ask for TLS and log in. Raises BenchmarkError."""

    def close(self) -> None:
        """Close without a goodbye."""
        self._socket.close()

    def tls_description(self) -> str:
        """TLS version and cipher, or "none"."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return "none"
        cipher = self._socket.cipher()
        return f"{self._socket.version()} {cipher[0] if cipher else '?'}"

    def read_some(self, buffer: memoryview) -> int:
        """Read into the buffer. Raises BenchmarkError when the peer has closed."""
        count = self._socket.recv_into(buffer)
        if count == 0:
            raise BenchmarkError("The connection was closed in the middle of a result.")
        return count

    def _encrypt(self) -> None:
        # As every other client of these benchmarks: encrypted, not verified.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._socket = context.wrap_socket(self._socket)

    def _read_exactly(self, count: int) -> bytes:
        # Byte-exact, so that nothing of a result is swallowed by what is read before it.
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(count - len(parts))
            if not part:
                raise BenchmarkError("The connection was closed during a login.")
            parts += part
        return bytes(parts)

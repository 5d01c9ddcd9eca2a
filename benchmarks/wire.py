"""A PostgreSQL client that does as little as possible, so that it is never the bottleneck.

Knows just enough of protocol 3.0 to log in with SCRAM-SHA-256, run one statement and throw the
result away in big reads. It is deliberately independent of the product's own codecs: a
benchmark that shared them could share their mistakes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
import time
from dataclasses import dataclass

from benchmarks.processes import BenchmarkError

_PROTOCOL_3_0 = 196608
_SSL_REQUEST = 80877103
_READY_IDLE = b"Z\x00\x00\x00\x05I"
# Big enough that the cost of a Python call per read disappears (about 1 us per 100 KB or more).
_READ_BYTES = 1 << 20
_SOCKET_SECONDS = 60.0
# A login message of ours is below 1 KB; ErrorResponse and ParameterStatus are small.
_MAX_LOGIN_MESSAGE = 1 << 16


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect and who to say we are; ``tls`` means sslmode=require."""

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


def scram_verifier(password: str, iterations: int, salt: bytes) -> str:
    """The password as PostgreSQL stores it in pg_authid (manual 53.8, RFC 5803)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encode = base64.b64encode
    return (
        f"SCRAM-SHA-256${iterations}:{encode(salt).decode()}"
        f"${encode(stored_key).decode()}:{encode(server_key).decode()}"
    )


class RawClient:
    """One logged-in session on a blocking socket."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._socket: socket.socket = socket.create_connection(
            (endpoint.host, endpoint.port), timeout=_SOCKET_SECONDS
        )
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.tls:
                self._start_tls()
            self._log_in(endpoint)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close without a goodbye."""
        self._socket.close()

    def tls_description(self) -> str:
        """TLS version and cipher, or "none"."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return "none"
        cipher = self._socket.cipher()
        return f"{self._socket.version()} {cipher[0] if cipher else '?'}"

    def query(self, sql: str) -> None:
        """Send a simple Query."""
        self._socket.sendall(_message(b"Q", sql.encode() + b"\0"))

    def read_some(self, buffer: memoryview) -> int:
        """Read into the buffer; raises BenchmarkError when the peer has closed."""
        count = self._socket.recv_into(buffer)
        if count == 0:
            raise BenchmarkError("The connection was closed in the middle of a result.")
        return count

    def drain(self, seconds: float = 120.0) -> tuple[int, str]:
        """Throw away a result up to ReadyForQuery; returns its bytes and its command tag.

        Only the end is looked at: a ReadyForQuery inside of row data cannot be taken for the
        real one, since it must also be the last thing read and be preceded by a
        CommandComplete message.
        """
        buffer = memoryview(bytearray(_READ_BYTES))
        deadline = time.monotonic() + seconds
        total = 0
        tail = b""
        while True:
            count = self.read_some(buffer)
            total += count
            tail = (tail + bytes(buffer[max(0, count - 256) : count]))[-256:]
            if tail.endswith(_READY_IDLE):
                return total, _command_tag(tail[: -len(_READY_IDLE)])
            if time.monotonic() > deadline:
                raise BenchmarkError(f"A result did not end within {seconds:.0f} s.")

    def copy_in(self, sql: str, chunk: bytes, chunks: int) -> str:
        """COPY FROM STDIN of ``chunks`` times the same rows; returns the command tag."""
        self.query(sql)
        kind, body = self._read_message()
        if kind != b"G":
            raise BenchmarkError(f"COPY was refused: {_error_text(body)}")
        message = _message(b"d", chunk)
        for _ in range(chunks):
            self._socket.sendall(message)
        self._socket.sendall(_message(b"c", b""))
        return self.drain()[1]

    def _start_tls(self) -> None:
        self._socket.sendall(struct.pack("!II", 8, _SSL_REQUEST))
        if self._socket.recv(1) != b"S":
            raise BenchmarkError("TLS was refused.")
        # sslmode=require: encrypted, not verified, like every other client of this benchmark.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._socket = context.wrap_socket(self._socket)

    def _log_in(self, endpoint: Endpoint) -> None:
        pairs = ("user", endpoint.user, "database", endpoint.database)
        body = b"".join(word.encode() + b"\0" for word in pairs) + b"\0"
        packet = struct.pack("!II", len(body) + 8, _PROTOCOL_3_0) + body
        self._socket.sendall(packet)
        self._authenticate(endpoint.password)
        while True:
            kind, body = self._read_message()
            if kind == b"Z":
                return
            if kind == b"E":
                raise BenchmarkError(f"Login failed: {_error_text(body)}")

    def _authenticate(self, password: str) -> None:
        """SCRAM-SHA-256 without channel binding (manual 55.3.1, RFC 5802)."""
        offered = self._authentication(10)
        if b"SCRAM-SHA-256\0" not in offered:
            raise BenchmarkError("The server does not offer SCRAM-SHA-256.")
        nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        first = f"n=,r={nonce}"
        initial = f"n,,{first}".encode()
        self._socket.sendall(
            _message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(initial)) + initial)
        )
        challenge = self._authentication(11).decode()
        fields = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"])
        )
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={fields['r']}"
        signed = ",".join((first, challenge, without_proof)).encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        final = f"{without_proof},p={base64.b64encode(proof).decode()}"
        self._socket.sendall(_message(b"p", final.encode()))
        self._authentication(12)
        self._authentication(0)

    def _authentication(self, wanted: int) -> bytes:
        kind, body = self._read_message()
        if kind == b"E":
            raise BenchmarkError(f"Login failed: {_error_text(body)}")
        code = struct.unpack_from("!I", body)[0] if len(body) >= 4 else -1
        if kind != b"R" or code != wanted:
            raise BenchmarkError(f"Unexpected answer to a login: {kind!r} {code}.")
        return body[4:]

    def _read_message(self) -> tuple[bytes, bytes]:
        header = self._read_exactly(5)
        length = struct.unpack("!I", header[1:])[0]
        if not 4 <= length <= _MAX_LOGIN_MESSAGE:
            raise BenchmarkError(f"A message of {length} bytes is not expected here.")
        return header[:1], self._read_exactly(length - 4)

    def _read_exactly(self, count: int) -> bytes:
        # Byte-exact reads, so that nothing of a result is swallowed by the login.
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(count - len(parts))
            if not part:
                raise BenchmarkError("The connection was closed during a login.")
            parts += part
        return bytes(parts)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _command_tag(tail: bytes) -> str:
    """The tag of the CommandComplete that ``tail`` ends with. Raises BenchmarkError."""
    start = tail.rfind(b"C\x00\x00\x00")
    if start < 0 or start + 1 + struct.unpack_from("!I", tail, start + 1)[0] != len(tail):
        raise BenchmarkError("A statement ended without success.")
    return tail[start + 5 : -1].decode()


def _error_text(body: bytes) -> str:
    fields = [part[1:].decode(errors="replace") for part in body.split(b"\0") if part[:1] == b"M"]
    return fields[0] if fields else "no message"

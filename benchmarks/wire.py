"""A PostgreSQL client that does as little as possible, so that it is never the bottleneck.

Knows just enough of protocol 3.0 to log in with SCRAM-SHA-256, run one statement and throw the
result away in big reads.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
import time

from benchmarks.processes import BenchmarkError
from benchmarks.sessions import READ_BYTES, Drained, Endpoint, SocketSession

_PROTOCOL_3_0 = 196608
_SSL_REQUEST = 80877103
_READY_IDLE = b"Z\x00\x00\x00\x05I"
# A login message of ours is below 1 KB; ErrorResponse and ParameterStatus are small.
_MAX_LOGIN_MESSAGE = 1 << 16


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


class RawClient(SocketSession):
    """One logged-in session. See ``sessions.Session``."""

    def _begin(self, endpoint: Endpoint) -> None:
        if endpoint.tls:
            self._start_tls()
        self._log_in(endpoint)

    def query(self, sql: str) -> None:
        """Send a simple Query."""
        self._socket.sendall(_message(b"Q", sql.encode() + b"\0"))

    def drain(self, seconds: float = 120.0) -> Drained:
        """Throw away a result up to ReadyForQuery; the rows are those of its command tag.

        Only the end is looked at: a ReadyForQuery inside of row data cannot be taken for the
        real one, since it must also be the last thing read and be preceded by a
        CommandComplete message.
        """
        buffer = memoryview(bytearray(READ_BYTES))
        deadline = time.monotonic() + seconds
        total = 0
        tail = b""
        while True:
            count = self.read_some(buffer)
            total += count
            tail = (tail + bytes(buffer[max(0, count - 256) : count]))[-256:]
            if tail.endswith(_READY_IDLE):
                return Drained(total, tag_rows(command_tag(tail[: -len(_READY_IDLE)])))
            if time.monotonic() > deadline:
                raise BenchmarkError(f"A result did not end within {seconds:.0f} s.")

    def copy_in(self, sql: str, chunk: bytes, chunks: int) -> int:
        """COPY FROM STDIN of ``chunks`` times the same rows; returns how many came in."""
        self.query(sql)
        kind, body = self._read_message()
        if kind != b"G":
            raise BenchmarkError(f"COPY was refused: {_error_text(body)}")
        message = _message(b"d", chunk)
        for _ in range(chunks):
            self._socket.sendall(message)
        self._socket.sendall(_message(b"c", b""))
        return self.drain().rows

    def _start_tls(self) -> None:
        self._socket.sendall(struct.pack("!II", 8, _SSL_REQUEST))
        if self._socket.recv(1) != b"S":
            raise BenchmarkError("TLS was refused.")
        self._encrypt()

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


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def command_tag(tail: bytes) -> str:
    """The tag of the CommandComplete that ``tail`` ends with. Raises BenchmarkError."""
    start = tail.rfind(b"C\x00\x00\x00")
    if start < 0 or start + 1 + struct.unpack_from("!I", tail, start + 1)[0] != len(tail):
        raise BenchmarkError("A statement ended without success.")
    return tail[start + 5 : -1].decode()


def tag_rows(tag: str) -> int:
    """The rows that a command tag counts; 0 where it counts none."""
    last = tag.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def _error_text(body: bytes) -> str:
    fields = [part[1:].decode(errors="replace") for part in body.split(b"\0") if part[:1] == b"M"]
    return fields[0] if fields else "no message"

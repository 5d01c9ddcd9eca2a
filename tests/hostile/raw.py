"""A PostgreSQL client over a bare socket, for saying what no driver would say.

Every wait has a deadline. Its SCRAM is written down here once more, apart from the
proxy's own, so that neither can hide the other's mistake.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Any, Self

CANCEL = 80877102
SSL = 80877103
GSSENC = 80877104

TIMEOUT = 45.0  # seconds for any one wait, which only a failure waits out

Message = tuple[bytes, bytes]
"""A message's code and its body."""


class Refused(Exception):
    """The server sent a FATAL error; ``fields`` are its fields by their letters."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields.get("M", ""))
        self.fields = fields
        self.code = fields.get("C", "")
        self.text = fields.get("M", "")


class Closed(Exception):
    """The server closed the connection where a message had to come."""


@dataclass(frozen=True)
class Key:
    """What BackendKeyData gave: our number at the proxy, and the secret to cancel with."""

    number: int
    secret: bytes


def message(code: bytes, body: bytes = b"") -> bytes:
    return code + struct.pack("!I", len(body) + 4) + body


def startup_packet(*pairs: tuple[str, str], version: tuple[int, int] = (3, 0)) -> bytes:
    body = struct.pack("!HH", *version)
    for name, value in pairs:
        body += name.encode() + b"\0" + value.encode() + b"\0"
    body += b"\0"
    return struct.pack("!I", len(body) + 4) + body


def request(code: int, tail: bytes = b"") -> bytes:
    return struct.pack("!II", 8 + len(tail), code) + tail


def query(sql: str) -> bytes:
    return message(b"Q", sql.encode() + b"\0")


def parse(name: str, sql: str) -> bytes:
    return message(b"P", name.encode() + b"\0" + sql.encode() + b"\0\0\0")


def bind(portal: str, statement: str) -> bytes:
    return message(b"B", portal.encode() + b"\0" + statement.encode() + b"\0" + bytes(6))


def execute(portal: str = "", rows: int = 0) -> bytes:
    return message(b"E", portal.encode() + b"\0" + struct.pack("!I", rows))


def close_statement(name: str) -> bytes:
    return message(b"C", b"S" + name.encode() + b"\0")


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse."""
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def first_column(answers: list[Message]) -> list[str]:
    """The first column of every row, as text."""
    return [
        body[6 : 6 + struct.unpack_from("!I", body, 2)[0]].decode()
        for code, body in answers
        if code == b"D"
    ]


def unverified_context(alpn: list[str] | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn is not None:
        context.set_alpn_protocols(alpn)
    return context


class RawConnection:
    """One connection, of any protocol. ``receive_buffer`` is SO_RCVBUF, for a client that
    takes little.
    """

    def __init__(self, port: int, *, receive_buffer: int = 0, timeout: float = TIMEOUT) -> None:
        self.socket: socket.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    # --- bytes ----------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except (ConnectionResetError, ssl.SSLEOFError):
                part = b""
            if not part:
                raise Closed(f"closed {count - len(data)} bytes early")
            data += part
        return data

    def read_to_end(self) -> bytes:
        """All until the server closes; a reset counts as that."""
        data = b""
        while True:
            try:
                part = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError):
                return data
            if not part:
                return data
            data += part

    def wrap(self, context: ssl.SSLContext | None = None) -> None:
        """Shake hands on the connection as it stands."""
        self.socket = (context or unverified_context()).wrap_socket(
            self.socket, server_hostname="localhost"
        )


class RawClient(RawConnection):
    """One connection in PostgreSQL's protocol."""

    def __init__(self, port: int, *, receive_buffer: int = 0, timeout: float = TIMEOUT) -> None:
        super().__init__(port, receive_buffer=receive_buffer, timeout=timeout)
        self.key: Key | None = None
        self.parameters: dict[str, str] = {}

    def start_tls(self, context: ssl.SSLContext | None = None) -> None:
        self.send(request(SSL))
        assert self.read(1) == b"S"
        self.wrap(context)

    # --- messages -------------------------------------------------------------------

    def receive(self) -> Message:
        header = self.read(5)
        length = int(struct.unpack("!I", header[1:])[0])
        return header[:1], self.read(length - 4)

    def until(self, *codes: bytes) -> list[Message]:
        """Messages up to and including one of ``codes``. Raises Refused for a FATAL error."""
        answers: list[Message] = []
        while True:
            code, body = self.receive()
            if code == b"E":
                fields = fields_of(body)
                if fields.get("S") == "FATAL":
                    raise Refused(fields)
            answers.append((code, body))
            if code in codes:
                return answers

    def refusal(self) -> Refused:
        """What the server says before it closes: one FATAL error and nothing behind it."""
        try:
            answers = self.until()
        except Refused as refused:
            rest = self.read_to_end()
            assert rest == b"", f"{rest!r} behind a FATAL error"
            return refused
        raise AssertionError(answers)

    def query(self, sql: str) -> list[Message]:
        self.send(query(sql))
        return self.until(b"Z")

    def value(self, sql: str) -> str:
        """The first column of the one row."""
        (row,) = first_column(self.query(sql))
        return row

    # --- login ----------------------------------------------------------------------

    def start(self, *pairs: tuple[str, str], version: tuple[int, int] = (3, 0)) -> None:
        self.send(startup_packet(*pairs, version=version))

    def log_in(
        self,
        workspace: str,
        token: str,
        source: str,
        *extra: tuple[str, str],
        version: tuple[int, int] = (3, 0),
    ) -> RawClient:
        """Up to ReadyForQuery. Raises Refused, Closed."""
        self.start(("user", workspace), ("database", source), *extra, version=version)
        self.prove(token)
        self.welcomed()
        return self

    def prove(self, token: str) -> None:
        """The SCRAM exchange, up to the server's proof."""
        while True:
            code, body = self.until(b"R", b"v")[-1]
            if code == b"R":
                break
        assert body[:4] == struct.pack("!I", 10), body
        assert b"SCRAM-SHA-256\0" in body
        bare = "n=,r=" + secrets.token_urlsafe(18)
        first = f"n,,{bare}".encode()
        self.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first))
        challenge = self._sasl(11)
        values = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", token.encode(), base64.b64decode(values["s"]), int(values["i"])
        )
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={values['r']}"
        signed = f"{bare},{challenge},{without_proof}".encode()
        stored_key = hashlib.sha256(client_key).digest()
        signature = hmac.digest(stored_key, signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self.send(message(b"p", f"{without_proof},p={base64.b64encode(proof).decode()}".encode()))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        expected = base64.b64encode(hmac.digest(server_key, signed, "sha256")).decode()
        assert self._sasl(12) == f"v={expected}"

    def _sasl(self, step: int) -> str:
        body = self.until(b"R")[-1][1]
        assert body[:4] == struct.pack("!I", step), body
        return body[4:].decode()

    def welcomed(self) -> None:
        """AuthenticationOk to ReadyForQuery; keeps parameters and cancel key."""
        for code, body in self.until(b"Z"):
            if code == b"K":
                self.key = Key(struct.unpack("!i", body[:4])[0], body[4:])
            elif code == b"S":
                name, value, _ = body.split(b"\0")
                self.parameters[name.decode()] = value.decode()


def send_cancel(port: int, number: int, secret: bytes, *, tls: bool = False) -> bytes:
    """A cancel request on a connection of its own; everything it is answered."""
    with RawClient(port) as client:
        if tls:
            client.start_tls()
        client.send(request(CANCEL, struct.pack("!i", number) + secret))
        return client.read_to_end()

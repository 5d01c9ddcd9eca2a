"""A PostgreSQL server that says whatever its script tells it to, and forgets nothing.

A script is a function over one ``Peer``: the connection of a proxy that wants to log in.
Each runs in a thread; what the peer sent, decrypted, is kept for tests to search.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.hostile.raw import SSL, TIMEOUT, message

NONCE = "bm9uY2Utb2YtYS1mYWtl"
SALT = b"salt-of-a-fake!!"
ITERATIONS = 4096

AUTH_OK = message(b"R", struct.pack("!I", 0))
READY = message(b"Z", b"I")
KEY = message(b"K", struct.pack("!I", 4711) + b"abcd")


class Gone(Exception):
    """The proxy closed the connection."""


class Caller:
    """The proxy, on one connection of any protocol. ``received`` is all it sent."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = bytearray()
        self.is_over = threading.Event()
        self.failure: BaseException | None = None

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone from error

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except OSError as error:
                raise Gone from error
            if not part:
                raise Gone
            self.received += part
            data += part
        return data

    def drain(self) -> None:
        """Read until the proxy closes; what is left is remembered, too."""
        with suppress(OSError):
            while data := self.socket.recv(65536):
                self.received += data

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Shake hands as a server. Raises Gone where that fails."""
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except (OSError, ssl.SSLError) as error:
            raise Gone from error


class Peer(Caller):
    """The proxy, logging in to a PostgreSQL server."""

    def packet(self) -> bytes:
        """A start-up packet, without its length."""
        (length,) = struct.unpack("!I", self.read(4))
        return self.read(length - 4)

    def message(self) -> tuple[bytes, bytes]:
        """A typed message."""
        header = self.read(5)
        (length,) = struct.unpack("!I", header[1:])
        return header[:1], self.read(length - 4)

    # --- a login, in parts ------------------------------------------------------------

    def ssl_request(self) -> None:
        assert self.packet() == struct.pack("!I", SSL)

    def accept_tls(self, context: ssl.SSLContext) -> None:
        """Answer SSLRequest with S and shake hands. Raises Gone where that fails."""
        self.ssl_request()
        self.send(b"S")
        self.encrypt(context)

    def startup(self) -> dict[str, str]:
        """The StartupMessage's parameters."""
        parts = self.packet()[4:].split(b"\0")
        names = iter(part.decode() for part in parts)
        return {name: next(names) for name in names if name}

    def offer_scram(self, *mechanisms: bytes) -> str:
        """Offer SASL; returns client-first-message-bare."""
        names = b"".join(name + b"\0" for name in (mechanisms or (b"SCRAM-SHA-256",)))
        self.send(message(b"R", struct.pack("!I", 10) + names + b"\0"))
        code, body = self.message()
        assert code == b"p"
        data = body[body.index(b"\0") + 5 :].decode()
        return data.split(",", 2)[2]

    def challenge(self, text: str) -> None:
        """Send server-first-message."""
        self.send(message(b"R", struct.pack("!I", 11) + text.encode()))

    def scram(self, password: str) -> None:
        """An honest SCRAM-SHA-256 exchange, up to and with the server's signature."""
        bare = self.offer_scram()
        first = server_first(bare)
        self.challenge(first)
        final = self.message()[1].decode()
        signature = sign(password, bare, first, final)
        self.send(message(b"R", struct.pack("!I", 12) + b"v=" + signature))

    def welcome(self) -> None:
        """AuthenticationOk and what follows, up to ReadyForQuery."""
        self.send(AUTH_OK + parameters() + KEY + READY)


def server_first(bare: str, *, nonce: str = "", iterations: str = str(ITERATIONS)) -> str:
    client_nonce = bare.split("r=", 1)[1]
    nonce = nonce or client_nonce + NONCE
    return f"r={nonce},s={base64.b64encode(SALT).decode()},i={iterations}"


def sign(password: str, bare: str, first: str, final: str) -> bytes:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, ITERATIONS)
    key = hmac.digest(salted, b"Server Key", "sha256")
    signed = f"{bare},{first},{final[: final.rindex(',p=')]}".encode()
    return base64.b64encode(hmac.digest(key, signed, "sha256"))


def parameters(**more: str) -> bytes:
    """The ParameterStatus messages that drivers cannot do without."""
    values = {"server_version": "15.8", "client_encoding": "UTF8", "DateStyle": "ISO"} | more
    return b"".join(parameter(name, value) for name, value in values.items())


def parameter(name: str, value: str) -> bytes:
    return message(b"S", f"{name}\0{value}\0".encode())


def error(text: str, *, code: str = "28P01", severity: str = "FATAL") -> bytes:
    return message(b"E", f"S{severity}\0V{severity}\0C{code}\0M{text}\0\0".encode())


def notice(text: str) -> bytes:
    return message(b"N", f"SNOTICE\0VNOTICE\0C00000\0M{text}\0\0".encode())


Script = Callable[[Any], None]
"""What a server does with one ``Caller`` of its protocol."""


class FakeServer:
    """Listens on loopback; runs ``script`` for each connection that ``play`` expects."""

    def __init__(self, caller: type[Caller] = Peer) -> None:
        self._caller = caller
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._script: Script = Caller.drain
        self.peers: list[Caller] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="fake server")

    def __enter__(self) -> FakeServer:
        self._acceptor.start()
        return self

    def __exit__(self, *_: Any) -> None:
        # Only a shutdown wakes a thread that waits in accept(2).
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(TIMEOUT)
        self.hang_up()

    def play(self, script: Script) -> None:
        """From now on answer with this script; forgets the peers of the one before."""
        self.hang_up()
        self.peers = []
        self._script = script

    def hang_up(self) -> None:
        """Close every connection and wait for its script's end."""
        for peer in self.peers:
            with suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT)
        self._threads = []

    def received(self) -> bytes:
        """All that was sent to this script, when its connections are over."""
        for peer in self.peers:
            assert peer.is_over.wait(TIMEOUT), "the proxy has not closed its connection"
            if peer.failure is not None:
                raise peer.failure
        return b"".join(bytes(peer.received) for peer in self.peers)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(TIMEOUT)
            peer = self._caller(sock)
            self.peers.append(peer)
            thread = threading.Thread(target=self._run, args=(peer, self._script))
            # Started first: whoever hangs up joins all of them.
            thread.start()
            self._threads.append(thread)

    @staticmethod
    def _run(peer: Caller, script: Script) -> None:
        try:
            script(peer)
            peer.drain()
        except Gone:
            pass
        except BaseException as failure:  # noqa: BLE001 - the test's thread raises it
            peer.failure = failure
        finally:
            peer.socket.close()
            peer.is_over.set()


def server_context(
    certificate: str, key: str, *, configure: Callable[[ssl.SSLContext], None] | None = None
) -> ssl.SSLContext:
    """A server's context with nothing forbidden: what is weak is for the proxy to refuse."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(certificate, key)
    if configure is not None:
        configure(context)
    return context

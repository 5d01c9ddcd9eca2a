"""A Channel over a blocking socket: for conversations with real servers and drivers."""

from __future__ import annotations

import select
import socket
import ssl
from hashlib import sha256
from pathlib import Path

from protocols.errors import PeerClosed, PeerViolation


class SocketChannel:
    """Blocks instead of waiting, so that ``protocols.channel.run`` can drive it.

    ``context`` is for ``start_tls``. ``certificate`` is our own, where we are the server.
    """

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, certificate: Path | None = None
    ) -> None:
        self._socket = sock
        self._context = context
        self._certificate = certificate
        self._outgoing = bytearray()

    @property
    def offers_tls(self) -> bool:
        return True

    @property
    def is_encrypted(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket)

    @property
    def channel_binding(self) -> bytes | None:
        """Right for certificates signed with SHA-256, which the tests use."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return None
        if self._certificate is None:
            der = self._socket.getpeercert(binary_form=True)
            assert der is not None
        else:
            der = ssl.PEM_cert_to_DER_cert(self._certificate.read_text())
        return sha256(der).digest()

    async def peek(self, count: int) -> bytes:
        self.flush()
        data = self._socket.recv(count, socket.MSG_PEEK | socket.MSG_WAITALL)
        if len(data) < count:
            raise PeerClosed("the peer closed the connection")
        return data

    async def read_exactly(self, count: int) -> bytes:
        self.flush()
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise PeerClosed("the peer closed the connection")
            data += more
        return data

    def write(self, data: bytes) -> None:
        self._outgoing += data

    async def start_tls(self) -> None:
        self.flush()
        try:
            self._socket = self._context.wrap_socket(
                self._socket, server_side=self._certificate is not None
            )
        except ssl.SSLError as error:
            raise PeerViolation("the TLS handshake failed") from error

    def has_unread(self) -> bool:
        return bool(select.select([self._socket], [], [], 0)[0])

    def flush(self) -> None:
        self._socket.sendall(self._outgoing)
        self._outgoing.clear()

    def close(self) -> None:
        self.flush()
        self._socket.close()

"""Direct TLS: a connection that begins with a ClientHello instead of an SSLRequest.

Knows as much of TLS as it takes to find the ALPN names in a ClientHello (RFC 8446 4.1.2,
RFC 7301) before the handshake begins. The manual's "SSL Session Encryption" demands the
name ``postgresql`` there, so that a client of another protocol cannot be talked into
speaking to us (ALPACA). Must never take a byte: the handshake needs them all.
"""

from __future__ import annotations

from protocols.channel import Channel
from protocols.errors import PeerViolation

ALPN = b"postgresql"
"""The registered ALPN protocol identifier."""

HANDSHAKE_RECORD = 22
"""The first byte of a ClientHello's record; never the first of a start-up packet, whose
length would be hundreds of megabytes."""

NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"
"""A plaintext alert record: fatal (2), no_application_protocol (120)."""

RECORD_LIMIT = 16_384
"""Bytes of one plaintext record (RFC 8446 5.1). Real ClientHellos take 300 to 2,000."""

_RECORD_HEADER = 5
_CLIENT_HELLO = 1
_ALPN_EXTENSION = 16


async def accept_direct_tls(channel: Channel) -> None:
    """Start TLS for a client whose first byte was ``HANDSHAKE_RECORD``.

    Raises PeerViolation for a ClientHello that is malformed, spread over several records,
    or without our ALPN name (then the alert has been written), and PeerClosed.
    """
    header = await channel.peek(_RECORD_HEADER)
    length = int.from_bytes(header[3:], "big")
    if header[0] != HANDSHAKE_RECORD or header[1] != 3 or not 4 <= length <= RECORD_LIMIT:
        raise PeerViolation("the first bytes are no TLS ClientHello")
    record = await channel.peek(_RECORD_HEADER + length)
    if ALPN not in alpn_names(record[_RECORD_HEADER:]):
        channel.write(NO_APPLICATION_PROTOCOL)
        raise PeerViolation(
            "direct TLS connection without the ALPN protocol postgresql", is_told=True
        )
    await channel.start_tls()


def alpn_names(handshake: bytes) -> tuple[bytes, ...]:
    """The protocol names a ClientHello offers; none where it has no such extension.

    Raises PeerViolation for anything that is not exactly one well-formed ClientHello.
    """
    message = _Cursor(handshake)
    if message.number(1) != _CLIENT_HELLO:
        raise PeerViolation("the first TLS message is no ClientHello")
    hello = message.vector(3)
    message.end()
    hello.skip(2 + 32)  # legacy_version, random
    hello.vector(1)  # legacy_session_id
    hello.vector(2)  # cipher_suites
    hello.vector(1)  # legacy_compression_methods
    if hello.is_empty:
        return ()  # TLS 1.2 allows a hello without extensions
    extensions = hello.vector(2)
    hello.end()
    found: tuple[bytes, ...] | None = None
    while not extensions.is_empty:
        kind, data = extensions.number(2), extensions.vector(2)
        if kind == _ALPN_EXTENSION:
            if found is not None:
                raise _malformed()
            names = data.vector(2)
            data.end()
            found = names.names()
    return found or ()


def _malformed() -> PeerViolation:
    return PeerViolation("malformed TLS ClientHello")


class _Cursor:
    """Reads TLS presentation language (RFC 8446 3) off the front of some bytes."""

    __slots__ = ("_data", "_place")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def is_empty(self) -> bool:
        return self._place == len(self._data)

    def skip(self, count: int) -> bytes:
        end = self._place + count
        if end > len(self._data):
            raise _malformed()
        taken = self._data[self._place : end]
        self._place = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.skip(size), "big")

    def vector(self, size: int) -> _Cursor:
        return _Cursor(self.skip(self.number(size)))

    def names(self) -> tuple[bytes, ...]:
        found: list[bytes] = []
        while not self.is_empty:
            name = self.skip(self.number(1))
            if not name:
                raise _malformed()
            found.append(name)
        return tuple(found)

    def end(self) -> None:
        if not self.is_empty:
            raise _malformed()

"""What a conversation needs of a connection: four methods and a peek.

A conversation (``accept``, ``connect``) is an ``async def`` over a ``Channel``; it
reads like a script and runs in a test on ``MemoryChannel`` without an event loop.
This file must never know sockets, TLS libraries or time: deadlines are set by
whoever runs the conversation.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from protocols.errors import PeerClosed

T = TypeVar("T")


class Channel(Protocol):
    """One connection, before its session is handed to the relay."""

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is up on this connection."""
        ...

    @property
    def offers_tls(self) -> bool:
        """Whether ``start_tls`` can work: there is a certificate, or a TLS mode that asks."""
        ...

    @property
    def channel_binding(self) -> bytes | None:
        """The tls-server-end-point value (RFC 5929), or None where it is undefined.

        None also without TLS. As a server: of our own certificate; as a client: of
        the server's.
        """
        ...

    async def peek(self, count: int) -> bytes:
        """Wait for ``count`` bytes and return them without taking them.

        Only before TLS. Raises PeerClosed.
        """
        ...

    async def read_exactly(self, count: int) -> bytes:
        """Send what was written, then read ``count`` bytes. Raises PeerClosed.

        Never takes a byte more from the peer's plaintext: what follows stays for TLS.
        """
        ...

    def write(self, data: bytes) -> None:
        """Queue bytes; they leave, in one piece, before the next wait."""
        ...

    async def start_tls(self) -> None:
        """Send what was written, then shake hands.

        Raises PeerViolation where plaintext bytes of the peer already wait in front
        of the handshake and the protocol forbids it (see ``has_unread``), or where
        the handshake fails.
        """
        ...

    def has_unread(self) -> bool:
        """Whether bytes of the peer have arrived that nobody asked for yet.

        PostgreSQL forbids them behind SSLRequest (CVE-2021-23214, CVE-2021-23222).
        """
        ...


class MemoryChannel:
    """A fake Channel: the peer's bytes are given beforehand, or by a twin.

    ``incoming`` is what the peer sends; ``sent`` collects what we wrote. Reading past
    the end raises PeerClosed, as a closed connection does. ``slice_size`` is only
    remembered: exact reads make every slicing of the same bytes equal.
    """

    def __init__(
        self,
        incoming: bytes = b"",
        *,
        binding: bytes | None = None,
        encrypted: bool = False,
        offers_tls: bool = True,
    ) -> None:
        self.offers_tls = offers_tls
        self.incoming = bytearray(incoming)
        self.sent = bytearray()
        self.tls_started_after: int | None = 0 if encrypted else None
        self._binding = binding

    @property
    def is_encrypted(self) -> bool:
        """True once ``start_tls`` was called."""
        return self.tls_started_after is not None

    @property
    def channel_binding(self) -> bytes | None:
        """The value given at construction, once TLS is up."""
        return self._binding if self.is_encrypted else None

    async def peek(self, count: int) -> bytes:
        """Return the next bytes without taking them."""
        if len(self.incoming) < count:
            raise PeerClosed("the peer closed the connection")
        return bytes(self.incoming[:count])

    async def read_exactly(self, count: int) -> bytes:
        """Take the next bytes."""
        data = await self.peek(count)
        del self.incoming[:count]
        return data

    def write(self, data: bytes) -> None:
        """Collect into ``sent``."""
        self.sent += data

    async def start_tls(self) -> None:
        """Remember after how many sent bytes TLS began."""
        self.tls_started_after = len(self.sent)

    def has_unread(self) -> bool:
        """Whether given bytes are left."""
        return bool(self.incoming)


def run(conversation: Coroutine[Any, Any, T]) -> T:
    """Run a conversation over a ``MemoryChannel`` to its end, without an event loop."""
    try:
        conversation.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    conversation.close()
    raise RuntimeError("the conversation waited for something other than its channel")

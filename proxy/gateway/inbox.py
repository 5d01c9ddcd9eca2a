"""Who a connection belongs to while no relay has it: what arrives is kept, up to a limit.

Between its TLS handshake and its relay, and between two relays. Must never know what the
bytes are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from protocols.errors import PeerClosed
from proxy.gateway.plain import Side

# A login's messages are small; what a peer sends beyond this waits in the kernel.
INBOX_LIMIT = 64 * 1024


class Inbox(Side):
    """Collects what arrives while no relay has the connection, up to a limit.

    ``on_stir`` is called when something arrives, or the connection is closed.
    """

    def __init__(self) -> None:
        self.on_stir: Callable[[], None] | None = None
        self.data = bytearray()
        self.is_closed = False
        self.is_lost = asyncio.Event()
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to pause it."""
        # aiofastnet's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Collect; stop reading when nobody takes."""
        self.data += data
        if len(self.data) >= INBOX_LIMIT and self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits learns it as PeerClosed."""
        self.is_closed = True
        self.is_lost.set()
        self._wake()

    def eof_received(self) -> None:
        """The peer has finished sending; the transport closes."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        if self.on_stir is not None:
            self.on_stir()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, count: int) -> None:
        """Until ``count`` bytes are here. Raises PeerClosed."""
        while len(self.data) < count:
            if self.is_closed:
                raise PeerClosed("the peer closed the connection")
            if self._is_paused and self._transport is not None:
                self._is_paused = False
                self._transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def abort(self) -> None:
        """Close the connection at once, if there is one yet."""
        if self._transport is not None:
            self._transport.abort()

    def hand_over(self) -> bytes:
        """What nobody has taken, for the next protocol; reading goes on."""
        rest = bytes(self.data)
        self.data.clear()
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return rest

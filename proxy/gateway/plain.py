"""A plaintext connection of an open session: an asyncio transport without the event loop.

The poller calls it, it reads once, gives the bytes to its side of the relay, and whatever is
written goes to the kernel at once; only what that does not take waits here, for the
descriptor to be writable. Knows sockets. Must never know protocols or sessions.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque

import cython

from proxy.gateway.poller import EDGE, Poller, Watched

if cython.compiled:
    from cython.cimports.proxy.gateway.syscalls import receive, send
else:
    from proxy.gateway.syscalls import receive, send

# As poller's, known to the compiler. The peer's end is asked for with what can be read: it may
# come with the last bytes, and is told of only once.
_READ = 1 | 0x2000
_WRITE = 4
_ENDING = 8 | 16 | 0x2000
_GONE = 8 | 16

SMALL = 16 * 1024
"""Bytes asked for while reads come back short."""
CHUNK = 64 * 1024
"""Bytes asked for while reads come back full: large results in a quarter of the calls."""
READS = 4
"""How often one connection is read before the others have their turn."""

# The same, as C's numbers where this is compiled.
_SMALL = SMALL
_CHUNK = CHUNK
_READS = READS


class Side:
    """Who a connection belongs to: an asyncio.Protocol, whose calls compile to C."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is this side's from now on."""

    def data_received(self, data: bytes) -> None:
        """Take what was read."""

    def eof_received(self) -> None:
        """The peer has finished sending: the transport closes."""

    def pause_writing(self) -> None:
        """More is waiting than the high mark."""

    def resume_writing(self) -> None:
        """Less is waiting than the low mark again."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed. The last call."""


class PlainTransport(Watched):
    """One connection's. It owns the socket; what it does is as asyncio.Transport says.

    Watched at the edge (epoll(7)): the kernel tells once that something has come, and need not
    look again at each wait. So what has come is read until a read is short, which for a stream
    is the end of what there is; and where reading ends sooner the kernel is asked to tell again.
    """

    def __init__(self, poller: Poller, sock: socket.socket, side: Side) -> None:
        self._loop = asyncio.get_running_loop()
        self._poller = poller
        self._socket = sock
        self._fd = sock.fileno()
        self._side = side
        self._size = SMALL
        self._wanted = _READ
        self._is_reading = True
        self._is_closing = False
        self._is_lost = False
        self._is_full = False
        # Whether all that had come was read, when it was last read.
        self._is_drained = False
        # What the kernel has not taken; of the first piece, how much it has.
        self._waiting: deque[bytes] = deque()
        self._sent = 0
        self._waiting_bytes = 0
        self._high = CHUNK
        self._low = SMALL
        poller.watch(self._fd, self, _READ | EDGE)

    # -- the hot path -----------------------------------------------------------------

    def happened(self, events: int) -> None:
        """Read what has come, write what waits."""
        if self._is_lost:
            return
        try:
            if events & _WRITE:
                self._flush()
            if events & (_READ | _GONE):
                if self._is_reading:
                    self._read(events)
                elif events & _GONE:
                    self._lose(None)
        except OSError as error:
            self._lose(error)
        except Exception as error:  # noqa: BLE001
            # The session is a boundary: a bug of ours ends it, not the proxy.
            self._loop.call_exception_handler(
                {"message": "a session's connection failed", "exception": error}
            )
            self._lose(error)

    def _read(self, events: int) -> None:
        reads = _READS
        while reads > 0:
            reads -= 1
            asked = self._size
            data = receive(self._fd, asked)
            if data is None:
                return
            count = len(data)
            if count == 0:
                self._side.eof_received()
                self.close()
                return
            if count == asked:
                self._size = _CHUNK
            elif count <= _SMALL:
                self._size = _SMALL
            # First: who is given it may ask.
            self._is_drained = is_drained = count < asked and not events & _ENDING
            self._side.data_received(data)
            if not self._is_reading or is_drained:
                return
        self._watch_again()

    def write(self, data: bytes) -> None:
        """Send it, or keep what the kernel does not take."""
        if self._is_lost:
            return
        size = len(data)
        sent = 0
        if self._waiting_bytes == 0:
            try:
                sent = send(self._fd, data, 0)
            except OSError as error:
                self._failed(error)
                return
            if sent == size:
                return
            self._sent = sent
        self._waiting.append(data)
        self._waiting_bytes += size - sent
        self._watch()
        if self._waiting_bytes > self._high and not self._is_full:
            self._is_full = True
            self._side.pause_writing()

    # -- backpressure -----------------------------------------------------------------

    def _flush(self) -> None:
        while self._waiting:
            data = self._waiting[0]
            try:
                sent = send(self._fd, data, self._sent)
            except OSError as error:
                self._failed(error)
                return
            self._sent += sent
            self._waiting_bytes -= sent
            if self._sent < len(data):
                break
            self._waiting.popleft()
            self._sent = 0
        self._watch()
        if self._is_full and self._waiting_bytes <= self._low:
            self._is_full = False
            self._side.resume_writing()
        if self._is_closing and not self._waiting:
            self._lose(None)

    def _failed(self, error: OSError) -> None:
        """The peer takes no more. What it said before that is still read, to its end."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._sent = 0
        if self._is_reading:
            # A connection that cannot be written to is one whose end epoll tells of.
            self._watch_again()
        else:
            self._lose(error)

    def _watch(self) -> None:
        wanted = _READ if self._is_reading else 0
        if self._waiting:
            wanted |= _WRITE
        if wanted != self._wanted and not self._is_lost:
            self._wanted = wanted
            self._poller.change(self._fd, wanted | EDGE)

    def _watch_again(self) -> None:
        """Be told once more of what is there already, as after every change."""
        self._wanted = 0
        self._watch()

    def pause_reading(self) -> None:
        """Read no further: what comes waits in the kernel, and then at the peer."""
        if self._is_reading:
            self._is_reading = False
            self._is_drained = False
            self._watch()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._is_reading and not self._is_closing:
            self._is_reading = True
            self._watch()

    def is_reading(self) -> bool:
        """Whether it reads."""
        return self._is_reading

    def is_quiet(self) -> bool:
        """Whether all that its peer has said was read, as far as the loop's last look can know.

        False also where that cannot be said without asking the kernel.
        """
        return self._is_drained and not self._is_closing and self._poller.has_looked(self._fd)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Above ``high`` bytes waiting the side is told to pause, below ``low`` to go on."""
        self._high = high
        self._low = low

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for the kernel to take them."""
        return self._waiting_bytes

    def set_protocol(self, side: Side) -> None:
        """Call this side from now on."""
        self._side = side

    # -- the end ----------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether it is closed, or will be when what waits has been taken."""
        return self._is_closing

    def close(self) -> None:
        """Read no further; close when the kernel has taken what waits."""
        if self._is_closing:
            return
        self._is_closing = True
        self._is_reading = False
        if self._waiting:
            self._watch()
        else:
            self._lose(None)

    def abort(self) -> None:
        """Close now."""
        self._lose(None)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """The ``socket``; nothing else is known here."""
        return self._socket if name == "socket" else default

    def _lose(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self._is_closing = True
        self._is_reading = False
        self._waiting.clear()
        self._waiting_bytes = 0
        self._poller.forget(self._fd)
        # Later: who closes is not to be called back in the middle of it.
        self._loop.call_soon(self._finish, error)

    def _finish(self, error: Exception | None) -> None:
        self._socket.close()
        self._side.connection_lost(error)

"""A TCP relay before a server, or before the proxy, that fails as networks do.

What fails is said for each way and may be changed while connections are open; what was taken
in before is still passed on as it was. Runs in a thread of its own. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

# l_onoff and l_linger of socket(7): closing sends RST.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CHUNK = 65_536


class Way(StrEnum):
    """Where bytes go: from who has connected to the server, or from the server."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Pass:
    """Nothing fails."""


@dataclass(frozen=True, slots=True)
class Delay:
    """What arrives goes on so much later. In seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drip:
    """Each byte goes in a segment of its own."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A black hole: nothing goes on, and nobody is told. It is not lost: see ``heal``."""


@dataclass(frozen=True, slots=True)
class LoseEnd:
    """Bytes go on, but not that they end: the connection looks open to who reads."""


@dataclass(frozen=True, slots=True)
class Flip:
    """The lowest bit of one byte is turned over: of a connection's byte ``after``, counted
    from 0 at the first that passes once this is set.
    """

    after: int


Fault = Pass | Delay | Drip | Hold | LoseEnd | Flip
PASS, HOLD, DRIP, LOSE_END = Pass(), Hold(), Drip(), LoseEnd()


# BPF_RET | BPF_K of linux/bpf_common.h, and 0: nothing of a packet is kept.
_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)
_SO_ATTACH_FILTER = 26


def mute(sock: socket.socket) -> None:
    """From now on nothing reaches this socket, and nothing is acknowledged: a machine that is gone.

    A filter of socket(7) drops each packet before TCP has seen it.
    """
    code = ctypes.create_string_buffer(_NOTHING)
    program = struct.pack("HP", 1, ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


class _Connection:
    """One of who connected, and the one to the server for it."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near = near
        self.far = far
        self.tasks: dict[Way, asyncio.Task[None]] = {}

    def ends(self, way: Way) -> tuple[socket.socket, socket.socket]:
        """From which socket to which."""
        return (self.near, self.far) if way is Way.UP else (self.far, self.near)

    def close(self, *, is_reset: bool) -> None:
        for sock in (self.near, self.far):
            if is_reset:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            sock.close()


class Relay:
    """Listens on loopback, at ``port``, and passes on to ``target``, a port of loopback."""

    def __init__(self, target: int) -> None:
        self._target = ("127.0.0.1", target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.passed = dict.fromkeys(Way, 0)
        """Bytes of all connections that went on."""
        self.ports: set[int] = set()
        """From which ports it has connected to its target."""
        self._faults: dict[Way, Fault] = dict.fromkeys(Way, PASS)
        self._is_refusing = False
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")

    def __enter__(self) -> Relay:
        self._thread.start()
        self._do(self._begin)
        return self

    def __exit__(self, *_: Any) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # --- faults: each is in force when the call returns -------------------------------------

    def fail(self, fault: Fault, *ways: Way) -> None:
        """Let these ways fail, or both; of open connections and of new ones."""
        self._do(lambda: self._set(fault, ways or tuple(Way)))

    def heal(self) -> None:
        """Pass everything on, what was held first."""
        self.fail(PASS)
        self.refuse(is_refusing=False)

    def refuse(self, *, is_refusing: bool = True) -> None:
        """Reset every new connection, as a server does that is gone."""
        self._is_refusing = is_refusing

    def reset(self) -> None:
        """End every connection by RST, to both sides."""
        self._do(self._reset)

    def lose_machine(self, way: Way) -> None:
        """What comes this way comes to a machine that is gone; and nothing comes from it."""
        self._do(lambda: self._lose_machine(way))

    def half_close(self, way: Way) -> None:
        """Say, on every connection, that nothing more comes that way; the other way is open."""
        self._do(lambda: self._half_close(way))

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    # --- in the thread ----------------------------------------------------------------------

    def _do(self, work: Callable[[], None]) -> None:
        async def run() -> None:
            work()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _begin(self) -> None:
        self._accepting = asyncio.create_task(self._accept(), name="relay: accept")

    async def _end(self) -> None:
        self._over.set()
        self._accepting.cancel()
        self._listener.close()
        tasks = [task for one in self._connections for task in one.tasks.values()]
        self._reset()
        await asyncio.gather(self._accepting, *tasks, return_exceptions=True)

    def _set(self, fault: Fault, ways: tuple[Way, ...]) -> None:
        for way in ways:
            self._faults[way] = fault
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _reset(self) -> None:
        for connection in self._connections:
            for task in connection.tasks.values():
                task.cancel()
            connection.close(is_reset=True)
        self._connections.clear()

    def _lose_machine(self, way: Way) -> None:
        self._set(HOLD, tuple(Way))
        for connection in self._connections:
            mute(connection.ends(way)[0])

    def _half_close(self, way: Way) -> None:
        for connection in self._connections:
            connection.tasks[way].cancel()
            with suppress(OSError):
                connection.ends(way)[1].shutdown(socket.SHUT_WR)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            near, _ = await loop.sock_accept(self._listener)
            far = socket.socket()
            far.setblocking(False)
            connection = _Connection(near, far)
            try:
                if self._is_refusing:
                    raise ConnectionRefusedError
                # To loopback: done or refused at once.
                await loop.sock_connect(far, self._target)
                self.ports.add(far.getsockname()[1])
            except OSError:
                connection.close(is_reset=True)
                continue
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.add(connection)
            for way in Way:
                task = asyncio.create_task(self._pass_on(connection, way), name=f"relay: {way}")
                connection.tasks[way] = task
                task.add_done_callback(partial(self._way_is_over, connection))

    def _way_is_over(self, connection: _Connection, _: asyncio.Task[None]) -> None:
        """Close the connection, once neither way goes on."""
        if connection in self._connections and all(
            task.done() for task in connection.tasks.values()
        ):
            self._connections.discard(connection)
            connection.close(is_reset=False)

    async def _pass_on(self, connection: _Connection, way: Way) -> None:
        loop = asyncio.get_running_loop()
        source, target = connection.ends(way)
        begun: Fault = PASS
        count = 0
        try:
            while data := await loop.sock_recv(source, _CHUNK):
                fault = await self._let_through(way)
                if fault is not begun:
                    begun, count = fault, 0
                if isinstance(fault, Delay):
                    await self._delay(fault.seconds)
                if isinstance(fault, Flip):
                    data = _flipped(data, fault.after - count)
                count += len(data)
                step = 1 if isinstance(fault, Drip) else len(data)
                for at in range(0, len(data), step):
                    await loop.sock_sendall(target, data[at : at + step])
                self.passed[way] += len(data)
            while isinstance(await self._let_through(way), LoseEnd):
                await self._changed.wait()
            target.shutdown(socket.SHUT_WR)
        except OSError:
            # As a network does: what one side did is told to the other.
            if connection in self._connections:
                self._connections.discard(connection)
                connection.tasks[Way.DOWN if way is Way.UP else Way.UP].cancel()
                connection.close(is_reset=True)

    async def _delay(self, seconds: float) -> None:
        """Let time pass: that is the fault. The relay's end cuts it short."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    async def _let_through(self, way: Way) -> Fault:
        """Wait as long as this way is held; what fails then."""
        while isinstance(self._faults[way], Hold):
            await self._changed.wait()
        return self._faults[way]


def _flipped(data: bytes, at: int) -> bytes:
    if not 0 <= at < len(data):
        return data
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

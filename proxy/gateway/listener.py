"""Accepts connections: counts, limits, and hands each to a session of its own.

Nothing slow happens in the accept loop, and nothing is read here: a connection that
says nothing costs a descriptor until its deadline. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from functools import partial

import structlog

from protocols.errors import Reason, Refusal
from proxy.gateway.counting import OwnPlaces, Places
from proxy.gateway.dial import EXHAUSTED, tune
from proxy.gateway.rooms import Door, Rooms
from proxy.gateway.session import Session

log = structlog.get_logger("listener")

# Connections taken per wake-up, so that a flood does not starve open sessions.
ACCEPT_BATCH = 64
# How long to leave the queue alone when no descriptor is free.
EXHAUSTED_SECONDS = 0.2


class PendingLogins:
    """How many connections are in their login, in all and for each address."""

    def __init__(self, total: int, per_address: int, places: Places | None = None) -> None:
        self._total = total
        self._per_address = per_address
        self._places: Places = OwnPlaces() if places is None else places

    def enter(self, address: str) -> bool:
        """Count one more; False, and nothing counted, where there are too many."""
        if not self._places.enter("pending", self._total):
            return False
        if not self._places.enter(f"pending {address}", self._per_address):
            self._places.leave("pending")
            return False
        return True

    def leave(self, address: str) -> None:
        """The opposite, once for each ``enter`` that was True."""
        self._places.leave(f"pending {address}")
        self._places.leave("pending")


class Connections:
    """How many connections a listener, or all together, serve, and how many they may.

    ``name`` tells those of one listener from all.
    """

    def __init__(self, limit: int, places: Places | None = None, name: str = "all") -> None:
        self._limit = limit
        self._places: Places = OwnPlaces() if places is None else places
        self._name = f"connections {name}"

    def enter(self) -> bool:
        """One more, if there is room."""
        return self._places.enter(self._name, self._limit)

    def leave(self) -> None:
        """One fewer."""
        self._places.leave(self._name)


class PendingPlace:
    """One connection's place among the pending logins.

    No closure: compiled, two of them that know each other are a reference cycle.
    """

    def __init__(self, pending: PendingLogins, address: str) -> None:
        self._pending = pending
        self._address = address
        self._is_left = False

    def leave(self) -> None:
        """Give it back, the first time."""
        if not self._is_left:
            self._is_left = True
            self._pending.leave(self._address)


class Listener:
    """One listening socket and the sessions that came through it.

    ``connections`` are the bounds that it shares with others, the narrowest last.
    """

    def __init__(
        self,
        sock: socket.socket,
        door: Door,
        rooms: Rooms,
        connections: Sequence[Connections],
        pending: PendingLogins,
    ) -> None:
        # Here and not at each connection: they have its options from birth (Linux; tcp(7)).
        tune(sock)
        self._sock = sock
        self._door = door
        self._rooms = rooms
        self._connections = connections
        self._pending = pending
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._is_stopped = False
        self.is_open = False

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._sock.getsockname()[1]
        return port

    def start(self) -> None:
        """Begin to accept, also after ``rest``."""
        if self._is_stopped or self.is_open:
            return
        asyncio.get_running_loop().add_reader(self._sock, self._accept)
        self.is_open = True

    def rest(self) -> None:
        """Accept no more, and leave who comes in the kernel's queue: for another worker."""
        if not self.is_open:
            return
        self.is_open = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        asyncio.get_running_loop().remove_reader(self._sock)

    def stop(self) -> None:
        """Accept no more, and refuse at the kernel; sessions go on."""
        self.rest()
        self._is_stopped = True
        self._sock.close()

    async def finish(self) -> None:
        """End what is still in its login, and wait for every session's last record."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def session_count(self) -> int:
        """Connections being served, logins included."""
        return len(self._tasks)

    def _accept(self) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._pause(error)
                    return
                log.warning("accept failed", error=error.strerror)
                return
            self._take(sock, (address[0], address[1]))

    def _take(self, sock: socket.socket, address: tuple[str, int]) -> None:
        sock.setblocking(False)
        if not self._has_room(address[0]):
            self._turn_away(sock)
            return
        place = PendingPlace(self._pending, address[0])
        session = Session(self._door, self._rooms, sock, address)
        task = asyncio.create_task(session.run(place.leave), name="session")
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, place))

    def _end(self, place: PendingPlace, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        for bound in self._connections:
            bound.leave()
        place.leave()

    def _has_room(self, address: str) -> bool:
        """Take a place for a connection at each limit, or none."""
        taken: list[Connections] = []
        for bound in self._connections:
            if not bound.enter():
                break
            taken.append(bound)
        else:
            if self._pending.enter(address):
                return True
        for bound in taken:
            bound.leave()
        return False

    def _turn_away(self, sock: socket.socket) -> None:
        """Too many: one sentence if the socket takes it at once, and close."""
        refusal = Refusal(Reason.TOO_MANY_SESSIONS, "the proxy has too many connections")
        self._rooms.metrics.refused(refusal.reason)
        try:
            sock.send(self._door.protocol.refusal(refusal))
        except OSError:
            # Gone already, or not taking: it learns by the close.
            pass
        finally:
            sock.close()

    def _pause(self, error: OSError) -> None:
        log.error("no descriptor is free; new connections wait", error=error.strerror)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock)

        def resume() -> None:
            self._retry = None
            if self.is_open:
                loop.add_reader(self._sock, self._accept)

        self._retry = loop.call_later(EXHAUSTED_SECONDS, resume)

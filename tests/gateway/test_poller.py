from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing

import pytest

from proxy.gateway.poller import MOST, READ, WRITE, PolledLoop, Poller, Watched

SECONDS = 20


class Counting(Watched):
    """Counts what happened; calls back."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.events: list[int] = []
        self._then = then

    def happened(self, events: int) -> None:
        self.events.append(events)
        self._then()


async def _until(condition: Callable[[], bool], changed: asyncio.Event) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            changed.clear()
            await changed.wait()


async def test_more_descriptors_than_are_taken_at_once_are_all_served():
    changed = asyncio.Event()
    pairs = [socket.socketpair() for _ in range(2 * MOST)]
    with closing(Poller()) as poller:
        watched = []
        for left, right in pairs:
            right.send(b"x")

            def take(left: socket.socket = left) -> None:
                left.recv(10)
                changed.set()

            each = Counting(take)
            watched.append(each)
            poller.watch(left.fileno(), each, READ)
        await _until(lambda: all(each.events for each in watched), changed)
        assert {tuple(each.events) for each in watched} == {(READ,)}
    for pair in pairs:
        for sock in pair:
            sock.close()


async def test_what_is_forgotten_by_an_earlier_event_hears_nothing():
    changed = asyncio.Event()
    pairs = [socket.socketpair() for _ in range(2)]
    with closing(Poller()) as poller:

        def forget_all() -> None:
            for left, _ in pairs:
                poller.forget(left.fileno())
            changed.set()

        watched = [Counting(forget_all) for _ in pairs]
        for (left, right), each in zip(pairs, watched, strict=True):
            poller.watch(left.fileno(), each, READ)
            right.send(b"x")
        await _until(lambda: len(poller) == 0, changed)
        assert sum(len(each.events) for each in watched) == 1
    for pair in pairs:
        for sock in pair:
            sock.close()


async def test_a_polled_loop_calls_readers_and_writers_as_a_loop_does():
    left, right = socket.socketpair()
    left.setblocking(False)
    calls: list[str] = []
    changed = asyncio.Event()
    with closing(Poller()) as poller, left, right:
        loop = PolledLoop(poller, asyncio.get_running_loop())
        fd = left.fileno()

        def wrote() -> None:
            calls.append("writer")
            assert loop.remove_writer(fd)
            changed.set()

        def read() -> None:
            calls.append(left.recv(10).decode())
            changed.set()

        loop.add_reader(fd, read)
        loop.add_writer(fd, wrote)
        await _until(lambda: "writer" in calls, changed)
        right.send(b"hello")
        await _until(lambda: "hello" in calls, changed)
        assert loop.remove_reader(fd)
        assert (loop.remove_reader(fd), loop.remove_writer(fd), len(poller)) == (False, False, 0)
        right.send(b"unheard")
        loop.add_writer(fd, wrote)
        await _until(lambda: calls.count("writer") == 2, changed)
        assert "unheard" not in calls


@pytest.mark.parametrize("events", [READ, WRITE])
async def test_a_closed_poller_tells_of_nothing(events: int):
    left, right = socket.socketpair()
    with left, right:
        poller = Poller()
        each = Counting(lambda: None)
        poller.watch(left.fileno(), each, events)
        right.send(b"x")
        poller.close()
        poller.close()
        poller.forget(left.fileno())
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        assert each.events == []

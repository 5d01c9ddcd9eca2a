from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from proxy.gateway.loop import SessionLoop, session_poller
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


async def test_more_descriptors_than_are_taken_at_once_are_all_served(poller: Poller):
    changed = asyncio.Event()
    pairs = [socket.socketpair() for _ in range(2 * MOST)]
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


async def test_what_is_forgotten_by_an_earlier_event_hears_nothing(poller: Poller):
    changed = asyncio.Event()
    pairs = [socket.socketpair() for _ in range(2)]

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


async def test_a_polled_loop_calls_readers_and_writers_as_a_loop_does(poller: Poller):
    left, right = socket.socketpair()
    left.setblocking(False)
    calls: list[str] = []
    changed = asyncio.Event()
    with left, right:
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


async def test_a_timer_of_a_polled_loop_keeps_its_callback_until_it_was_called(poller: Poller):
    loop = PolledLoop(poller, asyncio.get_running_loop())
    called = asyncio.Event()
    callback = called.set
    before = sys.getrefcount(called)
    handle = loop.call_later(0.01, callback)
    del callback
    async with asyncio.timeout(SECONDS):
        await called.wait()
    assert not handle.cancelled()
    # Without the bound method's own.
    assert sys.getrefcount(called) == before - 1


# A class is what aiofastnet hands over where a peer resets its connection in a handshake.
@pytest.mark.parametrize(
    ("exception", "is_told"),
    [(ConnectionResetError, False), (ssl.SSLError("x"), False), (ValueError("x"), True)],
    ids=repr,
)
async def test_a_network_that_failed_is_no_fault_of_the_program(
    poller: Poller, exception: object, is_told: bool
):
    told: list[dict[str, object]] = []
    running = asyncio.get_running_loop()
    running.set_exception_handler(lambda _, context: told.append(context))
    context = {"message": "it failed", "exception": exception}
    polled = PolledLoop(poller, running)
    polled.call_exception_handler(context)
    # Its own end of a connection has crossed its peer's.
    polled.call_exception_handler(
        {"message": "Error occurred during shutdown", "exception": RuntimeError()}
    )
    assert told == [context] * is_told


@pytest.mark.parametrize("events", [READ, WRITE])
def test_a_closed_loop_tells_of_nothing_and_lets_go_of_its_descriptors(events: int):
    gc.collect()  # what earlier tests have left must not be closed meanwhile
    before = len(os.listdir("/proc/self/fd"))
    left, right = socket.socketpair()
    with left, right:
        loop = SessionLoop()
        each = Counting(lambda: None)
        loop.poller.watch(left.fileno(), each, events)
        right.send(b"x")
        loop.close()
        loop.close()
        loop.poller.close()
        loop.poller.forget(left.fileno())
        assert (each.events, len(loop.poller)) == ([], 0)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_the_loop_has_its_turn_while_sessions_never_rest(poller: Poller):
    """What was called soon, a timer and another descriptor, beside one that is always ready."""
    left, right = socket.socketpair()
    other, peer = socket.socketpair()
    loop = asyncio.get_running_loop()
    done = [asyncio.Event() for _ in range(3)]
    with left, right, other, peer:
        right.send(b"never read")
        heard = asyncio.Event()

        def hear() -> None:
            heard.set()
            each.events.clear()

        each = Counting(hear)
        poller.watch(left.fileno(), each, READ)
        loop.call_soon(done[0].set)
        loop.call_later(0.01, done[1].set)
        loop.add_reader(other.fileno(), done[2].set)
        peer.send(b"x")
        async with asyncio.timeout(SECONDS):
            for event in done:
                await event.wait()
        loop.remove_reader(other.fileno())
        assert heard.is_set()


async def test_a_timer_that_a_session_sets_ends_the_wait(poller: Poller):
    """The wait began before there was any timer."""
    left, right = socket.socketpair()
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()
    with left, right:
        each = Counting(lambda: (left.recv(10), loop.call_later(0.01, rung.set), None)[2])
        poller.watch(left.fileno(), each, READ)
        right.send(b"x")
        await asyncio.wait_for(rung.wait(), SECONDS)
        assert each.events == [READ]


async def test_what_a_session_raises_is_told_and_the_others_go_on(poller: Poller):
    told: list[str] = []
    changed = asyncio.Event()
    pairs = [socket.socketpair() for _ in range(2)]

    def fail() -> None:
        raise RuntimeError("a bug")

    def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        told.append(str(context["exception"]))
        changed.set()

    asyncio.get_running_loop().set_exception_handler(tell)
    heard: list[str] = []

    def hear() -> None:
        heard.append("the other")
        changed.set()

    for (left, right), then in zip(pairs, (fail, hear), strict=True):

        def take(left: socket.socket = left, then: Callable[[], None] = then) -> None:
            left.recv(10)
            then()

        poller.watch(left.fileno(), Counting(take), READ)
        right.send(b"x")
    await _until(lambda: bool(told and heard), changed)
    assert (told, heard) == (["a bug"], ["the other"])
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_a_signal_ends_the_wait():
    """A handler of Python's own, which asyncio knows nothing of."""
    with asyncio.Runner(loop_factory=SessionLoop) as runner:
        before = signal.signal(signal.SIGUSR1, lambda number, frame: ended.set())
        ended = threading.Event()

        async def wait() -> None:
            timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            await asyncio.get_running_loop().run_in_executor(None, ended.wait, SECONDS)
            timer.join()

        try:
            runner.run(wait())
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert ended.is_set()


async def test_another_kind_of_loop_has_no_sessions():
    def main() -> None:
        async def ask() -> None:
            session_poller()

        with pytest.raises(TypeError, match="SessionLoop"):
            asyncio.run(ask())

    await asyncio.to_thread(main)


async def test_a_chore_is_done_between_events_until_it_says_that_it_is_over(poller: Poller):
    left, right = socket.socketpair()
    changed = asyncio.Event()
    done: list[int] = []
    told: list[str] = []

    def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        told.append(str(context["exception"]))

    def fail() -> bool:
        done.append(0)
        raise RuntimeError("a bug")

    def work() -> bool:
        done.append(1)
        return done.count(1) < 3

    asyncio.get_running_loop().set_exception_handler(tell)
    for chore in (fail, work):
        poller.take_on(chore)
    with left, right:
        right.send(b"never read")
        each = Counting(changed.set)
        poller.watch(left.fileno(), each, READ)
        await _until(lambda: len(each.events) >= 5, changed)
        poller.forget(left.fileno())
    # One that fails is told of, and is called again: a bug must not stop it for good.
    assert (done.count(1), done.count(0) >= 5, set(told)) == (3, True, {"a bug"})

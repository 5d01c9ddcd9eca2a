from __future__ import annotations

import asyncio
from typing import Any

import pytest

from protocols.interface import CancelArrival
from protocols.postgres import PROTOCOL
from proxy.config import LimitsConfig
from proxy.gateway.cancel import Cancels
from proxy.gateway.live import LiveSessions
from proxy.gateway.live_session import LiveSession
from proxy.metrics import Metrics
from tests.gateway.fakes import CUT_REFUSAL, Wire, session


class Stop:
    """The data source's side: counts, and answers when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count = 0
        self.may_answer = asyncio.Event()
        self.has_begun = asyncio.Event()
        self._error = error

    async def __call__(self) -> None:
        self.count += 1
        self.has_begun.set()
        await self.may_answer.wait()
        if self._error is not None:
            raise self._error


class Scene:
    def __init__(self, stop: Stop, **changes: Any) -> None:
        self.metrics = Metrics()
        self.live = LiveSessions(LimitsConfig())
        self.cancels = Cancels(self.live, self.metrics)
        self.wire = Wire()
        self.wire.scanner.has_outstanding = True
        self.stop = stop
        self.session: LiveSession = session(self.wire, 7, stop=stop, **changes)
        self.live.add(self.session)

    async def cancel(
        self, number: int = 7, secret: bytes = bytes(4), *, is_encrypted: bool = False
    ) -> None:
        key = number.to_bytes(4, "big") + secret
        async with asyncio.timeout(40):
            await self.cancels.handle(PROTOCOL, CancelArrival(key, is_encrypted))

    def close(self) -> None:
        self.wire.lose_both()


@pytest.mark.parametrize(
    ("number", "secret"),
    [(8, bytes(4)), (7, b"\0\0\0\1"), (7, b"\1\0\0\0"), (7, b""), (7, bytes(32)), (0, bytes(4))],
)
async def test_a_key_that_does_not_fit_stops_nothing(number: int, secret: bytes):
    scene = Scene(Stop())
    await scene.cancel(number, secret)
    assert scene.stop.count == 0
    assert scene.metrics.cancels.read() == {"forwarded": 0, "ignored": 1}
    scene.close()


async def test_the_client_is_read_no_further_while_the_request_is_on_its_way():
    scene = Scene(Stop())
    cancelling = asyncio.create_task(scene.cancel())
    await scene.stop.has_begun.wait()
    assert scene.wire.holds_the_client()
    # One at a time: a second one might hit the next statement.
    await scene.cancel()
    assert scene.stop.count == 1
    scene.stop.may_answer.set()
    await cancelling
    assert not scene.wire.holds_the_client()
    assert scene.session.cancelling is None
    scene.close()


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), CUT_REFUSAL])
async def test_a_server_that_cannot_be_asked_lets_the_session_go_on(error: Exception):
    stop = Stop(error)
    stop.may_answer.set()
    scene = Scene(stop)
    await scene.cancel()
    assert not scene.wire.holds_the_client()
    assert not scene.wire.client.closed
    scene.close()


async def test_a_session_that_runs_nothing_is_left_alone():
    scene = Scene(Stop())
    scene.wire.scanner.has_outstanding = False
    await scene.cancel()
    assert scene.stop.count == 0
    scene.close()


async def test_a_client_that_hangs_up_does_not_take_its_request_back():
    scene = Scene(Stop())
    cancelling = asyncio.create_task(scene.cancel())
    await scene.stop.has_begun.wait()
    cancelling.cancel()
    await asyncio.gather(cancelling, return_exceptions=True)
    assert scene.wire.holds_the_client()
    under_way = scene.session.cancelling
    assert under_way is not None
    scene.stop.may_answer.set()
    await under_way
    assert not scene.wire.holds_the_client()
    scene.close()


@pytest.mark.parametrize(
    ("is_local", "is_encrypted", "count"),
    [(False, False, 0), (False, True, 1), (True, False, 1)],
)
async def test_a_key_that_was_given_over_tls_works_in_plaintext_only_on_this_host(
    is_local: bool, is_encrypted: bool, count: int
):
    stop = Stop()
    stop.may_answer.set()
    scene = Scene(stop, is_encrypted=True, is_local=is_local)
    await scene.cancel(is_encrypted=is_encrypted)
    assert scene.stop.count == count
    scene.close()


async def test_a_newer_client_needs_its_whole_secret():
    stop = Stop()
    stop.may_answer.set()
    scene = Scene(stop, version=(3, 2))
    await scene.cancel(secret=bytes(4))
    assert stop.count == 0
    await scene.cancel(secret=bytes(32))
    assert stop.count == 1
    scene.close()

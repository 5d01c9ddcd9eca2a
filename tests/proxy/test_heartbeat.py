from __future__ import annotations

import asyncio

from proxy.heartbeat import Heartbeat


async def test_it_beats_and_tells_how_late_the_loop_was():
    lags: list[float] = []
    beaten = asyncio.Event()

    def on_lag(seconds: float) -> None:
        lags.append(seconds)
        if len(lags) == 3:
            beaten.set()

    heartbeat = Heartbeat(on_lag, interval=0.001)
    heartbeat.start()
    async with asyncio.timeout(10):
        await beaten.wait()
    heartbeat.stop()
    assert all(lag >= 0 for lag in lags)
    assert heartbeat.is_fresh()


async def test_it_is_not_fresh_where_the_last_beat_is_too_old():
    heartbeat = Heartbeat(lambda seconds: None)
    heartbeat.start()
    assert not heartbeat.is_fresh(allowed=0.0)
    heartbeat.stop()
    heartbeat.stop()

from __future__ import annotations

import asyncio

from proxy.heartbeat import Heartbeat


async def test_it_beats_and_tells_how_late_the_loop_was_and_what_it_has_to_do():
    lags: list[float] = []
    counts: list[int] = []
    beaten = asyncio.Event()

    def on_beat(seconds: float, tasks: int) -> None:
        lags.append(seconds)
        counts.append(tasks)
        if len(lags) == 3:
            beaten.set()

    heartbeat = Heartbeat(on_beat, interval=0.001)
    heartbeat.start()
    async with asyncio.timeout(40):
        await beaten.wait()
    heartbeat.stop()
    assert all(lag >= 0 for lag in lags)
    assert counts == [len(asyncio.all_tasks())] * 3
    assert heartbeat.is_fresh()


async def test_it_is_not_fresh_where_the_last_beat_is_too_old():
    heartbeat = Heartbeat(lambda seconds, tasks: None)
    heartbeat.start()
    assert not heartbeat.is_fresh(allowed=0.0)
    heartbeat.stop()
    heartbeat.stop()

from __future__ import annotations

import asyncio

import pytest

from proxy.patience import Patience


async def outlast(patience: Patience) -> None:
    with patience.limit():
        await asyncio.Event().wait()


async def test_what_takes_too_long_is_ended_with_a_time_out():
    patience = Patience(0.02)
    with pytest.raises(TimeoutError):
        await outlast(patience)
    assert len(patience) == 0
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_in_time_is_left_alone_and_nothing_stays_behind():
    patience = Patience(10.0)
    for _ in range(100):
        with patience.limit():
            await asyncio.sleep(0)
    assert len(patience) == 0


async def test_each_limit_has_its_own_time_though_one_timer_serves_all():
    patience = Patience(0.05)
    ended: list[str] = []

    async def wait(name: str, event: asyncio.Event) -> None:
        try:
            with patience.limit():
                await event.wait()
            ended.append(f"{name} in time")
        except TimeoutError:
            ended.append(f"{name} too late")

    rescued, lost = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(wait("first", lost))
    second = asyncio.create_task(wait("second", rescued))
    await asyncio.sleep(0)
    assert len(patience) == 2
    rescued.set()
    await second
    third = asyncio.create_task(wait("third", lost))
    await asyncio.gather(first, third)
    assert ended == ["second in time", "first too late", "third too late"]


async def test_an_error_within_is_itself_also_when_it_comes_at_the_end():
    async def break_when_ended(patience: Patience) -> None:
        with patience.limit():
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        await break_when_ended(Patience(0.02))


async def test_who_is_cancelled_from_outside_is_cancelled_and_not_timed_out():
    patience = Patience(0.02)
    task = asyncio.create_task(outlast(patience))
    await asyncio.sleep(0)
    assert len(patience) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(patience) == 0


async def test_a_cancel_from_outside_wins_over_a_limit_that_ends_with_it():
    patience = Patience(0.02)
    inside = asyncio.Event()
    outcome: list[type[BaseException]] = []

    async def slow_to_leave() -> None:
        try:
            with patience.limit():
                try:
                    inside.set()
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    # The limit has cancelled us; now somebody else does, too.
                    asyncio.get_running_loop().call_soon(task.cancel)
                    await asyncio.Event().wait()
        except BaseException as error:
            outcome.append(type(error))
            raise

    task = asyncio.create_task(slow_to_leave())
    await inside.wait()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcome == [asyncio.CancelledError]

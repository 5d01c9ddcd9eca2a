"""A task that stands goes on after a bug, and ends when it is told to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.standing import stand


async def test_a_bug_is_told_and_the_next_step_is_taken():
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    steps = 0
    is_done = asyncio.Event()

    async def step() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise ValueError("a bug")
        if steps == 4:
            is_done.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stand(step, "a step failed"))
    async with asyncio.timeout(20):
        await is_done.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(one["message"], str(one["exception"])) for one in reported] == [
        ("a step failed", "a bug")
    ]

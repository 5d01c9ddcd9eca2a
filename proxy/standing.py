"""Tasks that stand to their process's end: a bug in one is told, and is not its end.

asyncio says nothing of a task that failed while somebody still holds it, and whoever made
such a task does: what it did is simply no longer done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

PAUSE_SECONDS = 0.5
"""After a failure, so that one that stays does not fill the log."""


async def stand(step: Callable[[], Awaitable[None]], failed: str) -> None:
    """Take one step after the other until cancelled; ``failed`` says what a failure was of."""
    while True:
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - that is what it is for
            tell(failed, error)
            await asyncio.sleep(PAUSE_SECONDS)


def tell(failed: str, error: BaseException) -> None:
    """Report a bug as asyncio reports its callbacks': it gets into the log with its traceback."""
    context = {"message": failed, "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)

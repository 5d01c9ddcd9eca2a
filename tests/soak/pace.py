"""The pauses of a load, and of who watches it: the only place of the soak that sleeps.

No test waits here for something to have happened: a client rests between two steps.
"""

from __future__ import annotations

import asyncio


async def rest(seconds: float) -> None:
    """Do nothing for so long."""
    await asyncio.sleep(seconds)

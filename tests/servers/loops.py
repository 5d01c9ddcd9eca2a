"""The event loop of tests: it ends when its connections have, not before.

asyncio lets a TLS connection that was closed say goodbye by itself, and so do drivers whose own
closing does not wait for it (aiomysql's, asyncpg's requests to cancel). A loop that is closed
meanwhile leaves a socket open, and Python blames whichever test runs when it finds that.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from tests.servers.waiting import eventually

T = TypeVar("T")
_GOODBYE = 5.0  # seconds: what is still open then is a leak, and told as one


class PatientLoop(asyncio.SelectorEventLoop):
    """asyncio's own, which waits at its end for what it still watches."""

    def __init__(self) -> None:
        self._watched = selectors.DefaultSelector()
        super().__init__(self._watched)
        # Its own, by which other threads wake it.
        self._least = len(self._watched.get_map())

    def close(self) -> None:
        """Close, once no connection is left, or after some seconds."""
        if not self.is_closed() and not self._is_done():
            with suppress(TimeoutError):
                self.run_until_complete(
                    eventually(self._is_done, within=_GOODBYE, what="connections to be closed")
                )
        super().close()

    def _is_done(self) -> bool:
        return len(self._watched.get_map()) <= self._least


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``, on a ``PatientLoop``."""
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        return runner.run(main)

"""A batch on its way to the disk: one at a time, tried again until it is written.

Knows when a write has failed and when one takes too long. Must never know what a batch
holds, or when there is to be another one: that is the log's pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.audit.batch import Batch
from proxy.audit.writer import ChainFile, WriterThread

_RETRY_FIRST, _RETRY_MOST = 0.1, 5.0
_STOP_SECONDS = 1.0


class Delivery:
    """Hands batches to the writer's thread. Every method belongs to the loop.

    ``written`` is called once for each batch; ``failed``, with one sentence, for each try
    that failed and each that takes longer than ``stall_seconds``.
    """

    def __init__(
        self,
        file: ChainFile,
        loop: asyncio.AbstractEventLoop,
        stall_seconds: float,
        *,
        written: Callable[[Batch], None],
        failed: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._stall_seconds = stall_seconds
        self._tell_written = written
        self._tell_failed = failed
        self._writer = WriterThread(file, loop, self._completed)
        self._stall_timer: asyncio.TimerHandle | None = None
        self._retry_timer: asyncio.TimerHandle | None = None
        self._retry_delay = _RETRY_FIRST
        self._is_ended = False
        self.batch: Batch | None = None
        """The batch under way."""

    def start(self, batch: Batch) -> None:
        """Write a batch; none may be under way."""
        self.batch = batch
        self._try(batch)

    async def end(self) -> None:
        """Try no more, tell nothing more, and let the thread go."""
        self._is_ended = True
        for timer in (self._retry_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._retry_timer = self._stall_timer = None
        await asyncio.to_thread(self._writer.stop, _STOP_SECONDS)

    def _try(self, batch: Batch) -> None:
        self._retry_timer = None
        self._stall_timer = self._loop.call_later(self._stall_seconds, self._stalled)
        self._writer.submit(batch)

    def _stalled(self) -> None:
        self._stall_timer = None
        self._tell_failed("the audit disk does not answer")

    def _completed(self, batch: Batch, error: OSError | ValueError | None) -> None:
        if self._is_ended:
            return
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if error is not None:
            reason = error.strerror if isinstance(error, OSError) else None
            self._tell_failed(f"the audit log cannot be written: {reason or type(error).__name__}")
            self._retry_timer = self._loop.call_later(self._retry_delay, self._try, batch)
            self._retry_delay = min(self._retry_delay * 2, _RETRY_MOST)
            return
        self.batch = None
        self._retry_delay = _RETRY_FIRST
        self._tell_written(batch)

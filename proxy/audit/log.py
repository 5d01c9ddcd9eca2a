"""The audit log: its queue, its pace, and when it says that it cannot.

Knows when to encode, write, sync and sign; what a failed or slow disk means for those
who call. Must never know sockets or the store. One event loop owns it; the disk is the
writer thread's.

The pace: ``record`` and ``end`` only queue. Under load ``step_records`` are encoded at a time,
between what the sessions do; what is left, at most ``slice_records`` at a time, ``slice_delay``
after the queue stops being empty, and again until it is empty. Nothing ticks while nothing happens
but one timer for the next checkpoint. A batch goes to the writer when it is free, so under load
batches grow by themselves, and all who wait for durability share one sync.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.audit.assembly import Assembly, Queued, QueuedEvent, queued_at
from proxy.audit.batch import Batch
from proxy.audit.context import SessionContext
from proxy.audit.delivery import Delivery
from proxy.audit.encode import checked_text, event_text
from proxy.audit.files import FolderLock
from proxy.audit.findings import outage
from proxy.audit.journal import Journal, JournalFullError
from proxy.audit.ocsf import Event
from proxy.audit.opening import begin
from proxy.audit.pressure import RECORD_COST, Pressure
from proxy.audit.recorder import SessionRecorder, unavailable
from proxy.audit.settings import SYSTEM_CLOCK, AuditSettings, Clock
from proxy.audit.writer import ChainFile, Disk
from proxy.patience import Patience

_SESSION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_UNWRITTEN = 4 * 1024 * 1024
"""Encoded bytes waiting for the writer before encoding pauses: what is not encoded yet
can still be dropped at the bound, what is chained cannot."""
_CLOSE_SECONDS = 10.0
_CLOSE_FAILED_SECONDS = 0.5
_NEXT_SLICE = 0.001
"""Seconds between two slices under load: the sessions get the loop in between."""
_SHORTEST_WAIT = 0.05
"""Seconds until housekeeping looks again while what is due has to wait for a batch."""


Between = Callable[[Callable[[], bool]], None]
"""Calls it between what the sessions do, again and again until it returns False."""


class AuditLog(Pressure):
    """One folder's audit log. Made by ``open``; all methods belong to its event loop.

    Counters for metrics are plain attributes and may be read at any time.
    """

    def __init__(
        self,
        settings: AuditSettings,
        clock: Clock,
        assembly: Assembly,
        journal: Journal,
        lock: FolderLock,
        file: ChainFile,
        fingerprint_key: bytes,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(
            settings.high_mark,
            settings.low_mark,
            settings.maximum_queued,
            wake=self._look_soon,
            soon=self._loop.call_soon,
        )
        self._settings = settings
        self._clock = clock
        self._assembly = assembly
        self._journal = journal
        self._lock = lock
        self._fingerprint_key = fingerprint_key
        self._delivery = Delivery(
            file, self._loop, settings.stall_seconds, written=self._written, failed=self._fail
        )
        self._pending: deque[Queued] = deque()
        self._patience = Patience(settings.durable_seconds)
        self._sessions = 0
        self._is_dirty = False
        self._slice_timer: asyncio.Handle | None = None
        self._house_timer: asyncio.TimerHandle | None = None
        self._failed_since = 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closing = False
        self._is_closed = False
        self.instance = assembly.chain.instance
        """A random name of this run of the proxy, as in its files' headers."""
        self.records = 0
        """Records written by this process."""
        self.bytes = 0
        """Bytes written by this process."""
        self.failures = 0
        """Writes and syncs that failed or stalled."""
        self.last_sync = clock.monotonic()
        """When the last sync finished, on the monotonic clock."""

    @classmethod
    async def open(
        cls,
        settings: AuditSettings,
        signing_key: Ed25519PrivateKey,
        clock: Clock = SYSTEM_CLOCK,
        *,
        fingerprint_key: bytes,
        disk: Disk | None = None,
        between: Between | None = None,
    ) -> AuditLog:
        """Lock the folder, recover what a dead process left, and begin a file.

        ``fingerprint_key`` is the vault's, for statements that may hold a secret. Without
        ``between`` nothing is encoded but in slices.
        Raises AuditFolderError with one sentence for the operator.
        """
        begun = await asyncio.to_thread(begin, settings, signing_key, clock, disk or Disk())
        batch = begun.first
        assembly = Assembly(settings, clock, begun.chain, batch.file, batch.size)
        log = cls(settings, clock, assembly, begun.journal, begun.lock, begun.file, fingerprint_key)
        log.records, log.bytes = batch.records, batch.size
        log._arm_housekeeping()
        if between is not None:
            between(log._step)
        return log

    async def close(self) -> None:
        """Write everything, sign it, sync it. Gives up after 10 s, or 0.5 s on a failed disk."""
        if self._is_closing:
            return
        self._is_closing = True
        wait = _CLOSE_FAILED_SECONDS if self.is_failed else _CLOSE_SECONDS
        try:
            async with asyncio.timeout(wait):
                await self.flush()
                self._assembly.checkpoint()
                self._dispatch()
                await self.flush()
        except TimeoutError:
            self.failures += 1
        self._is_closed = self.is_failed = True
        self.failure = "the audit log is closed"
        self._drop_pending()
        for timer in (self._slice_timer, self._house_timer):
            if timer is not None:
                timer.cancel()
        self._slice_timer = self._house_timer = None
        await self._delivery.end()
        self._journal.close()
        self._lock.release()

    async def flush(self) -> None:
        """Wait until everything queued so far is written (not synced)."""
        while self._pending or not self._idle.is_set():
            if self._pending and self._slice_timer is None:
                self._wake_now()
            await self._idle.wait()

    def recorder(self, context: SessionContext) -> SessionRecorder:
        """The StatementSink of one session. Raises Refusal where nothing can be recorded.

        The session's constants are in the journal on return; its ``close`` lets them go.
        """
        if self.is_failed:
            raise unavailable(self.failure)
        if _SESSION_ID.fullmatch(context.session_id) is None:
            raise ValueError("a session id is 1 to 64 letters, digits and _.:-")
        self._sessions += 1
        session = self._sessions
        recorder = SessionRecorder(
            context,
            session,
            self._journal,
            self,
            self._pending.append,
            self._record_closing,
            self._fingerprint_key,
        )
        try:
            self._journal.begin_session(recorder, session, context.started, context.to_bytes())
        except JournalFullError:
            raise unavailable("the audit journal is full of open sessions") from None
        return recorder

    def record(self, event: Event) -> None:
        """Queue an event, in order with everything else. Never blocks.

        Raises TypeError or ValueError for an event that is not plain JSON.
        """
        self._queue(event)

    async def record_durably(self, event: Event) -> None:
        """Return once the event, and all queued before it, survive a power failure.

        Raises Refusal (AUDIT_UNAVAILABLE) after ``durable_seconds`` at most. The record
        may still be written later: what it announces was then refused.
        """
        if self.is_failed:
            raise unavailable(self.failure)
        waiter: asyncio.Future[None] = self._loop.create_future()
        if not self._queue(event, waiter=waiter):
            raise unavailable("the audit queue is full")
        self._wake_now()
        try:
            with self._patience.limit():
                await waiter
        except TimeoutError:
            raise unavailable("an audit record was not durable in time") from None

    def _record_closing(self, recorder: SessionRecorder, event: Event) -> None:
        """A session's last event: once it is written the journal lets the session go."""
        if not self._queue(event, recorder=recorder) and not self._is_closed:
            self._journal.settle(recorder)

    @property
    def queue_depth(self) -> int:
        """Records queued and not yet written."""
        batch = self._delivery.batch
        return len(self._pending) + self._assembly.records + (batch.records if batch else 0)

    @property
    def lag(self) -> float:
        """Seconds since the oldest record that is not written yet was queued; 0 if none."""
        oldest = 0.0
        batch = self._delivery.batch
        if batch is not None and batch.records:
            oldest = batch.oldest
        elif self._assembly.records:
            oldest = self._assembly.oldest
        elif self._pending:
            oldest = queued_at(self._pending[0])
        return max(0.0, self._clock.monotonic() - oldest) if oldest else 0.0

    @property
    def newest(self) -> tuple[int, str]:
        """The newest record's (sequence, hash): what a witness elsewhere may keep."""
        return self._assembly.chain.sequence, self._assembly.chain.prev

    def _look_soon(self) -> None:
        if self._is_closed:
            self._drop_pending()
            return
        self.is_awake = True
        self._idle.clear()
        self._slice_timer = self._loop.call_later(self._settings.slice_delay, self._slice)

    def housekeep(self) -> None:
        """Sync what has waited ``sync_seconds``, sign what has waited ``checkpoint_seconds``.

        Called by a timer; a test with a clock of its own calls it.
        """
        if self._is_closing:
            return
        if self._house_timer is not None:
            self._house_timer.cancel()
            self._house_timer = None
        now = self._clock.monotonic()
        if not self.is_failed and self._delivery.batch is None:
            if now - self._assembly.last_checkpoint >= self._settings.checkpoint_seconds:
                self._assembly.checkpoint()
            elif self._is_dirty and now - self.last_sync >= self._settings.sync_seconds:
                self._assembly.ask_for_sync()
            self._dispatch()
        self._arm_housekeeping()

    def _queue(
        self,
        event: Event,
        *,
        waiter: asyncio.Future[None] | None = None,
        recorder: SessionRecorder | None = None,
    ) -> bool:
        now = self._clock
        text = checked_text(event, now.time())
        if self._is_closed:
            self.lost += 1
            return False
        if self.queued_bytes() > self.maximum_queued:
            self.count_lost()
            return False
        self.pending_bytes += RECORD_COST
        self._pending.append(QueuedEvent(text, now.monotonic(), waiter, recorder))
        if not self.is_awake:
            self.wake()
        return True

    def _drop_pending(self) -> None:
        """The log is closed: what could not be written is counted; the journal keeps it."""
        self.lost += len(self._pending)
        self._pending.clear()
        self.pending_bytes = 0
        self.is_awake = False

    def _wake_now(self) -> None:
        if self._slice_timer is not None:
            self._slice_timer.cancel()
        self.is_awake = True
        self._idle.clear()
        self._slice_timer = self._loop.call_soon(self._slice)

    def _step(self) -> bool:
        """Encode a little, where enough has gathered; whether to be called again."""
        most = self._settings.step_records
        if len(self._pending) >= most and self._assembly.unwritten <= _UNWRITTEN:
            self._encode(most)
            if self._assembly.is_urgent():
                self._dispatch()
        return not self._is_closed

    def _encode(self, most: int) -> None:
        self.pending_bytes -= self._assembly.encode(self._pending, most)
        self.unwritten_bytes = self._assembly.unwritten

    def _slice(self) -> None:
        """Encode some of the queue and hand it over."""
        self._slice_timer = None
        has_room = self._assembly.unwritten <= _UNWRITTEN
        if has_room:
            self._encode(self._settings.slice_records)
            # One write for several slices: the hand-over to the thread costs more than it.
            if not self._pending or self._assembly.is_urgent():
                self._dispatch()
        if self._pending and has_room:
            self._slice_timer = self._loop.call_later(_NEXT_SLICE, self._slice)
        # Without room the batch under way wakes the queue when it is done.
        self.is_awake = bool(self._pending)
        self._rest_if_idle()

    def _dispatch(self) -> None:
        """Send the oldest batch off, if none is under way and there is something to do."""
        self.unwritten_bytes = self._assembly.unwritten
        if self._delivery.batch is not None or not self._assembly.has_work():
            return
        batch = self._assembly.take()
        if self._clock.monotonic() - self.last_sync >= self._settings.sync_seconds:
            batch.sync = True
        self._idle.clear()
        self._delivery.start(batch)

    def _written(self, batch: Batch) -> None:
        """The writer is done with a batch. Called in the loop."""
        self._assembly.unwritten -= batch.size
        self.unwritten_bytes = self._assembly.unwritten
        self.records += batch.records
        self.bytes += batch.size
        self._journal.settle_all(batch.placed)
        if batch.sync:
            self.last_sync = self._clock.monotonic()
            for waiter in batch.waiters:
                if not waiter.done():
                    waiter.set_result(None)
        was_dirty, self._is_dirty = self._is_dirty, not batch.sync
        if self.is_failed:
            self._recovered()
        self.tell_drained()
        self._dispatch()
        if self._pending and self._slice_timer is None:
            self._wake_now()
        self._rest_if_idle()
        if self._is_dirty and not was_dirty:
            self._arm_housekeeping()

    def _fail(self, why: str) -> None:
        self.failures += 1
        if not self.is_failed:
            self._failed_since = self._clock.monotonic()
        self.is_failed = True
        self.failure = why
        if self._delivery.batch is not None:
            _refuse(self._delivery.batch.waiters, why)
        for batch in self._assembly.batches:
            _refuse(batch.waiters, why)
        _refuse((i.waiter for i in self._pending if isinstance(i, QueuedEvent) and i.waiter), why)

    def _recovered(self) -> None:
        """The disk is back: record what that cost."""
        now = self._clock
        seconds = now.monotonic() - self._failed_since
        event = outage(seconds, self.lost_in_outage, self.failure)
        self.is_failed = False
        self.failure = ""
        self.lost_in_outage = 0
        # Past the bound or not: this record is the count of what the bound cost.
        self.pending_bytes += RECORD_COST
        self._pending.append(QueuedEvent(event_text(event, now.time()), now.monotonic()))

    def _rest_if_idle(self) -> None:
        if not (self._pending or self._delivery.batch is not None or self._assembly.has_work()):
            self._idle.set()

    def _arm_housekeeping(self) -> None:
        if self._is_closing:
            return
        due = self._assembly.last_checkpoint + self._settings.checkpoint_seconds
        if self._is_dirty:
            due = min(due, self.last_sync + self._settings.sync_seconds)
        delay = max(_SHORTEST_WAIT, due - self._clock.monotonic())
        if self._house_timer is not None:
            if self._house_timer.when() <= self._loop.time() + delay:
                # It looks sooner, and then asks again.
                return
            self._house_timer.cancel()
        self._house_timer = self._loop.call_later(delay, self.housekeep)


def _refuse(waiters: Iterable[asyncio.Future[None]], why: str) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(unavailable(why))

"""The audit log: the queue, the chain's growing end, the journal, and the writer's pace.

Knows when to encode, write, sync, sign and rotate, and when to say that it cannot.
Must never know sockets or the store. One event loop owns it; the disk is the writer
thread's.

The pace: ``record``, ``end`` only queue. A slice of at most ``slice_records`` is encoded
``slice_delay`` after the queue stops being empty, and again until it is empty; nothing
ticks while nothing happens but one timer for the next checkpoint. A slice's lines go to
the writer as one batch when it is free; so under load batches grow by themselves.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.statements import Statement
from proxy.audit import journal as journal_module
from proxy.audit.chain import MAXIMUM_UNSIGNED, Chain
from proxy.audit.context import SessionContext
from proxy.audit.encode import check_event, encode_statement
from proxy.audit.events import finding
from proxy.audit.files import AuditFolderError, FolderLock, day_of, next_name, resume
from proxy.audit.journal import Journal, JournalFullError, read_journal
from proxy.audit.ocsf import Event, Severity
from proxy.audit.recorder import SessionRecorder, unavailable
from proxy.audit.recovery import recover
from proxy.audit.writer import Batch, ChainFile, Disk, WriterThread


class Clock(Protocol):
    """The two clocks, in seconds. The module ``time`` is one."""

    def time(self) -> float:
        """Wall clock."""
        ...

    def monotonic(self) -> float:
        """For distances and deadlines; the same as the scanners' ``now``."""
        ...


SYSTEM_CLOCK: Clock = time


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Where, and how much. Sizes in bytes, times in seconds."""

    folder: Path
    rotate_bytes: int = 256 * 1024 * 1024
    checkpoint_seconds: float = 60.0
    """SECURITY promises a signed checkpoint at least every 60 s."""
    durable_seconds: float = 2.0
    """How long ``record_durably`` waits before it refuses."""
    stall_seconds: float = 5.0
    """A write that takes longer counts as a failed disk until it comes back."""
    sync_seconds: float = 1.0
    slice_records: int = 128
    slice_delay: float = 0.005
    high_mark: int = 16 * 1024 * 1024
    low_mark: int = 4 * 1024 * 1024
    maximum_queued: int = 64 * 1024 * 1024
    with_parameters: bool = False
    journal_segment: int = journal_module.SEGMENT
    journal_segments: int = journal_module.SEGMENTS


_SESSION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_RECORD_COST = 1024
"""Bytes counted for a queued record beside its text: about its line's constant part."""
_UNWRITTEN = 4 * 1024 * 1024
"""Encoded bytes waiting for the writer before encoding pauses: what is not encoded yet
can still be dropped at the bound, what is chained cannot."""
_BATCH = 1024 * 1024
_CHECKPOINT_RECORDS = MAXIMUM_UNSIGNED - 1024
_RETRY_FIRST, _RETRY_MOST = 0.1, 5.0
_CLOSE_SECONDS = 10.0


@dataclass(slots=True)
class _Queued:
    event: Event
    time: float
    monotonic: float
    waiter: asyncio.Future[None] | None = None
    recorder: SessionRecorder | None = None


class AuditLog:
    """One folder's audit log. Made by ``open``; all methods belong to its event loop.

    Counters for metrics are plain attributes and may be read at any time.
    """

    def __init__(
        self, settings: AuditSettings, clock: Clock, chain: Chain, journal: Journal
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._chain = chain
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._fingerprint_key = b""
        self._pending: deque[_Queued | tuple[SessionRecorder, Statement]] = deque()
        self._sessions = 0
        self._batches: deque[Batch] = deque()
        self._in_flight: Batch | None = None
        self._file_bytes = 0
        self._unwritten = 0
        self._is_dirty = False
        self._last_checkpoint = clock.monotonic()
        self._slice_timer: asyncio.TimerHandle | None = None
        self._retry_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._house_timer: asyncio.TimerHandle | None = None
        self._retry_delay = _RETRY_FIRST
        self._failed_since = 0.0
        self._lost_in_outage = 0
        self._drained: list[Callable[[], None]] = []
        self._idle: asyncio.Event = asyncio.Event()
        self._is_closing = False
        self._writer: WriterThread
        self._lock: FolderLock
        self.instance = chain.instance
        self.is_awake = False
        self.is_failed = False
        self.failure = ""
        self.queued_text = 0
        self.records = 0
        """Records written."""
        self.bytes = 0
        """Bytes written."""
        self.lost = 0
        """Records dropped at the queue's bound during an outage."""
        self.failures = 0
        """Writes and syncs that failed or stalled."""
        self.last_sync = clock.monotonic()
        """When the last sync finished, on the monotonic clock."""

    # ---- opening and closing -------------------------------------------------------

    @classmethod
    async def open(
        cls,
        settings: AuditSettings,
        signing_key: Ed25519PrivateKey,
        clock: Clock = SYSTEM_CLOCK,
        *,
        fingerprint_key: bytes = b"",
        disk: Disk | None = None,
    ) -> AuditLog:
        """Lock the folder, recover what a dead process left, and begin a file.

        ``fingerprint_key`` is the vault's, for statements that may hold a secret.
        Raises AuditFolderError with one sentence for the operator.
        """
        try:
            opened = await asyncio.to_thread(_prepare, settings, signing_key, clock)
        except OSError as error:
            raise AuditFolderError(
                f"the audit folder {settings.folder} cannot be used: {error.strerror}"
            ) from error
        lock, chain, batch, file = opened
        chain_file = ChainFile(settings.folder, disk or Disk())
        try:
            await asyncio.to_thread(chain_file.write, batch)
            journal = await asyncio.to_thread(_new_journal, settings)
        except OSError as error:
            chain_file.close()
            lock.release()
            raise AuditFolderError(
                f"the audit folder {settings.folder} cannot be written: {error.strerror}"
            ) from error
        log = cls(settings, clock, chain, journal)
        log._fingerprint_key = fingerprint_key
        log._lock = lock
        log._file_bytes = batch.size
        log.records, log.bytes = batch.records, batch.size
        log._batches.append(Batch(file))
        log._writer = WriterThread(chain_file, log._loop, log._completed)
        log._idle.set()
        log._arm_housekeeping()
        return log

    async def close(self) -> None:
        """Write everything, sign it, sync it. Gives up after 10 s on a failed disk."""
        if self._is_closing:
            return
        self._is_closing = True
        try:
            async with asyncio.timeout(_CLOSE_SECONDS if not self.is_failed else 0.5):
                await self.flush()
                self._checkpoint()
                await self.flush()
        except TimeoutError:
            self.failures += 1
        for timer in (self._slice_timer, self._retry_timer, self._stall_timer, self._house_timer):
            if timer is not None:
                timer.cancel()
        self._slice_timer = self._retry_timer = self._stall_timer = self._house_timer = None
        self.is_failed = True
        self.failure = "the audit log is closed"
        await asyncio.to_thread(self._writer.stop, 1.0)
        self._journal.close()
        self._lock.release()

    async def flush(self) -> None:
        """Wait until everything queued so far is written (not synced)."""
        while self._pending or not self._idle.is_set():
            if self._pending:
                self._wake_now()
            await self._idle.wait()

    # ---- what others call ----------------------------------------------------------

    def recorder(self, context: SessionContext) -> SessionRecorder:
        """The StatementSink of one session. Raises Refusal where nothing can be recorded."""
        if self.is_failed:
            raise unavailable(self.failure)
        if _SESSION_ID.fullmatch(context.session_id) is None:
            raise ValueError("a session id is 1 to 64 letters, digits and _.:-")
        self._sessions += 1
        recorder = SessionRecorder(
            context,
            self._sessions,
            self._journal,
            self,
            self._pending.append,
            self._fingerprint_key,
        )
        try:
            self._journal.begin_session(
                recorder, self._sessions, context.started, context.to_bytes()
            )
        except JournalFullError:
            raise unavailable("the audit journal is full of open sessions") from None
        return recorder

    def record(self, event: Event) -> None:
        """Queue an event, in order with everything else. Never blocks.

        Raises TypeError or ValueError for an event that is not plain JSON.
        """
        check_event(event)
        self._queue(_Queued(event, self._clock.time(), self._clock.monotonic()))

    async def record_durably(self, event: Event) -> None:
        """Return once the event, and all queued before it, survive a power failure.

        Raises Refusal (AUDIT_UNAVAILABLE) after ``durable_seconds`` at most. The record
        may still be written later: what it announces was then refused.
        """
        check_event(event)
        if self.is_failed:
            raise unavailable(self.failure)
        waiter = self._loop.create_future()
        if not self._queue(_Queued(event, self._clock.time(), self._clock.monotonic(), waiter)):
            raise unavailable("the audit queue is full")
        self._wake_now()
        try:
            async with asyncio.timeout(self._settings.durable_seconds):
                await waiter
        except TimeoutError:
            raise unavailable("an audit record was not durable in time") from None

    def record_closing(self, recorder: SessionRecorder, event: Event) -> None:
        """A session's last event: once it is written the journal lets the session go."""
        check_event(event)
        now = self._clock.monotonic()
        if not self._queue(_Queued(event, self._clock.time(), now, recorder=recorder)):
            self._journal.settle(recorder)

    @property
    def queued_bytes(self) -> int:
        """An estimate of what is queued and not yet written."""
        return self.queued_text + len(self._pending) * _RECORD_COST + self._unwritten

    @property
    def queue_depth(self) -> int:
        """Records queued and not yet written."""
        waiting = sum(batch.records for batch in self._batches)
        return len(self._pending) + waiting + (self._in_flight.records if self._in_flight else 0)

    @property
    def is_congested(self) -> bool:
        """Whether clients should be read no further until ``on_drained`` calls."""
        return self.queued_bytes > self._settings.high_mark

    @property
    def lag(self) -> float:
        """Seconds since the oldest record that is not written yet was queued; 0 if none."""
        oldest = 0.0
        if self._in_flight is not None and self._in_flight.records:
            oldest = self._in_flight.oldest
        elif self._batches and self._batches[0].records:
            oldest = self._batches[0].oldest
        elif self._pending:
            oldest = _queued_at(self._pending[0])
        return max(0.0, self._clock.monotonic() - oldest) if oldest else 0.0

    @property
    def newest(self) -> tuple[int, str]:
        """The newest record's (sequence, hash): what a witness elsewhere may keep."""
        return self._chain.sequence, self._chain.prev

    def on_drained(self, callback: Callable[[], None]) -> None:
        """Call once when the queue is below its low mark; soon, if it is already."""
        if self.queued_bytes < self._settings.low_mark:
            self._loop.call_soon(callback)
        else:
            self._drained.append(callback)

    def overflow(self) -> bool:
        """Whether the queue is past its bound; then what was to be queued is counted lost."""
        if self.queued_bytes <= self._settings.maximum_queued:
            return False
        self.lost += 1
        self._lost_in_outage += 1
        return True

    def wake(self) -> None:
        """Have the queue looked at soon."""
        self.is_awake = True
        self._idle.clear()
        self._slice_timer = self._loop.call_later(self._settings.slice_delay, self._slice)

    def housekeep(self) -> None:
        """Sync what has waited ``sync_seconds``, sign what has waited ``checkpoint_seconds``."""
        if self._is_closing:
            return
        now = self._clock.monotonic()
        if not self.is_failed and self._in_flight is None:
            if now - self._last_checkpoint >= self._settings.checkpoint_seconds:
                self._checkpoint()
            elif self._is_dirty and now - self.last_sync >= self._settings.sync_seconds:
                self._batches[-1].sync = True
            self._dispatch()
        self._arm_housekeeping()

    # ---- encoding ------------------------------------------------------------------

    def _queue(self, queued: _Queued) -> bool:
        if self.overflow():
            return False
        self._pending.append(queued)
        if not self.is_awake:
            self.wake()
        return True

    def _wake_now(self) -> None:
        if self._slice_timer is not None:
            self._slice_timer.cancel()
        self.is_awake = True
        self._idle.clear()
        self._slice_timer = self._loop.call_later(0, self._slice)

    def _slice(self) -> None:
        """Encode some of the queue and hand it over."""
        self._slice_timer = None
        if self._unwritten <= _UNWRITTEN:
            self._encode(self._settings.slice_records)
            self._dispatch()
        if not self._pending or self._unwritten > _UNWRITTEN:
            # A completed batch wakes what is left.
            self.is_awake = self._in_flight is not None and bool(self._pending)
        else:
            self.is_awake = True
            self._slice_timer = self._loop.call_later(0.001, self._slice)
        self._settle_idle()

    def _encode(self, most: int) -> None:
        pending, chain, clock = self._pending, self._chain, self._clock
        with_parameters = self._settings.with_parameters
        batch = self._open_batch()
        while pending and most:
            most -= 1
            item = pending.popleft()
            if not batch.records:
                batch.oldest = _queued_at(item)
            if isinstance(item, tuple):
                recorder, statement = item
                self.queued_text -= len(statement.text)
                line = chain.seal(
                    encode_statement(
                        recorder.fragments,
                        statement,
                        chain.sequence + 1,
                        chain.prev,
                        recorder.wall_base,
                        with_parameters,
                    )
                )
                batch.placed.append(statement)
            else:
                line = chain.event(item.event, item.time)
                if item.waiter is not None:
                    batch.waiters.append(item.waiter)
                    batch.sync = True
                if item.recorder is not None:
                    batch.placed.append(item.recorder)
            self._add(batch, line)
            if chain.sequence - chain.signed >= _CHECKPOINT_RECORDS:
                self._add(batch, chain.checkpoint(clock.time()))
            if batch.size >= _BATCH or self._file_bytes >= self._settings.rotate_bytes:
                batch = self._open_batch(is_full=True)

    def _add(self, batch: Batch, line: bytes) -> None:
        batch.lines.append(line)
        batch.size += len(line)
        batch.records += 1
        self._file_bytes += len(line)
        self._unwritten += len(line)

    def _open_batch(self, *, is_full: bool = False) -> Batch:
        """The batch to add to, after a rotation if one is due."""
        batch = self._batches[-1]
        now = self._clock.time()
        name = next_name(batch.file, now)
        is_due = self._file_bytes >= self._settings.rotate_bytes
        if is_due or day_of(name) > day_of(batch.file):
            line = self._chain.checkpoint(now)
            self._add(batch, line)
            batch.sync = True
            batch.head = line
            self._last_checkpoint = self._clock.monotonic()
            previous, batch = batch.file, Batch(name)
            self._batches.append(batch)
            self._file_bytes = 0
            self._add(batch, self._chain.header(name, previous, now))
            batch.oldest = self._clock.monotonic()
        elif is_full:
            batch = Batch(batch.file)
            self._batches.append(batch)
        return batch

    def _checkpoint(self) -> None:
        batch = self._open_batch()
        line = self._chain.checkpoint(self._clock.time())
        if not batch.records:
            batch.oldest = self._clock.monotonic()
        self._add(batch, line)
        batch.sync = True
        batch.head = line
        self._last_checkpoint = self._clock.monotonic()
        self._idle.clear()
        self._dispatch()

    # ---- writing -------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Give the oldest batch to the writer, if it is free and there is something to do."""
        if self._in_flight is not None or self._retry_timer is not None:
            return
        batch = self._batches[0]
        if not batch.records and not batch.sync:
            return
        self._batches.popleft()
        if not self._batches:
            self._batches.append(Batch(batch.file))
        now = self._clock.monotonic()
        if now - self.last_sync >= self._settings.sync_seconds:
            batch.sync = True
        self._submit(batch)

    def _submit(self, batch: Batch) -> None:
        self._retry_timer = None
        self._in_flight = batch
        self._idle.clear()
        self._stall_timer = self._loop.call_later(self._settings.stall_seconds, self._stalled)
        self._writer.submit(batch)

    def _stalled(self) -> None:
        self._stall_timer = None
        self._fail("the audit disk does not answer")

    def _fail(self, why: str) -> None:
        self.failures += 1
        if not self.is_failed:
            self._failed_since = self._clock.monotonic()
        self.is_failed = True
        self.failure = why
        waiting = [self._in_flight] if self._in_flight else []
        for batch in (*waiting, *self._batches):
            _refuse(batch.waiters, why)
        for item in self._pending:
            if isinstance(item, _Queued) and item.waiter is not None:
                _refuse([item.waiter], why)

    def _completed(self, batch: Batch, error: OSError | ValueError | None) -> None:
        """The writer is done with a batch. Called in the loop."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self._is_closing and self.failure == "the audit log is closed":
            return
        if error is not None:
            strerror = error.strerror if isinstance(error, OSError) else None
            self._fail(f"the audit log cannot be written: {strerror or type(error).__name__}")
            self._retry_timer = self._loop.call_later(self._retry_delay, self._submit, batch)
            self._retry_delay = min(self._retry_delay * 2, _RETRY_MOST)
            return
        self._in_flight = None
        self._retry_delay = _RETRY_FIRST
        self._unwritten -= batch.size
        self.records += batch.records
        self.bytes += batch.size
        settle = self._journal.settle
        for owner in batch.placed:
            settle(owner)
        if batch.sync:
            self.last_sync = self._clock.monotonic()
            for waiter in batch.waiters:
                if not waiter.done():
                    waiter.set_result(None)
        self._is_dirty = not batch.sync
        if self.is_failed:
            self._recovered()
        if self._drained and self.queued_bytes < self._settings.low_mark:
            callbacks, self._drained = self._drained, []
            for callback in callbacks:
                self._loop.call_soon(callback)
        self._dispatch()
        if self._pending and self._slice_timer is None:
            self._wake_now()
        self._settle_idle()
        if self._is_dirty:
            self._arm_housekeeping()

    def _recovered(self) -> None:
        seconds = self._clock.monotonic() - self._failed_since
        event = finding(
            "Audit log outage",
            "The audit log could not be written for a time; no statement was let through then.",
            severity=Severity.CRITICAL if self._lost_in_outage else Severity.HIGH,
            details={
                "outage_seconds": round(seconds, 3),
                "lost_records": self._lost_in_outage,
                "failure": self.failure,
            },
        )
        self.is_failed = False
        self.failure = ""
        self._lost_in_outage = 0
        now = self._clock
        self._pending.append(_Queued(event, now.time(), now.monotonic()))

    def _settle_idle(self) -> None:
        if self._pending or self._in_flight or self._retry_timer is not None:
            return
        if not any(batch.records or batch.sync for batch in self._batches):
            self.is_awake = False
            self._idle.set()

    def _arm_housekeeping(self) -> None:
        if self._house_timer is not None:
            self._house_timer.cancel()
        now = self._clock.monotonic()
        due = self._last_checkpoint + self._settings.checkpoint_seconds
        if self._is_dirty:
            due = min(due, self.last_sync + self._settings.sync_seconds)
        # While a batch is under way its completion arms this again; 50 ms keeps a
        # checkpoint that is due from spinning.
        delay = max(0.05, due - now)
        self._house_timer = self._loop.call_later(delay, self.housekeep)


def _queued_at(item: _Queued | tuple[SessionRecorder, Statement]) -> float:
    return item[1].ended if isinstance(item, tuple) else item.monotonic


def _refuse(waiters: list[asyncio.Future[None]], why: str) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(unavailable(why))


def _new_journal(settings: AuditSettings) -> Journal:
    return Journal.create(
        settings.folder,
        segment_size=settings.journal_segment,
        segments=settings.journal_segments,
    )


def _prepare(
    settings: AuditSettings, signing_key: Ed25519PrivateKey, clock: Clock
) -> tuple[FolderLock, Chain, Batch, str]:
    """Everything before the first write: the lock, the chain's end, the first batch."""
    folder = settings.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FolderLock(folder)
    try:
        end = resume(folder)
        left = read_journal(folder)
        chain = Chain(signing_key, uuid.uuid4().hex, end.sequence, end.hash)
        now = clock.time()
        file = next_name(end.file, now)
        batch = Batch(file)
        lines = [chain.header(file, end.file, now)]
        for torn in end.torn:
            event = finding(
                "Torn end of the audit log",
                "The last process died while it wrote; the incomplete end was kept aside.",
                details={"kept_as": torn.kept_as, "size": torn.size, "sha256": torn.sha256},
            )
            lines.append(chain.event(event, now))
        lines += recover(folder, left, chain, now)
        batch.head = chain.checkpoint(now)
        lines.append(batch.head)
        batch.lines = lines
        batch.size = sum(map(len, lines))
        batch.records = len(lines)
        batch.sync = True
    except BaseException:
        lock.release()
        raise
    return lock, chain, batch, file

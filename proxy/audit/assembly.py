"""Turns the queue into batches of chained lines: encoding, signing, rotation.

Knows the chain and what is waiting for the writer. Must never know why or when it is
called: that is the log's pace.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from protocols.statements import Statement
from proxy.audit.batch import Batch
from proxy.audit.chain import MAXIMUM_UNSIGNED, Chain
from proxy.audit.encode import encode_session, encode_statement
from proxy.audit.files import day_of, next_name
from proxy.audit.pressure import RECORD_COST
from proxy.audit.recorder import SessionRecorder
from proxy.audit.settings import AuditSettings, Clock

_WRITE = 256 * 1024
"""Bytes that are handed to the writer while there is more to encode."""
_BATCH = 1024 * 1024
"""Bytes handed to the writer at once; bounds how long one write keeps a waiter waiting."""
_DAY = 86_400.0
"""Seconds: a UTC day has no others on this clock (POSIX time, IEEE 1003.1 section 4.19)."""
_CHECKPOINT_RECORDS = MAXIMUM_UNSIGNED - 1024
_COST = RECORD_COST  # compiled, it is a number of C's here


@dataclass(slots=True)
class QueuedEvent:
    """An event in the queue, as ``event_text``, and who waits for it to be durable or settled."""

    text: str
    monotonic: float
    waiter: asyncio.Future[None] | None = None
    recorder: SessionRecorder | None = None


EndedStatement = tuple[SessionRecorder, Statement]
Queued = QueuedEvent | EndedStatement


def queued_at(item: Queued) -> float:
    """When an item was queued, on the monotonic clock."""
    return item[1].ended if isinstance(item, tuple) else item.monotonic


class Assembly:
    """Batches in the order of the chain. There is always one that is open, the last."""

    def __init__(
        self, settings: AuditSettings, clock: Clock, chain: Chain, file: str, file_bytes: int
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.chain = chain
        self._batches: deque[Batch] = deque([Batch(file)])
        self._rotate_bytes = settings.rotate_bytes
        self._day_begins = 0.0
        # Files of this process so far: tells whether a session's line is in this one.
        self._file = 1
        self._file_bytes = file_bytes
        self.unwritten = 0
        """Bytes encoded and not yet reported written by the log."""
        self.last_checkpoint = clock.monotonic()

    def has_work(self) -> bool:
        """Whether the writer has something to do."""
        first = self._batches[0]
        return bool(first.records) or first.sync

    def is_urgent(self) -> bool:
        """Whether the writer's next batch is large enough, or somebody waits for it."""
        first = self._batches[0]
        return first.sync or first.size >= _WRITE

    @property
    def records(self) -> int:
        """Encoded records the writer has not been given."""
        return sum(batch.records for batch in self._batches)

    @property
    def oldest(self) -> float:
        """When the oldest of them was queued; 0 if there is none."""
        return self._batches[0].oldest if self._batches[0].records else 0.0

    @property
    def batches(self) -> tuple[Batch, ...]:
        """What the writer has not been given."""
        return tuple(self._batches)

    def take(self) -> Batch:
        """The oldest batch, for the writer."""
        batch = self._batches.popleft()
        if not self._batches:
            self._batches.append(Batch(batch.file))
        return batch

    def ask_for_sync(self) -> None:
        """Have what is written so far made durable with the newest batch."""
        self._batches[-1].sync = True

    def checkpoint(self) -> None:
        """Add a signed line that becomes the folder's head."""
        self._sign(self._open_batch())

    def encode(self, pending: deque[Queued], most: int) -> int:
        """Chain at most ``most`` items of the queue; how many bytes of it are free again."""
        chain = self.chain
        freed = 0
        batch = self._open_batch()
        popleft = pending.popleft
        for _ in range(min(most, len(pending))):
            item = popleft()
            freed += _COST
            if not batch.records:
                batch.oldest = queued_at(item)
            if isinstance(item, tuple):
                recorder, statement = item
                freed += len(statement.text)
                if statement.values is not None:
                    freed += statement.values.cost
                fragments = recorder.fragments
                if fragments.file != self._file:
                    fragments.file = self._file
                    session = encode_session(fragments.context, chain.sequence + 1, chain.prev)
                    self._add(batch, chain.link(session))
                line = chain.link(
                    encode_statement(
                        fragments,
                        statement,
                        chain.sequence + 1,
                        chain.prev,
                        recorder.wall_base,
                    )
                )
                self._add(batch, line)
                batch.placed.append(statement)
            else:
                line = chain.text(item.text)
                if item.waiter is not None:
                    batch.waiters.append(item.waiter)
                    batch.sync = True
                if item.recorder is not None:
                    batch.placed.append(item.recorder)
                self._add(batch, line)
            if chain.sequence - chain.signed >= _CHECKPOINT_RECORDS:
                self._add(batch, chain.checkpoint(self._clock.time()))
            if batch.size >= _BATCH or self._file_bytes >= self._rotate_bytes:
                batch = self._open_batch(is_full=True)
        return freed

    def _add(self, batch: Batch, line: bytes) -> None:
        batch.add(line)
        self._file_bytes += len(line) + 1
        self.unwritten += len(line) + 1

    def _sign(self, batch: Batch) -> None:
        if not batch.records:
            batch.oldest = self._clock.monotonic()
        line = self.chain.checkpoint(self._clock.time())
        self._add(batch, line)
        batch.sync = True
        batch.head = line
        self.last_checkpoint = self._clock.monotonic()

    def _open_batch(self, is_full: bool = False) -> Batch:
        """The batch to add to, after a rotation if one is due."""
        batch = self._batches[-1]
        now = self._clock.time()
        day_begins = now // _DAY * _DAY
        is_another_day = day_begins != self._day_begins
        if not is_another_day and self._file_bytes < self._rotate_bytes:
            if is_full:
                batch = Batch(batch.file)
                self._batches.append(batch)
            return batch
        self._day_begins = day_begins
        name = next_name(batch.file, now)
        if self._file_bytes >= self._rotate_bytes or day_of(name) > day_of(batch.file):
            self._sign(batch)
            previous, batch = batch.file, Batch(name)
            self._batches.append(batch)
            self._file_bytes = 0
            self._file += 1
            batch.oldest = self._clock.monotonic()
            self._add(batch, self.chain.header(name, previous, now))
        elif is_full:
            batch = Batch(batch.file)
            self._batches.append(batch)
        return batch

"""The one thread that touches the chain's files.

Knows bytes, offsets and the disk. Must never know events: a batch is whole lines,
already chained. A batch is written at a known offset, so trying again after an error
overwrites what a full disk took half of.
"""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from proxy.audit.batch import Batch
from proxy.audit.files import sync_folder, write_head

_REWRITE = 1024 * 1024


class Disk:
    """The system calls the writer makes: what a test's failing disk replaces."""

    def open(self, path: Path) -> int:
        """Create a file for writing and reading, with mode 0600; it must not exist."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """Write some of the data; how much."""
        return os.pwrite(descriptor, data, offset)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """Read back what was written."""
        return os.pread(descriptor, size, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Make what was written durable."""
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a file."""
        os.close(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Make names durable."""
        sync_folder(folder)

    def write_head(self, folder: Path, line: bytes) -> None:
        """Replace the head file."""
        write_head(folder, line)


class ChainFile:
    """The file at the chain's end. Used by the writer's thread alone."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._descriptor = -1
        self._name = ""
        self._offset = 0
        self._synced = 0
        self._is_suspect = False
        self._is_folder_dirty = False

    def write(self, batch: Batch) -> None:
        """Write, sync if asked, replace the head if given. Raises OSError; may be tried again."""
        if not batch.is_written:
            if batch.file != self._name:
                self._switch(batch.file)
            self._write(batch.joined())
            batch.is_written = True
        if batch.sync:
            self._sync()
        if batch.head:
            self._disk.write_head(self._folder, batch.head)

    def close(self) -> None:
        """Close the file, whatever state it is in."""
        if self._descriptor >= 0:
            self._disk.close(self._descriptor)
            self._descriptor = -1

    def _switch(self, name: str) -> None:
        if self._descriptor >= 0:
            self._sync()
        old, self._descriptor = self._descriptor, self._disk.open(self._folder / name)
        self._name = name
        self._offset = self._synced = 0
        self._is_folder_dirty = True
        if old >= 0:
            self._disk.close(old)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        written = 0
        try:
            while written < len(view):
                count = self._disk.write(self._descriptor, view[written:], self._offset + written)
                if count == 0:
                    raise OSError("nothing could be written")
                written += count
        except OSError:
            if written:
                # Readers see whole records only; the next try writes at the same place.
                self._disk.truncate(self._descriptor, self._offset)
            raise
        self._offset += written

    def _sync(self) -> None:
        if self._is_suspect:
            # After a failed fsync Linux marks the pages clean, so a second fsync would
            # succeed without writing them ("fsyncgate", LWN 752063): dirty them again.
            self._dirty_again()
        self._is_suspect = True
        self._disk.sync(self._descriptor)
        if self._is_folder_dirty:
            self._disk.sync_folder(self._folder)
            self._is_folder_dirty = False
        self._is_suspect = False
        self._synced = self._offset

    def _dirty_again(self) -> None:
        place = self._synced
        while place < self._offset:
            data = self._disk.read(self._descriptor, min(_REWRITE, self._offset - place), place)
            if not data:
                raise OSError("records that were written can no longer be read")
            place += self._disk.write(self._descriptor, memoryview(data), place)


class WriterThread:
    """Runs batches one at a time, in order, and reports each to the loop.

    A daemon: a disk that hangs must not keep a process from ending.
    """

    def __init__(
        self,
        file: ChainFile,
        loop: AbstractEventLoop,
        on_done: Callable[[Batch, OSError | ValueError | None], None],
    ) -> None:
        self._file = file
        self._loop = loop
        self._on_done = on_done
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Write a batch; ``on_done`` is called in the loop with the error, if any."""
        self._queue.put(batch)

    def stop(self, timeout: float) -> None:
        """End the thread after what it was given; give up waiting after ``timeout`` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            error: OSError | ValueError | None = None
            try:
                self._file.write(batch)
            except (OSError, ValueError) as caught:
                error = caught
            try:
                self._loop.call_soon_threadsafe(self._on_done, batch, error)
            except RuntimeError:
                break  # the loop was closed: nobody listens any more
        self._file.close()

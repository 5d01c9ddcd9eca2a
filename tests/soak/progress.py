"""How a soak is getting on: one line that changes on a terminal, else a line now and then."""

from __future__ import annotations

import time
from typing import TextIO

from tests.soak.census import Sample
from tests.soak.client import Book

_PLAIN_PAUSE = 30.0  # seconds between two lines where nobody watches


class Progress:
    """Writes to a stream; ``is_live``: a terminal, whose line may be written over."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty()
        self._next = 0.0
        self._begin = time.monotonic()
        self._width = 0

    def say(self, words: str) -> None:
        """A line that stays."""
        self._clear()
        words = f"{time.monotonic() - self._begin:6.1f} s  {words}"
        print(words, file=self._stream, flush=True)

    def show(self, sample: Sample, book: Book, *, seconds: float) -> None:
        """Where it is. ``seconds``: of the whole load."""
        line = line_of(sample, book, seconds)
        if self._is_live:
            self._clear()
            self._stream.write(line)
            self._stream.flush()
            self._width = len(line)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _PLAIN_PAUSE
            self.say(line)

    def _clear(self) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0


def line_of(sample: Sample, book: Book, seconds: float) -> str:
    """Time, work, errors by kind, and what the proxy holds."""
    errors = ", ".join(f"{kind} {count}" for kind, count in sorted(book.errors.items())) or "none"
    return (
        f"{sample.at:4.0f} of {seconds:.0f} s: {book.sessions:,} sessions,"
        f" {sum(entry.times for entry in book.sent.values()):,} statements;"
        f" errors: {errors}; unexpected: {len(book.disturbances.unexpected)};"
        f" {sample.memory / 2**20:.0f} MiB, {sample.descriptors} descriptors"
    )

"""A CSV file that comes once, for an import that opens it more than once.

An import into a table that is there reads the header, and then all from the beginning: its
beginning is remembered, and the rest passes straight on, at the pace of the data source. A
table that is made needs types that every line has, so that its file is kept until then: in
an unnamed file on disk, which is gone when the import ends, however it ends.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.content.csvimport import Chunks

_CHUNK = 256 * 1024


def passed_once(stream: AsyncIterator[bytes]) -> Chunks:
    """Opens a stream twice: first to look at its beginning, then to read it whole.

    What the first look has taken is held in memory: the longest line that a header may be.
    """
    seen: list[bytes] = []
    openings = 0

    async def look() -> AsyncIterator[bytes]:
        async for data in stream:
            seen.append(data)
            yield data

    async def read() -> AsyncIterator[bytes]:
        while seen:
            yield seen.pop(0)
        async for data in stream:
            yield data

    def chunks() -> AsyncIterator[bytes]:
        nonlocal openings
        openings += 1
        assert openings <= 2, "a stream cannot be read again"
        return look() if openings == 1 else read()

    return chunks


@asynccontextmanager
async def kept(stream: AsyncIterator[bytes]) -> AsyncIterator[Chunks]:
    """The whole stream on disk, to be opened as often as wanted. Raises OSError."""
    with tempfile.TemporaryFile() as file:
        async for data in stream:
            await asyncio.to_thread(file.write, data)
        file.flush()

        async def chunks() -> AsyncIterator[bytes]:
            at = 0
            while data := await asyncio.to_thread(_read_at, at):
                at += len(data)
                yield data

        def _read_at(at: int) -> bytes:
            file.seek(at)
            return file.read(_CHUNK)

        yield chunks

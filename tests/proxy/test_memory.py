from __future__ import annotations

import asyncio
import platform
import subprocess
import sys

import pytest

from proxy.memory import MemoryReturn

# Small blocks, of which every fiftieth stays: free memory that the top of the heap hides. They are
# too large for Python's own allocator.
_SCATTER = """
import asyncio
from pathlib import Path
from proxy.memory import MemoryReturn, allocator_trim

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

async def main():
    blocks = [bytes(2000) for _ in range(30_000)]
    kept = blocks[::50]
    del blocks
    before = resident()
    keeper = MemoryReturn(allocator_trim(), 0.01)
    keeper.start()
    async with asyncio.timeout(40):
        while resident() > before - 30_000_000:
            await asyncio.sleep(0.01)
    await keeper.stop()
    print(len(kept), "kept")

asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_memory_that_is_free_between_blocks_in_use_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", _SCATTER], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "600 kept\n"), done.stderr


async def test_nothing_is_done_where_the_allocator_cannot():
    keeper = MemoryReturn(None)
    before = asyncio.all_tasks()
    keeper.start()
    assert asyncio.all_tasks() == before
    await keeper.stop()

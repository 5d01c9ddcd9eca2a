"""A process that records statements until it is killed: `python -m tests.audit.dying_proxy`.

Prints a line for each thing its parent waits for. ``rotating`` uses small files,
``small_files`` runs under a limit on the size of files, as a full disk does.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from pathlib import Path

from protocols.errors import Refusal
from proxy.audit import AuditLog
from proxy.audit.settings import SYSTEM_CLOCK
from tests.audit.rig import FINGERPRINT_KEY, KEY, context, finish, settings, statement
from tests.servers.waiting import eventually


def say(word: str) -> None:
    print(word, flush=True)


async def keep_up(log: AuditLog) -> None:
    """Not faster than the log writes, however fast the machine: the small journal has an end."""
    await eventually(
        lambda: log.is_failed or log.queue_depth < 1000, what="the audit log to keep up"
    )


async def record_for_ever(folder: Path) -> None:
    """Two statements that never end, and many that do."""
    log = await AuditLog.open(
        settings(folder, rotate_bytes=300_000), KEY, SYSTEM_CLOCK, fingerprint_key=FINGERPRINT_KEY
    )
    recorder, quiet = log.recorder(context()), log.recorder(context("quiet"))
    endless = statement(b"UPDATE accounts SET balance = 0")
    recorder.begin(endless)
    quiet.begin(statement(b"LOCK TABLE t"))
    number = 0
    while True:
        for _ in range(20):
            number += 1
            running = statement(b"SELECT %d" % number)
            recorder.begin(running)
            say(f"allowed {number}")
            recorder.end(finish(running))
        await asyncio.sleep(0)
        await keep_up(log)


async def fill_the_disk(folder: Path) -> None:
    """Until the file may grow no more, then a little room, then an orderly end."""
    log = await AuditLog.open(settings(folder), KEY, SYSTEM_CLOCK, fingerprint_key=FINGERPRINT_KEY)
    recorder = log.recorder(context())
    # Python raises OSError (EFBIG) where the signal is ignored; it has ignored it already.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    allowed = 0
    try:
        while True:
            running = statement(b"SELECT %d" % allowed)
            recorder.begin(running)
            recorder.end(finish(running))
            allowed += 1
            await asyncio.sleep(0)
            await keep_up(log)
    except Refusal as refusal:
        say(f"refused {refusal.private}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await eventually(lambda: not log.is_failed, what="the audit log to recover")
    recorder.close("done", duration=1.0)
    await log.close()
    say(f"allowed {allowed}")


if __name__ == "__main__":
    what = record_for_ever if sys.argv[1] == "for_ever" else fill_the_disk
    asyncio.run(what(Path(sys.argv[2])))

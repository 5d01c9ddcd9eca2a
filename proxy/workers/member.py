"""A worker, as the supervisor sees it: its process, the link to it, and what it last said.

Knows how one is started and how its end is noticed (a pidfd: pidfd_open(2)). Decides nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from time import monotonic

import proxy
from proxy.control import Handler
from proxy.workers.link import Link, LinkError
from proxy.workers.tally import Dump

# What one may take from its start until it serves.
START_SECONDS = 60.0

_ROOT = Path(proxy.__file__).resolve().parents[1]


class State(StrEnum):
    """Where a worker stands."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class WorkerFailed(Exception):
    """A worker could not start; its own sentence."""


class Member:
    """One worker. Made by ``start``."""

    def __init__(
        self,
        seat: int,
        slot: int,
        process: subprocess.Popen[bytes],
        link: Link,
        on_gone: Callable[[Member], None],
    ) -> None:
        self.seat = seat
        self.slot = slot
        self.link = link
        self.state = State.STARTING
        self.began = monotonic()
        self.answered = monotonic()
        """When it last answered, on the monotonic clock."""
        self.is_asked = False
        """Whether a question whether it lives is on its way."""
        self.readiness: Mapping[str, str | None] = {}
        self.accepting: frozenset[int] = frozenset()
        """The slots it was last told to take connections of."""
        self.metrics: Dump = []
        """What it last said that it had counted: all that is left of it where it is killed."""
        self.counted = 0.0
        """When it said so, on the monotonic clock."""
        self.drain_seconds = 0.0
        """How long it may drain, by its own configuration."""
        self.deadline = 0.0
        """By when it must be gone, once it drains."""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when it serves; WorkerFailed where it cannot."""
        self.gone = asyncio.Event()
        self._process = process
        self._on_gone = on_gone
        self._descriptor = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._ended)

    @classmethod
    async def start(
        cls,
        seat: int,
        slot: int,
        handlers: Callable[[], Mapping[str, Handler]],
        inherited: Sequence[int],
        on_gone: Callable[[Member], None],
    ) -> Member:
        """Start a process that has these descriptors, under the same numbers.

        A new program, not a fork: nothing of the supervisor's is in it but what is given. It
        runs the files that this process runs, wherever it was started (-P: nothing is imported
        from the working directory).
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = _spawn(theirs.fileno(), inherited)
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(lambda: Link(handlers()), sock=ours)
        return cls(seat, slot, process, link, on_gone)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """As ``subprocess`` has it: below 0 it is the signal that ended it."""
        return self._process.returncode

    def fail(self, sentence: str) -> None:
        """It cannot start, if it has not."""
        if not self.ready.done():
            self.ready.set_exception(WorkerFailed(sentence))
            # Whoever started it asks, or has given it up.
            self.ready.exception()

    def answers(self, within: float) -> bool:
        """Whether it serves and has answered lately."""
        return self.state is State.READY and monotonic() - self.answered <= within

    def excuse(self, seconds: float) -> None:
        """Give it so much more time, for what it has to answer and for what it has to do."""
        self.began += seconds
        self.answered += seconds
        if self.deadline:
            self.deadline += seconds

    async def count(self, timeout: float) -> None:
        """Ask what it has counted. Where there is no answer its counters stay what they were,
        so that none goes back.
        """
        with suppress(LinkError):
            self.metrics = await self.link.call("metrics", timeout)
            self.counted = monotonic()

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        # Its end was announced, so this does not wait.
        self._process.wait()
        self.fail(f"a worker ended at its start ({self.how()})")
        self.gone.set()
        self._on_gone(self)

    def how(self) -> str:
        """How it ended, for the log."""
        code = self._process.returncode
        if code is not None and code < 0:
            with suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"


def _spawn(link: int, inherited: Sequence[int]) -> subprocess.Popen[bytes]:
    """Returns when the new program runs: some milliseconds, in which nobody else is waited for."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "proxy.workers.program", str(link)],
        stdin=subprocess.DEVNULL,
        pass_fds=(link, *inherited),
        env=os.environ | {"PYTHONPATH": _search_path()},
    )


def _search_path() -> str:
    others = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([str(_ROOT), *filter(None, others.split(os.pathsep))])

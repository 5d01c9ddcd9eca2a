"""Answers that go on (server-sent events): how many, for how long, for whom, and to whom not.

Nothing is buffered: what is next is looked for when the client has taken what was before. One
that does not take it is dropped. A stream ends with the key that it was asked for with.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from proxy.admin.problems import Problem

EVENTS = "text/event-stream"
MOST = 16
MOST_OF_A_KEY = 4

Look = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]


@dataclass(slots=True)
class Streams:
    """Those that are open. Times in seconds.

    ``life``: of a stream; its client asks again. ``slow``: until a client that does not read is
    dropped. ``pace``: between two looks at its key. ``heartbeat``: the longest silence.
    """

    life: float = 3_600.0
    slow: float = 10.0
    pace: float = 0.5
    heartbeat: float = 10.0
    _open: Counter[str] = field(default_factory=Counter)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    def check(self, key_id: str) -> None:
        """Raise Problem where there are too many."""
        if self._open.total() >= MOST or self._open[key_id] >= MOST_OF_A_KEY:
            raise Problem(
                503,
                "busy",
                f"At most {MOST} streams are open at once, and {MOST_OF_A_KEY} of one key.",
                headers={"Retry-After": "10"},
            )

    @contextmanager
    def place(self, key_id: str) -> Iterator[None]:
        """Count one while it is open. Raises Problem."""
        self.check(key_id)
        self._open[key_id] += 1
        try:
            yield
        finally:
            self._open[key_id] -= 1

    @property
    def count(self) -> int:
        """Those that are open."""
        return self._open.total()

    async def pause(self) -> bool:
        """Wait for the next look; whether there is to be one."""
        try:
            await asyncio.wait_for(self._closing.wait(), self.pace)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        """End all of them: the process is told to stop."""
        self._closing.set()


class Shared:
    """One look for all who ask at once, taken again when it is old.

    A look that took long is kept for long: asking costs who is asked, and it carries sessions.
    """

    def __init__(
        self, look: Look, age: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look = look
        self._age = age
        self._clock = clock
        self._lock = asyncio.Lock()
        self._found: Sequence[Mapping[str, Any]] = ()
        self._until = float("-inf")

    async def get(self) -> Sequence[Mapping[str, Any]]:
        """What was seen last, or is seen now. Raises what looking raises."""
        async with self._lock:
            began = self._clock()
            if began >= self._until:
                self._found = await self._look()
                ended = self._clock()
                self._until = ended + max(self._age, _SHARE * (ended - began))
            return self._found


_SHARE = 20
"""At most a twentieth of the time is spent on looking."""


def event(name: str, value: object) -> bytes:
    """One event; its data is one line, for JSON has no line ends of its own."""
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


HEARTBEAT = b":\n\n"


class EventStream(StreamingResponse):
    """An answer of events, to a client that takes each piece within ``slow`` seconds."""

    def __init__(self, request: Request, slow: float, content: AsyncGenerator[bytes]) -> None:
        super().__init__(content, media_type=EVENTS)
        self._content = content
        self._slow = slow
        # The server's; where there is none, as in tests of the application alone, nothing is slow.
        self._abort: Callable[[], None] = request.scope["state"].get("abort", _nothing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def within(message: Any) -> None:
            try:
                async with asyncio.timeout(self._slow):
                    await send(message)
            except TimeoutError:
                # Closing would wait for the client to take what is left.
                self._abort()
                # The server hears of it in the loop's next turn, and then misses no end.
                await asyncio.sleep(0)
                raise _Dropped from None

        try:
            await super().__call__(scope, receive, within)
        except _Dropped:
            return
        finally:
            # Also where the client went away in the middle of a look.
            await self._content.aclose()


class _Dropped(Exception):
    """The client does not read."""


def _nothing() -> None:
    """No connection."""

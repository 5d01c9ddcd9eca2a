"""An answer that is written while it is made, at the pace of who reads it.

Until its first byte a failure is a problem document like any other. After it the connection
is closed without the last chunk (RFC 9112, section 8), so that no client takes the part that
it has for the whole. Knows nothing of what is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from proxy.admin.problems import problem_for

log = structlog.get_logger("admin")

STALL_SECONDS: Final = 60.0
"""A reader that takes nothing for so long holds a session at a data source for nothing."""

Write = Callable[[bytes], Awaitable[None]]
"""Takes the next bytes, and returns when more may come."""


class Stalled(Exception):
    """The reader takes nothing any more."""


class Streamed(Response):
    """``work`` makes the answer, and is cancelled where its reader leaves."""

    def __init__(
        self,
        request: Request,
        work: Callable[[Write], Awaitable[None]],
        media_type: str,
        headers: dict[str, str] | None = None,
        *,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        super().__init__(headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._request_id: str = request.state.request_id
        self._operation = request.state.call.operation
        self._work = work
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make it and send it, for as long as somebody is there."""
        making = asyncio.ensure_future(self._make(scope, receive, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if making.done():
                making.result()
        finally:
            # Cancelled with us or with its reader: what it began is undone before we go.
            for task in (making, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _make(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = False

        async def begin() -> None:
            nonlocal is_begun
            is_begun = True
            start = {"type": "http.response.start", "status": self.status_code}
            await send(start | {"headers": self.raw_headers})

        async def write(data: bytes) -> None:
            if not is_begun:
                await begin()
            if data:
                try:
                    async with asyncio.timeout(self._stall_seconds):
                        await send({"type": "http.response.body", "body": data, "more_body": True})
                except TimeoutError:
                    raise Stalled from None
                # Who makes an answer without ever waiting would not hear that nobody is there.
                await asyncio.sleep(0)

        try:
            await self._work(write)
            if not is_begun:
                await begin()
        except Exception as error:
            # As in ``route``: what is not in the one list goes on, and the threshold logs it.
            problem = problem_for(error)
            if problem is None and not isinstance(error, Stalled):
                raise
            if problem is None or is_begun:
                reason = "its reader has stalled" if problem is None else problem.slug
                log.warning("answer cut off", operation=self._operation, reason=reason)
                return
            await problem.response(self._request_id)(scope, receive, send)
            return
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    """Returns when who asked has left."""
    while (await receive())["type"] != "http.disconnect":
        pass

"""A body that is passed on while it comes, at the pace of who takes it, within its limit.

The server stops reading from the connection while nobody takes what has come. Knows nothing
of what is uploaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Final

from starlette.requests import ClientDisconnect, Request

from proxy.admin.problems import Problem

STALL_SECONDS: Final = 30.0
"""Between two pieces of a body that is wanted."""
LINGER_SECONDS: Final = 5.0
"""For what still comes after a refusal, so that it is read: closing a connection with bytes
unread resets it, and takes the answer away from its reader (RFC 9112, section 9.6)."""


class Upload:
    """The body of ``request``, of the media type ``kind``."""

    def __init__(self, request: Request, kind: str, limit: int) -> None:
        self._kind = kind
        self._limit = limit
        self._stream = request.stream()
        self._headers = request.headers
        self._is_begun = False
        self._is_over = False

    def check(self) -> None:
        """Refuse what the head tells already. Raises Problem."""
        given = [value.lower() for value in self._headers.getlist("content-type")]
        kind, _, parameters = (given[0] if len(given) == 1 else "").partition(";")
        known = ("", "charset=utf-8", "header=present")
        if kind.strip() != self._kind or parameters.strip() not in known:
            raise Problem(415, "not-csv", f"The body must be {self._kind} in UTF-8.")
        if self._headers.get("content-encoding", "identity") != "identity":
            raise Problem(415, "encoded", "The body must not be compressed.")
        length = self._headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._limit:
            raise self._too_large()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Problem where it ends too early, too late or never."""
        received = 0
        while (piece := await self._next()) is not None:
            received += len(piece)
            if received > self._limit:
                raise self._too_large()
            if piece:
                yield piece

    async def linger(self) -> None:
        """Take what still comes, for a while."""
        waits = self._headers.get("expect", "").lower() == "100-continue" and not self._is_begun
        if self._is_over or waits:
            return
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(LINGER_SECONDS), aclosing(self._stream) as stream:
                async for _ in stream:
                    pass

    async def _next(self) -> bytes | None:
        self._is_begun = True
        try:
            async with asyncio.timeout(STALL_SECONDS):
                return await anext(self._stream)
        except StopAsyncIteration:
            self._is_over = True
            return None
        except TimeoutError:
            self._is_over = True
            raise Problem(408, "too-slow", "The body did not arrive in time.") from None
        except ClientDisconnect:
            self._is_over = True
            raise Problem(400, "malformed", "The body did not arrive.") from None

    def _too_large(self) -> Problem:
        return Problem(
            413, "too-large", f"A file may have at most {self._limit} bytes (admin.csv_limit)."
        )

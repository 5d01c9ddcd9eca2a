"""Messages between the supervisor and a worker, over a pair of connected sockets.

Each is a length of four bytes and so much JSON: a question with a number, its answer, or
something told. Knows framing, deadlines and bounds, no verb. Whoever breaks a bound, or does
not read, is cut off: the other end then acts as it does when a process has died.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from typing import Any, cast

import structlog

from proxy.control import ANSWER_LIMIT, ControlError, Handler

log = structlog.get_logger("workers")

_LENGTH = struct.Struct("!I")
# A list of every session is the largest there is.
MESSAGE_LIMIT = ANSWER_LIMIT
# What one end may have asked and the other not answered; a worker's cancel requests are the
# most, and they are pending logins before.
_MOST_CALLS = 4_096
# What may wait for a peer that does not read, before it is given up.
_UNSENT_LIMIT = 2 * MESSAGE_LIMIT


class LinkError(Exception):
    """There is no answer: the other end is gone, too slow, or said no. One sentence."""


class AnsweredNo(LinkError):
    """The other end refused, in its own sentence."""


class Link(asyncio.Protocol):
    """One end. ``lost`` is set when the other one is gone, or was cut off."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._answering: set[asyncio.Task[None]] = set()
        self.lost = asyncio.Event()

    # -- the transport's side -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take what is whole."""
        received = self._received
        received += data
        while len(received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(received)
            if length > MESSAGE_LIMIT:
                self._give_up("a message is too long")
                return
            if len(received) < _LENGTH.size + length:
                return
            body = bytes(received[_LENGTH.size : _LENGTH.size + length])
            del received[: _LENGTH.size + length]
            try:
                self._take(json.loads(body))
            except (ValueError, KeyError, TypeError, RecursionError):
                self._give_up("a message is malformed")
                return

    def connection_lost(self, error: Exception | None) -> None:
        """The end: nothing that was asked will be answered."""
        self._transport = None
        for future in self._asked.values():
            if not future.done():
                future.set_exception(LinkError("the other process is gone"))
        self._asked.clear()
        self.lost.set()

    def _take(self, message: dict[str, Any]) -> None:
        if "verb" not in message:
            future = self._asked.pop(message["id"], None)
            if future is None or future.done():
                return
            if message["ok"] is True:
                future.set_result(message["result"])
            else:
                future.set_exception(AnsweredNo(str(message["error"])))
            return
        verb, arguments, number = message["verb"], message["arguments"], message.get("id")
        if not isinstance(arguments, dict):
            raise TypeError
        if len(self._answering) >= _MOST_CALLS:
            self._answer(number, {"ok": False, "error": "Too much is asked at once."})
            return
        task = asyncio.create_task(self._handle(str(verb), arguments, number), name="answer")
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _handle(self, verb: str, arguments: dict[str, Any], number: int | None) -> None:
        handler = self._handlers.get(verb)
        if handler is None:
            self._answer(number, {"ok": False, "error": "This verb is not known here."})
            return
        try:
            result = await handler(arguments)
        except (ControlError, LinkError) as error:
            self._answer(number, {"ok": False, "error": str(error)})
        except Exception:
            # A bug in one answer must not end the worker; who asked is told that there is none.
            log.exception("a message could not be answered", verb=verb)
            self._answer(number, {"ok": False, "error": "The answer could not be made."})
        else:
            self._answer(number, {"ok": True, "result": result})

    def _answer(self, number: int | None, answer: dict[str, object]) -> None:
        if number is not None:
            self._send({"id": number} | answer)

    def _send(self, message: dict[str, object]) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        body = json.dumps(message, separators=(",", ":")).encode()
        if len(body) > MESSAGE_LIMIT:
            if "verb" in message:
                raise LinkError("The message is too long.")
            body = json.dumps(
                {"id": message["id"], "ok": False, "error": "The answer is too long."}
            ).encode()
        transport.write(_LENGTH.pack(len(body)) + body)
        if transport.get_write_buffer_size() > _UNSENT_LIMIT:
            self._give_up("the other process does not read")

    def _give_up(self, why: str) -> None:
        log.error("the link to another process is cut", detail=why)
        if self._transport is not None:
            self._transport.abort()

    # -- the caller's side ----------------------------------------------------------------

    def tell(self, verb: str, /, **arguments: object) -> None:
        """Say something that has no answer; lost where the other end is."""
        self._send({"verb": verb, "arguments": arguments})

    async def call(self, verb: str, timeout: float, /, **arguments: object) -> Any:
        """Ask, and wait for the answer. Raises LinkError, after ``timeout`` seconds at most."""
        if self._transport is None:
            raise LinkError("the other process is gone")
        if len(self._asked) >= _MOST_CALLS:
            raise LinkError("too much is asked at once")
        self._next += 1
        number = self._next
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            self._send({"id": number, "verb": verb, "arguments": arguments})
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise LinkError("the other process did not answer in time") from None
        finally:
            self._asked.pop(number, None)

    async def close(self) -> None:
        """Send what was said, then close; gives up after a second."""
        if self._transport is not None:
            self._transport.close()
            try:
                async with asyncio.timeout(1.0):
                    await self.lost.wait()
            except TimeoutError:
                # It does not read what was said.
                if self._transport is not None:
                    self._transport.abort()
        for task in list(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

"""The port of ``/metrics``, ``/healthz`` and ``/readyz``, in a thread of its own.

A thread, because it must answer when the proxy's own event loop does not: that is what
``/healthz`` reports. Knows just enough HTTP for GET and HEAD, closes after each answer,
and bounds the request's size, its time and the number of connections, so that nobody
who can reach the port can hold it. Everything asked of the proxy is a callable that
only reads.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from socket import socket

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from proxy.sockets import bind_tcp

# A scrape's request line and headers are some 300 bytes.
_HEAD_LIMIT = 8 * 1024
_DEADLINE = 5.0
# Two Prometheus servers and a few probes; more wait in the kernel's queue, unread.
_CONNECTIONS = 32
_PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Probes:
    """What is asked when somebody looks.

    ``is_alive``: the event loop has turned lately. ``readiness``: by a short name each, a
    callable that returns None, or one sentence that says why no session can be opened
    now. All are called from another thread and only read.
    """

    is_alive: Callable[[], bool]
    readiness: Mapping[str, Callable[[], str | None]]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    content_type: str = _TEXT


class HealthServer:
    """Serves from ``start`` to ``stop``. The port is bound when it is made.

    Raises ``proxy.sockets.PortError``, one clear sentence, where the port is taken.
    """

    def __init__(self, host: str, port: int, probes: Probes, registry: CollectorRegistry) -> None:
        self._probes = probes
        self._registry = registry
        self._socket: socket = bind_tcp(host, port, "metrics")
        self.port: int = self._socket.getsockname()[1]
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._open = 0

    def start(self) -> None:
        """Begin to answer."""
        self._loop = self._runner.get_loop()
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and close the port; waits for the thread. May be called again."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(2 * _DEADLINE)
        self._socket.close()

    def _run(self) -> None:
        # The runner also ends what connections are still open at the stop.
        with self._runner as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._socket, limit=_HEAD_LIMIT)
        async with server:
            await self._stopped.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > _CONNECTIONS:
                return
            async with asyncio.timeout(_DEADLINE):
                answer, method = await self._converse(reader)
                writer.write(_encode(answer, with_body=method != b"HEAD"))
                await writer.drain()
        except (TimeoutError, OSError):
            # A peer that is slow or gone gets no answer; there is nobody to tell.
            writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader) -> tuple[_Answer, bytes]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _Answer(431, b"The request's head is too large.\n"), b"GET"
        except asyncio.IncompleteReadError:
            return _Answer(400, b"This is not an HTTP request.\n"), b"GET"
        lines = head.split(b"\r\n")
        words = lines[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _Answer(400, b"This is not an HTTP/1.1 request.\n"), b"GET"
        method, target, _ = words
        if method not in (b"GET", b"HEAD"):
            return _Answer(405, b"Only GET and HEAD are answered here.\n"), method
        path = target.split(b"?", 1)[0]
        try:
            return self._answer(path, _accept_of(lines[1:])), method
        except Exception:  # noqa: BLE001 - a probe that fails is an answer, not a dead port
            return _Answer(500, b"The answer could not be made.\n"), method

    def _answer(self, path: bytes, accept: str) -> _Answer:
        match path:
            case b"/metrics":
                encoder, content_type = choose_encoder(accept)
                return _Answer(200, encoder(self._registry), content_type)
            case b"/healthz":
                if self._probes.is_alive():
                    return _Answer(200, b"alive\n")
                return _Answer(503, b"The event loop does not turn.\n")
            case b"/readyz":
                return self._readiness()
        return _Answer(404, b"There are /metrics, /healthz and /readyz.\n")

    def _readiness(self) -> _Answer:
        reasons = {name: probe() for name, probe in self._probes.readiness.items()}
        is_ready = not any(reasons.values())
        body = {
            "ready": is_ready,
            "checks": {name: reason or "ok" for name, reason in reasons.items()},
        }
        text = json.dumps(body, indent=2).encode() + b"\n"
        return _Answer(200 if is_ready else 503, text, "application/json")


def _accept_of(lines: list[bytes]) -> str:
    for line in lines:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"accept":
            return value.strip().decode("latin-1")
    return ""


def _encode(answer: _Answer, *, with_body: bool) -> bytes:
    allow = "Allow: GET, HEAD\r\n" if answer.status == 405 else ""
    head = (
        f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        f"{allow}"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (answer.body if with_body else b"")

"""The unix socket between the command line and the running proxy of the same host.

One request and one answer per connection, each a line of JSON:

    {"verb": "session.list", "arguments": {}}
    {"ok": true, "result": [...]}    or    {"ok": false, "error": "one sentence"}

Knows framing, limits and who may connect (the proxy's own user, and root), no verb.
The socket has mode 0600, and a lock file beside it keeps a second proxy from taking
its place.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

# The largest request is an audit event of the command line.
REQUEST_LIMIT = 64 * 1024
# Some 20,000 live sessions; a list that would be longer is cut by its handler.
ANSWER_LIMIT = 16 * 1024 * 1024
DEADLINE = 30.0
_CONNECTIONS = 16
# sizeof(sun_path) on Linux, less the NUL (unix(7)).
_PATH_LIMIT = 107

Handler = Callable[[dict[str, Any]], Awaitable[object]]
"""Takes the arguments, returns what JSON can say. Raises ``ControlError`` to refuse."""


class ControlError(Exception):
    """The request was refused or could not be made; the text is one sentence."""


class NotRunningError(ControlError):
    """No proxy listens on the socket."""


class ControlServer:
    """The open socket. ``close`` takes it away again."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler], lock: int) -> None:
        self._path = path
        self._handlers = handlers
        self._lock = lock
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self) -> None:
        """Listen. Raises ControlError."""
        try:
            self._make_room()
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(
                    self._connected, str(self._path), limit=REQUEST_LIMIT
                )
            finally:
                os.umask(before)
        except OSError as error:
            raise ControlError(
                f"The control socket {self._path} cannot be made: {error.strerror}."
            ) from None

    def _make_room(self) -> None:
        """Remove what is left of a proxy that died: the lock says nobody is behind it."""
        try:
            mode = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ControlError(
                f"The control socket {self._path} cannot be made: what is there is not a socket."
            )
        self._path.unlink()

    async def close(self) -> None:
        """Stop listening and remove the socket. May be called again."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > _CONNECTIONS or not _is_permitted(writer):
                return
            async with asyncio.timeout(DEADLINE):
                line = await reader.readuntil(b"\n")
                writer.write(await self._answer(line))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = json.loads(line)
            verb, arguments = request["verb"], request["arguments"]
            if not isinstance(verb, str) or not isinstance(arguments, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            return _encode({"ok": False, "error": "The request is malformed."})
        handler = self._handlers.get(verb)
        if handler is None:
            return _encode({"ok": False, "error": "The running proxy does not know this verb."})
        try:
            return _encode({"ok": True, "result": await handler(arguments)})
        except ControlError as error:
            return _encode({"ok": False, "error": str(error)})


async def serve_control(path: Path, handlers: Mapping[str, Handler]) -> ControlServer:
    """Listen on ``path`` with mode 0600. Raises ControlError, also where a proxy runs."""
    check_path(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ControlError(
            f"The control socket's folder {path.parent} cannot be used: {error.strerror}."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ControlError(
            f"Another proxy with this configuration is running (it holds {path})."
        ) from None
    server = ControlServer(path, handlers, lock)
    try:
        await server.start()
    except ControlError:
        await server.close()
        raise
    return server


class ControlClient(Protocol):
    """How a command asks the running proxy."""

    def call(self, verb: str, arguments: dict[str, Any]) -> Any:
        """The result. Raises NotRunningError, ControlError."""
        ...


class SocketClient:
    """A ControlClient over the socket; blocks for at most ``timeout`` seconds a step."""

    def __init__(self, path: Path, timeout: float = DEADLINE) -> None:
        self._path = path
        self._timeout = timeout

    def call(self, verb: str, arguments: dict[str, Any]) -> Any:
        """Ask once. Raises NotRunningError, ControlError."""
        check_path(self._path)
        line = _encode({"verb": verb, "arguments": arguments})
        if len(line) > REQUEST_LIMIT:
            raise ControlError("The request is too long for the control socket.")
        try:
            answer = json.loads(self._exchange(line))
        except ValueError:
            raise ControlError("The running proxy closed the control socket early.") from None
        if not isinstance(answer, dict) or answer.get("ok") is not True:
            error = answer.get("error") if isinstance(answer, dict) else None
            raise ControlError(str(error or "The running proxy gave no answer."))
        return answer.get("result")

    def _exchange(self, line: bytes) -> bytes:
        received = bytearray()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout)
            try:
                connection.connect(str(self._path))
            except (FileNotFoundError, ConnectionRefusedError):
                raise NotRunningError(
                    f"No proxy is running here (nothing listens on {self._path})."
                ) from None
            except OSError as error:
                raise ControlError(
                    f"The control socket {self._path} cannot be used: "
                    f"{error.strerror or 'no answer'}."
                ) from None
            try:
                connection.sendall(line)
                while not received.endswith(b"\n") and len(received) <= ANSWER_LIMIT:
                    piece = connection.recv(65_536)
                    if not piece:
                        break
                    received += piece
            except OSError:
                raise ControlError("The running proxy did not answer in time.") from None
        return bytes(received)


def _is_permitted(writer: asyncio.StreamWriter) -> bool:
    """Whether the peer is our own user or root; the mode says so already, on one file system."""
    connection = writer.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, user, _ = struct.unpack("3i", credentials)
    return user in (0, os.geteuid())


def check_path(path: Path) -> None:
    """Whether the system can hold a socket of this path. Raises ControlError."""
    if len(os.fsencode(path)) > _PATH_LIMIT:
        raise ControlError(
            f"The path of the control socket is longer than {_PATH_LIMIT} bytes; "
            "set control.socket to a shorter one."
        )


def _encode(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"

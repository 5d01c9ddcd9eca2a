from __future__ import annotations

import asyncio
import json
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.control import (
    REQUEST_LIMIT,
    ControlError,
    ControlServer,
    Handler,
    NotRunningError,
    SocketClient,
    serve_control,
)


@pytest.fixture
def path() -> Iterator[Path]:
    # pytest's own folders may make the socket's path too long (unix(7)).
    with tempfile.TemporaryDirectory(prefix="acc") as folder:
        yield Path(folder) / "run" / "control.sock"


async def echo(arguments: dict[str, Any]) -> object:
    return arguments


async def refuse(arguments: dict[str, Any]) -> object:
    raise ControlError("This is refused.")


HANDLERS: dict[str, Handler] = {"echo": echo, "refuse": refuse}


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[ControlServer]:
    server = await serve_control(path, HANDLERS)
    try:
        yield server
    finally:
        await server.close()


async def call(path: Path, verb: str, **arguments: Any) -> Any:
    return await asyncio.to_thread(SocketClient(path, timeout=40).call, verb, arguments)


async def raw(path: Path, data: bytes, *, ends: bool = False) -> bytes:
    """Send bytes and read to the end, however it comes."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    received = b""
    try:
        writer.write(data)
        if ends:
            writer.write_eof()
        received = await reader.read()
    except OSError:
        # Cut off in the middle: what came before is all there is.
        pass
    finally:
        writer.transport.abort()
    return received


async def test_a_verb_is_answered(path: Path):
    async with served(path):
        assert await call(path, "echo", name="x", many=["ü"] * 1_000) == {
            "name": "x",
            "many": ["ü"] * 1_000,
        }


async def test_the_socket_is_for_its_owner_alone(path: Path):
    async with served(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_refusal_is_its_sentence(path: Path):
    async with served(path):
        with pytest.raises(ControlError, match=r"^This is refused\.$"):
            await call(path, "refuse")


async def test_an_unknown_verb_is_refused(path: Path):
    async with served(path):
        with pytest.raises(ControlError, match="does not know this verb"):
            await call(path, "format.disk")


@pytest.mark.parametrize(
    "line",
    [b"hello\n", b"[]\n", b"{}\n", b'{"verb": 1, "arguments": {}}\n', b"[" * 5_000 + b"\n",
     b'{"verb": "echo", "arguments": []}\n', b"\xff\n"],
)  # fmt: skip
async def test_a_malformed_request_is_refused_and_the_socket_lives_on(path: Path, line: bytes):
    async with served(path):
        answer = json.loads(await raw(path, line))
        assert answer == {"ok": False, "error": "The request is malformed."}
        assert await call(path, "echo") == {}


async def test_a_request_without_end_is_cut_off(path: Path):
    async with served(path):
        assert await raw(path, b"x" * (REQUEST_LIMIT * 2)) == b""
        assert await call(path, "echo") == {}


async def test_half_a_request_gets_no_answer(path: Path):
    async with served(path):
        assert await raw(path, b'{"verb": "ec', ends=True) == b""
        assert await call(path, "echo") == {}


async def test_too_long_a_request_is_not_sent(path: Path):
    async with served(path):
        with pytest.raises(ControlError, match="too long"):
            await call(path, "echo", text="x" * REQUEST_LIMIT)


async def test_where_nothing_runs_the_client_says_so(path: Path):
    with pytest.raises(NotRunningError, match="No proxy is running here"):
        await call(path, "echo")


async def test_a_socket_left_by_a_dead_proxy_is_replaced(path: Path):
    path.parent.mkdir(parents=True)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with pytest.raises(NotRunningError):
        await call(path, "echo")
    async with served(path):
        assert await call(path, "echo") == {}


async def test_a_file_that_is_no_socket_is_left_alone(path: Path):
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(ControlError, match="is not a socket"):
        await serve_control(path, HANDLERS)
    assert path.read_text() == "precious"


async def test_a_second_proxy_is_refused_and_the_first_one_stays(path: Path):
    async with served(path):
        with pytest.raises(ControlError, match="Another proxy with this configuration is running"):
            await serve_control(path, HANDLERS)
        assert await call(path, "echo") == {}


async def test_closing_takes_the_socket_away_and_frees_the_place(path: Path):
    async with served(path) as server:
        await server.close()
        assert not path.exists()
        async with served(path):
            assert await call(path, "echo") == {}


async def test_a_path_too_long_for_the_system_is_one_sentence(path: Path):
    long = path.parent / ("x" * 120)
    with pytest.raises(ControlError, match="longer than 107 bytes"):
        await serve_control(long, HANDLERS)
    with pytest.raises(ControlError, match="longer than 107 bytes"):
        await call(long, "echo")


async def test_a_proxy_that_closes_early_is_one_sentence(path: Path):
    path.parent.mkdir(parents=True)

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_unix_server(close, str(path))
    async with server:
        with pytest.raises(ControlError, match="closed the control socket early"):
            await call(path, "echo")

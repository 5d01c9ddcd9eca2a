"""What uvicorn is told, and what it would not do by itself."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.admin.server import HEAD_LIMIT, UnsafeListener, serve
from tests.admin.rig import Prepared, Rig
from tests.admin.served import HastyProtocol, Served, served


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("hasty"), prepared, HastyProtocol) as made:
        yield made


def connected(to: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", to.port), timeout=40)


@pytest.mark.parametrize(
    "begun", [b"", b"GET /v1/me HTT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"]
)
def test_a_head_that_does_not_come_is_not_waited_for(hasty: Served, begun: bytes):
    started = time.monotonic()
    with connected(hasty) as client:
        client.sendall(begun)
        try:
            told = client.recv(1_000)
        except ConnectionResetError:
            told = b""
        assert told == b""
        assert time.monotonic() - started >= HastyProtocol.head_seconds


def test_a_connection_that_has_been_answered_waits_no_longer(hasty: Served):
    with connected(hasty) as client:
        client.sendall(b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told = b""
        while b"unauthenticated" not in told:
            part = client.recv(4_096)
            assert part, told
            told += part
        assert told.startswith(b"HTTP/1.1 401 ")
        assert b"\r\nserver:" not in told.lower()
        try:
            rest = client.recv(1_000)
        except ConnectionResetError:
            rest = b""
        assert rest == b""


def test_a_head_that_is_too_long_is_refused(hasty: Served):
    with connected(hasty) as client:
        try:
            client.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * (4 * HEAD_LIMIT))
            told = client.recv(100)
        except (ConnectionResetError, BrokenPipeError):
            told = b""
        assert not told or told.startswith(b"HTTP/1.1 400 ")


async def test_keys_do_not_go_over_the_network_in_plaintext(rig: Rig, tmp_path: Path):
    config = rig.office.config
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        open_to_all = replace(config, admin=replace(config.admin, host=host, port=0))
        with pytest.raises(UnsafeListener):
            await asyncio.wait_for(serve(open_to_all, rig.office.fetch_for), 40)

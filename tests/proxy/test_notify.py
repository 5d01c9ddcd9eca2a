from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager's end of the socket, bound to a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(40)
        sock.bind(str(tmp_path / "notify"))
        yield sock


def told(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def notifier(manager: socket.socket, pid: int = 7, **more: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.getsockname(), **more}, pid)


async def test_each_state_is_told_in_the_words_of_sd_notify(manager: socket.socket):
    with closing(notifier(manager)) as service:
        service.ready()
        assert told(manager)[0] == "READY=1"
        service.reloading(now=lambda: 5_000_999)
        assert told(manager)[:2] == ["RELOADING=1", "MONOTONIC_USEC=5000"]
        service.kept()
        assert told(manager)[0] == "READY=1"
        service.stopping()
        assert told(manager)[0] == "STOPPING=1"


async def test_a_name_in_the_abstract_namespace_is_taken():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(40)
        name = f"accode-proxy-test-{os.getpid()}"
        manager.bind("\0" + name)
        with closing(Notifier({"NOTIFY_SOCKET": "@" + name}, 7)) as service:
            service.stopping()
        assert told(manager)[0] == "STOPPING=1"


async def test_the_event_loop_gives_signs_of_life_at_half_the_time_allowed(manager: socket.socket):
    loop = asyncio.get_running_loop()
    with closing(notifier(manager, WATCHDOG_USEC="40000", WATCHDOG_PID="7")) as service:
        started = loop.time()
        service.ready()
        assert told(manager)[0] == "READY=1"
        for _ in range(3):
            assert await asyncio.to_thread(told, manager) == ["WATCHDOG=1"]
        # The first at once, then one every 20 ms.
        assert loop.time() - started >= 0.039


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "8"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "1e3"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "1" * 40},
    ],
)
async def test_no_sign_of_life_is_given_where_none_is_wanted_of_us(
    manager: socket.socket, variables: dict[str, str]
):
    with closing(notifier(manager, 7, **variables)) as service:
        service.ready()
        service.stopping()
        assert told(manager)[0] == "READY=1"
        assert told(manager)[0] == "STOPPING=1"


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/nowhere/notify", "/" * 200])
async def test_nobody_is_missed_where_nobody_listens(address: str):
    with closing(Notifier({"NOTIFY_SOCKET": address}, 7)) as service:
        service.ready()
        service.stopping()
        service.close()


async def test_a_manager_that_does_not_read_holds_nobody_up(manager: socket.socket):
    with closing(notifier(manager)) as service:
        for _ in range(10_000):
            service.stopping()
        assert told(manager)[0] == "STOPPING=1"


async def test_a_manager_that_goes_away_ends_nothing(manager: socket.socket):
    with closing(notifier(manager)) as service:
        manager.close()
        service.ready()
        service.stopping()

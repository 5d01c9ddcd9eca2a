"""After two hundred sessions of every kind of end, everything is as it was before."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from proxy.app import App, running
from proxy.config import load_config
from proxy.gateway.loop import SessionLoop
from tests.faults.office import SOURCE, Office
from tests.hostile.raw import SSL, RawClient, Refused, query, request
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import eventually

ROUNDS = 25
Abuse = Callable[[Office], None]


def leave_politely(office: Office) -> None:
    with office.connect(sslmode="require") as connection:
        connection.execute("SELECT 1")


def leave_at_once(office: Office) -> None:
    with office.session() as client:
        client.query("SELECT 1")


def leave_in_mid_query(office: Office) -> None:
    with office.session() as client:
        client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 5000)"))
        client.read(1)


def leave_in_mid_copy(office: Office) -> None:
    with office.session() as client:
        client.query("CREATE TEMPORARY TABLE taken (text text)")
        client.send(query("COPY taken FROM STDIN"))
        client.until(b"G")


def leave_before_the_first_byte(office: Office) -> None:
    RawClient(office.proxy.port).close()


def leave_in_the_tls_handshake(office: Office) -> None:
    with RawClient(office.proxy.port) as client:
        client.send(request(SSL))
        assert client.read(1) == b"S"
        client.send(b"\x16\x03\x01\x02\x00\x01")


def leave_in_the_password_exchange(office: Office) -> None:
    with RawClient(office.proxy.port) as client:
        client.start(("user", office.name), ("database", SOURCE))
        client.until(b"R")


def fail(office: Office) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(office.proxy.dsn(office.name, "acp_wrong", SOURCE))
    with RawClient(office.proxy.port) as client, pytest.raises(Refused):
        client.log_in(office.name, office.token, "no-such-source")


ABUSES: list[Abuse] = [
    leave_politely,
    leave_at_once,
    leave_in_mid_query,
    leave_in_mid_copy,
    leave_before_the_first_byte,
    leave_in_the_tls_handshake,
    leave_in_the_password_exchange,
    fail,
]


class Inside(ProxyServer):
    """A proxy in this process: its descriptors and tasks can be counted."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[App]:
        async with running(load_config(self.config_file, {})) as app:
            self.port = app.port()
            yield app


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.timeout(120)
def test_descriptors_and_tasks_return_to_their_number_from_before(
    server_folder: Path, certificates: Certificates, postgres: PostgresServer
):
    proxy = Inside(server_folder / "leaks", certificates)
    office = Office(proxy, postgres)

    async def abuse(work: Abuse) -> None:
        await asyncio.to_thread(work, office)

    async def round_of(abuses: list[Abuse]) -> None:
        await asyncio.gather(*(abuse(one) for one in abuses))

    async def main() -> None:
        async with proxy.serving() as app:
            # Threads, caches and connections of the store that stay are made by these.
            for _ in range(2):
                await round_of(ABUSES)
            await quiet(app)
            before = descriptors(), len(asyncio.all_tasks())
            for _ in range(ROUNDS):
                await round_of(ABUSES)
            await quiet(app)

            def is_as_before() -> bool:
                return descriptors() <= before[0] and len(asyncio.all_tasks()) <= before[1]

            await eventually(
                is_as_before,
                what=f"{before} descriptors and tasks again, not {descriptors()}, "
                f"{[task.get_name() for task in asyncio.all_tasks()]}",
            )
            assert len(app.live) == 0
            assert not gc.garbage

    async def quiet(app: App) -> None:
        await eventually(lambda: app.listeners[0].session_count == 0, what="every session's end")

    # A loop like the program's own.
    with asyncio.Runner(loop_factory=SessionLoop) as runner:
        runner.run(main())
    proxy.remove()

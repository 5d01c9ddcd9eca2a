"""After two hundred sessions of every kind of end, everything is as it was before.

And what a session held is freed when it ends, TLS buffers of some 90 KB among it. Where it were
in a reference cycle it would wait for the garbage collector, which the program lets run seldom:
sessions that are open while it runs count as old, and are next looked at after many thousands.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from policies.document import Limits, Policy
from protocols.errors import Reason, Refusal
from protocols.scanner import Scanner
from proxy.app import App, running
from proxy.config import load_config
from proxy.gateway.channel import SocketChannel
from proxy.gateway.lease import Connection, Loan
from proxy.gateway.live_session import LiveSession
from proxy.gateway.loop import SessionLoop
from proxy.gateway.pool import Ticket
from proxy.gateway.relay import Relay
from proxy.gateway.serving import Serving
from proxy.gateway.session import Session
from proxy.gateway.turns import SessionTurns
from proxy.store import PoolSettings
from tests.faults.office import SOURCE, Office
from tests.hostile.raw import (
    SSL,
    TERMINATE,
    RawClient,
    Refused,
    first_column,
    query,
    request,
    send_cancel,
)
from tests.servers.certificates import Certificates
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import eventually

ROUNDS = 25
POOLED, SHARED, LIMITED, UNREACHABLE = "pooled", "shared", "limited", "unreachable"
# What each session has one of, or two, and each connection of a pool.
HELD = (
    *(LiveSession, Relay, Scanner, Session, Serving, SocketChannel),
    *(Connection, Loan, SessionTurns, Ticket),
)
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


def leave_pooled(office: Office) -> None:
    with office.session(POOLED) as client:
        client.query("SELECT 1")
        client.send(TERMINATE)
        client.read_to_end()


def leave_shared(office: Office) -> None:
    with office.session(SHARED) as client:
        client.query("SELECT 1")
        client.send(TERMINATE)
        client.read_to_end()


def leave_shared_at_once(office: Office) -> None:
    with office.session(SHARED) as client:
        client.query("BEGIN")


def leave_something_shared(office: Office) -> None:
    with office.session(SHARED) as client:
        client.query("SET work_mem = '8MB'")


def lose_the_shared_source(office: Office) -> None:
    with office.session(SHARED) as client:
        client.send(query("SELECT pg_terminate_backend(pg_backend_pid())"))
        client.read_to_end()
    leave_shared(office)


def lose_what_is_idle(office: Office) -> None:
    for source in (POOLED, SHARED):
        with office.session(source) as client:
            (backend,) = first_column(client.query("SELECT pg_backend_pid()"))
            client.send(TERMINATE)
            client.read_to_end()
        office.server.execute("SELECT pg_terminate_backend(%s, 10000)", (int(backend),))
    leave_pooled(office)
    leave_shared(office)


def leave_limited(office: Office) -> None:
    with office.session(LIMITED) as client:
        client.query("SELECT 1")


def leave_after_a_cancel(office: Office) -> None:
    with office.session() as client:
        assert client.key is not None
        client.send(query("SELECT pg_sleep(60), 'cancelled'"))
        # A cancel that overtakes its statement stops nothing.
        office.wait_until_running("'cancelled'")
        send_cancel(office.proxy.port, client.key.number, client.key.secret)
        client.until(b"Z")


def be_killed(office: Office) -> None:
    with office.session() as client:
        assert client.key is not None
        office.control("session.kill", id=str(client.key.number))
        client.read_to_end()


def lose_the_source(office: Office) -> None:
    with office.session() as client:
        client.send(query("SELECT pg_terminate_backend(pg_backend_pid())"))
        client.read_to_end()


def be_refused(office: Office) -> None:
    for source in (UNREACHABLE, "no-such-source"):
        office.refusal(source)


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
ENDS = [
    *ABUSES,
    leave_pooled,
    leave_shared,
    leave_shared_at_once,
    leave_something_shared,
    lose_the_shared_source,
    lose_what_is_idle,
    leave_limited,
    leave_after_a_cancel,
    be_killed,
    lose_the_source,
    be_refused,
]


class Inside(ProxyServer):
    """A proxy in this process: its descriptors and tasks can be counted."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[App]:
        async with running(load_config(self.config_file, {})) as app:
            self.port = app.port()
            yield app


@contextmanager
def opened(folder: Path, certificates: Certificates, postgres: PostgresServer) -> Iterator[Office]:
    """A proxy that does not run yet, and all sources that are left here."""
    proxy = Inside(folder, certificates)
    office = Office(proxy, postgres)
    proxy.add_source(office.name, POOLED, postgres, pooling=PoolSettings("session"))
    proxy.add_source(office.name, SHARED, postgres, pooling=PoolSettings("transaction"))
    limited = proxy.add_source(office.name, LIMITED, postgres)
    policy = Policy(version=1, limits=Limits(statements_per_minute=100_000, result_rows=100_000))
    office.change(lambda store, _: store.policies.set_of_source(limited, policy))
    proxy.add_source(office.name, UNREACHABLE, postgres, port=free_port())
    yield office
    proxy.remove()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def held() -> Counter[str]:
    """Of all that a session has, how many there are."""
    return Counter(
        type(it).__name__
        for it in gc.get_objects()
        if isinstance(it, HELD) or type(it).__name__.startswith("SSLTransport")
    )


async def quiet(app: App) -> None:
    await eventually(lambda: app.listeners[0].session_count == 0, what="every session's end")


def run(main: Coroutine[Any, Any, None]) -> None:
    """In a loop like the program's own, until the last connection is closed: TLS says goodbye in
    its own time, and is left open where its loop is closed meanwhile.
    """

    async def whole() -> None:
        before = descriptors()
        await main
        await eventually(lambda: descriptors() <= before, what="every connection to be closed")

    with asyncio.Runner(loop_factory=SessionLoop) as runner:
        runner.run(whole())


def test_descriptors_and_tasks_return_to_their_number_from_before(
    server_folder: Path, certificates: Certificates, postgres: PostgresServer
):
    async def round_of(office: Office) -> None:
        await asyncio.gather(*(asyncio.to_thread(one, office) for one in ABUSES))

    async def main(office: Office) -> None:
        assert isinstance(office.proxy, Inside)
        async with office.proxy.serving() as app:
            # Threads, caches and connections of the store that stay are made by these.
            for _ in range(2):
                await round_of(office)
            await quiet(app)
            before = descriptors(), len(asyncio.all_tasks())
            for _ in range(ROUNDS):
                await round_of(office)
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

    with opened(server_folder / "leaks", certificates, postgres) as office:
        run(main(office))


def test_a_session_is_freed_when_it_ends_and_not_when_garbage_is_collected(
    server_folder: Path, certificates: Certificates, postgres: PostgresServer
):
    async def main(office: Office) -> None:
        assert isinstance(office.proxy, Inside)
        async with office.proxy.serving() as app:
            # Connections that stay in the pools, and with them what a session has.
            await asyncio.to_thread(leave_pooled, office)
            await asyncio.to_thread(leave_shared, office)
            await quiet(app)
            gc.collect()
            gc.disable()
            before = held()
            for abuse in ENDS:
                # To look at all objects holds the loop, and with it the news of the store, up.
                await eventually(app.metrics.read_store_is_current, what="the store's word")
                await asyncio.to_thread(abuse, office)
                await quiet(app)
                with suppress(TimeoutError):
                    await eventually(lambda: not held() - before)
                assert held() - before == Counter(), f"still held after {abuse.__name__}"

    with opened(server_folder / "freed", certificates, postgres) as office:
        # What was there before the proxy is not looked at again and again: that takes so long
        # that the store's news would come too late.
        gc.collect()
        gc.freeze()
        try:
            run(main(office))
        finally:
            gc.unfreeze()
            gc.enable()


def test_one_refusal_of_many_logins_holds_nothing_of_any_of_them(
    server_folder: Path, certificates: Certificates, postgres: PostgresServer
):
    async def main(office: Office) -> None:
        assert isinstance(office.proxy, Inside)
        async with office.proxy.serving() as app:
            kept = app.live.drain_refusal = Refusal(Reason.SHUTTING_DOWN, "in a moment")
            for _ in range(2):
                refused = await asyncio.to_thread(office.refusal)
                assert (refused.code, refused.text) == ("57P01", "in a moment")
            await quiet(app)
            assert kept.__traceback__ is None

    with opened(server_folder / "refused", certificates, postgres) as office:
        run(main(office))

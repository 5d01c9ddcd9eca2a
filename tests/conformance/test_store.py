"""The store is gone: running sessions go on, new ones are refused, and it heals."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from protocols.errors import Reason
from tests.conformance.conftest import OfficeFactory
from tests.conformance.office import Office
from tests.servers.postgres import PostgresServer
from tests.servers.roles import MD5
from tests.servers.waiting import wait_until

SENTENCE = "the proxy's store is not available; try again"

Outage = Callable[[], AbstractContextManager[None]]


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a SQLite database as a process in exclusive locking mode does.

    In WAL mode readers share the bytes 123 to 127 of the -shm file, the writer takes
    byte 120 (wal.c, "WAL_READ_LOCK"): whoever has them all has the database.
    """
    shared_memory = os.open(file.with_name(file.name + "-shm"), os.O_RDWR)
    lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 120, 8, 0)
    try:
        wait_until(lambda: _take(shared_memory, lock), what="the store to be free for a moment")
        yield
    finally:
        os.close(shared_memory)


def _take(descriptor: int, lock: bytes) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLK, lock)
    except BlockingIOError:
        return False
    return True


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@pytest.fixture(params=["sqlite locked", "postgresql stopped", "postgresql frozen"])
def broken(request: pytest.FixtureRequest, start_office: OfficeFactory) -> tuple[Office, Outage]:
    """A workspace, and how to take its proxy's store away for a time."""
    if request.param == "sqlite locked":
        office = start_office()
        return office, lambda: locked(office.proxy.folder / "store.db")
    server: PostgresServer = request.getfixturevalue("own_postgres")
    office = start_office(store={"url": server.url(MD5)})
    breaking = stopped if request.param == "postgresql stopped" else frozen
    return office, lambda: breaking(server)


def test_running_sessions_go_on_and_new_ones_are_refused_until_it_is_back(
    broken: tuple[Office, Outage],
):
    office, outage = broken
    with office.session() as session:
        assert session.value("SELECT 'begun'") == "begun"
        with outage():
            wait_until(lambda: not office.proxy.is_ready, what="the proxy to notice")
            told = office.refusal()
            assert (told.code, told.text) == (office.code(Reason.STORE_UNAVAILABLE), SENTENCE)
            assert session.value("SELECT 'goes on'") == "goes on"
        wait_until(lambda: office.proxy.is_ready, what="the proxy to see it again")
        assert session.value("SELECT 'still'") == "still"
        with office.session() as later:
            assert later.value("SELECT 'new'") == "new"
        # Revocation works again, too.
        office.proxy.suspend(office.name)
        assert session.ended().code == office.code(Reason.SESSION_ENDED)


def test_a_store_file_that_was_replaced_opens_no_session(start_office: OfficeFactory):
    office = start_office()
    file = office.proxy.folder / "store.db"
    aside = file.with_name("aside.db")
    with office.session() as session:
        # What is changed from now on in a file of that name, this proxy would not see.
        file.rename(aside)
        file.touch(mode=0o600)
        wait_until(lambda: not office.proxy.is_ready, what="the proxy to notice")
        assert office.refusal().code == office.code(Reason.STORE_UNAVAILABLE)
        assert session.value("SELECT 'goes on'") == "goes on"
        file.unlink()
        aside.rename(file)
        wait_until(lambda: office.proxy.is_ready, what="the proxy to see its store again")
        office.session().close()

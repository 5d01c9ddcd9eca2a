"""The wall clock jumps, forward and back: what has a date keeps it, what has a length keeps that.

The clock is the proxy's process's alone (``clock.c``): servers and tests have the machine's.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.audit.verify import verify
from tests.faults.office import SOURCE, Office, fatal
from tests.hostile.raw import RawClient, Refused
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until

HOUR, DAY = 3_600, 86_400
MARGIN = 60


class Clock:
    """The wall clock of who is started with ``environment``: so many seconds ahead."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler: apt install gcc")
        self._file = folder / "clock"
        self.set(0)
        library = folder / "clock.so"
        source = Path(__file__).with_name("clock.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        self.environment = {"LD_PRELOAD": str(library), "TEST_CLOCK_FILE": str(self._file)}

    def set(self, ahead: int) -> None:
        """In force at once."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", ahead))


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def proxy(server_folder: Path, certificates: Certificates, clock: Clock) -> Iterator[ProxyServer]:
    proxy = ProxyServer(server_folder / "clock", certificates, limits={"idle_timeout": 600.0})
    proxy.environment = clock.environment
    try:
        yield proxy.start()
    finally:
        proxy.remove()


@pytest.fixture
def office(proxy: ProxyServer, postgres: PostgresServer, clock: Clock) -> Iterator[Office]:
    number = len(proxy.audit_events())
    yield Office(proxy, postgres, f"clock{number}")
    clock.set(0)


def expiring(office: Office, seconds: float) -> str:
    return office.token_until(datetime.now(UTC) + timedelta(seconds=seconds))


def log_in(office: Office, token: str) -> RawClient:
    client = RawClient(office.proxy.port)
    try:
        return client.log_in(office.name, token, SOURCE)
    except BaseException:
        client.close()
        raise


def sweeps(proxy: ProxyServer) -> float:
    """Beats, one a second, as many as sweeps over the sessions."""
    return proxy.metrics()["event_loop_lag_seconds_count"]


def wait_for_sweeps(proxy: ProxyServer) -> None:
    before = sweeps(proxy)
    wait_until(lambda: sweeps(proxy) >= before + 2, what="every session to be looked at")


def test_a_jump_is_no_time_that_a_session_was_idle(office: Office, clock: Clock):
    with office.session() as client:
        for ahead in (HOUR, 0, -HOUR, 0):
            clock.set(ahead)
            wait_for_sweeps(office.proxy)
            assert client.value("SELECT 'on'") == "on"
            # The one of the last round may just be leaving.
            wait_until(lambda: len(office.sessions()) == 1, what="the other session to be gone")
            (session,) = office.sessions()
            assert session["age_seconds"] < 600
            office.session().close()


def test_a_token_ends_with_the_clock_and_so_do_its_sessions(office: Office, clock: Clock):
    token = expiring(office, HOUR)
    with log_in(office, token) as client:
        clock.set(HOUR + MARGIN)
        refused = fatal(client)
        # Whoever looks first: the sweep, or a change of the store that is looked into.
        assert refused.code == "57P01"
        with pytest.raises(Refused) as told:
            log_in(office, token)
        assert told.value.code == "28P01"
        # One without an end is as good as before.
        office.session().close()
    clock.set(0)
    # Where the clock was wrong, the token is good again: it is a date that was stored.
    log_in(office, token).close()


def test_the_log_keeps_its_order_and_verifies_across_days_and_back(office: Office, clock: Clock):
    def texts() -> list[str]:
        records = office.proxy.audit_events()
        queries = [one["query_info"]["query_string"] for one in records if "query_info" in one]
        return [text for text in queries if text.startswith(f"SELECT '{office.name} ")]

    wanted = []
    for number, ahead in enumerate((0, 3 * DAY, -HOUR, 0)):
        clock.set(ahead)
        with office.session() as client:
            wanted.append(f"SELECT '{office.name} {number}'")
            client.query(wanted[-1])
        office.proxy.wait_until_quiet()
    assert texts() == wanted
    key = office.proxy.vault.verification_key()
    assert verify(office.proxy.audit_folder, key).is_intact
    # Statements have lengths, not differences of dates.
    durations = [one.get("duration", 0) for one in office.proxy.audit_events()]
    assert all(0 <= length < HOUR * 1000 for length in durations)


def test_certificates_are_held_against_the_date(office: Office, clock: Clock):
    with office.session() as client:
        # Past the end of the server's certificate, and of its authority's.
        clock.set(600 * DAY)
        refused = office.refusal()
        assert "certificate" in refused.text
        # What was verified when it was opened goes on.
        assert client.value("SELECT 'on'") == "on"
        clock.set(0)
        office.session().close()

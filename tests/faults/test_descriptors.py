"""No file descriptor is free: who is there is served on, who comes waits, and nothing spins."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

from proxy.gateway.listener import EXHAUSTED_SECONDS
from tests.faults.office import Office
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until

NO_DESCRIPTOR = "no descriptor is free; new connections wait"
CLIENTS = 6
OUTAGE_SECONDS = 2.0
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def few_descriptors(proxy: ProxyServer, free: int) -> Iterator[None]:
    """Let the proxy open so many more, and no others."""
    limits = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
    used = {int(entry.name) for entry in Path(f"/proc/{proxy.pid}/fd").iterdir()}
    unused = (number for number in range(100_000) if number not in used)
    most = [next(unused) for _ in range(free + 1)][-1]
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (most, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, limits)


def outages(proxy: ProxyServer) -> int:
    return proxy.log_text().count(NO_DESCRIPTOR)


def cpu_seconds(proxy: ProxyServer) -> float:
    """What the process has used: utime and stime of proc(5)."""
    fields = Path(f"/proc/{proxy.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def test_new_clients_wait_while_open_sessions_go_on_and_the_process_rests(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(), postgres)
    proxy = office.proxy
    with office.session() as client, ThreadPoolExecutor(CLIENTS) as threads, ExitStack() as stack:
        with few_descriptors(proxy, 0):
            waiting = [threads.submit(office.session) for _ in range(CLIENTS)]
            wait_until(lambda: outages(proxy) > 0, what="the proxy to find no descriptor")
            since, lines, used = monotonic(), outages(proxy), cpu_seconds(proxy)
            assert client.value("SELECT 'goes on'") == "goes on"
            wait_until(lambda: monotonic() - since > OUTAGE_SECONDS, what="the outage to last")
            lines, used = outages(proxy) - lines, cpu_seconds(proxy) - used
            lasted = monotonic() - since
            assert client.value("SELECT 'still'") == "still"
            assert not any(one.done() for one in waiting)
        # It looks again five times a second, and uses no processor in between.
        assert lines <= lasted / EXHAUSTED_SECONDS + 1
        assert used < lasted / 2
        sessions = [stack.enter_context(one.result(20)) for one in waiting]
        assert [one.value("SELECT 'on'") for one in sessions] == ["on"] * CLIENTS


def test_who_gets_the_last_descriptor_is_told_whose_fault_it_is(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(), postgres)
    with office.session() as client:
        with few_descriptors(office.proxy, 1):
            refused = office.refusal()
            assert client.value("SELECT 'goes on'") == "goes on"
        # Not that the data source cannot be reached: nobody has tried.
        assert refused.code == "53300"
        assert refused.text == "the proxy has too many connections"
        office.session().close()

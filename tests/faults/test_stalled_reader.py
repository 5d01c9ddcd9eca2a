"""A client that stops reading holds its server back, and no memory of the proxy's."""

from __future__ import annotations

import pytest

from tests.faults.office import Office
from tests.hostile.raw import RawClient, query
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import wait_until

# Of a result of 600 MB; two write buffers and what the kernel's sockets hold are under
# 4 MB, which the benchmark measures. The rest is the allocator's.
BOUND = 16 * 1024 * 1024


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "tls"])
def test_memory_is_bounded_while_a_client_reads_nothing(
    start_proxy: ProxyFactory, postgres: PostgresServer, is_encrypted: bool
):
    office = Office(start_proxy(), postgres)
    with RawClient(office.proxy.port, receive_buffer=65_536) as client:
        if is_encrypted:
            client.start_tls()
        client.log_in(office.name, office.token, "orders")
        client.query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
        before = office.proxy.resident_bytes()
        client.send(query("SELECT repeat('x', 10000) FROM generate_series(1, 60000)"))
        seen: list[int] = []

        def has_stopped() -> bool:
            seen.append(office.sessions()[0]["bytes_from_source"])
            return len(seen) > 20 and len(set(seen[-20:])) == 1

        wait_until(has_stopped, what="the result to stop flowing")
        assert office.proxy.resident_bytes() - before < BOUND
        # Others are served meanwhile, and the client gets the rest when it reads again.
        with office.session() as other:
            assert other.value("SELECT 1") == "1"
        client.read(8_000_000)

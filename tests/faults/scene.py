"""Clients, a relay, the proxy, a relay, a server; and what must be so after every fault.

Two sources of one workspace lead to the same server: ``kept`` is pooled, ``direct`` is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from protocols.errors import Reason
from proxy.audit.verify import verify
from proxy.store import PoolSettings
from tests.conformance.driver import Driver, Session
from tests.conformance.fixtures import new_name
from tests.faults.load import Load, Writer
from tests.faults.relay import Relay
from tests.servers.certificates import Certificates
from tests.servers.proxy import DataServer, ProxyServer
from tests.servers.tenant import Tenant
from tests.servers.waiting import wait_until

KEPT, DIRECT = "kept", "direct"
POOL = PoolSettings("session", maximum=8, queue_seconds=20.0)
CLIENTS = 3
"""Of each source."""

LIMITS: Mapping[str, Any] = {
    "connect_timeout": 3.0,
    "login_deadline": 3.0,
    "idle_timeout": 4.0,
    "peer_timeout": 2.0,
}
"""Short, so that what they bound is seen to end, and long beside what a slow network or a busy
machine takes.
"""

# What a client is told where its data source is lost, or cannot be reached.
_CODES = {
    "postgres": {Reason.SOURCE_LOST: "08006", Reason.SOURCE_UNREACHABLE: "08001"},
    "mysql": {Reason.SOURCE_LOST: "1053", Reason.SOURCE_UNREACHABLE: "1429"},
}
_NUMBERS = count()
_ERROR = '"level": "error"'


class Scene:
    """One protocol's. ``clients`` and ``source`` are the relays of the two legs.

    ``beside`` is the bystander's server.
    """

    def __init__(
        self,
        proxy: ProxyServer,
        driver: Driver,
        clients: Relay,
        source: Relay,
        beside: DataServer,
    ) -> None:
        self.proxy = proxy
        self.driver = driver
        self.clients = clients
        self.source = source
        self.tenant = Tenant(proxy, new_name())
        self.others = Tenant(proxy, new_name())
        server, account = driver.server, driver.account
        proxy.add_source(self.tenant.name, KEPT, server, account, port=source.port, pooling=POOL)
        proxy.add_source(self.tenant.name, DIRECT, server, account, port=source.port)
        proxy.add_source(self.others.name, DIRECT, beside, account)
        self.table = f"ledger_{self.tenant.name}"
        driver.execute(f"CREATE TABLE {self.table} (line VARCHAR(80))")
        driver.execute(f"GRANT ALL ON {self.table} TO {account.name}")
        self._rest = 0

    def code(self, reason: Reason) -> str:
        """What a client is told for one of these two reasons."""
        return _CODES[self.driver.name][reason]

    # --- clients -------------------------------------------------------------------------

    def session(self, source: str, *, tls: bool = False) -> Session:
        """A session of a client behind the relay. Raises Told."""
        return self._log_in(self.tenant, self.clients.port, source, tls=tls)

    def _log_in(self, tenant: Tenant, port: int, source: str, *, tls: bool = False) -> Session:
        session = self.driver.connect(port)
        try:
            session.wait_at_most(20.0)
            return session.log_in(tenant.name, tenant.token, source, tls=tls)
        except BaseException:
            session.close()
            raise

    @contextmanager
    def load(self, *, tls: bool = False, patience: float = 20.0) -> Iterator[Load]:
        """Clients of both sources, which write; afterwards everything must be as it has to.

        ``patience``: how long a client waits for an answer before it hangs up.
        """
        number = next(_NUMBERS)

        def writer(source: str, which: int) -> Writer:
            name = f"{number} {source} {which}"
            return Writer(lambda: self.session(source, tls=tls), self.table, name, patience)

        writers = [writer(source, one) for source in (KEPT, DIRECT) for one in range(CLIENTS)]
        load = Load(writers, lambda: self._log_in(self.others, self.proxy.port, DIRECT))
        with load.running():
            load.wait_for_more()
            yield load
        self.clients.heal()
        self.source.heal()
        assert load.disturbed == []
        self.nothing_is_left()
        self.everything_is_on_record(load)

    # --- what must be so -------------------------------------------------------------------

    def settle(self) -> None:
        """Remember what the proxy holds when nobody uses it."""
        for source in (KEPT, DIRECT):
            self.session(source).close()
        self._log_in(self.others, self.proxy.port, DIRECT).close()
        self.proxy.wait_until_quiet()
        self._wait_for_pools()
        self._rest = self._descriptors()

    def nothing_is_left(self) -> None:
        """No session, no connection but those that are kept, no place taken, no descriptor."""
        self.proxy.wait_until_quiet()
        self._wait_for_pools()

        def is_even() -> bool:
            kept = self.kept()
            return self.source.open == kept and self._connections_at_server() == kept

        wait_until(is_even, what="the server to have the kept connections and no others")
        wait_until(
            lambda: self._descriptors() <= self._rest,
            what=f"{self._rest} descriptors again, not {self._descriptors()}",
        )

    def sessions(self) -> int:
        """How many are open, the bystander's among them."""
        return int(self.proxy.metrics()["sessions{state=open}"])

    def logins(self) -> int:
        """How many connections are in their login."""
        return int(self.proxy.metrics()["sessions{state=login}"])

    def kept(self) -> int:
        """How many connections the pool holds idle."""
        return int(self.proxy.metrics()["pool_connections{state=idle}"])

    def _wait_for_pools(self) -> None:
        def is_settled() -> bool:
            samples = self.proxy.metrics()
            return not any(
                samples[f"pool_connections{{state={state}}}"] for state in ("active", "resetting")
            )

        wait_until(is_settled, what="the pool to have every connection back")

    def _connections_at_server(self) -> int:
        """Those that came by the relay: other proxies of the run have the same server."""
        if self.driver.name == "postgres":
            sql = "SELECT client_port::text FROM pg_stat_activity WHERE client_port > 0"
        else:
            sql = "SELECT SUBSTRING_INDEX(host, ':', -1) FROM information_schema.processlist"
        ports = {str(port) for port in self.source.ports}
        return sum(port in ports for (port,) in self.driver.execute(sql))

    def _descriptors(self) -> int:
        """Those of the proxy, without the kept connections' and the store's."""
        store = urlsplit(self.proxy.store_url).path
        found = 0
        for descriptor in Path(f"/proc/{self.proxy.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found += not os.readlink(descriptor).startswith(f"/{store.lstrip('/')}")
        return found - self.kept()

    def everything_is_on_record(self, load: Load) -> None:
        """Server, audit log and clients tell the same: what ran, once each, and how it ended."""
        sent = load.sent()
        there = [
            line
            for (line,) in self.driver.execute(f"SELECT line FROM {self.table}")
            if line in sent
        ]
        outcomes: dict[str, str] = {}
        for record in self.proxy.audit_events():
            text = record.get("query_info", {}).get("query_string", "")
            line = text.partition("VALUES ('")[2].removesuffix("')")
            if line in sent:
                assert line not in outcomes, f"recorded twice: {line}"
                outcomes[line] = record["unmapped"]["outcome"]
        succeeded = {line for line, outcome in outcomes.items() if outcome == "succeeded"}
        assert len(there) == len(set(there))
        assert load.answered() <= succeeded
        assert succeeded <= set(there)
        assert set(there) <= set(outcomes)
        assert {outcomes[line] for line in set(there) - succeeded} <= {"interrupted"}


@contextmanager
def raised(
    folder: Path, certificates: Certificates, driver: Driver, beside: DataServer | None = None
) -> Iterator[Scene]:
    """A scene; at its end the log verifies, no task is left, and no error was logged.

    ``beside``: the bystander's server, where that is another one.
    """
    proxy = ProxyServer(
        folder,
        certificates,
        listener=dict(driver.listener),
        limits=dict(LIMITS),
        audit={"sync_interval": 0.05},
    ).start()
    try:
        with ExitStack() as stack:
            clients = stack.enter_context(Relay(proxy.port))
            source = stack.enter_context(Relay(driver.server.port))
            scene = Scene(proxy, driver, clients, source, beside or driver.server)
            scene.settle()
            tasks = tasks_of(proxy)
            yield scene
            wait_until(lambda: tasks_of(proxy) <= tasks, what=f"{tasks} tasks again")
            key = proxy.vault.verification_key()
            assert verify(proxy.audit_folder, key).is_intact
            assert [line for line in proxy.log_text().splitlines() if _ERROR in line] == []
            driver.execute(f"DROP TABLE {scene.table}")
    finally:
        proxy.remove()


def tasks_of(proxy: ProxyServer) -> float:
    """The proxy's tasks, as its next beat counts them."""
    beats = "event_loop_lag_seconds_count"
    before = proxy.metrics()[beats]
    wait_until(lambda: proxy.metrics()[beats] > before + 1, what="the tasks to be counted")
    return proxy.metrics()["tasks"]

"""The first session of a proxy that shares connections: others are served meanwhile."""

from __future__ import annotations

from pathlib import Path

from proxy.store import PoolSettings
from tests.pool.pooled import PooledSource
from tests.pool.serve_watched import LOADED_BY
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer


class WatchedProxy(ProxyServer):
    program = "tests.pool.serve_watched"


def test_the_grammar_that_it_needs_is_not_loaded_in_the_event_loop(
    server_folder: Path, certificates: Certificates, postgres: PostgresServer
):
    proxy = WatchedProxy(server_folder / "first-turn", certificates)
    try:
        proxy.start()
        source = PooledSource(proxy, postgres, "first", pooling=PoolSettings("transaction"))
        with source.session() as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
        said = [line for line in proxy.log.read_text().splitlines() if line.startswith(LOADED_BY)]
        assert said == [f"{LOADED_BY}another"]
    finally:
        proxy.remove()

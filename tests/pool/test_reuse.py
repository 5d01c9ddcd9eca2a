"""A connection to a data source serves one client after the other."""

from __future__ import annotations

from tests.pool.pooled import PooledSource


def test_the_next_client_has_the_connection_of_the_one_before(pooled: PooledSource):
    with pooled.connect() as first:
        pid = first.execute("SELECT pg_backend_pid()").fetchone()
    pooled.settle()
    with pooled.connect() as second:
        assert second.execute("SELECT pg_backend_pid()").fetchone() == pid

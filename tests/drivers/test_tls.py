"""TLS to the client as libpq does it: verification, channel binding, direct TLS; versions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest

from proxy.store import TlsSettings
from tests.drivers.conftest import WORKSPACE
from tests.drivers.libpq import attempt, connected, seen
from tests.drivers.routes import Leg, Route, dsn
from tests.servers.certificates import Certificates
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM, Role
from tests.servers.waiting import wait_until

PROTOCOL_3_2 = 30002


def used(leg: Leg, **params: Any) -> tuple[bool, list[Any]]:
    """Whether a session came up in TLS, and that it works."""
    with connected(leg, **params) as connection:
        return bool(connection.pgconn.ssl_in_use), seen(connection.execute("SELECT 1"))


@pytest.mark.parametrize(
    "params",
    [
        {"sslmode": "prefer"},
        {"sslmode": "require"},
        {"sslmode": "verify-ca"},
        {"sslmode": "verify-full"},
        {"sslmode": "require", "channel_binding": "require"},
        {"sslmode": "verify-full", "channel_binding": "require", "sslnegotiation": "direct"},
        {"sslmode": "require", "sslnegotiation": "direct", "channel_binding": "disable"},
        {"sslmode": "require", "ssl_min_protocol_version": "TLSv1.3"},
        {"sslmode": "require", "ssl_max_protocol_version": "TLSv1.2"},
        {"sslmode": "require", "require_auth": "scram-sha-256"},
        {"sslmode": "require", "max_protocol_version": "3.2"},
        {"sslmode": "require", "max_protocol_version": "latest", "sslnegotiation": "direct"},
    ],
    ids=lambda params: "-".join(params.values()),
)
def test_libpq_gets_tls_as_it_asks_for_it(
    route: Route, certificates: Certificates, params: dict[str, str]
) -> None:
    asked = {"sslrootcert": str(certificates.ca)} if "verify" in params["sslmode"] else {}
    is_encrypted, rows = used(route.through, **params, **asked)
    assert is_encrypted
    assert rows[0][3] == [(1,)]


def test_a_verifying_client_refuses_a_certificate_of_another_authority(
    route: Route, certificates: Certificates
) -> None:
    wrong = str(certificates.certificate("other-ca"))
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        used(route.through, sslmode="verify-full", sslrootcert=wrong)


def test_channel_binding_cannot_be_had_without_tls(route: Route) -> None:
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        used(route.through, sslmode="disable", channel_binding="require")


def test_a_wrong_token_and_an_unknown_workspace_get_postgresqls_words(
    route: Route, workspace_token: str
) -> None:
    wrong = workspace_token[:-1] + ("y" if workspace_token.endswith("x") else "x")
    for user, password in ((WORKSPACE, wrong), ("nobody", workspace_token)):
        with pytest.raises(
            psycopg.OperationalError, match=f'password authentication failed for user "{user}"'
        ):
            psycopg.connect(dsn(route.through, user=user, password=password))


def test_an_unknown_source_is_refused(route: Route) -> None:
    with pytest.raises(psycopg.OperationalError, match="the data source does not exist"):
        psycopg.connect(dsn(route.through, dbname="nowhere"))


def test_protocol_3_2_works_with_its_long_cancel_keys(
    proxy: ProxyServer, postgres18: PostgresServer
) -> None:
    token = proxy.create_workspace("eighteen")
    proxy.add_source("eighteen", "main", postgres18)
    for version, full in (("3.0", 30000), ("3.2", PROTOCOL_3_2)):
        dsn18 = proxy.dsn("eighteen", token, "main", max_protocol_version=version)
        with psycopg.connect(dsn18, autocommit=True) as connection:
            assert connection.pgconn.full_protocol_version == full
            assert connection.info.server_version // 10_000 == 18
            for n in range(100):
                assert connection.execute("SELECT %s", (n,)).fetchone() == (n,)
            with connection.pipeline():
                cursors = [connection.execute("SELECT %s", (n,)) for n in range(20)]
                assert [c.fetchone() for c in cursors] == [(n,) for n in range(20)]
            assert attempt(connection.execute, "SELECT 1 / 0")[1] == "22012"
            text = f"SELECT pg_sleep(50), 'by {version}'"
            connection.pgconn.send_query(text.encode())
            # A cancel that overtook its statement would stop nothing.
            wait_until(partial(runs, postgres18, text), what="the statement to run")
            connection.cancel_safe(timeout=20)
            result = connection.pgconn.get_result()
            assert result is not None
            assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
            assert connection.pgconn.get_result() is None
            assert connection.execute("SELECT 'goes on'").fetchone() == ("goes on",)


def runs(server: PostgresServer, text: str) -> bool:
    """Whether the server runs this statement now."""
    sql = "SELECT 1 FROM pg_stat_activity WHERE query = %s AND state = 'active'"
    return server.execute(sql, (text,)) != []


def test_a_source_is_reached_by_direct_tls_and_its_statements_stopped_by_it(
    start_proxy: ProxyFactory, proxy: ProxyServer, postgres: PostgresServer
) -> None:
    # The source is a proxy: it takes direct TLS as PostgreSQL 17 does (libpq's tests above).
    token = proxy.create_workspace("direct")
    proxy.add_source("direct", "behind", postgres)
    front = start_proxy()
    own = front.create_workspace("front")
    front.add_source(
        "front",
        "direct",
        postgres,
        Role("direct", token, "scram-sha-256"),
        host=proxy.host,
        port=proxy.port,
        database="behind",
        tls=TlsSettings(ca_pem=proxy.certificates.ca.read_text(), negotiation="direct"),
    )
    with psycopg.connect(front.dsn("front", own, "direct"), autocommit=True) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (SCRAM.name,)
        text = "SELECT pg_sleep(60), 'by direct TLS'"
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(connection.execute, text)
            wait_until(partial(runs, postgres, text), what="the statement to run")
            connection.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled):
                running.result()

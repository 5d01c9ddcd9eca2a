"""The test servers do what the tests that use them believe."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.servers import roles
from tests.servers.external import ExternalPostgres
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import wait_until


def connect(dsn: str) -> psycopg.Connection:
    return psycopg.connect(dsn, autocommit=True, connect_timeout=10)


@pytest.mark.parametrize("role", roles.ROLES, ids=lambda role: role.name)
def test_each_role_logs_in_by_its_own_method(postgres: PostgresServer, role: roles.Role):
    tls = "disable" if role is roles.PLAIN_ONLY else "verify-full"
    with connect(postgres.dsn(role, tls=tls)) as connection:
        row = connection.execute(
            "SELECT current_user::text, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row == (role.name, role is not roles.PLAIN_ONLY)


@pytest.mark.parametrize("role", [roles.SCRAM, roles.MD5, roles.CLEAR], ids=lambda r: r.name)
def test_a_wrong_password_is_refused(postgres: PostgresServer, role: roles.Role):
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        connect(postgres.dsn(role).replace(role.password, "wrong"))


def test_the_kind_of_connection_is_enforced(postgres: PostgresServer):
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        connect(postgres.dsn(roles.TLS_ONLY, tls="disable"))
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        connect(postgres.dsn(roles.PLAIN_ONLY, tls="require"))


def test_postgres_18_runs_without_tls(postgres18: PostgresServer):
    assert not postgres18.has_tls
    with connect(postgres18.dsn(roles.SCRAM)) as connection:
        assert connection.info.server_version >= 180000


def test_the_log_shows_every_statement(postgres: PostgresServer):
    postgres.execute("SELECT 'a line to look for'")
    assert "a line to look for" in postgres.log_text()


def test_a_frozen_server_answers_again_after_thawing(own_postgres: PostgresServer):
    with connect(own_postgres.dsn(roles.SCRAM)) as connection, ThreadPoolExecutor(1) as thread:
        own_postgres.freeze()
        answer = thread.submit(connection.execute, "SELECT 1")
        assert own_postgres.is_frozen
        own_postgres.thaw()
        assert answer.result(timeout=40).fetchone() == (1,)


def test_a_killed_server_cuts_its_sessions_and_starts_again(own_postgres: PostgresServer):
    with connect(own_postgres.dsn(roles.SCRAM)) as connection:
        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    own_postgres.start()
    assert own_postgres.execute("SELECT 1") == [(1,)]


def test_a_server_serves_the_certificate_it_is_given(own_postgres: PostgresServer):
    for name in ("server-expired", "server-wrong-host", "server-other-ca"):
        own_postgres.use_certificate(name)
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            connect(own_postgres.dsn(roles.SCRAM, tls="verify-full"))
    for name in ("server-ec", "server-ed25519", "server-sha384", "server-sha1", "server-weak"):
        own_postgres.use_certificate(name)
        with connect(own_postgres.dsn(roles.SCRAM, tls="require")) as connection:
            assert connection.pgconn.ssl_in_use


def test_sessions_are_counted(own_postgres: PostgresServer):
    with connect(own_postgres.dsn(roles.SCRAM)):
        assert own_postgres.session_count(roles.SCRAM) == 1
    wait_until(lambda: own_postgres.session_count(roles.SCRAM) == 0, what="the session to end")


def test_somebody_elses_server_gets_the_roles_and_loses_them_again(own_postgres: PostgresServer):
    roles_made = "SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s) AND NOT rolsuper"
    names = ([role.name for role in roles.ROLES],)
    for role in roles.ROLES:
        own_postgres.execute(f"DROP OWNED BY {role.name}; DROP ROLE {role.name}")
    external = ExternalPostgres(own_postgres.dsn())
    assert own_postgres.execute(roles_made, names) == [(len(roles.ROLES),)]
    assert external.has_tls
    external.remove()
    assert own_postgres.execute(roles_made, names) == [(0,)]


def test_roles_of_somebody_elses_server_are_never_overwritten(own_postgres: PostgresServer):
    with pytest.raises(RuntimeError, match="tests would overwrite them"):
        ExternalPostgres(own_postgres.dsn())

"""Start-up parameters through the proxy, and where a session rightly differs from a direct one."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.drivers.routes import Leg, Route, dsn

SETTINGS = (
    *("work_mem", "statement_timeout", "search_path", "geqo", "client_encoding", "TimeZone"),
    *("application_name", "DateStyle", "default_transaction_read_only", "extra_float_digits"),
)
REPORTED = (
    *("server_encoding", "client_encoding", "application_name", "is_superuser", "server_version"),
    *("session_authorization", "DateStyle", "IntervalStyle", "TimeZone", "integer_datetimes"),
    *("standard_conforming_strings", "default_transaction_read_only", "in_hot_standby"),
)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"options": "-c work_mem=64MB -c statement_timeout=5s"},
        {"options": "--search_path=a,b -c geqo=off"},
        {"options": "-c DateStyle=German -c timezone=Europe/Paris"},
        {"options": "-c default_transaction_read_only=on -c extra_float_digits=0"},
        {"client_encoding": "LATIN1"},
        {"application_name": "é☃"},
        {"application_name": "a" * 100},
    ],
    ids=str,
)
def test_settings_of_a_session_are_equal(route: Route, params: dict[str, str]) -> None:
    def script(leg: Leg) -> list[Any]:
        with psycopg.connect(dsn(leg, **params), autocommit=True) as connection:
            values = [connection.execute(f"SHOW {name}").fetchone() for name in SETTINGS]
            return values + [connection.info.parameter_status(name) for name in REPORTED]

    route.same(script)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"options": "-c role=postgres"}, 'parameter "role" is not permitted'),
        ({"options": "-c log_statement=none"}, 'parameter "log_statement" is not permitted'),
        ({"options": "-c my.variable=1"}, 'parameter "my.variable" is not permitted'),
        ({"options": "-c standard_conforming_strings=off"}, "must be on"),
        ({"options": "-e"}, "use -c name=value"),
        ({"replication": "database"}, "replication connections are not permitted"),
        ({"client_encoding": "nonsense"}, r"refused a start-up parameter \(22023\)"),
    ],
)
def test_what_is_refused_at_the_start_is_refused_in_one_sentence(
    route: Route, params: dict[str, str], message: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match=message):
        psycopg.connect(dsn(route.through, **params))


def test_the_process_id_a_client_is_told_is_the_sessions_and_not_the_backends(
    route: Route,
) -> None:
    with psycopg.connect(dsn(route.through), autocommit=True) as connection:
        row = connection.execute("SELECT pg_backend_pid(), current_user").fetchone()
        assert row is not None
        assert row[1] == route.direct.keywords["user"]
        assert connection.info.user == route.through.keywords["user"]
        assert connection.info.backend_pid != row[0]
        connection.execute("LISTEN here")
        connection.execute("NOTIFY here")
        (note,) = connection.notifies(timeout=20, stop_after=1)
        assert note.pid == row[0]

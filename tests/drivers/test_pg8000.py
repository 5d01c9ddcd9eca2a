"""pg8000: a driver in plain Python, with its own SCRAM and its own idea of pipelining."""

from __future__ import annotations

import io
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pg8000.exceptions
import pg8000.native
import pytest

from tests.drivers.conftest import ALL_ROUTES
from tests.drivers.routes import SCHEMA, Leg, Route


@contextmanager
def connected(leg: Leg) -> Iterator[pg8000.native.Connection]:
    keywords = leg.keywords
    context: ssl.SSLContext | None = None
    if leg.sslmode != "disable":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with closing(
        pg8000.native.Connection(
            keywords["user"],
            host=keywords["host"],
            port=keywords["port"],
            password=keywords["password"],
            database=keywords["dbname"],
            ssl_context=context,
            startup_params={"search_path": SCHEMA},
        )
    ) as connection:
        yield connection


def attempt(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    try:
        return work(*arguments, **named)
    except pg8000.exceptions.DatabaseError as error:
        return error.args


@pytest.mark.parametrize("route", ALL_ROUTES, indirect=True)
def test_rows_errors_copy_and_notices_are_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        out: list[Any] = []
        with connected(leg) as connection:
            run = connection.run
            run("CREATE TABLE t (a int PRIMARY KEY, b text)")
            for n in range(20):
                run("INSERT INTO t VALUES (:a, :b)", a=n, b=f"v{n}")
            out += [connection.row_count, run("SELECT * FROM t ORDER BY a")]
            out.append([(c["name"], c["type_oid"]) for c in connection.columns or ()])
            out.append(run("SELECT 1.5::numeric, '{1,2}'::int[], '{\"a\": 1}'::jsonb, NULL, true"))
            out.append(run("SELECT 1; SELECT 2"))
            out.append(attempt(run, "SELECT 1 / :n", n=0))
            out.append(attempt(run, "SELECT 1 / 0"))
            out.append(attempt(run, "INSERT INTO t VALUES (1, 'twice')"))
            prepared = connection.prepare("SELECT :v || 'x'")
            out += [prepared.run(v="a"), prepared.run(v="b")]
            prepared.close()
            run("START TRANSACTION")
            out.append(attempt(run, "SELECT * FROM never_was"))
            out.append(attempt(run, "SELECT 1"))
            run("ROLLBACK")
            run("COPY t FROM STDIN", stream=io.BytesIO(b"100\tx\n101\ty\n"))
            into = io.BytesIO()
            run("COPY (SELECT * FROM t ORDER BY a) TO STDOUT (FORMAT csv)", stream=into)
            out.append(into.getvalue())
            out.append(attempt(run, "COPY t FROM STDIN", stream=io.BytesIO(b"bad\n")))
            run("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
            out += [dict(notice) for notice in connection.notices]
            run("LISTEN here")
            run("NOTIFY here, 'payload'")
            out += [tuple(n)[1:] for n in connection.notifications]
            out.append(run("SELECT count(*) FROM t"))
        return out

    route.same(script)

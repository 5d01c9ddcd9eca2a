"""PostgreSQL's own programs: psql, pg_dump and pgbench, direct and through the proxy."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.drivers.conftest import ALL_ROUTES
from tests.drivers.routes import SCHEMA, Leg, Route
from tests.servers.programs import machine_postgres


def run(
    leg: Leg, program: str, *arguments: str, text: str = "", folder: Path | None = None
) -> tuple[int, str, str]:
    """The exit code, output and errors of one of PostgreSQL's programs."""
    programs = machine_postgres()
    assert programs is not None
    keywords = leg.keywords
    done = subprocess.run(
        [str(programs.path(program)), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
        env={
            "PGHOST": str(keywords["host"]),
            "PGPORT": str(keywords["port"]),
            "PGUSER": str(keywords["user"]),
            "PGPASSWORD": str(keywords["password"]),
            "PGDATABASE": str(keywords["dbname"]),
            "PGSSLMODE": leg.sslmode,
            "PGOPTIONS": f"-c search_path={SCHEMA}",
            "PGCONNECT_TIMEOUT": "20",
            "LC_ALL": "C",
        },
    )
    return done.returncode, done.stdout, done.stderr


PSQL = r"""
\set VERBOSITY verbose
\set ECHO all
CREATE TABLE t (a int PRIMARY KEY, b text DEFAULT 'x' NOT NULL, c numeric(9, 2)[]);
CREATE INDEX by_b ON t (b) WHERE a > 3;
CREATE VIEW v AS SELECT a, b FROM t;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 20) g;
SELECT * FROM t ORDER BY a LIMIT 3;
SELECT 1 AS one \; SELECT 2 AS two \; SELECT 3 AS three;
;
SELEC;
SELECT never_was FROM t;
INSERT INTO t VALUES (1, 'twice');
SELECT 1 \; SELECT 1 / 0 \; SELECT 3;
DO $$ BEGIN RAISE NOTICE 'noticed'; RAISE WARNING 'warned' USING HINT = 'a hint'; END $$;
BEGIN;
SELECT nothing;
SELECT 'in a failed transaction';
ROLLBACK;
\d t
\d+ v
\df
\dn driver
\dt
\sf f
\copy t (a, b) from 'in.csv' with (format csv)
\copy (select a, b from t order by a) to 'out.csv' with (format csv, header)
\copy t from 'never-was.csv'
COPY t (a, b) FROM STDIN;
200	from stdin
201	more
\.
COPY t (a, b) FROM STDIN;
not a number	x
\.
COPY (SELECT a, b FROM t WHERE a > 15 ORDER BY a) TO STDOUT;
\gdesc
SELECT a, b FROM t ORDER BY a LIMIT 2 \gdesc
SELECT 'SELECT ' || g || ' AS made' FROM generate_series(1, 3) g \gexec
SELECT count(*) AS how_many FROM t \gset
\echo :how_many
\set FETCH_COUNT 7
SELECT a FROM t ORDER BY a;
SELECT 10 / (10 - a) FROM t ORDER BY a;
\unset FETCH_COUNT
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT 1 / 0;
SELECT 'still good';
COMMIT;
LISTEN here;
NOTIFY here, 'a payload';
SELECT pg_notify('here', NULL);
\lo_import in.csv
\lo_export :LASTOID lo.csv
\lo_unlink :LASTOID
\encoding LATIN1
SELECT 'done';
"""

# What rightly differs: process ids and the oids of large objects.
_NUMBERS = re.compile(r"(PID |lo_import |lo_unlink |lo_export )\d+")


@pytest.mark.parametrize("route", ALL_ROUTES, indirect=True)
def test_psql_prints_the_same(route: Route, tmp_path: Path) -> None:
    def script(leg: Leg) -> list[Any]:
        folder = tmp_path / leg.sslmode / str(leg.keywords["dbname"])
        folder.mkdir(parents=True)
        (folder / "in.csv").write_text("100,from a file\n101,more\n")
        code, out, errors = run(leg, "psql", "-X", text=PSQL, folder=folder)
        lines = _NUMBERS.sub(r"\1N", out).splitlines()
        return [
            *lines,
            *errors.splitlines(),
            code,
            (folder / "out.csv").read_text(),
            (folder / "lo.csv").read_text(),
        ]

    out = route.same(script)
    assert "NOTICE:  00000: noticed" in "\n".join(map(str, out))
    assert " done" in out


def test_psql_stops_at_an_error_in_one_transaction(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        text = "CREATE TABLE t (); SELECT 1 / 0; SELECT 2;"
        many = run(leg, "psql", "-X", "-v", "ON_ERROR_STOP=1", "--single-transaction", text=text)
        one = run(leg, "psql", "-X", "-c", text)
        return [*many, *one, *run(leg, "psql", "-X", "-c", r"\dt")]

    route.same(script)


def test_a_dump_is_the_same_and_can_be_restored_through_the_proxy(route: Route) -> None:
    make = rf"""
        CREATE TYPE mood AS ENUM ('sad', 'fine');
        CREATE TABLE parent (id serial PRIMARY KEY, name text UNIQUE, mood mood, data bytea);
        CREATE TABLE child (id int REFERENCES parent, "odd ""name" jsonb CHECK (id > 0));
        INSERT INTO parent (name, mood, data)
            SELECT E'line\n\t\\' || g, 'fine', decode(repeat(md5(g::text), 40), 'hex')
            FROM generate_series(1, 3000) g;
        INSERT INTO child SELECT id, jsonb_build_object('n', id) FROM parent;
        CREATE VIEW both_of_them AS SELECT * FROM parent NATURAL JOIN child;
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER t BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION f();
        CREATE SEQUENCE s START 42;
        COMMENT ON TABLE {SCHEMA}.parent IS 'a comment';
    """

    def dump(leg: Leg, *how: str) -> str:
        code, out, errors = run(leg, "pg_dump", f"--schema={SCHEMA}", *how)
        assert (code, errors) == (0, "")
        # pg_dump fences its output with a word that is new each time.
        return "\n".join(line for line in out.splitlines() if "restrict " not in line)

    route.renew()
    assert run(route.direct, "psql", "-X", "-q", text=make) == (0, "", "")
    for how in ((), ("--inserts", "--rows-per-insert=100")):
        direct = dump(route.direct, *how)
        assert len(direct) > 1_000_000
        assert dump(route.through, *how) == direct
        route.server.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        code, _, errors = run(
            route.through, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", text=direct
        )
        assert (code, errors) == (0, "")
        assert dump(route.direct, *how) == direct


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_finishes_without_a_failure(route: Route, mode: str) -> None:
    route.renew()
    code, _, errors = run(route.through, "pgbench", "-i", "-q", "-s", "1")
    assert code == 0, errors
    for count, arguments in ((20, ("-S",)), (4, ("-C",)), (20, ())):
        code, out, errors = run(
            route.through,
            *("pgbench", "-n", "-M", mode, "-c", "3", "-t", str(count), *arguments),
        )
        assert code == 0, errors
        assert f"number of transactions actually processed: {3 * count}/{3 * count}" in out
        assert "number of failed transactions: 0" in out
    rows = route.server.execute(f"SELECT count(*) FROM {SCHEMA}.pgbench_history")
    assert rows == [(3 * 20 + 3 * 4,)]


def test_pgbench_pipelines_finish_without_a_failure(route: Route, tmp_path: Path) -> None:
    route.renew()
    (tmp_path / "pipeline.sql").write_text(
        r"""
        \startpipeline
        SELECT 1;
        INSERT INTO t VALUES (1);
        SELECT generate_series(1, 100);
        \endpipeline
        \startpipeline
        INSERT INTO t VALUES (2);
        \endpipeline
        """
    )
    assert run(route.direct, "psql", "-X", "-q", "-c", "CREATE TABLE t (a int)")[0] == 0
    for mode in ("extended", "prepared"):
        code, out, errors = run(
            route.through,
            *("pgbench", "-n", "-M", mode, "-c", "2", "-t", "50"),
            *("-f", str(tmp_path / "pipeline.sql")),
        )
        assert code == 0, errors
        assert "number of transactions actually processed: 100/100" in out
    assert route.server.execute(f"SELECT count(*) FROM {SCHEMA}.t") == [(400,)]

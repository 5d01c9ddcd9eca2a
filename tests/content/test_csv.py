"""CSV out of and into a real PostgreSQL and a real MariaDB, through a real proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from policies.document import Policy
from proxy.content.answers import StepFailed
from proxy.content.csvexport import export_csv
from proxy.content.csvimport import ImportStopped, Plan, Report, import_csv
from proxy.content.csvtext import written
from proxy.content.entrance import Entrance
from proxy.content.problems import ContentRefused
from proxy.content.tables import TableName
from proxy.content.transfers import Progress
from proxy.store import Store
from tests.content.town import Town
from tests.servers.roles import SCRAM

SOURCES = ("orders", "shop")


class Desk:
    """Exports and imports of one workspace."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.workspace = town.workspace()
        self.told: list[Progress] = []

    async def out(self, source: str, what: str, **options: Any) -> bytes:
        """Export a table, or a text with a space in it: a query."""
        found: list[bytes] = []

        async def sink(data: bytes) -> None:
            found.append(data)

        async with self.town.desk() as place:
            await export_csv(
                place,
                Entrance.of(self.town.proxy.config),
                self.workspace,
                source,
                what if " " in what else TableName.parse(what),
                sink,
                tell=self.told.append,
                **options,
            )
        return b"".join(found)

    async def into(self, source: str, table: str, data: bytes, **plan: Any) -> Report:
        """Import."""

        async def chunks() -> AsyncIterator[bytes]:
            for at in range(0, len(data), 50):
                yield data[at : at + 50]

        async with self.town.desk() as place:
            return await import_csv(
                place,
                Entrance.of(self.town.proxy.config),
                self.workspace,
                source,
                Plan(TableName.parse(table), **plan),
                chunks,
                tell=self.told.append,
            )

    def rows(self, source: str, table: str) -> list[tuple[Any, ...]]:
        """What a table holds, straight from its server."""
        if source == "orders":
            return list(self.town.postgres.execute(f"SELECT * FROM {table} ORDER BY 1"))
        return self.town.mariadb.administer(f"SELECT * FROM shop.{table} ORDER BY 1")

    def make(self, source: str, table: str, columns: str) -> str:
        """A new table; its name."""
        if source == "orders":
            self.town.postgres.execute(f"CREATE TABLE {table} ({columns})")
            self.town.postgres.execute(f"GRANT ALL ON {table} TO {SCRAM.name}")
        else:
            self.town.mariadb.administer(f"CREATE TABLE shop.{table} ({columns})")
        return table


@pytest.fixture
def desk(town: Town) -> Desk:
    return Desk(town)


MIXED = (
    b"id,note,price,day,made,ok\r\n"
    b'1,"a,""b""\r\nc",1.50,2026-05-04,2026-05-04 12:30:15,true\r\n'
    b'2,"",-3.25,,2026-05-05 00:00:00,false\r\n'
    b"3,,,,,\r\n"
)


@pytest.mark.parametrize("source", SOURCES)
async def test_a_file_makes_a_table_with_the_types_of_its_values(desk: Desk, source: str):
    table = f"made_{source}_{desk.workspace}"
    report = await desk.into(source, table, MIXED, create=True)
    assert (report.rows, report.bad, report.is_stored) == (3, [], True)
    kinds = dict(report.columns)
    assert kinds["id"] == "bigint"
    assert kinds["day"] == "date"
    rows = desk.rows(source, table)
    assert [row[1] for row in rows] == ['a,"b"\r\nc', "", None]
    assert str(rows[1][2]) == "-3.25"
    assert rows[0][3].isoformat() == "2026-05-04"
    assert [row[5] for row in rows] == [True, False, None]


@pytest.mark.parametrize(("one", "other"), [SOURCES, SOURCES[::-1]])
async def test_what_is_exported_from_one_imports_into_the_other(desk: Desk, one: str, other: str):
    first, second = f"from_{one}_{desk.workspace}", f"to_{other}_{desk.workspace}"
    await desk.into(one, first, MIXED, create=True)
    exported = await desk.out(one, first)
    await desk.into(other, second, exported, create=True)
    # MariaDB's boolean is a tiny integer, and true there is 1 elsewhere.
    assert [[str(value) for value in row[:5]] for row in desk.rows(one, first)] == [
        [str(value) for value in row[:5]] for row in desk.rows(other, second)
    ]


@pytest.mark.parametrize("source", SOURCES)
async def test_null_and_the_empty_text_are_exported_apart(desk: Desk, source: str):
    data = await desk.out(source, "SELECT NULL AS a, '' AS b, 'x,y' AS c, -5 AS d")
    header, line = data.splitlines()
    assert (header, line) == (b"a,b,c,d", b',"","x,y",-5')


@pytest.mark.parametrize("source", SOURCES)
async def test_formulas_are_neutralised_on_request(desk: Desk, source: str):
    query = "SELECT '=1+1' AS a, '+x' AS b, -5 AS c"
    assert (await desk.out(source, query)).splitlines()[1] == b"=1+1,+x,-5"
    harmless = await desk.out(source, query, neutralise=True)
    assert harmless.splitlines()[1] == b"'=1+1,'+x,-5"


BAD = b"id,note\n1,one\nx,two\n3,three\n4\n5,five\n3,again\n"


@pytest.mark.parametrize("source", SOURCES)
async def test_bad_lines_are_left_out_and_named(desk: Desk, source: str):
    table = desk.make(source, f"skip_{source}_{desk.workspace}", "id int PRIMARY KEY, note text")
    report = await desk.into(source, table, BAD, on_bad="skip")
    assert (report.rows, report.is_stored) == (3, True)
    bad = {entry.number: entry.problem for entry in report.bad}
    assert set(bad) == {3, 5, 7}
    assert bad[3] == "id: this is not an integer"
    assert bad[5] == "the line has 1 fields, not 2"
    assert "uplicate" in bad[7]
    assert [row[0] for row in desk.rows(source, table)] == [1, 3, 5]
    assert desk.told[-1].bad == 3


@pytest.mark.parametrize("source", SOURCES)
async def test_otherwise_one_bad_line_leaves_all_out(desk: Desk, source: str):
    table = desk.make(source, f"stop_{source}_{desk.workspace}", "id int PRIMARY KEY, note text")
    with pytest.raises(ImportStopped, match="line 3: id: this is not an integer"):
        await desk.into(source, table, BAD)
    twice = b"id,note\n" + b"".join(b"%d,x\n" % number for number in range(1_200)) + b"7,again\n"
    with pytest.raises(ImportStopped, match=r"line 1202: .*uplicate") as stopped:
        await desk.into(source, table, twice)
    assert [entry.number for entry in stopped.value.report.bad] == [1202]
    assert not stopped.value.report.is_stored
    assert desk.rows(source, table) == []


@pytest.mark.parametrize("source", SOURCES)
async def test_a_table_that_was_made_goes_with_a_failed_import(desk: Desk, source: str):
    table = f"gone_{source}_{desk.workspace}"
    with pytest.raises(ImportStopped):
        await desk.into(source, table, b"a,b\n1,2\n3\n", create=True)
    with pytest.raises(StepFailed):
        await desk.out(source, table)


@pytest.mark.parametrize("source", SOURCES)
async def test_a_dry_run_looks_at_every_line_and_writes_nothing(desk: Desk, source: str):
    table = desk.make(source, f"dry_{source}_{desk.workspace}", "id int PRIMARY KEY, note text")
    report = await desk.into(source, table, BAD, is_dry_run=True)
    assert [entry.number for entry in report.bad] == [3, 5]
    assert (report.rows, report.is_stored, report.bytes) == (4, False, len(BAD))
    assert desk.rows(source, table) == []
    guessed = await desk.into(source, "nowhere", MIXED, is_dry_run=True, create=True)
    assert dict(guessed.columns)["id"] == "bigint"


@pytest.mark.parametrize("source", SOURCES)
async def test_names_are_quoted_and_never_run(desk: Desk, source: str):
    mark = '"' if source == "orders" else "`"
    name = f"odd{mark}; DROP TABLE x; --{desk.workspace}"[:60]
    data = written([f"a{mark}b", "select"]) + written([1, 2])
    report = await desk.into(source, name, data, create=True)
    assert report.rows == 1
    with pytest.raises(ContentRefused, match=r"table or schema\.table"):
        await desk.into(source, "a.b.c", MIXED, create=True)


async def test_every_type_of_mariadb_keeps_what_it_says(desk: Desk):
    table = desk.make(
        "shop",
        f"types_{desk.workspace}",
        "id int(6) zerofill, f float, d double, n decimal(10,3), b bit(9), raw blob, t time(3),"
        " at datetime(6), note text, j json",
    )
    desk.town.mariadb.administer(
        f"INSERT INTO shop.{table} VALUES (42, 1.2345679, 0.1, 1.500, 258, x'00ff2c',"
        " '-12:30:01.5', '2026-05-04 12:30:15.000001', ' a\"b', '{}')"
    )
    plain = b'42,0.1,1.500,258,\\x00ff2c,-12:30:01.500,2026-05-04 12:30:15.000001," a""b",{}'
    columns = "id, d, n, b, raw, t, at, note, j"
    assert (await desk.out("shop", f"SELECT {columns} FROM {table}")).splitlines()[1] == plain
    # Of a FLOAT the text protocol shows six digits.
    whole = (await desk.out("shop", table)).splitlines()[1].split(b",")
    assert float(whole[1]) == pytest.approx(1.2345679, abs=1e-7)


async def test_a_query_of_mariadb_is_one_query(desk: Desk):
    table = desk.make("shop", f"two_{desk.workspace}", "id int")
    for query in (
        f"SELECT 1; DROP TABLE {table}",
        "CREATE TABLE not_made (id int)",
        f"INSERT INTO {table} VALUES (1)",
    ):
        with pytest.raises(StepFailed):
            await desk.out("shop", query)
    assert desk.rows("shop", table) == []
    assert (await desk.out("shop", "SELECT 1 AS a")).splitlines() == [b"a", b"1"]


async def test_a_query_is_one_query(desk: Desk):
    for query in (
        "SELECT 1) TO PROGRAM 'true' --",
        "SELECT 1; SELECT 2",
        "CREATE TABLE not_made (id int)",
    ):
        with pytest.raises(StepFailed):
            await desk.out("orders", query)
    assert (await desk.out("orders", "SELECT 1 AS a; ")).splitlines() == [b"a", b"1"]
    assert (await desk.out("orders", "SELECT 1 AS a -- end")).splitlines() == [b"a", b"1"]


@pytest.mark.parametrize("source", SOURCES)
async def test_the_policy_holds_for_exports_and_imports(desk: Desk, source: str):
    table = desk.make(source, f"kept_{source}_{desk.workspace}", "id int")

    async def work(store: Store) -> None:
        policy = Policy.model_validate({"version": 1, "access": "read-only", "features": ["copy"]})
        await store.policies.set_of_workspace(await store.workspace(desk.workspace), policy)

    desk.town.proxy.with_store(work)
    assert (await desk.out(source, table)).split() == [b"id"]
    with pytest.raises(StepFailed, match="refused by policy"):
        await desk.into(source, table, b"id\n1\n")
    assert desk.rows(source, table) == []


@pytest.mark.parametrize("data", [b"", b"a,a\n1,2\n", b'"open\n', b",b\n"])
async def test_a_file_without_a_header_is_refused(desk: Desk, data: bytes):
    with pytest.raises(ContentRefused):
        await desk.into("orders", "nowhere", data, create=True)


ROWS = int(os.environ.get("ACCODE_TEST_CSV_ROWS", "12000"))
"""Of about 1,000 bytes each; 1,000,000 make the file of a gigabyte (docs/development.md)."""
GROWTH = 64 * 1024 * 1024
"""Bytes that a process may hold more than when idle while a file of any size passes."""
BATCHES = 8 * 1024 * 1024
"""What it may grow by from a file of 1 MB to the large one: batches, never the file."""

_MEASURED = """
import sys
from pathlib import Path
from click.testing import CliRunner
from proxy.cli import cli
result = CliRunner().invoke(cli, sys.argv[1:])
assert result.exit_code == 0, result.output
# Not getrusage(2), whose maximum is inherited from whoever started us.
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""


def peak(*arguments: str) -> int:
    """The most memory that a command held, in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments],
        stdout=subprocess.PIPE,
        check=True,
        env={"PATH": os.environ["PATH"]},
        timeout=3_600,
    )
    return int(done.stdout.split()[-1]) * 1024


def write_rows(file: Path, rows: int) -> None:
    """Rows of about 1,000 bytes."""
    with file.open("wb") as stream:
        stream.write(b"id,note\n")
        stream.writelines(b"%d,%b\n" % (n, b"x" * 990) for n in range(rows))


@pytest.mark.parametrize("source", SOURCES)
def test_memory_does_not_grow_with_the_file(desk: Desk, source: str, tmp_path: Path):
    config = ("--config", str(desk.town.proxy.config_file))
    place = (desk.workspace, source)
    out = tmp_path / "out.csv"
    idle = peak(*config, "csv", "export", *place, "--query", "SELECT 1 AS a", "-o", str(out))
    peaks: dict[str, list[int]] = {"import": [], "export": []}
    for number, rows in enumerate((1_000, ROWS)):
        file = tmp_path / f"{rows}.csv"
        write_rows(file, rows)
        table = f"large{number}_{source}_{desk.workspace}"
        for verb, command in {
            "import": ("csv", "import", *place, table, str(file), "--create"),
            "export": ("csv", "export", *place, "--table", table, "-o", str(out)),
        }.items():
            began = time.monotonic()
            peaks[verb].append(peak(*config, *command))
            seconds = time.monotonic() - began
            print(
                f"{source} by csv {verb}: {file.stat().st_size} bytes in {seconds:.1f} s,", end=""
            )
            print(f" {peaks[verb][-1] - idle} bytes more than the {idle} of an idle command")
        assert out.stat().st_size >= file.stat().st_size
        out.unlink()
    for small, large in peaks.values():
        assert large - small < BATCHES, json.dumps(peaks)
        assert large - idle <= GROWTH, (idle, json.dumps(peaks))

"""mysqlclient, the driver over MariaDB's C library: the same directly and through the proxy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.mysql.conftest import Route
from tests.mysql.test_drivers import TABLE, VALUES, compare

MySQLdb = pytest.importorskip(
    "MySQLdb",
    reason="mysqlclient is missing: `./run test` builds it where the machine has a C compiler and"
    " libmariadb's headers (apt install gcc pkg-config libmariadb-dev)",
)
cursors = pytest.importorskip("MySQLdb.cursors")


def connect(place: dict[str, Any], route: Route, **options: Any) -> Any:
    tls = {"ssl": {"ca": route.ca}} if route.is_encrypted else {"ssl_mode": "DISABLED"}
    return closing(MySQLdb.connect(**place, **tls, **options))


def failure(work: Callable[[], object]) -> tuple[str, str]:
    """The class, and the number and text, of the error that ``work`` must end with."""
    with pytest.raises(MySQLdb.MySQLError) as caught:
        work()
    return type(caught.value).__name__, str(caught.value)


def test_values_counts_warnings_and_errors(route: Route):
    def script(place: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        with connect(place, route) as connection:
            cursor = connection.cursor()
            cursor.execute(VALUES)
            found += [cursor.fetchall(), [column[:2] for column in cursor.description]]
            cursor.execute(TABLE.format(name="c"))
            rows = [("x", "1.5"), ("y", None), ("z", "3")]
            cursor.executemany("INSERT INTO c (word, amount) VALUES (%s, %s)", rows)
            found += [cursor.rowcount, cursor.lastrowid, connection.info()]
            found.append(failure(lambda: cursor.execute("INSERT INTO c (word) VALUES ('x')")))
            found.append(failure(lambda: cursor.execute("SELEC 1")))
            cursor.execute("SELECT CAST('12x' AS SIGNED)")
            found += [cursor.fetchall(), connection.warning_count()]
            cursor.execute("UPDATE c SET amount = amount + 1")
            found += [cursor.rowcount, connection.info()]
            connection.rollback()
            cursor.execute("DROP TABLE c")
        return found

    found = compare(route, script)
    assert found[2] == 3
    assert found[-4:] == [((12,),), 1, 2, "Rows matched: 3  Changed: 2  Warnings: 0"]


def test_several_results_and_rows_that_stream(route: Route):
    def script(place: dict[str, Any]) -> list[Any]:
        with connect(place, route) as connection:
            cursor = connection.cursor()
            cursor.execute("DROP PROCEDURE IF EXISTS r")
            cursor.execute("CREATE PROCEDURE r () BEGIN SELECT 1; SELECT 2, 3; END")
            found: list[Any] = []
            for statements in ("CALL r ()", "SELECT 4; DO 5; SELECT 6 UNION SELECT 7"):
                cursor.execute(statements)
                found.append(cursor.fetchall())
                while cursor.nextset():
                    found.append(cursor.fetchall())
            connection.select_db("information_schema")
            connection.ping()
            streamed = connection.cursor(cursors.SSCursor)
            streamed.execute("SELECT seq, REPEAT('v', 100) FROM shop.numbers ORDER BY seq")
            found += streamed.fetchall()
            streamed.close()
        return found

    assert len(compare(route, script)) > 20_000


@pytest.mark.parametrize("allowed", [True, False], ids=["on", "off"])
def test_a_file_is_loaded_where_the_driver_allows_it(route: Route, tmp_path: Path, allowed: bool):
    file = tmp_path / "rows.csv"
    file.write_text("".join(f"{number}\n" for number in range(5_000)))
    load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE poured"

    def script(place: dict[str, Any]) -> Any:
        with connect(place, route, local_infile=int(allowed)) as connection:
            cursor = connection.cursor()
            cursor.execute("DROP TABLE IF EXISTS poured")
            cursor.execute("CREATE TABLE poured (a INT)")
            if not allowed:
                return failure(lambda: cursor.execute(load))
            cursor.execute(load)
            found = [cursor.rowcount, connection.info()]
            cursor.execute("SELECT SUM(a) FROM poured")
            return [*found, cursor.fetchall()]

    found = compare(route, script)
    assert (found[0] == 5_000) == allowed


def test_a_value_of_64_mb(route: Route):
    with connect(route.through(), route) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT LENGTH(%s)", (b"v" * (64 << 20),))
        assert cursor.fetchall() == ((64 << 20,),)
        cursor.execute("SELECT REPEAT('v', %s)", (64 << 20,))
        ((found,),) = cursor.fetchall()
        assert len(found) == 64 << 20

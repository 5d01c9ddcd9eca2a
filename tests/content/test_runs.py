"""Workflows that run through a real proxy, at a real PostgreSQL and a real MariaDB."""

from __future__ import annotations

import json
from typing import Any

from tests.content.town import Town, run_to_end, save

COPY: dict[str, Any] = {
    "version": 1,
    "parameters": {"least": {"type": "integer", "default": 2}},
    "steps": [
        {
            "name": "clear",
            "sql": {"source": "shop", "statement": "DROP TABLE IF EXISTS copied"},
        },
        {
            "name": "make",
            "sql": {
                "source": "shop",
                "statement": "CREATE TABLE copied (id bigint, note text, total decimal(20,4),"
                " made datetime(6), raw blob, ok boolean)",
            },
        },
        {
            "name": "read",
            "sql": {
                "source": "orders",
                "statement": "SELECT g AS id, 'Ünï :x ''' || g AS note, g + 0.1234 AS total,"
                " timestamp '2026-05-04 12:30:15.123456' AS made, '\\x00ff'::bytea AS raw,"
                " true AS ok FROM generate_series(1, 4) g WHERE g >= :least ORDER BY g",
                "parameters": {"least": {"parameter": "least"}},
            },
        },
        {
            "name": "each",
            "when": {"left": {"step": "read", "count": True}, "op": ">", "right": 0},
            "for_each": {
                "rows_of": "read",
                "steps": [
                    {
                        "name": "put",
                        "sql": {
                            "source": "shop",
                            "statement": "INSERT INTO copied VALUES"
                            " (:id, :note, :total, :made, :raw, :ok)",
                            "parameters": {
                                column: {"item": column}
                                for column in ("id", "note", "total", "made", "raw", "ok")
                            },
                        },
                    }
                ],
            },
        },
    ],
}


async def test_rows_are_copied_from_postgresql_to_mariadb(town: Town):
    workspace = town.workspace()
    async with town.desk() as place, town.running():
        await save(place, workspace, "copy", COPY)
        run = await run_to_end(place, workspace, "copy")
    assert (run.status, run.error) == ("succeeded", "")
    steps = {step["name"]: step for step in json.loads(run.steps)}
    assert steps["read"]["rows"] == 3
    assert (steps["put"]["times"], steps["put"]["rows"]) == (3, 3)
    rows = town.mariadb.administer("SELECT * FROM shop.copied ORDER BY id")
    assert [row[0] for row in rows] == [2, 3, 4]
    assert [row[1] for row in rows] == [f"Ünï :x '{number}" for number in (2, 3, 4)]
    assert [str(row[2]) for row in rows] == ["2.1234", "3.1234", "4.1234"]
    assert rows[0][3].isoformat() == "2026-05-04T12:30:15.123456"
    assert (rows[0][4], rows[0][5]) == (b"\x00\xff", 1)

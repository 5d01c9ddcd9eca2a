"""The whole of it over HTTP: made, filled, copied, looked at, taken out, deleted, put back."""

from __future__ import annotations

from typing import Any

import httpx

from tests.admin.process import AdminProcess
from tests.content.town import Town
from tests.mysql.conftest import methods_of
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until

ROWS = b"id,note,price\r\n" + b"".join(
    b"%d,%b,%d.50\r\n" % (number, b'"a, ""b"""' if number % 3 else b"", number)
    for number in range(1, 301)
)
COPY: dict[str, Any] = {
    "version": 1,
    "endpoint": True,
    "parameters": {"least": {"type": "integer", "default": 0}},
    "steps": [
        {
            "name": "read",
            "sql": {
                "source": "orders",
                "statement": "SELECT id, note, price FROM {table} WHERE price > :least",
                "parameters": {"least": {"parameter": "least"}},
            },
        },
        {
            "name": "each",
            "for_each": {
                "rows_of": "read",
                "steps": [
                    {
                        "name": "put",
                        "sql": {
                            "source": "shop",
                            "statement": "INSERT INTO {table} VALUES (:id, :note, :price)",
                            "parameters": {
                                name: {"item": name} for name in ("id", "note", "price")
                            },
                        },
                    }
                ],
            },
        },
    ],
}
SALES: dict[str, Any] = {
    "version": 1,
    "panels": [
        {
            "name": source,
            "query": {
                "source": source,
                "statement": "SELECT COUNT(*) AS c, SUM(price) AS total FROM {table}",
            },
        }
        for source in ("orders", "shop")
    ],
}


def named(document: Any, table: str) -> Any:
    """The document with the table's name in its statements."""
    if isinstance(document, dict):
        return {key: named(value, table) for key, value in document.items()}
    if isinstance(document, list):
        return [named(value, table) for value in document]
    return document.replace("{table}", table) if isinstance(document, str) else document


def test_a_workspace_lives_dies_and_lives_again(town: Town, admin: AdminProcess, operator: str):
    table = "real_run"
    town.mariadb.administer(
        f"CREATE TABLE shop.{table} (id int PRIMARY KEY, note text, price decimal(10, 2))"
    )
    made = Workspace(admin, operator, "realrun")
    made.ok("POST", "/v1/workspaces", {"name": made.name})
    secrets = {"orders": SCRAM.password, "shop": town.mariadb.account("native").password}
    for source in sources_of(town):
        made.ok("POST", f"{made.path}/sources", source | {"password": secrets[source["name"]]})

    report = made.file("orders", ROWS, table=table, create="true")
    assert (report["rows"], report["bad_lines"]) == (300, [])
    made.ok("POST", f"{made.path}/workflows", {"name": "copy", "document": named(COPY, table)})
    made.ok("POST", f"{made.path}/dashboards", {"name": "sales", "document": named(SALES, table)})
    with town.runner_process():
        run = made.ok("POST", f"{made.path}/workflows/copy/run", {})
        wait_until(lambda: made.run(run["id"])["ended_at"], within=50, what="the run to end")
    ended = made.run(run["id"])
    assert (ended["status"], ended["error"]) == ("succeeded", "")
    assert [(step["name"], step["times"]) for step in ended["steps"]] == [
        ("read", 1),
        ("each", 1),
        ("put", 300),
    ]
    seen = made.data("sales")
    assert seen == {"orders": [[300, 45300.0]], "shop": [[300, 45300.0]]}
    files = {source: made.rows(source, table) for source in secrets}
    assert files["orders"].count(b"\n") == files["shop"].count(b"\n") == 301

    archive = made.ok("GET", f"{made.path}/archive")
    etag = admin.http.get(made.path, headers=made.headers).headers["etag"]
    receipt = made.ok("DELETE", made.path, **{"If-Match": etag})
    assert (len(receipt["source_ids"]), receipt["credentials"]) == (2, 2)
    gone = admin.http.get(made.path, headers=made.headers)
    assert gone.status_code == 404

    again = Workspace(admin, operator, "realrun2")
    body = {"name": again.name, "archive": archive}
    needed = again.ok("POST", "/v1/workspaces/import", body | {"dry_run": True})["needed"]
    assert [one["source"] for one in needed] == ["orders", "shop"]
    given = {name: {"password": text} for name, text in secrets.items()}
    again.ok("POST", "/v1/workspaces/import", body | {"secrets": given})
    assert again.data("sales") == seen
    assert {source: again.rows(source, table) for source in secrets} == files
    assert again.ok("GET", f"{again.path}/archive") == archive | {"name": again.name}
    # And back from its file: into an empty table, the same rows.
    town.mariadb.administer(f"DELETE FROM shop.{table}")
    assert again.file("shop", files["orders"], table=table)["rows"] == 300
    assert again.data("sales") == seen
    written = b"".join(admin.captured)
    assert not [name for name, text in secrets.items() if text.encode() in written]


def sources_of(town: Town) -> list[dict[str, Any]]:
    """PostgreSQL and MariaDB, as the tests' servers are reached."""
    native = town.mariadb.account("native")
    return [
        {
            "name": "orders",
            "engine": "postgresql",
            "host": town.postgres.host,
            "port": town.postgres.port,
            "database": town.postgres.database,
            "username": SCRAM.name,
            "tls": {"mode": "disable"},
        },
        {
            "name": "shop",
            "engine": "mysql",
            "host": town.mariadb.host,
            "port": town.mariadb.port,
            "database": town.mariadb.database,
            "username": "native",
            "tls": {"ca": town.mariadb.certificates.ca.read_text()},
            "auth_methods": sorted(methods_of(native)),
        },
    ]


class Workspace:
    """One workspace, over HTTP alone."""

    def __init__(self, admin: AdminProcess, key: str, name: str) -> None:
        self.name = name
        self.path = f"/v1/workspaces/{name}"
        self.headers = {"Authorization": f"Bearer {key}"}
        self._admin = admin
        self._key = key

    def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return self._admin.ok(self._key, method, path, body, **headers)

    def run(self, run_id: str) -> Any:
        return self.ok("GET", f"{self.path}/runs/{run_id}")

    def data(self, dashboard: str) -> dict[str, Any]:
        found = self.ok("POST", f"{self.path}/dashboards/{dashboard}/data", {})["panels"]
        assert [panel["error"] for panel in found] == [""] * len(found)
        return {panel["name"]: panel["rows"] for panel in found}

    def file(self, source: str, content: bytes, **query: str) -> Any:
        answer = self._post(source, "import", content=content, params=query, kind="text/csv")
        return answer.json()

    def rows(self, source: str, table: str) -> bytes:
        return self._post(source, "export", json={"table": table}).content

    def _post(self, source: str, verb: str, kind: str = "", **more: Any) -> httpx.Response:
        headers = self.headers | ({"Content-Type": kind} if kind else {})
        path = f"{self.path}/sources/{source}/csv/{verb}"
        answer = self._admin.http.post(path, headers=headers, **more)
        assert answer.status_code == 200, answer.text
        return answer

"""The commands, as a person runs them: against a running proxy and a runner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli
from tests.content.test_documents import DASHBOARD, WORKFLOW, changed
from tests.content.town import Town

SALES: dict[str, Any] = {
    "version": 1,
    "parameters": {"least": {"type": "integer", "default": 0}},
    "panels": [
        {
            "name": "numbers",
            "query": {
                "source": "orders",
                "statement": "SELECT g AS n, g * 1.5 AS price FROM generate_series(1, 5) g"
                " WHERE g > :least",
                "parameters": {"least": {"parameter": "least"}},
            },
            "chart": {"mark": "bar", "encoding": {"x": {"field": "n", "type": "ordinal"}}},
            "rows": 3,
        },
        {
            "name": "shop",
            "query": {"source": "shop", "statement": "SELECT COUNT(*) AS c FROM numbers"},
        },
        {"name": "broken", "query": {"source": "shop", "statement": "SELECT * FROM nowhere"}},
    ],
}


class Line:
    """``accode-proxy`` with the town's configuration."""

    def __init__(self, town: Town, folder: Path) -> None:
        self.town = town
        self.folder = folder
        self.workspace = town.workspace()

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        place = ["--config", str(self.town.proxy.config_file)]
        return CliRunner().invoke(cli, [*place, *arguments], input=stdin)

    def value(self, *arguments: str, stdin: str | None = None) -> Any:
        result = self.run(*arguments, "--json", stdin=stdin)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 1, result.output
        (line,) = result.stderr.splitlines()
        return line.removeprefix("Error: ")

    def file(self, name: str, document: dict[str, Any]) -> str:
        path = self.folder / name
        path.write_text(json.dumps(document))
        return str(path)


@pytest.fixture
def line(town: Town, tmp_path: Path) -> Line:
    return Line(town, tmp_path)


@pytest.mark.parametrize(("kind", "document"), [("workflow", WORKFLOW), ("dashboard", DASHBOARD)])
def test_a_document_is_saved_listed_shown_and_deleted(
    line: Line, kind: str, document: dict[str, Any]
):
    file = line.file("first.json", document)
    saved = line.value(kind, "save", line.workspace, "first", file)
    assert saved["version"] == 1
    other = changed(document, "description", "Another.")
    saved = line.value(kind, "save", line.workspace, "first", "-", stdin=json.dumps(other))
    assert saved["version"] == 2
    (listed,) = line.value(kind, "list", line.workspace)
    assert (listed["name"], listed["version"]) == ("first", 2)
    assert (listed.get("due_at") is not None) == (kind == "workflow")
    assert line.value(kind, "show", line.workspace, "first")["document"] == other
    assert line.value(kind, "show", line.workspace, "first", "--at", "1")["document"] == document
    shown = line.run(kind, "show", line.workspace, "first")
    assert json.loads(shown.stdout) == other
    assert [entry["version"] for entry in line.value(kind, "history", line.workspace, "first")] == [
        2,
        1,
    ]
    stale = ("--from-version", "1")
    assert "not 1" in line.refused(kind, "save", line.workspace, "first", file, *stale)
    assert "--yes" in line.refused(kind, "delete", line.workspace, "first")
    line.value(kind, "delete", line.workspace, "first", "--yes")
    assert line.value(kind, "list", line.workspace) == []
    assert f"no {kind} named first" in line.refused(kind, "show", line.workspace, "first")


def test_a_document_that_is_wrong_is_refused_in_one_sentence(line: Line):
    file = line.file("bad.json", changed(WORKFLOW, "steps.0.sql.unknown", 1))
    said = line.refused("workflow", "save", line.workspace, "bad", file)
    assert said == "/steps/0/sql/unknown: this field is not known."
    assert "Cannot read" in line.refused("workflow", "save", line.workspace, "bad", "/nowhere.json")


def test_a_workflow_is_run_and_its_runs_are_listed(line: Line):
    document = {
        "version": 1,
        "parameters": {"n": {"type": "integer"}, "t": {"type": "text", "default": "x"}},
        "steps": [
            {
                "name": "divide",
                "sql": {
                    "source": "orders",
                    "statement": "SELECT 10 / :n::int, :t::text",
                    "parameters": {"n": {"parameter": "n"}, "t": {"parameter": "t"}},
                },
            }
        ],
    }
    line.value("workflow", "save", line.workspace, "divide", line.file("d.json", document))
    said = line.refused("workflow", "run", line.workspace, "divide")
    assert said == "/parameters/n: this parameter must be given."
    assert "integer" in line.refused("workflow", "run", line.workspace, "divide", "--set", "n=x")
    assert "NAME=VALUE" in line.refused("workflow", "run", line.workspace, "divide", "--set", "n")
    with line.town.runner_process():
        good = line.value("workflow", "run", line.workspace, "divide", "--set", "n=2", "--wait")
        bad = line.run("workflow", "run", line.workspace, "divide", "--set", "n=0", "--wait")
    assert good["status"] == "succeeded"
    assert good["parameters"] == {"n": 2, "t": "x"}
    assert bad.exit_code == 3
    assert "division by zero" in bad.stdout
    runs = line.value("workflow", "runs", line.workspace, "divide")
    assert [run["status"] for run in runs] == ["failed", "succeeded"]
    (shown,) = [run for run in runs if run["id"] == good["id"]]
    assert shown == line.value("workflow", "runs", line.workspace, "--id", good["id"])
    assert "succeeded" in line.run("workflow", "runs", line.workspace).stdout
    said = line.refused("workflow", "cancel", line.workspace, good["id"])
    assert "has ended already" in said


def test_a_queued_run_is_cancelled(line: Line):
    step = {"name": "a", "sql": {"source": "orders", "statement": "SELECT 1"}}
    document = {"version": 1, "steps": [step]}
    line.value("workflow", "save", line.workspace, "later", line.file("l.json", document))
    run = line.value("workflow", "run", line.workspace, "later")
    assert run["status"] == "queued"
    assert line.value("workflow", "cancel", line.workspace, run["id"])["status"] == "cancelled"


def test_a_dashboard_answers_with_data_and_charts(line: Line):
    line.value("dashboard", "save", line.workspace, "sales", line.file("s.json", SALES))
    numbers, shop, broken = line.value(
        "dashboard", "data", line.workspace, "sales", "--set", "least=1"
    )
    assert [column["name"] for column in numbers["columns"]] == ["n", "price"]
    assert [column["type"] for column in numbers["columns"]] == ["int4", "numeric"]
    assert numbers["rows"] == [[2, 3.0], [3, 4.5], [4, 6.0]]
    assert numbers["is_cut"] is True
    assert numbers["chart"]["mark"] == "bar"
    assert numbers["chart"]["data"]["values"][0] == {"n": 2, "price": 3.0}
    assert (shop["rows"], shop["chart"]) == ([[20_000]], None)
    assert broken["rows"] == []
    assert "nowhere" in broken["error"]
    (only,) = line.value("dashboard", "data", line.workspace, "sales", "--panel", "shop")
    assert only["name"] == "shop"
    text = line.run("dashboard", "data", line.workspace, "sales").stdout
    assert "and more" in text
    assert "20000" in text
    said = line.refused("dashboard", "data", line.workspace, "sales", "--panel", "none")
    assert said == "The document: the dashboard has no panel named none."
    tokens = line.value("token", "list", line.workspace)
    assert {token["state"] for token in tokens if token["label"].startswith("dashboard:")} == {
        "revoked"
    }


def test_documents_are_exported_and_imported(line: Line):
    line.value("workflow", "save", line.workspace, "w", line.file("w.json", WORKFLOW))
    line.value("dashboard", "save", line.workspace, "d", line.file("d.json", DASHBOARD))
    exported = line.run("workflow", "export", line.workspace)
    assert exported.exit_code == 0
    other = line.town.workspace()
    file = line.folder / "export.json"
    file.write_text(exported.stdout)
    dry = line.value("workflow", "import", other, str(file), "--dry-run")
    assert (dry["is_dry_run"], len(dry["documents"])) == (True, 2)
    line.value("workflow", "import", other, str(file), "--rename", "w=renamed")
    assert [entry["name"] for entry in line.value("workflow", "list", other)] == ["renamed"]
    said = line.refused("workflow", "import", other, str(file))
    assert "/dashboards/d" in said


def test_csv_goes_out_and_in(line: Line):
    file = line.folder / "rows.csv"
    file.write_bytes(b"id,note\r\n1,a\r\n2,\r\n")
    table = f"cli_{line.workspace}"
    place = (line.workspace, "shop")
    dry = line.value("csv", "import", *place, table, str(file), "--create", "--dry-run")
    assert (dry["rows"], dry["is_stored"]) == (2, False)
    assert line.value("csv", "import", *place, table, str(file), "--create")["is_stored"]
    out = line.folder / "out.csv"
    done = line.value("csv", "export", *place, "--table", table, "-o", str(out))
    assert (done["rows"], out.read_bytes()) == (2, file.read_bytes())
    (exported, imported, _) = line.value("csv", "transfers", line.workspace)
    assert (exported["direction"], exported["bytes"]) == ("export", done["bytes"])
    assert (imported["status"], imported["table"]) == ("succeeded", table)
    assert table in line.run("csv", "transfers", line.workspace).stdout
    piped = line.run("csv", "export", *place, "--query", f"SELECT id FROM {table} WHERE id = 2")
    assert piped.stdout_bytes.split() == [b"id", b"2"]
    file.write_bytes(b"id,note\r\n3,a\r\nx,b\r\n")
    said = line.refused("csv", "import", *place, table, str(file))
    assert said == "Nothing was imported: line 3: id: this is not an integer."
    skipped = line.value("csv", "import", *place, table, str(file), "--skip-bad-lines")
    assert (skipped["rows"], [bad["line"] for bad in skipped["bad_lines"]]) == (1, [3])
    assert "one of them" in line.refused("csv", "export", *place)


@pytest.mark.parametrize("kind", ["workflow", "dashboard"])
def test_the_schemas_are_printed(kind: str):
    printed = CliRunner().invoke(cli, [kind, "schema"]).stdout
    assert json.loads(printed)["$id"] == f"urn:accode-proxy:{kind}:1"

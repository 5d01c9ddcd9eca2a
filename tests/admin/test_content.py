"""Workflows, their runs, and dashboards over HTTP."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from proxy.content.published import schema_text
from proxy.content.reading import MAX_DEPTH
from proxy.store import ApiRole
from tests.admin.rig import Rig, problem
from tests.admin.town import a_dashboard, a_source, a_workflow

ONE = "/v1/workspaces/finance"
KINDS = {"workflow": a_workflow, "dashboard": a_dashboard}


@pytest.fixture(autouse=True)
async def orders(rig: Rig) -> None:
    await a_source(rig, "finance", "orders")


async def made(rig: Rig, kind: str, name: str = "first", **more: Any) -> dict[str, Any]:
    body = {"name": name, "document": KINDS[kind]("orders", **more)}
    value: dict[str, Any] = await rig.ok("POST", f"{ONE}/{kind}s", body)
    return value


@pytest.mark.parametrize("kind", KINDS)
async def test_a_document_is_made_read_saved_and_deleted(rig: Rig, kind: str):
    path = f"{ONE}/{kind}s/first"
    first, second = KINDS[kind]("orders"), KINDS[kind]("orders", description="Another.")
    answer = await rig.call("POST", f"{ONE}/{kind}s", {"name": "first", "document": first})
    assert (answer.status_code, answer.headers["location"]) == (201, path)
    assert answer.json()["document"] == first
    shown = await rig.call("GET", path)
    assert shown.headers["etag"] == answer.headers["etag"]
    saved = await rig.call(
        "PUT", path, {"document": second}, headers={"If-Match": shown.headers["etag"]}
    )
    assert (saved.status_code, saved.json()["version"]) == (200, 2)
    problem(await rig.call("PUT", path, {"document": first}), 428, "if-match-needed")
    stale = {"If-Match": shown.headers["etag"]}
    for method, body in (("PUT", {"document": first}), ("DELETE", None)):
        problem(await rig.call(method, path, body, headers=stale), 412, "changed-meanwhile")
    assert (await rig.ok("GET", path))["document"] == second
    older = await rig.call("GET", path, params={"version": 1})
    assert (older.json()["document"], older.json()["version"]) == (first, 1)
    assert "etag" not in older.headers
    problem(await rig.call("GET", path, params={"version": 3}), 404, "not-found")
    history = (await rig.ok("GET", f"{path}/history"))["items"]
    assert [entry["version"] for entry in history] == [2, 1]
    assert [entry["name"] for entry in (await rig.ok("GET", f"{ONE}/{kind}s"))["items"]] == [
        "first"
    ]
    gone = await rig.ok("DELETE", path, headers={"If-Match": saved.headers["etag"]})
    assert gone["version"] == 2
    problem(await rig.call("GET", path), 404, "not-found")


async def test_a_name_is_taken_once_and_a_call_that_names_itself_is_made_once(rig: Rig):
    body = {"name": "first", "document": a_workflow("orders")}
    named = {"Idempotency-Key": "make-first-1"}
    first = await rig.call("POST", f"{ONE}/workflows", body, headers=named)
    again = await rig.call("POST", f"{ONE}/workflows", body, headers=named)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotency-replayed"] == "true"
    problem(await rig.call("POST", f"{ONE}/workflows", body), 409, "already-exists")


async def test_what_is_wrong_with_a_document_has_its_places_in_the_body(rig: Rig):
    document = a_workflow("nowhere") | {"surprise": 1, "steps": []}
    answer = await rig.call("POST", f"{ONE}/workflows", {"name": "bad", "document": document})
    told = problem(answer, 422, "invalid")["errors"]
    assert {one["pointer"] for one in told} == {"/document/surprise", "/document/steps"}
    answer = await rig.call(
        "POST", f"{ONE}/workflows", {"name": "bad", "document": a_workflow("nowhere")}
    )
    (one,) = problem(answer, 422, "invalid")["errors"]
    assert one["pointer"] == "/document/steps/0/sql/source"
    assert one["detail"] == "The workspace has no source named nowhere."
    assert (await rig.ok("GET", f"{ONE}/workflows"))["items"] == []


async def test_a_body_may_be_as_deep_as_a_document_and_no_deeper(rig: Rig):
    def conditions(levels: int) -> dict[str, Any]:
        inner: dict[str, Any] = {"left": 1, "op": "=", "right": 1}
        for _ in range(levels):
            inner = {"not": inner}
        return a_workflow("orders") | {
            "steps": [a_workflow("orders")["steps"][0] | {"when": inner}]
        }

    # The document, its steps and the step are three levels, the innermost condition one.
    for levels, status, slug in (
        (13, 201, ""),
        (MAX_DEPTH - 3, 400, "too-deep"),
        (MAX_DEPTH + 100, 400, "too-deep"),
    ):
        body = {"name": f"deep{levels}", "document": conditions(levels)}
        answer = await rig.call("POST", f"{ONE}/workflows", body)
        assert answer.status_code == status, answer.text
        if slug:
            problem(answer, status, slug)


async def test_a_run_is_asked_for_listed_shown_and_cancelled(rig: Rig):
    parameters = {"least": {"type": "integer", "default": 1}}
    await made(rig, "workflow", parameters=parameters)
    path = f"{ONE}/workflows/first/run"
    answer = await rig.call("POST", path, {"parameters": {"least": 5}})
    run = answer.json()
    assert answer.status_code == 202
    assert (run["status"], run["trigger"]) == ("queued", "endpoint")
    assert run["parameters"] == {"least": 5}
    assert run["triggered_by"].startswith("API key")
    assert await rig.ok("GET", answer.headers["location"]) == run
    assert [one["id"] for one in (await rig.ok("GET", f"{ONE}/runs"))["items"]] == [run["id"]]
    ended = await rig.ok("POST", f"{ONE}/runs/{run['id']}/cancel")
    assert (ended["status"], ended["cancel_asked_by"]) == ("cancelled", run["triggered_by"])
    wrong = await rig.call("POST", path, {"parameters": {"least": "five", "most": 1}})
    told = problem(wrong, 422, "invalid")["errors"]
    assert {one["pointer"] for one in told} == {"/parameters/least", "/parameters/most"}


async def test_a_workflow_says_whether_it_may_be_started_from_here(rig: Rig):
    await made(rig, "workflow", endpoint=False)
    answer = await rig.call("POST", f"{ONE}/workflows/first/run", {})
    told = problem(answer, 422, "invalid")
    assert told["detail"] == "This workflow is not started by an endpoint."
    assert (await rig.ok("GET", f"{ONE}/runs"))["items"] == []


async def test_runs_are_read_page_by_page(rig: Rig):
    await made(rig, "workflow")
    await made(rig, "workflow", "other")
    asked = []
    for number in range(7):
        # Several in one moment, which their ids then order.
        if number % 3 == 0:
            rig.clock.advance(seconds=1)
        run = await rig.ok("POST", f"{ONE}/workflows/first/run", {})
        asked.append(run["id"])
    await rig.ok("POST", f"{ONE}/workflows/other/run", {})
    for path, count in ((f"{ONE}/runs", 8), (f"{ONE}/workflows/first/runs", 7)):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await rig.ok("GET", path, params={"limit": 2, **cursor})
            seen += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(seen) == len(set(seen)) == count
        assert set(asked) <= set(seen)
    problem(await rig.call("GET", f"{ONE}/runs", params={"cursor": "x"}), 400, "bad-cursor")


async def test_a_dashboard_answers_with_the_rows_of_its_source(rig: Rig):
    chart = {"mark": "bar", "encoding": {"x": {"field": "id", "type": "ordinal"}}}
    panel = {"query": {"source": "orders", "statement": "SELECT 1"}}
    panels = [{"name": "one"} | panel, {"name": "two", "chart": chart} | panel]
    await made(rig, "dashboard", panels=panels)
    data = await rig.ok("POST", f"{ONE}/dashboards/first/data", {})
    assert [one["name"] for one in data["panels"]] == ["one", "two"]
    assert data["panels"][0]["rows"] == [[1, "one"], [2, None]]
    assert data["panels"][1]["chart"]["data"]["values"][0] == {"id": 1, "note": "one"}
    data = await rig.ok("POST", f"{ONE}/dashboards/first/data", {"panels": ["two"]})
    assert [one["name"] for one in data["panels"]] == ["two"]
    answer = await rig.call("POST", f"{ONE}/dashboards/first/data", {"panels": ["three"]})
    problem(answer, 422, "invalid")
    # As the workspace, under the dashboard's name, with a token that is revoked.
    assert {visit.split(" run:")[0] for visit in rig.source.visits} == {
        "finance/orders dashboard:first"
    }
    tokens = await rig.store.list_tokens(rig.workspaces["finance"])
    assert tokens
    assert all(token.revoked_at for token in tokens)
    assert rig.source.is_open == 0


async def test_a_panel_that_fails_says_why_and_the_answer_is_whole(rig: Rig):
    await made(rig, "dashboard")
    rig.source.refuses = asyncpg.UndefinedTableError('relation "x" does not exist')
    (panel,) = (await rig.ok("POST", f"{ONE}/dashboards/first/data", {}))["panels"]
    assert panel["rows"] == []
    assert panel["error"] == 'relation "x" does not exist'


@pytest.mark.parametrize("kind", KINDS)
async def test_the_published_schema_is_served(rig: Rig, kind: str):
    served = await rig.ok("GET", f"/v1/schemas/{kind}", role=ApiRole.AUDITOR)
    assert served == json.loads(schema_text(kind))  # type: ignore[arg-type]


async def test_what_is_exported_is_imported_whole_or_not_at_all(rig: Rig):
    await made(rig, "workflow", "nightly")
    await made(rig, "dashboard", "figures")
    content = await rig.ok("GET", f"{ONE}/content/export")
    assert set(content["workflows"]) == {"nightly"}
    only = await rig.ok("GET", f"{ONE}/content/export", params={"dashboards": "figures"})
    assert (set(only["workflows"]), set(only["dashboards"])) == (set(), {"figures"})

    there = "/v1/workspaces/sales"
    answer = await rig.call("POST", f"{there}/content/import", {"content": content})
    told = problem(answer, 422, "invalid")["errors"]
    assert {one["pointer"] for one in told} == {
        "/content/workflows/nightly/steps/0/sql/source",
        "/content/dashboards/figures/panels/0/query/source",
    }
    assert (await rig.ok("GET", f"{there}/workflows"))["items"] == []
    await a_source(rig, "sales", "orders")
    dry = await rig.ok("POST", f"{there}/content/import", {"content": content, "dry_run": True})
    assert (dry["is_dry_run"], len(dry["documents"])) == (True, 2)
    assert (await rig.ok("GET", f"{there}/workflows"))["items"] == []
    await rig.ok("POST", f"{there}/content/import", {"content": content})
    assert await rig.ok("GET", f"{there}/content/export") == content
    answer = await rig.call("POST", f"{there}/content/import", {"content": content})
    assert len(problem(answer, 422, "invalid")["errors"]) == 2
    renamed = {"nightly": "nightly2", "figures": "figures2"}
    await rig.ok("POST", f"{there}/content/import", {"content": content, "rename": renamed})
    names = [one["name"] for one in (await rig.ok("GET", f"{there}/workflows"))["items"]]
    assert names == ["nightly", "nightly2"]


async def test_changes_are_recorded_with_the_key_and_without_the_text(rig: Rig):
    await made(rig, "workflow", description="hunter2-canary-Zq")
    events = [event for event in rig.trail.events if event.event_class == 3004]
    assert events
    assert all("API key" in repr(event.attributes) for event in events)
    assert "hunter2" not in repr(rig.trail.events)
    assert "createWorkflow" in repr(rig.calls()[-1].attributes)

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from proxy.audit.chains import folder_of
from proxy.audit.events import UPDATE, entity_changed
from proxy.parts import open_audit
from proxy.store import ApiRole
from tests.admin.rig import Rig, problem
from tests.audit.rig import context, run_statement

RECORDS = "/v1/audit/records"


async def written(rig: Rig, count: int, folder: Path | None = None) -> None:
    """So many records of each workspace, by turns; ``folder``: of a worker."""
    async with open_audit(rig.office.config, rig.office.vault, folder=folder) as log:
        for number in range(count):
            for name, workspace in rig.workspaces.items():
                event = entity_changed(
                    UPDATE,
                    actor="root",
                    workspace_id=workspace.id,
                    entity_type="data source",
                    entity_id=f"{name}-{number}",
                    name=f"{name}-{number}",
                )
                await log.record_durably(event)


async def paged(rig: Rig, role: ApiRole, **query: str) -> list[str]:
    """The entities of all pages."""
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(20):
        page = await rig.ok("GET", RECORDS, params=query | cursor, role=role)
        seen += [one["entity"]["uid"] for one in page["items"]]
        if page["next_cursor"] is None:
            return seen
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("the pages do not end")


async def test_records_are_paged_each_once_and_in_order(rig: Rig):
    await written(rig, 5)
    both = [f"{name}-{number}" for number in range(5) for name in ("finance", "sales")]
    assert await paged(rig, ApiRole.AUDITOR, limit="3", class_uid="3004") == both


async def test_records_of_several_workers_are_paged_each_once(rig: Rig):
    folder = rig.office.config.audit.folder
    await written(rig, 3)
    await written(rig, 4, folder=folder_of(folder, 1))
    await written(rig, 2)
    found = await paged(rig, ApiRole.AUDITOR, limit="3", class_uid="3004")
    assert len(found) == 18
    assert sorted(set(found)) == sorted(f"{n}-{i}" for n in rig.workspaces for i in range(4))


async def test_a_workspaces_key_sees_its_own_records_alone(rig: Rig):
    await written(rig, 2)
    role = ApiRole.WORKSPACE_ADMIN
    assert await paged(rig, role) == ["finance-0", "finance-1"]
    sales = rig.workspaces["sales"].id
    for query in ({"workspace": sales}, {"workspace": "sales"}, {"text": "sales"}):
        assert await paged(rig, role, **query) == []
    exported = await rig.call("GET", "/v1/audit/export", role=role)
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert [one["entity"]["uid"] for one in lines] == ["finance-0", "finance-1"]


async def test_a_workspace_named_as_anothers_id_sees_nothing_more(rig: Rig):
    await written(rig, 1)
    sales = rig.workspaces["sales"].id
    await rig.ok(
        "PATCH",
        "/v1/workspaces/finance",
        {"name": sales},
        headers=await rig.etag("/v1/workspaces/finance"),
    )
    assert await paged(rig, ApiRole.WORKSPACE_ADMIN) == ["finance-0"]


async def test_an_export_has_one_record_a_line(rig: Rig):
    await written(rig, 250)
    answer = await rig.call("GET", "/v1/audit/export", params={"class_uid": "3004"})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = answer.text.splitlines()
    assert len(lines) == 500
    assert {json.loads(line)["class_uid"] for line in lines} == {3004}


async def test_an_export_is_csv_where_that_is_asked_for(rig: Rig):
    await written(rig, 250)
    query = {"class_uid": "3004", "format": "csv"}
    answer = await rig.call("GET", "/v1/audit/export", params=query, role=ApiRole.WORKSPACE_ADMIN)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["entity"] for row in rows] == [f"finance-{number}" for number in range(250)]
    query["format"] = "xlsx"
    problem(await rig.call("GET", "/v1/audit/export", params=query), 422, "invalid")


async def test_records_are_found_by_what_a_statement_is_about(rig: Rig):
    own = rig.workspaces["finance"]
    made = context(workspace_id=own.id, token_id="tok-9", source="orders")
    async with open_audit(rig.office.config, rig.office.vault) as log:
        recorder = log.recorder(made)
        for text in (b"SELECT * FROM invoices", b"SELECT 'invoices' FROM a"):
            run_statement(recorder, text)
        recorder.close("client_left", duration=1.0)
    for query, count in (
        ({"table": "invoices"}, 1),
        ({"table": "public.invoices"}, 1),
        ({"table": "invoice"}, 0),
        ({"text": "INVOICES"}, 2),
        ({"kind": "select"}, 2),
        ({"kind": "delete"}, 0),
        ({"actor": "tok-9", "class_uid": "6005"}, 2),
        ({"source": "orders", "class_uid": "6005"}, 2),
    ):
        found = await rig.ok("GET", RECORDS, params=query, role=ApiRole.WORKSPACE_ADMIN)
        assert len(found["items"]) == count, query


async def test_records_are_found_by_time(rig: Rig):
    await written(rig, 1)
    first = (await rig.ok("GET", RECORDS, params={"class_uid": "3004"}))["items"][0]
    at = datetime.fromtimestamp(first["time"] / 1000, UTC)
    for since, count in ((at - timedelta(minutes=1), 2), (at + timedelta(minutes=1), 0)):
        query = {"since": since.isoformat(), "class_uid": "3004"}
        assert len((await rig.ok("GET", RECORDS, params=query))["items"]) == count
    for wrong in ("yesterday", "2026-01-01T00:00:00"):
        problem(await rig.call("GET", RECORDS, params={"since": wrong}), 422, "invalid")


async def test_the_log_is_verified(rig: Rig):
    await written(rig, 3)
    told = await rig.ok("POST", "/v1/audit/verify", role=ApiRole.AUDITOR)
    assert told["is_intact"] is True
    (file,) = rig.office.config.audit.folder.glob("audit-*.jsonl")
    file.write_bytes(file.read_bytes().replace(b"finance-1", b"finance-9"))
    told = await rig.ok("POST", "/v1/audit/verify", role=ApiRole.AUDITOR)
    assert told["is_intact"] is False
    assert "changed" in told["chains"][0]["fault"]


async def test_where_there_is_no_log_it_is_said(rig: Rig):
    for method, path in (
        ("GET", RECORDS),
        ("GET", "/v1/audit/export"),
        ("POST", "/v1/audit/verify"),
    ):
        problem(await rig.call(method, path), 503, "audit-unavailable")


async def test_a_cursor_of_another_list_is_refused(rig: Rig):
    await written(rig, 1)
    page = await rig.ok("GET", "/v1/workspaces", params={"limit": "1"})
    answer = await rig.call("GET", RECORDS, params={"cursor": page["next_cursor"]})
    problem(answer, 400, "bad-cursor")

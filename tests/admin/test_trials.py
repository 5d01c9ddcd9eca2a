"""Drafts tried on the audit log, over HTTP: the judging itself is tests/administration's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.parts import open_audit
from proxy.store import ApiRole, Source
from tests.admin.rig import Rig, problem
from tests.admin.town import a_source
from tests.audit.rig import context, run_statement

WORKSPACE = "/v1/workspaces/finance/policy/try"
SOURCE = "/v1/workspaces/finance/sources/orders/policy/try"
DRAFT = {"policy": {"version": 1, "access": "read-only"}}


async def ran(rig: Rig, source: Source, *texts: bytes) -> None:
    """As sessions of that source would have recorded."""
    made = context(workspace_id=source.workspace_id, source_id=source.id, source=source.name)
    async with open_audit(rig.office.config, rig.office.vault) as log:
        recorder = log.recorder(made)
        for text in texts:
            run_statement(recorder, text)
        recorder.close("client_left", duration=1.0)


async def test_a_draft_is_tried_for_a_workspace_and_for_a_source(rig: Rig):
    await ran(rig, await a_source(rig, "finance", "orders"), b"SELECT 1", b"DELETE FROM t")
    await ran(rig, await a_source(rig, "finance", "stock"), b"DROP TABLE t")
    await ran(rig, await a_source(rig, "sales", "ledger"), b"DROP TABLE secret_of_sales")
    role = ApiRole.WORKSPACE_ADMIN
    answer = await rig.call("POST", WORKSPACE, DRAFT, role=role)
    assert "secret_of_sales" not in answer.text
    told = answer.json()
    assert (told["found"], told["allowed"], told["refused"]) == (3, 1, 2)
    assert told["rules"] == [{"rule": "access", "refused": 2, "newly_refused": 2}]
    assert [one["source"] for one in told["examples"]] == ["orders", "stock"]
    place = told["examples"][1]
    found = await rig.ok("GET", "/v1/audit/records", params={"source": "stock", "kind": "select"})
    (record,) = found["items"]
    assert place["sequence"] == record["metadata"]["sequence"]
    assert place["statement"] == record["unmapped"]["statement"]
    told = await rig.ok("POST", SOURCE, DRAFT, role=role)
    assert (told["found"], told["refused"]) == (2, 1)
    told = await rig.ok("POST", SOURCE, DRAFT | {"last": 1}, role=role)
    assert (told["found"], told["refused"], told["is_complete"]) == (1, 1, True)
    # Tried, not put.
    assert (await rig.ok("GET", "/v1/workspaces/finance/policy"))["policy"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"policy": {"version": 2}},
        DRAFT | {"last": 0},
        DRAFT | {"last": 10_001},
        DRAFT | {"last": True},
        DRAFT | {"unknown": 1},
    ],
)
async def test_what_cannot_be_tried_is_refused(rig: Rig, body: dict[str, Any]):
    problem(await rig.call("POST", WORKSPACE, body), 422, "invalid")


async def test_without_a_log_it_is_said(rig: Rig):
    problem(await rig.call("POST", WORKSPACE, DRAFT), 503, "audit-unavailable")


async def test_too_many_at_once_are_refused_and_not_queued(rig: Rig):
    await ran(rig, await a_source(rig, "finance", "orders"), b"SELECT 1")
    calls = [rig.call("POST", WORKSPACE, DRAFT) for _ in range(5)]
    answers = await asyncio.gather(*calls)
    busy = [one for one in answers if one.status_code == 503]
    assert len(busy) == 3
    for one in busy:
        problem(one, 503, "busy")
    # Those that were let in have given their places back.
    assert (await rig.ok("POST", WORKSPACE, DRAFT))["found"] == 1

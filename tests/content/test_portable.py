"""Exports and imports, over a store alone: nothing of it needs a proxy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.administration.trail import MemoryTrail, TrailError
from proxy.content.library import remove_document, save_document
from proxy.content.portable import export_content, export_text, import_content
from proxy.content.problems import ContentRefused
from proxy.content.runner import RunDesk
from proxy.store import SealedCredential, Store, Workspace, draft_source, seal_credential
from tests.content.test_documents import DASHBOARD, WORKFLOW, changed
from tests.store.stores import KINDS, a_token, a_workspace, make_vault, new_url, opened
from vault import Secret, Vault

PASSWORD = b"Export-91c0-Secret"


@pytest.fixture(params=KINDS)
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunDesk]:
    """A store with ``finance``, which has both sources and both documents, and ``staging``."""
    vault = make_vault(tmp_path)
    async with opened(new_url(request.param, request, tmp_path)) as store:
        for name in ("finance", "staging"):
            workspace = await a_workspace(store, vault, name)
            await a_token(store, workspace)
            for source, engine in (("orders", "postgresql"), ("shop", "mysql")):
                await add_source(store, vault, workspace, source, engine)
        place = RunDesk(store, MemoryTrail(), "ada", lambda text: None)
        await save_document(place, "finance", "workflow", "nightly", json.dumps(WORKFLOW))
        await save_document(place, "finance", "dashboard", "sales", json.dumps(DASHBOARD))
        yield place


async def add_source(
    store: Store, vault: Vault, workspace: Workspace, name: str, engine: str
) -> None:
    draft = draft_source(
        workspace,
        name,
        engine=engine,
        host="db.example",
        port=5432,
        database="d",
        username="Hidden-User",
    )
    sealed = seal_credential(vault, workspace, draft, Secret(PASSWORD))
    await store.add_source(draft, SealedCredential(password=sealed))


async def test_what_is_exported_imports_as_the_same(desk: RunDesk):
    text = export_text(await export_content(desk, "finance"))
    assert json.loads(text)["workflows"] == {"nightly": WORKFLOW}
    assert json.loads(text)["dashboards"] == {"sales": DASHBOARD}
    imported = await import_content(desk, "staging", text)
    assert imported.documents == (("workflow", "nightly"), ("dashboard", "sales"))
    assert export_text(await export_content(desk, "staging")) == text


async def test_no_secret_and_nothing_of_a_source_but_its_name_is_exported(desk: RunDesk):
    text = export_text(await export_content(desk, "finance"))
    store = desk.store
    workspace = await store.workspace("finance")
    (token,) = await store.list_tokens(workspace)
    for hidden in (PASSWORD.decode(), "Hidden-User", "db.example", workspace.id, token.id):
        assert hidden not in text
    # Every text in the export is one of the documents' own, or a name.
    names = {"format", "accode.content", "version", "workflows", "dashboards", "nightly", "sales"}
    assert set(_texts(json.loads(text))) == names | set(_texts([WORKFLOW, DASHBOARD]))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (key, *_texts(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


async def test_some_documents_are_exported_by_name(desk: RunDesk):
    value = await export_content(desk, "finance", {"dashboard": ["sales"]})
    assert (value["workflows"], list(value["dashboards"])) == ({}, ["sales"])


async def test_everything_that_is_wrong_is_told_before_anything_is_stored(desk: RunDesk):
    value = await export_content(desk, "finance")
    value["workflows"]["second"] = changed(WORKFLOW, "steps.0.sql.source", "nowhere")
    value["workflows"]["third"] = {**WORKFLOW, "unknown": 1}
    value["workflows"]["No Name"] = WORKFLOW
    value["extra"] = 1
    with pytest.raises(ContentRefused) as refused:
        await import_content(desk, "finance", json.dumps(value))
    told = {problem.pointer: problem.message for problem in refused.value.problems}
    assert set(told) == {
        "/extra",
        "/dashboards/sales",
        "/workflows/nightly",
        "/workflows/No Name",
        "/workflows/second/steps/0/sql/source",
        "/workflows/third/unknown",
    }
    assert "already" in told["/workflows/nightly"]
    workspace = await desk.store.workspace("finance")
    assert [entry.name for entry in await desk.store.content.documents(workspace, "workflow")] == [
        "nightly"
    ]


async def test_a_dry_run_stores_nothing_and_a_new_name_makes_room(desk: RunDesk):
    text = json.dumps(await export_content(desk, "finance"))
    names = {"nightly": "weekly", "sales": "profits"}
    dry = await import_content(desk, "finance", text, rename=names, is_dry_run=True)
    assert dry.is_dry_run
    workspace = await desk.store.workspace("finance")
    assert len(await desk.store.content.documents(workspace, "workflow")) == 1
    await import_content(desk, "finance", text, rename=names)
    assert len(await desk.store.content.documents(workspace, "workflow")) == 2
    both = json.dumps(await export_content(desk, "finance"))
    with pytest.raises(ContentRefused, match="gets the name same, too"):
        await import_content(desk, "staging", both, rename={"nightly": "same", "weekly": "same"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "no export"),
        ('{"format": "other", "version": 1}', "no export"),
        ('{"format": "accode.content", "version": 2}', "/version: "),
        ('{"format": "accode.content", "version": 1, "workflows": []}', "/workflows: "),
        ('{"format": "accode.content", "version": 1, "workflows": {"a": 1}}', "/workflows/a: "),
    ],
)
async def test_what_is_no_export_is_refused(desk: RunDesk, text: str, says: str):
    with pytest.raises(ContentRefused, match=says):
        await import_content(desk, "staging", text)


async def test_each_change_is_in_the_audit_log_without_its_text(desk: RunDesk):
    trail = desk.trail
    assert isinstance(trail, MemoryTrail)
    trail.events.clear()
    await save_document(desk, "finance", "workflow", "nightly", json.dumps(WORKFLOW))
    text = json.dumps(await export_content(desk, "finance"))
    await import_content(desk, "staging", text)
    await remove_document(desk, "finance", "dashboard", "sales")
    told = [(event.attributes["entity"]["type"], event.activity) for event in trail.events]  # type: ignore[index]
    assert told == [
        *[("workflow", 3)] * 2,
        *[("content export", 2)] * 2,
        ("content import", 1),
        ("workflow", 1),
        ("dashboard", 1),
        ("content import", 1),
        *[("dashboard", 4)] * 2,
    ]
    assert "SELECT" not in repr(trail.events)
    assert {event.workspace for event in trail.events} == {
        (await desk.store.workspace(name)).id for name in ("finance", "staging")
    }


async def test_without_an_audit_record_nothing_is_saved(desk: RunDesk):
    failing = RunDesk(desk.store, MemoryTrail(fail_at=0), "ada", lambda text: None)
    with pytest.raises(TrailError):
        await save_document(failing, "finance", "workflow", "nightly", json.dumps(WORKFLOW))
    workspace = await desk.store.workspace("finance")
    assert (await desk.store.content.document(workspace, "workflow", "nightly")).version == 1

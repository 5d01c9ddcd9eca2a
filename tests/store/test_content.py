from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from proxy.store import Conflict, InvalidName, LimitReached, NotFound, Store, Workspace, new_id
from proxy.store.content import TAKEN_AT_ONCE
from proxy.store.contents import Run, StoredDocument
from proxy.store.queries import documents, runs
from proxy.store.schema import runs as table
from tests.store.stores import SettableClock, a_workspace, opened
from vault import Vault

LEASE = timedelta(seconds=10)


def document(workspace: Workspace, now: datetime, name: str = "nightly", **fields: Any) -> Any:
    made = StoredDocument(
        id=new_id(),
        workspace_id=workspace.id,
        kind="workflow",
        name=name,
        version=1,
        body="{}",
        created_at=now,
        saved_at=now,
        saved_by="ada",
    )
    return replace(made, **fields)


def run_of(found: StoredDocument, now: datetime, **fields: Any) -> Run:
    made = Run(
        id=new_id()[:16],
        workspace_id=found.workspace_id,
        document_id=found.id,
        workflow=found.name,
        version=found.version,
        status="queued",
        trigger="manual",
        triggered_by="ada",
        parameters="{}",
        queued_at=now,
    )
    return replace(made, **fields)


@pytest.fixture
async def workspace(store: Store, vault: Vault) -> Workspace:
    return await a_workspace(store, vault)


async def test_each_save_is_a_version_that_can_be_shown(
    store: Store, workspace: Workspace, clock: SettableClock
):
    content = store.content
    first = await content.save(document(workspace, clock.now, body="1"))
    clock.advance(hours=1)
    second = await content.save(document(workspace, clock.now, body="22", saved_by="bob"))
    assert (first.version, second.version) == (1, 2)
    assert second.id == first.id
    newest = await content.document(workspace, "workflow", "nightly")
    assert (newest.body, newest.saved_by, newest.created_at) == ("22", "bob", first.created_at)
    assert await content.document(workspace, "workflow", "nightly", 1) == first
    history = await content.history(newest)
    assert [(entry.version, entry.saved_by, entry.bytes) for entry in history] == [
        (2, "bob", 2),
        (1, "ada", 1),
    ]
    assert await content.documents(workspace, "workflow") == [newest]
    assert await content.documents(workspace, "dashboard") == []


async def test_a_save_from_another_version_is_a_conflict(
    store: Store, workspace: Workspace, clock: SettableClock
):
    made = document(workspace, clock.now)
    await store.content.save(made, 0)
    with pytest.raises(Conflict, match="exists already"):
        await store.content.save(made, 0)
    with pytest.raises(Conflict, match="at version 1, not 7"):
        await store.content.save(made, 7)
    results = await asyncio.gather(
        *(store.content.save(made, 1) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(result, StoredDocument) for result in results) == 1


async def test_old_versions_are_forgotten_but_not_what_a_run_needs(
    store: Store, workspace: Workspace, clock: SettableClock
):
    first = await store.content.save(document(workspace, clock.now))
    waiting = await store.content.queue(run_of(first, clock.now))
    for _ in range(documents.VERSIONS + 1):
        await store.content.save(document(workspace, clock.now))
    kept = [entry.version for entry in await store.content.history(first)]
    assert kept == [*range(documents.VERSIONS + 2, 2, -1), 1]
    assert await store.content.document_of(waiting) is not None


async def test_names_have_a_grammar_and_other_workspaces_see_nothing(
    store: Store, workspace: Workspace, clock: SettableClock, vault: Vault
):
    with pytest.raises(InvalidName):
        await store.content.save(document(workspace, clock.now, "No Name"))
    found = await store.content.save(document(workspace, clock.now))
    run = await store.content.queue(run_of(found, clock.now))
    other = await a_workspace(store, vault, "other")
    with pytest.raises(NotFound, match="no workflow named nightly"):
        await store.content.document(other, "workflow", "nightly")
    with pytest.raises(NotFound, match="no such run"):
        await store.content.run(other, run.id)
    with pytest.raises(NotFound):
        await store.content.ask_to_cancel(other, run.id, "eve")
    assert (await store.content.run(workspace, run.id)).cancel_asked_by is None
    assert await store.content.runs(other) == []


async def test_several_documents_are_stored_together_or_not_at_all(
    store: Store, workspace: Workspace, clock: SettableClock
):
    await store.content.save(document(workspace, clock.now, "taken"))
    both = [document(workspace, clock.now, name) for name in ("free", "taken")]
    with pytest.raises(Conflict):
        await store.content.save_all(both)
    assert [entry.name for entry in await store.content.documents(workspace, "workflow")] == [
        "taken"
    ]


async def test_a_due_time_is_fired_by_one_of_many(
    url: str, store: Store, workspace: Workspace, clock: SettableClock
):
    await store.content.save(document(workspace, clock.now, due_at=clock.now))
    later = clock.now + timedelta(days=1)
    async with opened(url, clock=clock) as other:
        nodes = [store, other] * 3
        due = [(await node.content.due())[0] for node in nodes]
        fired = await asyncio.gather(
            *(
                node.content.fire(found, later, run_of(found, clock.now, due_at=found.due_at))
                for node, found in zip(nodes, due, strict=True)
            )
        )
    assert sorted(fired) == [False] * 5 + [True]
    assert len(await store.content.runs(workspace)) == 1
    assert await store.content.due() == []


async def test_a_saved_change_of_schedule_is_not_overwritten_by_a_runner_that_read_before(
    store: Store, workspace: Workspace, clock: SettableClock
):
    await store.content.save(document(workspace, clock.now, due_at=clock.now))
    (read,) = await store.content.due()
    soon = clock.now + timedelta(minutes=5)
    await store.content.save(document(workspace, clock.now, due_at=soon))
    assert not await store.content.fire(read, clock.now + timedelta(days=9), None)
    assert (await store.content.document(workspace, "workflow", "nightly")).due_at == soon


async def test_a_run_is_claimed_by_one_of_many(
    url: str, store: Store, workspace: Workspace, clock: SettableClock
):
    found = await store.content.save(document(workspace, clock.now))
    run = await store.content.queue(run_of(found, clock.now))
    async with opened(url, clock=clock) as other:
        claims = await asyncio.gather(
            *(
                node.content.claim(run, f"runner{number}", LEASE, 5)
                for number, node in enumerate([store, other] * 3)
            )
        )
    assert sorted(claims) == [False] * 5 + [True]
    claimed = await store.content.run(workspace, run.id)
    assert (claimed.status, claimed.started_at) == ("running", clock.now)
    assert claimed.runner == f"runner{claims.index(True)}"
    assert await store.content.queued(5) == []


async def test_of_many_runs_a_workspace_gets_as_many_at_once_as_it_may(
    url: str, store: Store, workspace: Workspace, clock: SettableClock
):
    found = await store.content.save(document(workspace, clock.now))
    queued = [await store.content.queue(run_of(found, clock.now)) for _ in range(6)]
    async with opened(url, clock=clock) as other:
        claims = await asyncio.gather(
            *(
                node.content.claim(run, "runner", LEASE, 2)
                for node, run in zip([store, other] * 3, queued, strict=True)
            )
        )
    assert sum(claims) == 2


async def test_a_lease_that_runs_out_is_given_up_once_and_not_before(
    store: Store, workspace: Workspace, clock: SettableClock
):
    found = await store.content.save(document(workspace, clock.now))
    run = await store.content.queue(run_of(found, clock.now))
    assert await store.content.claim(run, "one", LEASE, 1)
    clock.advance(seconds=9)
    assert await store.content.mark_lost("silent") == []
    await store.content.renew("one", LEASE)
    clock.advance(seconds=9)
    assert await store.content.mark_lost("silent") == []
    clock.advance(seconds=2)
    lost = await asyncio.gather(*(store.content.mark_lost("silent") for _ in range(3)))
    assert [entry.id for entries in lost for entry in entries] == [run.id]
    assert not await store.content.end(run, "one", "succeeded", error="", steps="[]")
    found_run = await store.content.run(workspace, run.id)
    assert (found_run.status, found_run.error, found_run.ended_at) == ("lost", "silent", clock.now)
    assert await store.content.held("one") == {}


async def test_only_its_runner_ends_a_run(store: Store, workspace: Workspace, clock: SettableClock):
    found = await store.content.save(document(workspace, clock.now))
    run = await store.content.queue(run_of(found, clock.now))
    assert not await store.content.end(run, "one", "failed", error="x", steps="[]")
    await store.content.claim(run, "one", LEASE, 1)
    assert not await store.content.end(run, "two", "failed", error="x", steps="[]")
    assert await store.content.end(run, "one", "failed", error="x", steps='[{"name":"a"}]')
    ended = await store.content.run(workspace, run.id)
    assert (ended.status, ended.error, ended.steps) == ("failed", "x", '[{"name":"a"}]')
    assert ended.has_ended


async def test_a_cancel_is_told_to_the_runner_and_ends_what_waits(
    store: Store, workspace: Workspace, clock: SettableClock
):
    found = await store.content.save(document(workspace, clock.now))
    running = await store.content.queue(run_of(found, clock.now))
    await store.content.claim(running, "one", LEASE, 1)
    waiting = await store.content.queue(run_of(found, clock.now))
    assert (await store.content.ask_to_cancel(workspace, running.id, "ada")).status == "running"
    await store.content.ask_to_cancel(workspace, running.id, "bob")
    assert await store.content.held("one") == {running.id: "ada"}
    assert (await store.content.ask_to_cancel(workspace, waiting.id, "ada")).status == "cancelled"


async def test_a_workspace_with_a_long_queue_holds_up_no_other(
    store: Store, workspace: Workspace, clock: SettableClock, vault: Vault
):
    busy = await store.content.save(document(workspace, clock.now))
    for _ in range(TAKEN_AT_ONCE + 1):
        await store.content.queue(run_of(busy, clock.now))
    clock.advance(seconds=1)
    other = await a_workspace(store, vault, "other")
    quiet = await store.content.save(document(other, clock.now))
    waiting = await store.content.queue(run_of(quiet, clock.now))
    may_begin = await store.content.queued(2)
    assert [run.workspace_id for run in may_begin] == [workspace.id] * 2 + [other.id]
    for run in may_begin[:2]:
        assert await store.content.claim(run, "one", LEASE, 2)
    assert await store.content.queued(2) == [waiting]
    assert len(await store.content.queued(3)) == 2


async def test_a_suspended_workspaces_runs_and_due_times_wait(
    store: Store, workspace: Workspace, clock: SettableClock
):
    found = await store.content.save(document(workspace, clock.now, due_at=clock.now))
    await store.content.queue(run_of(found, clock.now))
    await store.suspend_workspace(workspace)
    assert await store.content.queued(5) == []
    assert await store.content.due() == []
    await store.resume_workspace(workspace)
    assert len(await store.content.queued(5)) == 1
    assert await store.content.due() == [found]


async def test_a_document_goes_with_its_runs_and_a_workspace_with_its_documents(
    store: Store, workspace: Workspace, clock: SettableClock
):
    found = await store.content.save(document(workspace, clock.now))
    run = await store.content.queue(run_of(found, clock.now))
    await store.content.claim(run, "one", LEASE, 1)
    await store.content.remove(found)
    assert await store.content.held("one") == {}
    with pytest.raises(NotFound):
        await store.content.remove(found)
    again = await store.content.save(document(workspace, clock.now))
    await store.content.queue(run_of(again, clock.now))
    await store.delete_workspace(workspace)
    assert await store.content.queued(5) == []
    assert not await store.content.claim(run, "one", LEASE, 1)


async def test_the_queue_has_an_end(store: Store, workspace: Workspace, clock: SettableClock):
    found = await store.content.save(document(workspace, clock.now))

    waiting = [
        {
            "workspace_id": workspace.id,
            "document_id": found.id,
            "id": f"{number:016}",
            "version": 1,
            "status": "queued",
            "trigger": "manual",
            "triggered_by": "ada",
            "parameters": "{}",
            "queued_at": clock.now,
        }
        for number in range(runs.QUEUE_LIMIT)
    ]
    await store._database.write(lambda connection: connection.execute(insert(table), waiting))
    with pytest.raises(LimitReached, match="wait already"):
        await store.content.queue(run_of(found, clock.now))

"""Workflows that run through a real proxy, at a real PostgreSQL and a real MariaDB."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import Any, cast

import pytest

from policies.document import Policy
from proxy.content.library import remove_document
from proxy.content.problems import ContentRefused
from proxy.content.runner import LOST
from proxy.content.runs import cancel_run, start_run
from proxy.store import Store, StoreUnavailable, Workspace
from proxy.store.contents import Run
from tests.content.town import Town, ended, run_to_end, save, until
from tests.servers.waiting import eventually
from tests.store.stores import sql

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


A_TOKEN = re.compile(rb"acp_[0-9A-Za-z]{10}_")


def one(source: str, statement: str, **more: Any) -> dict[str, Any]:
    """A workflow of one statement."""
    step = {"name": "only", "sql": {"source": source, "statement": statement}}
    return {"version": 1, "steps": [step], **more}


def is_running(run: Run) -> bool:
    return run.status == "running"


async def test_a_run_stands_in_the_audit_log_with_its_statements_and_its_token(town: Town):
    workspace = town.workspace()
    async with town.desk() as place, town.running():
        await save(place, workspace, "tell", one("orders", "SELECT 'seen in the log'"))
        run = await run_to_end(place, workspace, "tell")
        found = await place.store.workspace(workspace)
        tokens = await place.store.list_tokens(found)
    records = _records(town, found, run)
    statements = [
        record for record in records if "seen in the log" in str(record.get("query_info", ""))
    ]
    assert statements
    assert statements[0]["actor"]["app_name"] == f"workflow:tell run:{run.id}"
    messages = [record.get("message") for record in records]
    for message in ("workflow changed", "workflow run changed", "workflow run started"):
        assert message in messages
    assert "workflow run succeeded" in messages
    for file in town.proxy.folder.rglob("*"):
        if file.is_file():
            assert not A_TOKEN.search(file.read_bytes()), file
    (token,) = [token for token in tokens if token.label == f"run {run.id}"]
    assert token.revoked_at is not None
    assert token.expires_at is not None
    assert statements[0]["actor"]["user"]["uid"] == token.id


def _records(town: Town, workspace: Workspace, run: Run) -> list[dict[str, Any]]:
    def is_there(records: list[dict[str, Any]]) -> bool:
        return any(
            record.get("message") == "workflow run succeeded" and record["entity"]["uid"] == run.id
            for record in records
        )

    records = town.proxy.audit_events(is_there)
    return [
        record for record in records if record.get("metadata", {}).get("tenant_uid") == workspace.id
    ]


@pytest.mark.parametrize(
    ("source", "statement"),
    [("orders", "CREATE TABLE forbidden (id int)"), ("shop", "CREATE TABLE forbidden (id int)")],
)
async def test_what_the_policy_refuses_fails_with_its_words(
    town: Town, source: str, statement: str
):
    workspace = town.workspace()

    async def work(store: Store) -> None:
        policy = Policy.model_validate({"version": 1, "access": "read-only"})
        await store.policies.set_of_workspace(await store.workspace(workspace), policy)

    town.proxy.with_store(work)
    reading = one(source, "SELECT 1 AS n WHERE 1 = :one", parameters={"one": {"type": "integer"}})
    reading["steps"][0]["sql"]["parameters"] = {"one": {"parameter": "one"}}
    retry = {"attempts": 5, "first_pause_seconds": 30}
    async with town.desk() as place, town.running():
        await save(place, workspace, "read", reading)
        read = await run_to_end(place, workspace, "read", one=1)
        assert (read.status, read.error) == ("succeeded", "")
        await save(place, workspace, "write", one(source, statement, retry=retry))
        run = await run_to_end(place, workspace, "write")
    assert run.status == "failed"
    assert run.error.startswith("step only: refused by policy: ")
    assert "access" in run.error
    (step,) = json.loads(run.steps)
    assert (step["status"], step["attempts"]) == ("failed", 1)


@pytest.mark.parametrize(
    ("source", "statement"),
    [("orders", "SELECT pg_sleep(60)"), ("shop", "SELECT SLEEP(60)")],
)
async def test_a_cancelled_run_stops_its_statement(town: Town, source: str, statement: str):
    workspace = town.workspace()
    marked = f"{statement} -- {workspace}"
    async with town.desk() as place, town.running():
        await save(place, workspace, "wait", one(source, marked))
        run = await start_run(place, workspace, "wait", {})
        await eventually(lambda: _is_at_the_server(town, source, workspace))
        await cancel_run(place, workspace, run.id)
        run = await ended(place, workspace, run)
        assert (run.status, run.cancel_asked_by) == ("cancelled", place.actor)
        await eventually(lambda: not _is_at_the_server(town, source, workspace))
        assert (await cancel_run(place, workspace, run.id)).status == "cancelled"


def _is_at_the_server(town: Town, source: str, mark: str) -> bool:
    if source == "orders":
        found = town.postgres.execute(
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
            f" AND query LIKE '%{mark}%'"
        )
        return bool(found)
    listed = town.mariadb.administer("SELECT INFO FROM information_schema.PROCESSLIST")
    return any(mark in str(info) and "PROCESSLIST" not in str(info) for (info,) in listed)


async def test_a_run_that_takes_too_long_is_stopped(town: Town):
    workspace = town.workspace()
    async with town.desk() as place, town.running():
        document = one("orders", "SELECT pg_sleep(60)", time_limit_seconds=1)
        await save(place, workspace, "slow", document)
        run = await run_to_end(place, workspace, "slow")
    assert (run.status, run.error) == ("failed", "the run took longer than 1 seconds")


async def test_a_queued_run_is_cancelled_without_a_runner(town: Town):
    workspace = town.workspace()
    async with town.desk() as place:
        await save(place, workspace, "later", one("orders", "SELECT 1"))
        run = await start_run(place, workspace, "later", {})
        run = await cancel_run(place, workspace, run.id)
    assert (run.status, run.has_ended) == ("cancelled", True)


async def test_of_two_runners_one_fires_a_schedule(town: Town):
    workspace = town.workspace()
    async with town.desk() as place, town.running(), town.running():
        # Never due by itself while the test runs.
        schedule = {"cron": "0 0 1 1 *", "missed": "run_once"}
        await save(place, workspace, "tick", one("orders", "SELECT 1", schedule=schedule))
        found = await place.store.workspace(workspace)
        document = await place.store.content.document(found, "workflow", "tick")
        # The time has come, for both at once.
        assert document.due_at is not None
        late = place.store.content.now() - timedelta(hours=1)
        micros = int(late.timestamp()) * 1_000_000
        sql(
            town.proxy.store_url,
            f"UPDATE documents SET due_at = {micros} WHERE id = '{document.id}'",
        )
        runs: list[Run] = []
        while not (runs and runs[0].has_ended):
            runs = await place.store.content.runs(found)
        again = await place.store.content.document(found, "workflow", "tick")
        await remove_document(place, workspace, "workflow", "tick")
    assert [(run.trigger, run.triggered_by, run.status) for run in runs] == [
        ("schedule", "schedule", "succeeded")
    ]
    assert again.due_at is not None
    assert again.due_at > late


async def test_the_run_of_a_killed_runner_is_marked_lost_and_not_run_again(town: Town):
    workspace = town.workspace()
    async with town.desk() as place:
        await save(place, workspace, "wait", one("orders", f"SELECT pg_sleep(60) -- {workspace}"))
        with town.runner_process():
            run = await start_run(place, workspace, "wait", {})
            run = await until(place, workspace, run, is_running)
            await eventually(lambda: _is_at_the_server(town, "orders", workspace))
        # Killed by now. Its lease is let run out, and another runner comes.
        past = int((place.store.content.now() - timedelta(seconds=1)).timestamp()) * 1_000_000
        sql(town.proxy.store_url, f"UPDATE runs SET lease_until = {past} WHERE id = '{run.id}'")
        async with town.running():
            run = await ended(place, workspace, run)
        found = await place.store.workspace(workspace)
        tokens = await place.store.list_tokens(found)
        runs = await place.store.content.runs(found)
    assert (run.status, run.error, run.steps) == ("lost", LOST, "[]")
    assert [entry.id for entry in runs] == [run.id]
    assert all(token.revoked_at for token in tokens if token.label == f"run {run.id}")
    await eventually(lambda: not _is_at_the_server(town, "orders", workspace))


async def test_a_workspace_runs_no_more_at_once_than_it_may(town: Town):
    workspace = town.workspace()
    async with town.desk() as place, town.running(runs_per_workspace=1):
        await save(place, workspace, "wait", one("orders", "SELECT pg_sleep(60)"))
        first = await start_run(place, workspace, "wait", {})
        second = await start_run(place, workspace, "wait", {})
        await until(place, workspace, first, is_running)
        found = await place.store.workspace(workspace)
        assert (await place.store.content.run(found, second.id)).status == "queued"
        await cancel_run(place, workspace, first.id)
        await until(place, workspace, second, is_running)
        assert (await ended(place, workspace, first)).status == "cancelled"
        await cancel_run(place, workspace, second.id)
        await ended(place, workspace, second)


async def test_a_deleted_workflow_stops_what_runs(town: Town):
    workspace = town.workspace()
    async with town.desk() as place, town.running() as runner:
        await save(place, workspace, "gone", one("orders", f"SELECT pg_sleep(60) -- {workspace}"))
        await start_run(place, workspace, "gone", {})
        await eventually(lambda: _is_at_the_server(town, "orders", workspace))
        await remove_document(place, workspace, "workflow", "gone")
        await eventually(lambda: not runner.running)
        await eventually(lambda: not _is_at_the_server(town, "orders", workspace))


async def test_a_source_must_be_the_workspaces_own_when_saved_and_when_run(town: Town):
    workspace = town.workspace()
    async with town.desk() as place:
        with pytest.raises(
            ContentRefused, match="/steps/0/sql/source: the workspace has no source"
        ):
            await save(place, workspace, "other", one("elsewhere", "SELECT 1"))
        await save(place, workspace, "mine", one("orders", "SELECT 1"))
        town.proxy.remove_source(workspace, "orders")
        with pytest.raises(ContentRefused, match="no source named orders"):
            await start_run(place, workspace, "mine", {})


async def test_a_source_that_is_gone_when_the_run_gets_there_fails_it(town: Town):
    workspace = town.workspace()
    async with town.desk() as place:
        await save(place, workspace, "mine", one("orders", "SELECT 1"))
        run = await start_run(place, workspace, "mine", {})
        town.proxy.remove_source(workspace, "orders")
        async with town.running():
            run = await ended(place, workspace, run)
    assert run.error == "step only: the workspace has no source named orders"


async def test_results_are_bounded(town: Town):
    workspace = town.workspace()
    document = one("orders", "SELECT 1 FROM pg_class a, pg_class b, pg_class c")
    document["steps"][0]["sql"]["keep_rows"] = 10
    shop = one("shop", "SELECT a.seq FROM numbers a, numbers b")
    async with town.desk() as place, town.running():
        for name, body in (("orders", document), ("shop", shop)):
            await save(place, workspace, name, body)
            run = await run_to_end(place, workspace, name)
            assert run.status == "failed"
            assert "the result has more than" in run.error
            assert "rows" in run.error


async def test_a_broken_statement_tells_what_the_server_says(town: Town):
    workspace = town.workspace()
    async with town.desk() as place, town.running():
        for source, says in (("orders", 'relation "nowhere"'), ("shop", "doesn't exist")):
            await save(place, workspace, "broken", one(source, "SELECT * FROM nowhere"))
            run = await run_to_end(place, workspace, "broken")
            assert run.status == "failed"
            assert says in run.error


async def test_a_stopped_runner_ends_its_runs(town: Town):
    workspace = town.workspace()
    async with town.desk() as place:
        await save(place, workspace, "wait", one("orders", "SELECT pg_sleep(60)"))
        async with town.running():
            run = await start_run(place, workspace, "wait", {})
            await until(place, workspace, run, is_running)
        run = await ended(place, workspace, run)
    assert (run.status, run.error) == ("cancelled", "the runner was stopped")


class NoContent:
    """A store that cannot be reached."""

    def __getattr__(self, name: str) -> Any:
        async def refuse(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("the store cannot be reached")

        return refuse


class NoStore:
    content = NoContent()


async def test_a_runner_that_cannot_renew_stops_its_runs(town: Town):
    workspace = town.workspace()
    store = await Store.open(town.proxy.store_url)
    runner = town.runner(store, lease=0.1)
    async with town.desk() as place:
        await save(place, workspace, "wait", one("orders", f"SELECT pg_sleep(60) -- {workspace}"))
        await start_run(place, workspace, "wait", {})
        await runner.look()
        await eventually(lambda: _is_at_the_server(town, "orders", workspace))
        runner.store = cast(Store, NoStore())
        while runner.running:
            await runner.look()
            await asyncio.sleep(0)
        await eventually(lambda: not _is_at_the_server(town, "orders", workspace))
        # Nobody ended it in the store: another runner gives it up, by its lease.
        (lost,) = await store.content.mark_lost(LOST)
        assert lost.runner == runner.id
    await store.close()


async def test_a_run_waits_for_the_proxy(town: Town):
    workspace = town.workspace()
    is_up = asyncio.Event()

    async def asked() -> bool:
        return is_up.is_set()

    store = await Store.open(town.proxy.store_url)
    runner = town.runner(store)
    runner.is_proxy_up = asked
    async with town.desk() as place:
        await save(place, workspace, "tell", one("orders", "SELECT 1"))
        run = await start_run(place, workspace, "tell", {})
        await runner.look()
        assert list(runner.running) == []
        is_up.set()
        await runner.look()
        assert list(runner.running) == [run.id]
        await runner.drain(20)
        assert (await ended(place, workspace, run)).status == "succeeded"
    await store.close()

"""Runners of two nodes: each run is run once, whatever happens to a node."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.content.runner import LOST
from proxy.store import Store
from proxy.store.contents import Run
from tests.conformance.fixtures import new_name
from tests.conformance.office import SOURCE, Office
from tests.conformance.postgres import PostgresDriver
from tests.nodes.node import Node, runner_of, two_nodes
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import wait_until
from tests.store.stores import new_postgresql_url, sql

pytestmark = [
    pytest.mark.parametrize(
        "driver", [PostgresDriver], indirect=True, ids=lambda driver: driver.name
    ),
    # Each starts two proxies and two runners, and waits for a lease to run out.
    pytest.mark.timeout(300),
]

_numbers = count(1)
_LEASE = 5.0
"""Seconds: what a dead runner is waited for here, and a busy machine must not exceed."""


class Place(Office):
    """A workspace whose workflows leave a row for each run in a table, once a gate is open."""

    def __init__(self, node: Node, driver: PostgresDriver) -> None:
        super().__init__(node, driver, new_name())
        self.node = node
        self.postgres = driver.server
        self.gate = next(_numbers)
        self.table = f"ran_{self.name}"
        self.execute(f"CREATE TABLE {self.table} (run text)")
        self.execute(f"GRANT ALL ON {self.table} TO {driver.account.name}")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self.postgres.execute(statement)

    @contextmanager
    def closed_gate(self) -> Iterator[None]:
        """No run of this workspace gets past its statement's beginning meanwhile."""
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (self.gate,))
            yield

    def save(self, name: str, folder: Path, **more: Any) -> None:
        """Save a workflow of one statement, which is not idempotent."""
        statement = (
            f"INSERT INTO {self.table} SELECT :run FROM pg_advisory_xact_lock_shared({self.gate})"
        )
        step = {"source": SOURCE, "statement": statement, "parameters": {"run": {"run": "id"}}}
        document = {"version": 1, "steps": [{"name": "only", "sql": step}], **more}
        file = folder / f"{name}.json"
        file.write_text(json.dumps(document))
        self.node.run("workflow", "save", self.name, name, str(file))

    def ask(self, name: str) -> str:
        """Ask for a run; its id."""
        return str(self.node.run("workflow", "run", self.name, name)["id"])

    def runs(self) -> list[Run]:
        """All runs that there are and were."""
        return self.node.with_store(self._all)

    async def _all(self, store: Store) -> list[Run]:
        return await store.content.runs(await store.workspace(self.name))

    def a_run(self, run_id: str) -> Run:
        (found,) = [run for run in self.runs() if run.id == run_id]
        return found

    def wait_for(self, run_id: str, status: str) -> Run:
        """Wait until a run has come to a status."""
        wait_until(
            lambda: self.a_run(run_id).status == status, within=40, what=f"the run to be {status}"
        )
        return self.a_run(run_id)

    def at_the_gate(self) -> int:
        """How many statements wait there, at the server."""
        return self.driver.running(self.table)

    def wait_at_the_gate(self, wanted: int) -> None:
        wait_until(
            lambda: self.at_the_gate() == wanted,
            within=40,
            what=f"{wanted} runs to be at the gate",
        )

    def done(self) -> Counter[str]:
        """How often each run's statement took effect."""
        return Counter(run for (run,) in self.execute(f"SELECT run FROM {self.table}"))

    def messages(self, node: Node, run_id: str) -> list[str]:
        """What a node's audit log says of a run."""
        return [
            record["message"]
            for record in node.audit_events(lambda _: True)
            if record.get("entity", {}).get("uid") == run_id
        ]


Pair = tuple[Node, Node]


@pytest.fixture
def pair(server_folder: Path, certificates: Certificates, stores: PostgresServer) -> Iterator[Pair]:
    """Two nodes of the test's own. Each runner has one run at a time."""
    with two_nodes(
        server_folder / f"nodes-{next(_numbers)}",
        certificates,
        new_postgresql_url(stores),
        listener={"protocol": "postgres"},
        runner={"runs": 1, "runs_per_workspace": 2, "lease": _LEASE},
    ) as nodes:
        yield nodes


def let_due(node: Node, names: list[str]) -> None:
    """Let the time of workflows come, for all at once: an hour ago."""
    micros = int((datetime.now(UTC) - timedelta(hours=1)).timestamp()) * 1_000_000
    listed = ", ".join(f"'{name}'" for name in names)
    sql(node.store_url, f"UPDATE documents SET due_at = {micros} WHERE name IN ({listed})")


def test_each_schedule_fires_once_over_the_runners_of_two_nodes(
    pair: Pair, driver: PostgresDriver, tmp_path: Path
):
    first, second = pair
    place = Place(first, driver)
    names = [f"tick{number}" for number in range(4)]
    yearly = {"cron": "0 0 1 1 *", "missed": "run_once"}
    for name in names:
        place.save(name, tmp_path, schedule=yearly)
    place.save("look", tmp_path)
    with runner_of(first) as one, runner_of(second) as other:
        with place.closed_gate():
            let_due(first, names)
            place.wait_at_the_gate(2)
            # One each, since a runner has one at a time.
            running = [run.runner for run in place.runs() if run.status == "running"]
            assert sorted(map(str, running)) == sorted([one.id, other.id])
        wait_until(lambda: len(place.done()) == len(names), within=60, what="all to have run")
        with place.closed_gate():
            # A runner looks for due times before it takes a run: both have looked again.
            asked = {place.ask("look"), place.ask("look")}
            place.wait_at_the_gate(2)
        wait_until(lambda: all(run.has_ended for run in place.runs()), within=40, what="all to end")
    runs = place.runs()
    assert {run.status for run in runs} == {"succeeded"}
    fired = [run for run in runs if run.trigger == "schedule"]
    assert sorted(run.workflow for run in fired) == names
    assert {run.id for run in runs} - {run.id for run in fired} == asked
    assert place.done() == Counter(run.id for run in runs)
    for run in runs:
        said = place.messages(first, run.id) + place.messages(second, run.id)
        assert said.count("workflow run started") == 1
        assert said.count("workflow run succeeded") == 1


def test_of_a_node_that_dies_the_other_gives_up_what_ran_and_takes_what_waited(
    pair: Pair, driver: PostgresDriver, tmp_path: Path
):
    first, second = pair
    place = Place(first, driver)
    place.save("mark", tmp_path)
    with runner_of(first) as survivor:
        # It has its one run: the other runner gets the next.
        with place.closed_gate():
            place.ask("mark")
            place.wait_at_the_gate(1)
            with runner_of(second) as dying:
                lost = place.ask("mark")
                place.wait_at_the_gate(2)
                assert place.a_run(lost).runner == dying.id
                waiting = place.ask("mark")
                dying.kill()
                second.kill()
            assert place.a_run(lost).status == "running"
            assert place.a_run(waiting).status == "queued"
            found = place.wait_for(lost, "lost")
            assert found.error == LOST
            # The server goes on by itself with what a dead proxy had sent it.
        taken = place.wait_for(waiting, "succeeded")
        assert taken.runner == survivor.id
        place.wait_for(place.ask("mark"), "succeeded")
    # Nobody knows how far it came, so nobody runs it again: neither it nor a copy of it.
    assert place.a_run(lost).status == "lost"
    assert Counter(run.status for run in place.runs()) == {"lost": 1, "succeeded": 3}
    assert set(place.done().values()) == {1}
    assert place.messages(first, lost).count("workflow run lost") == 1
    assert "workflow run started" not in place.messages(first, lost)
    assert place.messages(second, lost).count("workflow run started") == 1
    tokens = first.run("token", "list", place.name)
    (token,) = [token for token in tokens if token["label"] == f"run {lost}"]
    assert token["revoked_at"] is not None


def test_a_runner_that_stood_still_stops_what_was_given_up_meanwhile(
    pair: Pair, driver: PostgresDriver, tmp_path: Path
):
    first, second = pair
    place = Place(first, driver)
    place.save("mark", tmp_path)
    with place.closed_gate(), runner_of(second) as still:
        given_up = place.ask("mark")
        place.wait_at_the_gate(1)
        still.freeze()
        with runner_of(first):
            place.wait_for(given_up, "lost")
        # Its token is revoked, which ends its session: nothing is left at the server.
        place.wait_at_the_gate(0)
        still.thaw()
        # It goes on with other runs, and says nothing more of that one.
        after = place.ask("mark")
        place.wait_at_the_gate(1)
        assert place.a_run(after).runner == still.id
        assert place.a_run(given_up).status == "lost"
        assert "workflow run lost" in place.messages(first, given_up)
        assert [
            text for text in place.messages(second, given_up) if text.startswith("workflow run")
        ] == ["workflow run started"]
        still.kill()
        place.wait_at_the_gate(0)
    assert place.done() == Counter()

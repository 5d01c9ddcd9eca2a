from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.answers import (
    Answer,
    Asked,
    Bounds,
    Budget,
    Column,
    FakeStatements,
    StepFailed,
    unique,
)
from proxy.content.executing import Execution, WorkflowFailed, World
from proxy.content.retrying import may_retry, pause
from proxy.content.webhook import Call, FakeCaller
from proxy.content.workflow import Retry, Workflow

ROWS = Answer((Column("id", "int4"), Column("note", "text")), ((1, "a"), (2, "b")), 2)


class Stage:
    """A world of fakes, with a clock that moves by sleeping."""

    def __init__(
        self,
        answer: Callable[[Asked], Answer] = lambda asked: ROWS,
        status: Callable[[Call], int] = lambda call: 200,
    ) -> None:
        self.statements = FakeStatements(answer)
        self.caller = FakeCaller(status)
        self.slept: list[float] = []
        self.time = 0.0

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def execution(self, *steps: dict[str, Any], **fields: Any) -> Execution:
        workflow = Workflow.of({"version": 1, "steps": list(steps), **fields})
        world = World(self.statements, self.caller, self._sleep, lambda: self.time, lambda: 1.0)
        return Execution(workflow, world, {"a": 5}, {"id": "r1"})


def sql(name: str, statement: str = "SELECT 1", **more: Any) -> dict[str, Any]:
    retry: dict[str, Any] = {key: more.pop(key) for key in ("retry", "when") if key in more}
    return {"name": name, **retry, "sql": {"source": "orders", "statement": statement, **more}}


A = {"type": "integer"}
NOTE = {"step": "one", "column": "note"}


async def test_values_are_bound_and_never_part_of_the_text():
    stage = Stage()
    execution = stage.execution(
        sql("one", "SELECT :a", parameters={"a": {"parameter": "a"}}),
        sql(
            "two",
            "SELECT :x, :y",
            parameters={"x": {"step": "one", "column": "note"}, "y": "'; --"},
        ),
        parameters={"a": A},
    )
    await execution.execute()
    assert [asked.text for asked in stage.statements.asked] == ["SELECT $1", "SELECT $1, $2"]
    assert [asked.values for asked in stage.statements.asked] == [(5,), ("a", "'; --")]


async def test_a_for_each_goes_over_the_rows_in_their_order():
    stage = Stage(lambda asked: ROWS if "FROM" in asked.text else Answer(count=1))
    inner = sql("put", "INSERT :id", parameters={"id": {"item": "id"}})
    execution = stage.execution(
        sql("read", "SELECT FROM"),
        {"name": "each", "for_each": {"rows_of": "read", "steps": [inner]}},
    )
    await execution.execute()
    assert [asked.values for asked in stage.statements.asked[1:]] == [(1,), (2,)]
    put = execution.results["put"]
    assert (put.times, put.rows, put.status) == (2, 2, "succeeded")
    assert json.dumps([result.to_value() for result in execution.results.values()])


async def test_more_rows_than_a_for_each_allows_fail_before_the_first():
    stage = Stage(lambda asked: ROWS)
    loop = {"rows_of": "read", "limit": 1, "steps": [sql("put")]}
    execution = stage.execution(sql("read"), {"name": "each", "for_each": loop})
    with pytest.raises(WorkflowFailed, match="step each: there are more than 1 rows"):
        await execution.execute()
    assert len(stage.statements.asked) == 1


async def test_a_condition_leaves_a_step_out():
    stage = Stage()
    when = {"left": {"step": "read", "count": True}, "op": ">", "right": 5}
    execution = stage.execution(sql("read"), sql("more", when=when))
    await execution.execute()
    assert execution.results["more"].status == "skipped"
    assert len(stage.statements.asked) == 1


def failing(*failures: StepFailed | None) -> Callable[[Asked], Answer]:
    """Answers that fail, one after the other; None: that one succeeds."""
    left = list(failures)

    def answer(asked: Asked) -> Answer:
        failure = left.pop(0)
        if failure is not None:
            raise failure
        return ROWS

    return answer


def lost() -> StepFailed:
    return StepFailed("the connection was lost", "08006", is_transient=True)


def deadlock() -> StepFailed:
    return StepFailed("deadlock detected", "40P01", had_no_effect=True, is_transient=True)


async def test_what_surely_had_no_effect_is_tried_again_with_growing_pauses():
    stage = Stage(failing(deadlock(), deadlock(), None))
    execution = stage.execution(sql("one", retry={"attempts": 3, "first_pause_seconds": 2}))
    await execution.execute()
    assert stage.slept == [2.0, 4.0]
    assert execution.results["one"].attempts == 3


async def test_what_may_have_had_an_effect_is_tried_again_only_where_its_author_says_so():
    stage = Stage(failing(lost(), None))
    with pytest.raises(WorkflowFailed, match="step one: the connection was lost"):
        await stage.execution(sql("one", retry={"attempts": 3})).execute()
    assert stage.slept == []
    stage = Stage(failing(lost(), None))
    await stage.execution(sql("one", idempotent=True, retry={"attempts": 3})).execute()
    assert len(stage.slept) == 1


async def test_a_refusal_is_never_tried_again():
    refused = StepFailed("refused by policy", "42501", had_no_effect=True)
    stage = Stage(failing(refused))
    step = sql("one", idempotent=True, retry={"attempts": 9})
    with pytest.raises(WorkflowFailed, match="refused by policy") as failed:
        await stage.execution(step).execute()
    assert (failed.value.code, failed.value.step) == ("42501", "one")


async def test_attempts_come_to_an_end():
    stage = Stage(failing(*(deadlock() for _ in range(5))))
    execution = stage.execution(sql("one"), sql("two"), retry={"attempts": 5})
    with pytest.raises(WorkflowFailed):
        await execution.execute()
    result = execution.results["one"]
    assert (result.status, result.attempts, result.code) == ("failed", 5, "40P01")
    assert "two" not in execution.results


@given(st.integers(1, 10), st.floats(0.1, 300), st.floats(0.1, 3600), st.floats(0, 1))
def test_a_pause_has_jitter_and_an_upper_bound(
    attempt: int, first: float, longest: float, chance: float
):
    retry = Retry(first_pause_seconds=first, longest_pause_seconds=longest)
    seconds = pause(attempt, retry, chance)
    assert first / 2 <= seconds <= max(first, longest)


def test_the_last_attempt_is_the_last():
    assert may_retry(deadlock(), attempt=1, retry=Retry(attempts=2), is_idempotent=False)
    assert not may_retry(deadlock(), attempt=2, retry=Retry(attempts=2), is_idempotent=True)


async def test_an_http_call_has_headers_and_a_body_of_values():
    stage = Stage()
    http = {
        "url": "https://hooks.example.com/x",
        "headers": {"X-Run": {"run": "id"}, "X-A": {"parameter": "a"}},
        "body": {"rows": {"step": "read", "rows": True}, "n": {"step": "read", "count": True}},
    }
    await stage.execution(
        sql("read"), {"name": "tell", "http": http}, parameters={"a": A}
    ).execute()
    (call,) = stage.caller.calls
    assert (call.method, dict(call.headers)) == ("POST", {"X-Run": "r1", "X-A": "5"})
    assert call.body == {"rows": [{"id": 1, "note": "a"}, {"id": 2, "note": "b"}], "n": 2}


@pytest.mark.parametrize(("status", "is_tried_again"), [(404, False), (503, True), (301, False)])
async def test_another_status_than_expected_fails(status: int, is_tried_again: bool):
    stage = Stage(status=lambda call: status)
    http = {"url": "https://hooks.example.com/x", "idempotent": True}
    step = {"name": "tell", "http": http, "retry": {"attempts": 2}}
    with pytest.raises(WorkflowFailed, match=f"the server answered {status}"):
        await stage.execution(step).execute()
    assert len(stage.caller.calls) == 1 + is_tried_again


async def test_a_cancelled_run_keeps_what_it_knows():
    started = asyncio.Event()

    class Hanging(FakeStatements):
        async def run(self, *arguments: Any) -> Answer:
            started.set()
            return await asyncio.Future()

    stage = Stage()
    stage.statements = Hanging(lambda asked: ROWS)
    execution = stage.execution(sql("one"))
    task = asyncio.create_task(execution.execute())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert execution.results["one"].status == "stopped"


def test_a_budget_cuts_or_fails():
    budget = Budget(Bounds(rows=1, may_cut=True))
    assert [budget.takes((1,)), budget.takes((2,))] == [True, False]
    assert budget.rows == [(1,)]
    strict = Budget(Bounds(rows=1))
    strict.takes((1,))
    with pytest.raises(StepFailed, match="more than 1 rows"):
        strict.takes((2,))
    with pytest.raises(StepFailed, match="more than 100 bytes"):
        Budget(Bounds(rows=9, bytes=100)).takes(("x" * 100,))


def test_columns_of_one_name_are_numbered():
    assert unique(["id", "id", "id_2", "id"]) == ["id", "id_2", "id_2_2", "id_3"]

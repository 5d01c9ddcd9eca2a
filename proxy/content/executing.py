"""A workflow's steps, one after the other. Knows no driver, no store and no clock of its own.

Results of steps live as long as the run; what is kept of them afterwards is a ``StepResult``
for each step: counts and times, never a value.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.content.answers import Answer, Bounds, Statements, StepFailed
from proxy.content.retrying import may_retry, pause
from proxy.content.values import Known, Row, Unknown, plain
from proxy.content.webhook import Call, Caller
from proxy.content.workflow import ForEach, HttpStep, SqlStep, Step, Workflow

MAX_STATEMENTS = 100_000
"""Steps of one run, each time of a for-each counted."""


@dataclass(slots=True)
class StepResult:
    """What is remembered of a step. ``rows``: given or changed, over all its times."""

    name: str
    status: str = "running"
    times: int = 0
    attempts: int = 0
    rows: int = 0
    seconds: float = 0.0
    error: str = ""
    code: str = ""

    def to_value(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "status": self.status,
            "times": self.times,
            "attempts": self.attempts,
            "rows": self.rows,
            "seconds": round(self.seconds, 6),
            "error": self.error,
            "code": self.code,
        }


class WorkflowFailed(Exception):
    """A step failed for good; the text names it. ``code``: the other side's."""

    def __init__(self, step: str, failure: StepFailed | Unknown) -> None:
        super().__init__(f"step {step}: {failure}")
        self.step = step
        self.code = failure.code if isinstance(failure, StepFailed) else ""


@dataclass(frozen=True, slots=True)
class World:
    """What a run needs of the world. ``chance`` gives 0 to 1; ``now`` counts seconds."""

    statements: Statements
    caller: Caller
    sleep: Callable[[float], Awaitable[None]]
    now: Callable[[], float]
    chance: Callable[[], float]


@dataclass(slots=True)
class Execution:
    """One run. ``results`` can be read while it goes on."""

    workflow: Workflow
    world: World
    parameters: Mapping[str, Any]
    run: Mapping[str, Any]
    results: dict[str, StepResult] = field(default_factory=dict)
    _count: int = 0

    async def execute(self) -> None:
        """Run every step. Raises WorkflowFailed at the first that fails."""
        await self._steps(self.workflow.steps, {}, None)

    async def _steps(
        self, steps: tuple[Step, ...], outer: Mapping[str, tuple[list[Row], int]], item: Row | None
    ) -> None:
        kept: dict[str, tuple[list[Row], int]] = dict(outer)
        for step in steps:
            known = Known(self.parameters, kept, item, self.run)
            result = self.results.setdefault(step.name, StepResult(step.name))
            self._count += 1
            try:
                if self._count > MAX_STATEMENTS:
                    raise StepFailed(f"the run has more than {MAX_STATEMENTS} steps", "too-long")
                if step.when is not None and not known.holds(step.when):
                    if result.times == 0:
                        result.status = "skipped"
                    continue
                result.times += 1
                result.status = "running"
                rows, count = await self._one(step, known, result)
            except (StepFailed, Unknown) as failure:
                result.status = "failed"
                result.error = str(failure)
                result.code = failure.code if isinstance(failure, StepFailed) else ""
                raise WorkflowFailed(step.name, failure) from None
            except BaseException:
                # A step of this for-each has failed, or the run was stopped.
                if result.status == "running":
                    result.status = "stopped"
                raise
            result.rows += count
            result.status = "succeeded"
            kept[step.name] = (rows, count)

    async def _one(self, step: Step, known: Known, result: StepResult) -> tuple[list[Row], int]:
        began = self.world.now()
        try:
            if step.for_each is not None:
                return await self._for_each(step.for_each, known)
            part = step.sql or step.http
            assert part is not None
            answer = await self._tried(step, part, known, result)
            return list(answer.records()), answer.count
        finally:
            result.seconds += self.world.now() - began

    async def _for_each(self, loop: ForEach, known: Known) -> tuple[list[Row], int]:
        rows, _ = known.steps.get(loop.rows_of, ((), 0))
        if len(rows) > loop.limit:
            raise StepFailed(f"there are more than {loop.limit} rows to go over", "too-many-rows")
        outer = {name: (list(kept), count) for name, (kept, count) in known.steps.items()}
        for row in rows:
            await self._steps(loop.steps, outer, row)
        return [], len(rows)

    async def _tried(
        self, step: Step, part: SqlStep | HttpStep, known: Known, result: StepResult
    ) -> Answer:
        retry = self.workflow.retry_of(step)
        attempt = 0
        while True:
            attempt += 1
            result.attempts += 1
            try:
                if isinstance(part, SqlStep):
                    return await self._sql(part, known)
                return await self._http(part, known)
            except StepFailed as failure:
                if not may_retry(
                    failure, attempt=attempt, retry=retry, is_idempotent=part.idempotent
                ):
                    raise
            await self.world.sleep(pause(attempt, retry, self.world.chance()))

    async def _sql(self, part: SqlStep, known: Known) -> Answer:
        values = {name: known.value(value) for name, value in part.parameters.items()}
        return await self.world.statements.run(
            part.source, part.statement, values, Bounds(part.keep_rows)
        )

    async def _http(self, part: HttpStep, known: Known) -> Answer:
        headers = {name: _header(known.value(value)) for name, value in part.headers.items()}
        body = part.body
        if body is not None:
            body = {name: plain(known.value(value)) for name, value in body.items()}
        status = await self.world.caller.call(
            Call(part.method, part.url, headers, body, part.timeout_seconds)
        )
        if status not in part.expect:
            raise StepFailed(
                f"the server answered {status}",
                f"http-{status}",
                # 429 and 5xx promise nothing of what was done before they were said.
                is_transient=status == 429 or status >= 500,
            )
        return Answer(count=1)


def _header(value: Any) -> str:
    found = plain(value)
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, (str, int, float)):
        raise StepFailed("a header's value is a text or a number", "http", had_no_effect=True)
    return str(found)

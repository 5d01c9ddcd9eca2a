"""Runs of workflows: listed, shown, cancelled."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.paging import DEFAULT, bad_cursor, cursor_of, place_of
from proxy.admin.shapes import Answer, Cursor, Limit, Page, RunId, WorkflowName, WorkspaceName
from proxy.content.runs import cancel_run, run_value
from proxy.store.contents import Run, StoredDocument


class RunEntry(Answer):
    """A run in a list. ``due_at``: the time of its schedule that it is for."""

    id: str
    workflow: str
    version: int
    status: Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
    trigger: Literal["schedule", "manual", "endpoint"]
    triggered_by: str
    due_at: datetime | None
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    cancel_asked_by: str | None
    error: str

    @classmethod
    def of(cls, run: Run) -> RunEntry:
        """From the record."""
        value = run_value(run)
        return cls(**{name: value[name] for name in RunEntry.model_fields})


class StepAnswer(Answer):
    """What a step did: how often, in how many attempts, with how many rows."""

    name: str
    status: str
    times: int
    attempts: int
    rows: int
    seconds: float


class RunAnswer(RunEntry):
    """A run, whole."""

    parameters: dict[str, Any] = Field(description="What it runs with.")
    steps: list[StepAnswer]

    @classmethod
    def of(cls, run: Run) -> RunAnswer:
        """From the record."""
        value = run_value(run)
        steps = [
            StepAnswer(**{name: step[name] for name in StepAnswer.model_fields})
            for step in value.pop("steps")
        ]
        return cls(**value, steps=steps)


async def list_runs(
    call: Admitted, workspace: WorkspaceName, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[RunEntry]:
    """The newest first; of ended ones the last thousand are kept."""
    return await _page(call, None, limit, cursor)


async def list_workflow_runs(
    call: Admitted,
    workspace: WorkspaceName,
    workflow: WorkflowName,
    limit: Limit = DEFAULT,
    cursor: Cursor = None,
) -> Page[RunEntry]:
    """The newest first."""
    found = await call.office.store.content.document(call.here, "workflow", workflow)
    return await _page(call, found, limit, cursor)


async def get_run(call: Admitted, workspace: WorkspaceName, run_id: RunId) -> RunAnswer:
    """One run with its steps."""
    return RunAnswer.of(await call.office.store.content.run(call.here, run_id))


async def cancel(call: Admitted, workspace: WorkspaceName, run_id: RunId) -> RunAnswer:
    """Its runner stops it, and its statement, within a second. One that has ended stays."""
    return RunAnswer.of(await cancel_run(call.place, call.here, run_id))


async def _page(
    call: Call, of: StoredDocument | None, limit: int, cursor: str | None
) -> Page[RunEntry]:
    after = None if cursor is None else _place(cursor)
    found = await call.office.store.content.runs(call.here, of, limit + 1, after=after)
    following = None
    if len(found) > limit:
        last = found[limit - 1]
        following = cursor_of("runs", last.queued_at.isoformat(), last.id)
    return Page(items=[RunEntry.of(run) for run in found[:limit]], next_cursor=following)


def _place(cursor: str) -> tuple[datetime, str]:
    match place_of("runs", cursor):
        case [str(moment), str(run_id)] if "\0" not in run_id:
            try:
                at = datetime.fromisoformat(moment)
            except ValueError:
                raise bad_cursor() from None
            if at.tzinfo is not None:
                return at, run_id
    raise bad_cursor()


_ALL = "/v1/workspaces/{workspace}/runs"
_ONE = f"{_ALL}/{{run_id}}"

ENDPOINTS = (
    Endpoint("GET", _ALL, "listRuns", list_runs, "List runs"),
    Endpoint(
        "GET",
        "/v1/workspaces/{workspace}/workflows/{workflow}/runs",
        "listWorkflowRuns",
        list_workflow_runs,
        "List a workflow's runs",
    ),
    Endpoint("GET", _ONE, "getRun", get_run, "Show a run"),
    Endpoint("POST", f"{_ONE}/cancel", "cancelRun", cancel, "Cancel a run"),
)

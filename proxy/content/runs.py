"""Runs of workflows: asked for and cancelled, by whoever may, from any process.

Asking for a run queues it; a runner (``runner``) takes it. Each has its audit records.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from proxy.administration.trail import audited
from proxy.administration.workplace import Desk
from proxy.audit.events import CREATE, UPDATE, entity_changed
from proxy.audit.ocsf import Event
from proxy.content.document import filled
from proxy.content.library import source_problems
from proxy.content.naming import workspace_named
from proxy.content.problems import ContentRefused
from proxy.content.workflow import Workflow
from proxy.store import Workspace
from proxy.store.contents import Run, StoredDocument


def new_run_id() -> str:
    """16 hexadecimal digits: short enough to stand in application_name with the workflow."""
    return secrets.token_hex(8)


async def start_run(
    place: Desk,
    named: str | Workspace,
    name: str,
    parameters: Mapping[str, Any],
    *,
    trigger: Literal["manual", "endpoint"] = "manual",
) -> Run:
    """Ask for a run of a workflow's newest version. ``endpoint``: it must allow that.

    Raises ContentRefused, NotFound, LimitReached.
    """
    workspace = await workspace_named(place.store, named)
    if not workspace.is_active:
        raise ContentRefused.of(f"workspace {workspace.name} is suspended")
    document = await place.store.content.document(workspace, "workflow", name)
    workflow = Workflow.read(document.body)
    if trigger == "endpoint" and not workflow.endpoint:
        raise ContentRefused.of("this workflow is not started by an endpoint")
    problems = await source_problems(place.store, workspace, workflow)
    if problems:
        raise ContentRefused(problems)
    values = filled(workflow.parameters, dict(parameters))
    run = drafted_run(
        document, place.store.content.now(), trigger=trigger, triggered_by=place.actor
    )
    run = with_parameters(run, values)
    event = run_event(run, CREATE, place.actor, {"status": "queued", "version": run.version})
    return await audited(place.trail, event, lambda: place.store.content.queue(run), place.warn)


async def cancel_run(place: Desk, named: str | Workspace, run_id: str) -> Run:
    """Cancel a run that waits, ask the runner of one that runs. Raises NotFound.

    The runner notices within a second. A run that has ended stays as it is.
    """
    workspace = await workspace_named(place.store, named)
    run = await place.store.content.run(workspace, run_id)
    if run.has_ended:
        return run
    event = run_event(run, UPDATE, place.actor, {"cancel_asked": True})
    return await audited(
        place.trail,
        event,
        lambda: place.store.content.ask_to_cancel(workspace, run_id, place.actor[:128]),
        place.warn,
    )


def drafted_run(
    document: StoredDocument,
    now: datetime,
    *,
    trigger: Literal["manual", "endpoint", "schedule"],
    triggered_by: str,
    due_at: datetime | None = None,
) -> Run:
    """A run as it is queued."""
    return Run(
        id=new_run_id(),
        workspace_id=document.workspace_id,
        document_id=document.id,
        workflow=document.name,
        version=document.version,
        status="queued",
        trigger=trigger,
        triggered_by=triggered_by[:128],
        parameters="{}",
        queued_at=now,
        due_at=due_at,
    )


def with_parameters(run: Run, values: Mapping[str, Any]) -> Run:
    """The run with what it runs with."""
    return replace(run, parameters=json.dumps(dict(values), sort_keys=True))


def run_event(run: Run, activity: int, actor: str, changes: dict[str, object]) -> Event:
    """The audit record of a run's beginning, end or cancelling. It holds no value."""
    return entity_changed(
        activity,
        actor=actor,
        workspace_id=run.workspace_id,
        entity_type="workflow run",
        entity_id=run.id,
        name=run.workflow,
        changes=changes,
    )


def run_value(run: Run) -> dict[str, Any]:
    """A run in JSON."""
    seconds = None
    if run.started_at is not None and run.ended_at is not None:
        seconds = (run.ended_at - run.started_at).total_seconds()
    return {
        "id": run.id,
        "workflow": run.workflow,
        "version": run.version,
        "status": run.status,
        "trigger": run.trigger,
        "triggered_by": run.triggered_by,
        "parameters": json.loads(run.parameters),
        "due_at": run.due_at,
        "queued_at": run.queued_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "seconds": seconds,
        "cancel_asked_by": run.cancel_asked_by,
        "error": run.error,
        "steps": json.loads(run.steps),
    }

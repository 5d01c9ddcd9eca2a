"""Workflows: listed, made, shown, saved, deleted, run."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from pydantic import Field

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.endpoints import documents
from proxy.admin.endpoints.documents import (
    Changed,
    Document,
    DocumentAnswer,
    DocumentName,
    RemovedDocument,
    StoredAnswer,
    Version,
    Versions,
)
from proxy.admin.endpoints.runs import RunAnswer
from proxy.admin.paging import DEFAULT
from proxy.admin.shapes import Body, Cursor, Limit, Page, WorkflowName, WorkspaceName
from proxy.content.runs import start_run

_EXAMPLE: Document = {
    "version": 1,
    "endpoint": True,
    "parameters": {"least": {"type": "integer", "default": 0}},
    "steps": [
        {
            "name": "tidy",
            "sql": {
                "source": "orders",
                "statement": "DELETE FROM baskets WHERE total < :least",
                "parameters": {"least": {"parameter": "least"}},
            },
        }
    ],
}


class NewWorkflow(Body):
    """A workflow to be made."""

    name: DocumentName
    document: Document = Field(
        description="docs/workflows.md has the document.", examples=[_EXAMPLE]
    )


class RunWorkflow(Body):
    """A run to be asked for."""

    parameters: dict[str, Any] = Field(
        default_factory=dict, description="By name; others have their defaults.",
        examples=[{"least": 10}],
    )  # fmt: skip


async def list_workflows(
    call: Admitted, workspace: WorkspaceName, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[StoredAnswer]:
    """By name."""
    return await documents.list_documents(call, "workflow", limit, cursor)


async def create_workflow(
    call: Admitted, workspace: WorkspaceName, body: NewWorkflow, response: Response
) -> DocumentAnswer:
    """Its sources must be there; with a schedule it runs from now on."""
    return await documents.create(call, "workflow", body.name, body.document, response)


async def get_workflow(
    call: Admitted,
    workspace: WorkspaceName,
    workflow: WorkflowName,
    response: Response,
    version: Version = None,
) -> DocumentAnswer:
    """One workflow."""
    return await documents.show(call, "workflow", workflow, version, response)


async def save_workflow(
    call: Admitted,
    workspace: WorkspaceName,
    workflow: WorkflowName,
    body: Changed,
    request: Request,
    response: Response,
) -> DocumentAnswer:
    """Runs that were asked for keep their version."""
    return await documents.save(call, "workflow", workflow, body.document, request, response)


async def delete_workflow(
    call: Admitted, workspace: WorkspaceName, workflow: WorkflowName, request: Request
) -> RemovedDocument:
    """With its versions and runs; what runs is stopped."""
    return await documents.remove(call, "workflow", workflow, request)


async def get_workflow_history(
    call: Admitted, workspace: WorkspaceName, workflow: WorkflowName
) -> Versions:
    """Its versions."""
    return await documents.versions(call, "workflow", workflow)


async def run_workflow(
    call: Admitted,
    workspace: WorkspaceName,
    workflow: WorkflowName,
    body: RunWorkflow,
    response: Response,
) -> RunAnswer:
    """Queued for a runner; the document must allow it (`endpoint`)."""
    run = await start_run(call.place, call.here, workflow, body.parameters, trigger="endpoint")
    response.headers["Location"] = f"/v1/workspaces/{call.here.name}/runs/{run.id}"
    return RunAnswer.of(run)


_ALL = "/v1/workspaces/{workspace}/workflows"
_ONE = f"{_ALL}/{{workflow}}"

ENDPOINTS = (
    Endpoint("GET", _ALL, "listWorkflows", list_workflows, "List workflows"),
    Endpoint(
        "POST",
        _ALL,
        "createWorkflow",
        create_workflow,
        "Create a workflow",
        status=201,
        has_body=True,
    ),
    Endpoint("GET", _ONE, "getWorkflow", get_workflow, "Show a workflow"),
    Endpoint(
        "PUT",
        _ONE,
        "saveWorkflow",
        save_workflow,
        "Save a workflow's next version",
        has_body=True,
        is_guarded=True,
    ),
    Endpoint(
        "DELETE",
        _ONE,
        "deleteWorkflow",
        delete_workflow,
        "Delete a workflow",
        is_guarded=True,
    ),
    Endpoint(
        "GET",
        f"{_ONE}/history",
        "getWorkflowHistory",
        get_workflow_history,
        "List a workflow's versions",
    ),
    Endpoint(
        "POST",
        f"{_ONE}/run",
        "runWorkflow",
        run_workflow,
        "Ask for a run of a workflow",
        status=202,
        has_body=True,
    ),
)

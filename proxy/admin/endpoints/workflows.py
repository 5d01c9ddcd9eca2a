"""Workflows: documents, and what is asked of them: a run."""

from __future__ import annotations

from typing import Any

from fastapi import Response
from pydantic import Field

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.endpoints.documents import Document, DocumentName, endpoints_of
from proxy.admin.endpoints.runs import RunAnswer
from proxy.admin.shapes import Body, WorkflowName, WorkspaceName
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


ENDPOINTS = (
    *endpoints_of("workflow", WorkflowName, NewWorkflow),
    Endpoint(
        "POST",
        "/v1/workspaces/{workspace}/workflows/{workflow}/run",
        "runWorkflow",
        run_workflow,
        "Ask for a run of a workflow",
        status=202,
        has_body=True,
    ),
)

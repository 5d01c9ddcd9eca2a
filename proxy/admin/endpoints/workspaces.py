"""Workspaces: listed, made, renamed, suspended, resumed, deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field, StrictInt

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.etags import check_if_match, etag_of
from proxy.admin.paging import DEFAULT, cursor_of, rank_of
from proxy.admin.shapes import Answer, Body, Cursor, Limit, Name, Page, WorkspaceName
from proxy.administration import workspaces as work
from proxy.store import ApiRole, DeletionReceipt, Workspace
from proxy.store.tokens import DEFAULT_ITERATIONS

OwnName = Annotated[
    Name, Field(description="It stands in DSNs as the user name.", examples=["finance"])
]


class NewWorkspace(Body):
    """A workspace to be made."""

    name: OwnName
    scram_iterations: Annotated[StrictInt, Field(ge=1, le=100_000)] = DEFAULT_ITERATIONS


class Rename(Body):
    """What of a workspace can be changed."""

    name: OwnName


class WorkspaceAnswer(Answer):
    """A workspace; nothing of its keys."""

    id: str
    name: str
    state: Literal["active", "suspended"]
    created_at: datetime
    scram_iterations: int
    has_policy: bool

    @classmethod
    def of(cls, entry: Workspace) -> WorkspaceAnswer:
        """From the record."""
        return cls(
            id=entry.id,
            name=entry.name,
            state=entry.state,
            created_at=entry.created_at,
            scram_iterations=entry.scram_iterations,
            has_policy=entry.policy is not None,
        )


class Receipt(Answer):
    """What a deletion destroyed; the root keys are what makes it final."""

    workspace_id: str
    workspace: str
    deleted_at: datetime
    destroyed_root_key_versions: list[int]
    token_ids: list[str]
    source_ids: list[str]
    credentials: int

    @classmethod
    def of(cls, receipt: DeletionReceipt) -> Receipt:
        """From the record."""
        return cls(
            workspace_id=receipt.workspace_id,
            workspace=receipt.workspace_name,
            deleted_at=receipt.deleted_at,
            destroyed_root_key_versions=list(receipt.root_key_versions),
            token_ids=list(receipt.token_ids),
            source_ids=list(receipt.source_ids),
            credentials=receipt.credential_count,
        )


def tag(entry: Workspace) -> str:
    """The ETag of a workspace."""
    return etag_of("workspace", entry.id, entry.name, entry.state)


async def list_workspaces(
    call: Admitted, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[WorkspaceAnswer]:
    """By name; a key of a workspace sees its own alone."""
    after = rank_of("workspaces", cursor)[1] if cursor is not None else ""
    store = call.office.store
    if call.key.role is ApiRole.WORKSPACE_ADMIN:
        own = await store.workspace_by_id(call.key.workspace_id or "")
        return Page(items=[WorkspaceAnswer.of(own)] if own is not None and not after else [])
    found = await store.page_of_workspaces(after, limit + 1)
    following = cursor_of("workspaces", 0, found[limit - 1].name) if len(found) > limit else None
    return Page(items=[WorkspaceAnswer.of(one) for one in found[:limit]], next_cursor=following)


async def create_workspace(
    call: Admitted, body: NewWorkspace, response: Response
) -> WorkspaceAnswer:
    """With a root key of its own."""
    made = await work.create_workspace(
        call.place, body.name, scram_iterations=body.scram_iterations
    )
    response.headers["Location"] = f"/v1/workspaces/{made.name}"
    return _tagged(made, response)


async def get_workspace(
    call: Admitted, workspace: WorkspaceName, response: Response
) -> WorkspaceAnswer:
    """One workspace."""
    return _tagged(call.here, response)


async def rename_workspace(
    call: Admitted, workspace: WorkspaceName, body: Rename, request: Request, response: Response
) -> WorkspaceAnswer:
    """Its sessions end: the name stands in their DSNs."""
    check_if_match(request, tag(call.here))
    return _tagged(await work.rename_workspace(call.place, call.here, body.name), response)


async def suspend_workspace(
    call: Admitted, workspace: WorkspaceName, response: Response
) -> WorkspaceAnswer:
    """Its logins are refused and its sessions end within a second."""
    return _tagged(await work.suspend_workspace(call.place, call.here), response)


async def resume_workspace(
    call: Admitted, workspace: WorkspaceName, response: Response
) -> WorkspaceAnswer:
    """Its logins are allowed again."""
    return _tagged(await work.resume_workspace(call.place, call.here), response)


async def delete_workspace(call: Admitted, workspace: WorkspaceName, request: Request) -> Receipt:
    """With its tokens, sources, credentials and keys, for good."""
    check_if_match(request, tag(call.here))
    return Receipt.of(await work.delete_workspace(call.place, call.here, if_unchanged=True))


def _tagged(entry: Workspace, response: Response) -> WorkspaceAnswer:
    response.headers["ETag"] = tag(entry)
    return WorkspaceAnswer.of(entry)


_ALL, _ONE = "/v1/workspaces", "/v1/workspaces/{workspace}"

ENDPOINTS = (
    Endpoint("GET", _ALL, "listWorkspaces", list_workspaces, "List workspaces"),
    Endpoint(
        "POST",
        _ALL,
        "createWorkspace",
        create_workspace,
        "Create a workspace",
        status=201,
        has_body=True,
    ),
    Endpoint("GET", _ONE, "getWorkspace", get_workspace, "Show a workspace"),
    Endpoint(
        "PATCH",
        _ONE,
        "renameWorkspace",
        rename_workspace,
        "Rename a workspace",
        has_body=True,
        is_guarded=True,
    ),
    Endpoint(
        "POST", f"{_ONE}/suspend", "suspendWorkspace", suspend_workspace, "Suspend a workspace"
    ),
    Endpoint("POST", f"{_ONE}/resume", "resumeWorkspace", resume_workspace, "Resume a workspace"),
    Endpoint(
        "DELETE",
        _ONE,
        "deleteWorkspace",
        delete_workspace,
        "Delete a workspace",
        is_guarded=True,
    ),
)

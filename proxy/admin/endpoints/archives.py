"""A whole workspace out of this installation, and into a new one."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field, StrictBool

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.endpoints.documents import Document
from proxy.admin.endpoints.source_shapes import Password, PrivateKey
from proxy.admin.endpoints.workspaces import OwnName
from proxy.admin.shapes import Answer, Body, WorkspaceName
from proxy.content.archive import Archive, export_workspace
from proxy.content.problems import placed
from proxy.content.restoring import Restoration, import_workspace
from proxy.store import CredentialField

_EXAMPLE: Document = {
    "format": "accode.workspace",
    "version": 1,
    "name": "finance",
    "scram_iterations": 4096,
    "policy": None,
    "sources": {},
    "workflows": {},
    "dashboards": {},
}


class SourceSecrets(Body):
    """What a source logs in with."""

    password: Password | None = None
    client_key: PrivateKey | None = None

    def given(self) -> dict[CredentialField, str]:
        """Those that are given."""
        found: dict[CredentialField, str] = {}
        if self.password is not None:
            found["password"] = self.password.get_secret_value()
        if self.client_key is not None:
            found["client_key"] = self.client_key.get_secret_value()
        return found


class ImportWorkspace(Body):
    """An archive, the name that its workspace gets here, and its sources' secrets."""

    name: OwnName
    archive: Document = Field(description="What an export gave.", examples=[_EXAMPLE])
    secrets: Annotated[dict[str, SourceSecrets], Field(max_length=1_000)] = Field(
        default_factory=dict, description="By source. Written, never read."
    )
    dry_run: StrictBool = Field(
        default=False, description="Check everything, tell which secrets are needed, store nothing."
    )


class NeededSecret(Answer):
    """A secret that is still to be given."""

    source: str
    field: CredentialField


class RestoredWorkspace(Answer):
    """What was made, or with a dry run would be."""

    name: str
    is_dry_run: bool
    sources: list[str]
    workflows: list[str]
    dashboards: list[str]
    needed: list[NeededSecret]

    @classmethod
    def of(cls, done: Restoration) -> RestoredWorkspace:
        """From what was done."""
        return cls(
            name=done.workspace,
            is_dry_run=done.is_dry_run,
            sources=list(done.sources),
            workflows=list(done.workflows),
            dashboards=list(done.dashboards),
            needed=[NeededSecret(source=source, field=field) for source, field in done.needed],
        )


async def export_archive(call: Admitted, workspace: WorkspaceName) -> Archive:
    """Settings, sources without secrets, policies, workflows, dashboards."""
    return await export_workspace(call.place, call.here)


async def import_archive(call: Admitted, body: ImportWorkspace) -> RestoredWorkspace:
    """All of it or nothing: everything that is wrong is told before anything is stored."""
    text = json.dumps(body.archive, ensure_ascii=False)
    secrets = {name: given.given() for name, given in body.secrets.items()}
    with placed("/archive"):
        done = await import_workspace(call.place, body.name, text, secrets, is_dry_run=body.dry_run)
    return RestoredWorkspace.of(done)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/workspaces/{workspace}/archive",
        "exportWorkspace",
        export_archive,
        "Export a whole workspace",
    ),
    Endpoint(
        "POST",
        "/v1/workspaces/import",
        "importWorkspace",
        import_archive,
        "Make a workspace of an archive",
        has_body=True,
    ),
)

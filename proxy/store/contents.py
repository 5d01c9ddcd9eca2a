"""Documents and runs as the store holds them: frozen values. Knows no document's fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

DocumentKind = Literal["workflow", "dashboard"]
RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
Trigger = Literal["schedule", "manual", "endpoint"]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A workflow or a dashboard at one of its versions. ``body`` is its canonical JSON.

    ``due_at``: when the newest version of a workflow runs next; None: not by itself.
    """

    id: str
    workspace_id: str
    kind: DocumentKind
    name: str
    version: int
    body: str = field(repr=False)
    created_at: datetime
    saved_at: datetime
    saved_by: str
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """One entry of a document's history."""

    version: int
    saved_at: datetime
    saved_by: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a workflow, from the moment it is asked for.

    ``runner`` has claimed it, until ``lease_until`` unless it says so again. ``steps`` and
    ``parameters`` are JSON. ``due_at``: the time of its schedule that it runs for.
    """

    id: str
    workspace_id: str
    document_id: str
    workflow: str
    version: int
    status: RunStatus
    trigger: Trigger
    triggered_by: str
    parameters: str = field(repr=False)
    queued_at: datetime
    due_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    runner: str | None = None
    lease_until: datetime | None = None
    cancel_asked_by: str | None = None
    error: str = ""
    steps: str = field(default="[]", repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status not in ("queued", "running")


@dataclass(frozen=True, slots=True)
class Transfer:
    """A CSV file on its way, and how far it was at ``told_at``.

    ``table``: empty where a query is exported. ``rows``, ``bytes``: that have passed; ``bad``:
    lines of an import that were refused.
    """

    id: str
    workspace_id: str
    direction: Literal["export", "import"]
    source: str
    table: str
    started_by: str
    started_at: datetime
    told_at: datetime
    status: Literal["running", "succeeded", "failed"] = "running"
    rows: int = 0
    bytes: int = 0
    bad: int = 0

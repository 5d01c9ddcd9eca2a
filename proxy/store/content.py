"""What the store knows of documents and runs; ``Store.content`` gives it.

As in ``store``: one transaction each, with a deadline, and StoreUnavailable from any call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store import validate
from proxy.store.contents import (
    DocumentKind,
    DocumentVersion,
    Run,
    RunStatus,
    StoredDocument,
)
from proxy.store.database import Database
from proxy.store.errors import NotFound
from proxy.store.queries import documents, runs
from proxy.store.records import Workspace

TAKEN_AT_ONCE = 50
"""Documents or runs looked at in one transaction; the rest is next."""


class ContentStore:
    """Documents and runs of all workspaces."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def now(self) -> datetime:
        """The store's clock."""
        return self._clock()

    # --- documents -----------------------------------------------------------------

    async def save(self, document: StoredDocument, expected: int | None = None) -> StoredDocument:
        """Store a document's next version, or its first. ``expected``: see the query.

        Raises InvalidName, Conflict, LimitReached, NotFound.
        """
        validate.check_name(document.name)
        return await self._database.write(
            lambda connection: documents.save(connection, document, expected)
        )

    async def save_all(self, several: list[StoredDocument]) -> list[StoredDocument]:
        """Store all of them or none; each must be new (version 0 expected)."""
        for document in several:
            validate.check_name(document.name)

        async def work(connection: AsyncConnection) -> list[StoredDocument]:
            return [await documents.save(connection, document, 0) for document in several]

        return await self._database.write(work)

    async def document(
        self, workspace: Workspace, kind: DocumentKind, name: str, version: int | None = None
    ) -> StoredDocument:
        """A document at a version, or the newest. Raises NotFound."""
        found = await self._database.read(
            lambda connection: documents.find(connection, workspace.id, kind, name, version)
        )
        if found is None:
            raise NotFound(_no_document(workspace, kind, name, version))
        return found

    async def document_of(self, run: Run) -> StoredDocument | None:
        """The version of a workflow that a run is of."""
        return await self._database.read(
            lambda connection: documents.by_id(connection, run.document_id, run.version)
        )

    async def documents(self, workspace: Workspace, kind: DocumentKind) -> list[StoredDocument]:
        """The newest versions of all, by name."""
        return await self._database.read(
            lambda connection: documents.of_workspace(connection, workspace.id, kind)
        )

    async def history(self, document: StoredDocument) -> list[DocumentVersion]:
        """Its versions, the newest first."""
        return await self._database.read(
            lambda connection: documents.history(connection, document.id)
        )

    async def remove(self, document: StoredDocument) -> None:
        """Delete a document with its versions and runs. Raises NotFound."""
        await self._database.write(
            lambda connection: documents.remove(connection, document.workspace_id, document.id)
        )

    # --- schedules -----------------------------------------------------------------

    async def due(self) -> list[StoredDocument]:
        """Workflows whose time has come."""
        now = self._clock()
        return await self._database.read(
            lambda connection: documents.due(connection, now, TAKEN_AT_ONCE)
        )

    async def fire(
        self, document: StoredDocument, next_due: datetime | None, run: Run | None
    ) -> bool:
        """Move a due workflow on and queue its run, both or neither; True for one caller."""

        async def work(connection: AsyncConnection) -> bool:
            if not await documents.move_on(connection, document, next_due):
                return False
            if run is not None:
                await runs.create(connection, run)
            return True

        return await self._database.write(work)

    # --- runs ----------------------------------------------------------------------

    async def queue(self, run: Run) -> Run:
        """Ask for a run. Raises NotFound, LimitReached."""
        await self._database.write(lambda connection: runs.create(connection, run))
        return run

    async def queued(self, at_once: int) -> list[Run]:
        """Runs that may begin where a workspace has ``at_once`` places, the oldest first."""
        return await self._database.read(
            lambda connection: runs.queued(connection, at_once, TAKEN_AT_ONCE)
        )

    async def claim(self, run: Run, runner: str, lease: timedelta, at_once: int) -> bool:
        """Take a queued run, for as long as ``lease``; True for one caller."""
        now = self._clock()
        return await self._database.write(
            lambda connection: runs.claim(connection, run, runner, now, now + lease, at_once)
        )

    async def renew(self, runner: str, lease: timedelta) -> None:
        """Hold all that a runner has for as long again."""
        until = self._clock() + lease
        await self._database.write(lambda connection: runs.renew(connection, runner, until))

    async def held(self, runner: str) -> dict[str, str | None]:
        """What a runner holds: who asked to cancel it, by its id."""
        return await self._database.read(lambda connection: runs.held(connection, runner))

    async def end(
        self, run: Run, runner: str, status: RunStatus, *, error: str, steps: str
    ) -> bool:
        """End a run that the runner holds; False where it was taken from it meanwhile."""
        now = self._clock()
        return await self._database.write(
            lambda connection: runs.end(connection, run.id, runner, status, now, error, steps)
        )

    async def mark_lost(self, error: str) -> list[Run]:
        """End the runs whose runners have not spoken in time; each is told to one caller."""
        now = self._clock()
        found = await self._database.read(
            lambda connection: runs.overdue(connection, now, TAKEN_AT_ONCE)
        )
        # Asked each second by every runner: nothing is written where there is nothing.
        if not found:
            return []
        return await self._database.write(
            lambda connection: runs.mark_lost(connection, found, now, error)
        )

    async def ask_to_cancel(self, workspace: Workspace, run_id: str, who: str) -> Run:
        """Cancel a run that waits, ask the runner of one that runs. Raises NotFound."""
        now = self._clock()
        return await self._database.write(
            lambda connection: runs.ask_to_cancel(connection, workspace.id, run_id, who, now)
        )

    async def run(self, workspace: Workspace, run_id: str) -> Run:
        """A run. Raises NotFound."""
        found = await self._database.read(
            lambda connection: runs.find(connection, workspace.id, run_id)
        )
        if found is None:
            raise NotFound(f"workspace {workspace.name} has no such run")
        return found

    async def runs(
        self,
        workspace: Workspace,
        document: StoredDocument | None = None,
        limit: int = 100,
        *,
        after: tuple[datetime, str] | None = None,
    ) -> list[Run]:
        """A workspace's runs, or one workflow's, the newest first.

        ``after``: those behind the run that was queued then and has that id.
        """
        document_id = None if document is None else document.id
        return await self._database.read(
            lambda connection: runs.of_workspace(
                connection, workspace.id, document_id, limit, after
            )
        )


def _no_document(workspace: Workspace, kind: DocumentKind, name: str, version: int | None) -> str:
    if not validate.is_name(name):
        return f"workspace {workspace.name} has no such {kind}"
    at = "" if version is None else f" at version {version}"
    return f"workspace {workspace.name} has no {kind} named {name}{at}"

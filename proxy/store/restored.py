"""A workspace that is stored with all that it is to hold, at once: what it was in another store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.store import validate
from proxy.store.contents import StoredDocument
from proxy.store.held import fields_of, with_credential
from proxy.store.queries import documents, policies, sources, workspaces
from proxy.store.records import SealedCredential, Source, Workspace


@dataclass(frozen=True, slots=True)
class Restored:
    """A workspace with all that it is to hold from its beginning, secrets sealed."""

    workspace: Workspace
    sources: Sequence[tuple[Source, SealedCredential | None]]
    documents: Sequence[StoredDocument]

    def checked(self, now: datetime) -> list[Source]:
        """The sources as they are to be stored. Raises InvalidName, InvalidSetting."""
        validate.check_name(self.workspace.name)
        validate.check_iterations(self.workspace.scram_iterations)
        stored = []
        for source, credential in self.sources:
            validate.check_source(source, now)
            validate.check_secrets(source, fields_of(credential))
            stored.append(with_credential(source, credential))
        return stored


async def restore(
    connection: AsyncConnection,
    restored: Restored,
    stored: Sequence[Source],
    actor: str,
    now: datetime,
) -> None:
    """Put all of it, with its ``checked`` sources. Raises AlreadyExists, LimitReached."""
    workspace = restored.workspace
    await workspaces.create(connection, workspace)
    if workspace.policy is not None:
        put = policies.Put(workspace.policy, actor, now)
        await policies.set_of_workspace(connection, workspace, put)
    for source in stored:
        await sources.create(connection, source, now)
        if source.policy is not None:
            put = policies.Put(source.policy, actor, now)
            await policies.set_of_source(connection, source, put)
    for document in restored.documents:
        await documents.save(connection, document, 0)

"""The store: every question and every change, each in one transaction with a deadline.

Seals and opens nothing: secrets come sealed and leave sealed, see ``sources``. Every
change that a login could depend on is appended to the change feed with it.

Any call raises StoreUnavailable where the database does not answer in time, and
InvalidSetting for a value that ``validate`` refuses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from protocols.verifiers import TokenVerifier
from proxy.store import validate
from proxy.store.api_keys import ApiKeys
from proxy.store.calls import Calls
from proxy.store.content import ContentStore
from proxy.store.database import Database
from proxy.store.errors import Conflict, NotFound
from proxy.store.feed import ChangeFeed, open_feed
from proxy.store.held import after_edit, fields_of, with_credential
from proxy.store.location import SqliteLocation, locate
from proxy.store.migrate import migrate
from proxy.store.oidc import Oidc
from proxy.store.policies import Policies
from proxy.store.queries import sources, tokens, workspaces
from proxy.store.records import (
    CredentialField,
    DeletionReceipt,
    SealedCredential,
    Source,
    Token,
    Workspace,
    WorkspaceState,
)
from proxy.store.restored import Restored, restore
from proxy.store.root_keys import RootKeys
from proxy.store.sources import destination
from proxy.store.staff import Staff
from proxy.store.support import Support
from proxy.store.tokens import DEFAULT_ITERATIONS, SALT_LENGTH
from proxy.store.transfers import Transfers
from vault import WrappedRootKey

Clock = Callable[[], datetime]

DEFAULT_TIMEOUT = 5.0
"""Seconds: longer than a failover's first retry, shorter than a client's connect time-out."""
MIGRATION_TIMEOUT = 120.0
"""Seconds for opening a store, whose tables may have to be rebuilt."""


def utc_now() -> datetime:
    """The clock used outside of tests."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """All that a login needs of a workspace: it and its live tokens."""

    workspace: Workspace
    tokens: tuple[Token, ...]


class Store:
    """The control-plane database. Made by ``open``; ended by ``close``."""

    def __init__(self, database: Database, clock: Clock, instance_id: str) -> None:
        self._database = database
        self._clock = clock
        self.instance_id = instance_id
        self.api_keys = ApiKeys(database, clock)
        self.calls = Calls(database, clock)
        self.content = ContentStore(database, clock)
        self.oidc = Oidc(database, clock)
        self.policies = Policies(database, clock)
        self.root_keys = RootKeys(database, clock)
        self.staff = Staff(database, clock)
        self.support = Support(database, clock)
        self.transfers = Transfers(database)

    @classmethod
    async def open(
        cls, url: str, *, timeout: float = DEFAULT_TIMEOUT, clock: Clock = utc_now
    ) -> Store:
        """Open and migrate. ``timeout`` is the deadline of each later call, in seconds.

        Raises StoreUnusable, StoreUnavailable.
        """
        location = locate(url)
        if isinstance(location, SqliteLocation):
            location.prepare()
        opening = Database(location, MIGRATION_TIMEOUT)
        try:
            instance_id = await opening.write(lambda connection: connection.run_sync(migrate))
        finally:
            await opening.close()
        return cls(Database(location, timeout), clock, instance_id)

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()

    def watch(self) -> ChangeFeed:
        """What changes from now on; its first change is EVERYTHING. Close it after use."""
        return open_feed(self._database.location, self._database.timeout)

    async def check(self) -> None:
        """Ask the database for a sign of life."""
        await self._database.read(lambda connection: connection.execute(text("SELECT 1")))

    # --- workspaces ----------------------------------------------------------------

    async def create_workspace(
        self,
        name: str,
        root_key: WrappedRootKey,
        *,
        scram_iterations: int = DEFAULT_ITERATIONS,
    ) -> Workspace:
        """Create a workspace; its id is the one that its first root key was made for.

        Raises AlreadyExists, InvalidName.
        """
        validate.check_name(name)
        validate.check_iterations(scram_iterations)
        workspace = Workspace(
            id=root_key.workspace_id,
            name=name,
            state="active",
            scram_salt=os.urandom(SALT_LENGTH),
            scram_iterations=scram_iterations,
            root_keys=(root_key,),
            created_at=self._clock(),
        )
        await self._database.write(lambda connection: workspaces.create(connection, workspace))
        return workspace

    async def restore_workspace(self, restored: Restored, actor: str) -> Workspace:
        """Store a drafted workspace with all that it holds, or nothing.

        Raises AlreadyExists, InvalidSetting, LimitReached.
        """
        now = self._clock()
        stored = restored.checked(now)
        await self._database.write(
            lambda connection: restore(connection, restored, stored, actor, now)
        )
        return restored.workspace

    async def workspace(self, name: str) -> Workspace:
        """The workspace of that name. Raises NotFound."""
        found = await self.find_workspace(name)
        if found is None:
            raise NotFound(_no_workspace(name))
        return found

    async def find_workspace(self, name: str) -> Workspace | None:
        """The workspace of that name, if there is one."""
        return await self._database.read(lambda connection: workspaces.find(connection, name))

    async def workspace_by_id(self, workspace_id: str) -> Workspace | None:
        """The workspace of that id, whatever its name is now."""
        return await self._database.read(
            lambda connection: workspaces.by_id(connection, workspace_id)
        )

    async def workspace_of(self, workspace_id: str) -> Workspace:
        """The workspace of that id. Raises NotFound."""
        found = await self.workspace_by_id(workspace_id)
        if found is None:
            raise NotFound("there is no such workspace")
        return found

    async def list_workspaces(self) -> list[Workspace]:
        """Every workspace, by name."""
        return await self._database.read(workspaces.all_of_them)

    async def page_of_workspaces(self, after: str, limit: int) -> list[Workspace]:
        """At most ``limit`` workspaces by name, those behind the name ``after``."""
        return await self._database.read(
            lambda connection: workspaces.page(connection, after, limit)
        )

    async def rename_workspace(self, workspace: Workspace, name: str) -> Workspace:
        """Give a workspace that was read another name; its old one is free then.

        Raises Conflict where it has changed since, AlreadyExists, NotFound, InvalidName.
        """
        validate.check_name(name)
        now = self._clock()
        await self._database.write(
            lambda connection: workspaces.rename(connection, workspace, name, now)
        )
        return replace(workspace, name=name)

    async def suspend_workspace(self, workspace: Workspace) -> Workspace:
        """Refuse its logins from now on. Raises NotFound."""
        return await self._set_state(workspace, "suspended")

    async def resume_workspace(self, workspace: Workspace) -> Workspace:
        """Allow its logins again. Raises NotFound."""
        return await self._set_state(workspace, "active")

    async def delete_workspace(
        self, workspace: Workspace, *, if_unchanged: bool = False
    ) -> DeletionReceipt:
        """Destroy its root keys and all it holds, for good. Raises NotFound.

        ``if_unchanged``: only while it has the name and state that were read, else Conflict.
        SQLite: the file's free space is overwritten, and so is the write-ahead log as
        far as no reader still needs it.
        """
        now = self._clock()
        receipt = await self._database.write(
            lambda connection: workspaces.destroy(
                connection, workspace, now, if_unchanged=if_unchanged
            )
        )
        await self._database.empty_log()
        return receipt

    async def replace_root_key(self, old: WrappedRootKey, new: WrappedRootKey) -> None:
        """Keep a root key under another wrapping. Raises Conflict where ``old`` is not stored."""
        if (old.workspace_id, old.version) != (new.workspace_id, new.version):
            raise Conflict("a root key is replaced by itself, wrapped anew")
        now = self._clock()
        await self._database.write(
            lambda connection: workspaces.replace_root_key(connection, old, new, now)
        )

    async def _set_state(self, workspace: Workspace, state: WorkspaceState) -> Workspace:
        now = self._clock()
        await self._database.write(
            lambda connection: workspaces.set_state(connection, workspace.id, state, now)
        )
        return replace(workspace, state=state)

    # --- tokens --------------------------------------------------------------------

    async def create_token(
        self,
        workspace: Workspace,
        label: str,
        expires_at: datetime | None,
        verifier: TokenVerifier,
    ) -> Token:
        """Store a token's verifiers, made with the workspace's salt and iterations.

        Raises NotFound, LimitReached.
        """
        now = self._clock()
        validate.check_text(label, "label")
        validate.check_expiry(expires_at, now)
        token = Token(
            id=verifier.token_id,
            workspace_id=workspace.id,
            label=label,
            verifier=verifier,
            created_at=now,
            expires_at=expires_at,
            revoked_at=None,
            last_used_at=None,
        )
        await self._database.write(lambda connection: tokens.create(connection, token))
        return token

    async def list_tokens(self, workspace: Workspace) -> list[Token]:
        """Its tokens, ended ones too, the newest first."""
        return await self._database.read(
            lambda connection: tokens.of_workspace(connection, workspace.id)
        )

    async def revoke_token(self, workspace: Workspace, token_id: str) -> Token:
        """End a token for good. Raises NotFound."""
        now = self._clock()
        return await self._database.write(
            lambda connection: tokens.revoke(connection, workspace.id, token_id, now)
        )

    async def record_token_use(self, used_at: Mapping[str, datetime]) -> None:
        """Remember when each of these tokens was last used; unknown ids are passed over."""
        await self._database.write(lambda connection: tokens.record_use(connection, used_at))

    # --- sources -------------------------------------------------------------------

    async def add_source(self, source: Source, credential: SealedCredential | None) -> Source:
        """Store what ``draft_source`` made, with the secrets sealed for it.

        Raises NotFound, AlreadyExists, LimitReached, Conflict.
        """
        now = self._clock()
        validate.check_source(source, now)
        validate.check_secrets(source, fields_of(credential))
        stored = with_credential(replace(source, credential=None, version=1), credential)
        await self._database.write(lambda connection: sources.create(connection, stored, now))
        return stored

    async def source(self, workspace: Workspace, name: str) -> Source:
        """The workspace's source of that name. Raises NotFound."""
        found = await self.find_source(workspace.id, name)
        if found is None:
            raise NotFound(
                f"workspace {workspace.name} has no source named {name}"
                if validate.is_name(name)
                else f"workspace {workspace.name} has no such source"
            )
        return found

    async def list_sources(self, workspace: Workspace) -> list[Source]:
        """Its sources, by name."""
        return await self._database.read(
            lambda connection: sources.of_workspace(connection, workspace.id)
        )

    async def first_weak_tls_end(self) -> datetime | None:
        """When the first weak TLS profile of any source ends, or has ended; None: there is none."""
        return await self._database.read(sources.first_weak_end)

    async def edit_source(
        self,
        edited: Source,
        credential: SealedCredential | None = None,
        *,
        forget: Iterable[CredentialField] = (),
    ) -> Source:
        """Store a changed copy of a source that was read; ``forget`` removes secrets.

        Where the destination changed, each secret that stays must be given again, sealed
        for the new one. Raises RoutingChangeNeedsSecret, Conflict, NotFound, AlreadyExists.
        """
        now = self._clock()
        validate.check_source(edited, now)
        forgotten = frozenset(forget)

        async def work(connection: AsyncConnection) -> Source:
            stored = await sources.hold(connection, edited.workspace_id, edited.id)
            if stored.version != edited.version:
                raise Conflict("the source was changed meanwhile; read it again")
            next_one = after_edit(stored, edited, credential, forgotten)
            await sources.edit(connection, next_one, credential, forgotten, now)
            return with_credential(next_one, credential)

        return await self._database.write(work)

    async def rotate_credential(self, source: Source, credential: SealedCredential) -> Source:
        """Replace the given secrets; the others stay. Raises Conflict, NotFound."""
        now = self._clock()

        async def work(connection: AsyncConnection) -> Source:
            stored = await sources.hold(connection, source.workspace_id, source.id)
            if destination(stored) != destination(source):
                raise Conflict("the source was changed meanwhile; read it again")
            validate.check_secrets(stored, fields_of(stored.credential) | fields_of(credential))
            await sources.rotate(connection, stored, credential, now)
            return with_credential(stored, credential)

        return await self._database.write(work)

    async def remove_source(self, source: Source, *, if_unchanged: bool = False) -> None:
        """Delete a source and its secrets. Raises NotFound.

        ``if_unchanged``: only while it and its secrets are as they were read, else Conflict.
        """
        now = self._clock()
        await self._database.write(
            lambda connection: sources.remove(connection, source, now, if_unchanged=if_unchanged)
        )

    # --- what a login asks ---------------------------------------------------------

    async def find_login(self, name: str) -> LoginRecord | None:
        """The workspace of that name with its live tokens: three index look-ups."""
        now = self._clock()

        async def work(connection: AsyncConnection) -> LoginRecord | None:
            workspace = await workspaces.find(connection, name)
            # Asked for an unknown name too: it must not be told by the time it takes.
            live = await tokens.live(connection, workspace.id if workspace else "", now)
            return None if workspace is None else LoginRecord(workspace, tuple(live))

        return await self._database.read(work)

    async def find_source(self, workspace_id: str, name: str) -> Source | None:
        """A source with its credential: three index look-ups."""
        return await self._database.read(
            lambda connection: sources.find(connection, workspace_id, name)
        )


def _no_workspace(name: str) -> str:
    # A name is repeated only where it has the grammar of one.
    if not validate.is_name(name):
        return "there is no such workspace"
    return f"there is no workspace named {name}"

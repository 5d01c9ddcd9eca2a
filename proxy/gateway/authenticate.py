"""Which workspace is this, and is its token good? Written once, for all protocols.

An unknown workspace, a wrong token and an expired one get the same answer after the
same work. Knows no protocol and no data source.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.channel import Channel
from protocols.errors import Reason, Refusal
from protocols.interface import Arrival, ClientLeg, Entropy
from proxy.directory import Directory, WorkspaceEntry, fake_verifiers
from proxy.store.errors import StoreUnavailable
from proxy.store.records import Source, Token, Workspace
from proxy.store.validate import is_name


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A client that has proved a live token of a workspace. Only ``Authenticator`` makes it."""

    entry: WorkspaceEntry
    token: Token


class Authenticator:
    """Checks logins against the directory."""

    def __init__(self, directory: Directory, fake_key: bytes, entropy: Entropy) -> None:
        self._directory = directory
        self._fake_key = fake_key
        self._entropy = entropy

    async def authenticate(
        self, leg: ClientLeg, channel: Channel, arrival: Arrival
    ) -> Authenticated:
        """Run the protocol's password exchange. Raises Refusal, PeerViolation, PeerClosed."""
        entry = await self._entry(arrival.workspace)
        if entry is None or not entry.verifiers.entries:
            verifiers = fake_verifiers(arrival.workspace, self._fake_key)
        else:
            verifiers = entry.verifiers
        token_id = await leg.authenticate(channel, arrival, verifiers, self._entropy)
        token = entry.tokens.get(token_id) if entry is not None and token_id is not None else None
        if entry is None or token is None:
            private = "unknown workspace" if entry is None else "no live token matches"
            raise Refusal(
                Reason.AUTHENTICATION_FAILED,
                f'password authentication failed for user "{shown_name(arrival.workspace)}"',
                private,
            )
        self._directory.note_use(token.id)
        return Authenticated(entry, token)

    async def again(self, workspace: str, token_id: str) -> Authenticated | None:
        """The same token as the store has it now; None where it may no longer log in.

        Raises Refusal (STORE_UNAVAILABLE).
        """
        entry = await self._entry(workspace)
        token = None if entry is None else entry.tokens.get(token_id)
        if entry is None or token is None or not entry.workspace.is_active:
            return None
        return Authenticated(entry, token)

    async def is_current(self, workspace: Workspace, source: Source) -> bool:
        """Whether both are as the store has them now, and the workspace may be used.

        Raises Refusal (STORE_UNAVAILABLE).
        """
        entry = await self._entry(workspace.name)
        if entry is None or entry.workspace != workspace or not workspace.is_active:
            return False
        return await self.stored(workspace.id, source.name) == source

    async def stored(self, workspace_id: str, name: str) -> Source | None:
        """A source that somebody was granted before, as the store has it now.

        Raises Refusal (STORE_UNAVAILABLE).
        """
        try:
            return await self._directory.source(workspace_id, name)
        except StoreUnavailable as error:
            raise _unavailable(error) from None

    async def place(self, workspace: Workspace, name: str) -> tuple[Workspace, Source] | None:
        """A workspace and its source as the store has them now; None where one is gone.

        Raises Refusal (STORE_UNAVAILABLE).
        """
        entry = await self._entry(workspace.name)
        if entry is None or entry.workspace.id != workspace.id or not entry.workspace.is_active:
            return None
        source = await self.stored(workspace.id, name)
        return None if source is None else (entry.workspace, source)

    async def source(self, authenticated: Authenticated, name: str) -> Source | None:
        """The workspace's source of that name; only for who has proved a token."""
        return await self.stored(authenticated.entry.workspace.id, name)

    async def _entry(self, name: str) -> WorkspaceEntry | None:
        try:
            return await self._directory.workspace(name)
        except StoreUnavailable as error:
            raise _unavailable(error) from None


def shown_name(name: str) -> str:
    """A workspace's or source's name as it may be written down.

    People put a token or a password into the wrong field; what cannot be a name is not
    repeated, neither to the log nor to the client, whose own log would keep it.
    """
    return name if is_name(name) else "(not a name)"


def _unavailable(error: StoreUnavailable) -> Refusal:
    return Refusal(
        Reason.STORE_UNAVAILABLE, "the proxy's store is not available; try again", str(error)
    )

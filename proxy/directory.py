"""The store's answers for logins: cached, bounded, and kept current.

Knows what a login asks and when an answer is too old. Knows no protocol and opens no
credential. What it gives is at most as old as the change feed's last confirmation; once
that is more than a second ago, it gives nothing, cached or not, and waits a moment for the
next one.
"""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TypeVar

from protocols.verifiers import TokenVerifier, TokenVerifiers
from proxy.standing import stand, tell
from proxy.store import validate
from proxy.store.cache import KeyedCache
from proxy.store.errors import StoreError, StoreUnavailable
from proxy.store.feed import FRESH_SECONDS
from proxy.store.records import Change, ChangeKind, Source, Token, Workspace
from proxy.store.store import Clock, LoginRecord, Store, utc_now
from proxy.store.tokens import DEFAULT_ITERATIONS, SALT_LENGTH
from vault import WrappedRootKey

T = TypeVar("T")

START_SECONDS = 10.0
"""How long ``start`` waits: a few attempts to connect."""

PATIENCE_SECONDS = 2.0
"""How long a login waits for the store's next word: as long as a store or a process takes
that stood still for a moment, and too short to pile up logins where the store is gone."""
ATTEMPTS = 2
"""Answers of a store that may come too late to be believed, one after another."""

WORKSPACE_LIMIT = 4_096
"""Workspaces cached. With ten tokens each an entry takes about 10 KB: 40 MB when full."""
TOKEN_LIMIT = 65_536
"""Tokens cached with them, at about 0.8 KB: at most 55 MB, whoever has a hundred."""
SOURCE_LIMIT = 16_384
"""Sources cached, at about 2 KB and their certificates: 32 MB when full."""
UNKNOWN_LIMIT = 4_096
"""Names known to be unknown, cached apart, so that guessing evicts no workspace."""
USE_INTERVAL = 60.0
"""Seconds between two writings of when tokens were last used."""
USE_LIMIT = 100_000
"""Tokens whose use waits to be written; beyond it a use is not noted."""

_NOT_CURRENT = "the store has not confirmed for a second that nothing changed"


@dataclass(frozen=True, slots=True)
class WorkspaceEntry:
    """A workspace as a login sees it: ``tokens`` are its live ones, by id."""

    workspace: Workspace
    verifiers: TokenVerifiers = field(repr=False)
    tokens: Mapping[str, Token] = field(repr=False)
    expires_at: datetime | None
    """When the first of these tokens expires, and the entry with it."""
    loaded_at: datetime
    """Before then, by a clock that was set back, others may not have expired yet."""

    def holds_at(self, now: datetime) -> bool:
        """Whether the tokens that are live now are these."""
        return self.loaded_at <= now and (self.expires_at is None or now < self.expires_at)

    @property
    def root_key(self) -> WrappedRootKey:
        """The newest root key; ``open_credential`` finds the one that a record needs."""
        return self.workspace.root_key


def fake_verifiers(name: str, key: bytes) -> TokenVerifiers:
    """What a login under an unknown name is checked against: the same each time.

    ``key`` is ``Vault.fake_salt_key()``. No token fits the one entry: its keys are
    pseudo-random, and not the hash of anything known.
    """

    def derive(purpose: bytes) -> bytes:
        return hmac.digest(key, purpose + b"\0" + name.encode("utf-8", "replace"), "sha256")

    return TokenVerifiers(
        salt=derive(b"salt")[:SALT_LENGTH],
        iterations=DEFAULT_ITERATIONS,
        entries=(_unmatchable(derive),),
        is_real=False,
    )


class Directory:
    """Workspaces and sources by name, for logins.

    ``on_change`` callbacks run after the cache has been invalidated, in the event loop,
    and must not block. A session that was let in by an entry and registered afterwards
    asks ``workspace`` again (a dictionary look-up): a change between the two would
    otherwise find no session to cut.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock = utc_now,
        start_seconds: float = START_SECONDS,
        use_interval: float = USE_INTERVAL,
    ) -> None:
        self._store = store
        self._clock = clock
        self._start_seconds = start_seconds
        self._use_interval = use_interval
        self._callbacks: list[Callable[[Change], None]] = []
        self._workspaces: KeyedCache[str, WorkspaceEntry] = KeyedCache(
            self._load_workspace,
            owner=lambda entry: entry.workspace.id,
            limit=WORKSPACE_LIMIT,
            weigh=lambda entry: len(entry.tokens),
            weight_limit=TOKEN_LIMIT,
            unknown_limit=UNKNOWN_LIMIT,
        )
        self._sources: KeyedCache[tuple[str, str], Source] = KeyedCache(
            self._load_source,
            owner=lambda source: source.workspace_id,
            limit=SOURCE_LIMIT,
            unknown_limit=UNKNOWN_LIMIT,
        )
        self._feed = store.watch()
        self._tasks: list[asyncio.Task[None]] = []
        self._has_followed = asyncio.Event()
        self._used: dict[str, datetime] = {}

    # --- life ------------------------------------------------------------------------

    async def start(self) -> None:
        """Follow the change feed and return once it has confirmed that it is complete.

        Raises StoreUnavailable where that takes longer than ``start_seconds``.
        """
        self._tasks = [
            asyncio.create_task(
                stand(self._follow, "the store's changes could not be followed for a moment"),
                name="directory: follow the change feed",
            ),
            asyncio.create_task(
                stand(self._write_uses, "the last uses of tokens could not be written"),
                name="directory: write last uses",
            ),
        ]
        try:
            async with asyncio.timeout(self._start_seconds):
                await self._has_followed.wait()
        except TimeoutError:
            await self.stop()
            raise StoreUnavailable("the changes of the store cannot be followed") from None

    async def stop(self) -> None:
        """End both tasks and every load, and write the last uses that wait."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._workspaces.stop()
        await self._sources.stop()
        await self._feed.aclose()
        with suppress(StoreError):
            await self._flush_uses()

    @property
    def is_current(self) -> bool:
        """Whether the store confirmed within FRESH_SECONDS that nothing changed unseen."""
        if not self._tasks or self._tasks[0].done():
            return False
        return monotonic() - self._feed.confirmed_at <= FRESH_SECONDS

    @property
    def age(self) -> float:
        """Seconds since the store's last confirmation; infinite before the first."""
        confirmed_at = self._feed.confirmed_at
        if confirmed_at == -math.inf:
            return math.inf
        return monotonic() - confirmed_at

    def on_change(self, callback: Callable[[Change], None]) -> None:
        """Call ``callback`` with every change from now on."""
        self._callbacks.append(callback)

    # --- what a login asks -------------------------------------------------------------

    async def workspace(self, name: str) -> WorkspaceEntry | None:
        """The workspace of that name, suspended or not, or None. Raises StoreUnavailable."""
        return await self._believed(lambda: self._find_workspace(name))

    async def source(self, workspace_id: str, name: str) -> Source | None:
        """The workspace's source of that name, or None. Raises StoreUnavailable."""
        return await self._believed(lambda: self._find_source(workspace_id, name))

    def note_use(self, token_id: str) -> None:
        """A token was used now; written within a minute or two, never while a login waits."""
        if token_id in self._used or len(self._used) < USE_LIMIT:
            self._used[token_id] = self._clock()

    async def _believed(self, find: Callable[[], Awaitable[T]]) -> T:
        """What ``find`` finds, once it was found while the store's word was fresh."""
        for _ in range(ATTEMPTS):
            await self._wait_until_current()
            found = await find()
            if self.is_current:
                return found
        raise StoreUnavailable(_NOT_CURRENT)

    async def _find_workspace(self, name: str) -> WorkspaceEntry | None:
        # A name that nobody can have is not looked up, and fills no cache.
        if not validate.is_name(name):
            return None
        entry = await self._workspaces.get(name)
        if entry is not None and not entry.holds_at(self._clock()):
            self._workspaces.forget(name)
            entry = await self._workspaces.get(name)
        return entry

    async def _find_source(self, workspace_id: str, name: str) -> Source | None:
        return await self._sources.get((workspace_id, name)) if validate.is_name(name) else None

    async def _wait_until_current(self) -> None:
        """Raises StoreUnavailable where the store's next word takes too long."""
        if self.is_current:
            return
        if self._tasks:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while self.age > FRESH_SECONDS:
                        await self._feed.confirmed()
                    return
        raise StoreUnavailable(_NOT_CURRENT)

    async def _load_workspace(self, name: str) -> WorkspaceEntry | None:
        now = self._clock()
        found = await self._store.find_login(name)
        return None if found is None else _entry(found, now)

    async def _load_source(self, key: tuple[str, str]) -> Source | None:
        return await self._store.find_source(*key)

    # --- tasks -------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Until the feed fails, which must not be the last that is heard of the store: every
        login would be refused from then on.
        """
        try:
            async for change in self._feed:
                self._invalidate(change)
                for callback in tuple(self._callbacks):
                    self._call(callback, change)
                self._has_followed.set()
        finally:
            await self._feed.aclose()

    def _invalidate(self, change: Change) -> None:
        if change.kind is ChangeKind.EVERYTHING:
            self._workspaces.forget_everything()
            self._sources.forget_everything()
            return
        if change.kind in (ChangeKind.WORKSPACE, ChangeKind.TOKEN, ChangeKind.ROOT_KEY):
            self._workspaces.forget_owner(change.workspace_id)
        if change.kind in (ChangeKind.WORKSPACE, ChangeKind.SOURCE, ChangeKind.CREDENTIAL):
            self._sources.forget_owner(change.workspace_id)
        if change.kind is ChangeKind.WORKSPACE:
            self._workspaces.forget_unknown()
        if change.kind in (ChangeKind.WORKSPACE, ChangeKind.SOURCE):
            self._sources.forget_unknown()

    def _call(self, callback: Callable[[Change], None], change: Change) -> None:
        try:
            callback(change)
        except Exception as error:  # noqa: BLE001
            # A bug in one listener must not end the feed, or every later revocation would
            # go unseen by the others.
            tell("a listener to the store's changes failed", error)

    async def _write_uses(self) -> None:
        await asyncio.sleep(self._use_interval)
        with suppress(StoreError):
            await self._flush_uses()

    async def _flush_uses(self) -> None:
        """Write what waits; what could not be written waits on."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.record_token_use(used)
        except StoreError:
            self._used = used | self._used
            raise


def _entry(found: LoginRecord, loaded_at: datetime) -> WorkspaceEntry:
    workspace = found.workspace
    entries = tuple(token.verifier for token in found.tokens)
    if not entries:

        def derive(purpose: bytes) -> bytes:
            return hmac.digest(workspace.scram_salt, purpose, "sha256")

        # A workspace without tokens does the work of a login all the same.
        entries = (_unmatchable(derive),)
    expiries = [token.expires_at for token in found.tokens if token.expires_at is not None]
    return WorkspaceEntry(
        workspace=workspace,
        verifiers=TokenVerifiers(workspace.scram_salt, workspace.scram_iterations, entries),
        tokens={token.id: token for token in found.tokens},
        expires_at=min(expiries, default=None),
        loaded_at=loaded_at,
    )


def _unmatchable(derive: Callable[[bytes], bytes]) -> TokenVerifier:
    """A verifier whose id is empty, and whose keys are the hash of nothing known."""
    return TokenVerifier(
        token_id="",
        stored_key=derive(b"stored key"),
        server_key=derive(b"server key"),
        sha256_sha256=derive(b"sha256"),
        sha1_sha1=derive(b"sha1")[:20],
    )

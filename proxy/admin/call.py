"""A call that has been admitted: who makes it, what it concerns, what its endpoint works with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated

import structlog
from fastapi import Depends
from starlette.requests import Request

from proxy.admin.guesses import Guesses
from proxy.admin.pace import Pace
from proxy.admin.problems import Problem, not_found
from proxy.admin.rates import Rates
from proxy.admin.streams import Shared, Streams
from proxy.administration.api_keys import actor_name
from proxy.administration.passwords import Passwords
from proxy.administration.sessions import list_sessions
from proxy.administration.trail import Trail
from proxy.administration.workplace import Workplace
from proxy.config import Config
from proxy.content.sessions import OPENERS, Open
from proxy.control import ControlClient
from proxy.oidc.client import Client
from proxy.oidc.fetching import Fetch, ask_nobody
from proxy.store import ApiKey, Source, Store, SupportGrant, Workspace
from proxy.store.store import utc_now
from vault import Vault

log = structlog.get_logger("admin")

# Readings of the audit log under way at once: each has a thread and a core to itself.
_MOST_READINGS = 2
# Dashboards and rows on their way at once: each has a session at a data source, and batches in
# memory.
_MOST_TRANSFERS = 8


# From an identity provider, a minute and a network: each may cost three exchanges with it.
_RETURNS = 60


@dataclass(slots=True)
class Office:
    """What every call works with; made once. ``openers``: how the sources' sessions are opened.

    ``fetch_for``: by what a workspace's identity provider is asked; by default none is there.
    """

    config: Config
    store: Store
    vault: Vault
    trail: Trail
    client: ControlClient
    clock: Callable[[], datetime] = utc_now
    streams: Streams = field(default_factory=Streams)
    sessions: Shared = field(init=False)
    openers: Mapping[str, Open] = field(default_factory=lambda: OPENERS)
    monotonic: Callable[[], float] = time.monotonic
    passwords: Passwords = field(default_factory=Passwords)
    guesses: Guesses = field(init=False)
    pace: Pace = field(init=False)
    oidc: Client = field(init=False)
    oidc_guesses: Guesses = field(init=False)
    oidc_returns: Rates = field(default_factory=lambda: Rates(_RETURNS))
    fetch_for: Callable[[Workspace], Fetch] = field(default=lambda _workspace: ask_nobody)
    _readings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_READINGS))
    _transfers: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_MOST_TRANSFERS)
    )

    def __post_init__(self) -> None:
        self.pace = Pace(self.config.admin.csv_rate)
        self.guesses = Guesses(self.vault.fingerprint_key(), self.monotonic)
        # Apart: who tries to begin with a workspace's provider slows no login of the staff.
        self.oidc_guesses = Guesses(self.vault.fingerprint_key(), self.monotonic)
        self.oidc = Client(self.monotonic)
        self.sessions = Shared(partial(list_sessions, self.client, None))

    @asynccontextmanager
    async def transfer(self) -> AsyncIterator[None]:
        """Carry rows from or to a data source. Raises Problem where too many do."""
        if self._transfers.locked():
            raise Problem(
                503,
                "busy",
                "Too many dashboards and CSV files are on their way; try again soon.",
                headers={"Retry-After": "5"},
            )
        async with self._transfers:
            yield

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read the audit log. Raises Problem where too many do."""
        if self._readings.locked():
            raise Problem(
                503,
                "busy",
                "The audit log is being read for others; try again soon.",
                headers={"Retry-After": "2"},
            )
        async with self._readings:
            yield

    @asynccontextmanager
    async def reading_in_turn(self) -> AsyncIterator[None]:
        """Read the audit log, once others have, for an answer that has begun."""
        async with self._readings:
            yield


@dataclass(slots=True)
class Call:
    """``holder`` has proved who it is by its key; None: the operation is open to everybody.

    ``workspace`` is the one that the path names, which the key may reach; None: none is named.
    ``grant``: by which the support reaches it. ``network``: the address, or of IPv6 its /64.
    ``recognised``: whom an open operation has found out to be calling. ``warnings`` are
    sentences that the answer tells, where it can.
    """

    office: Office
    holder: ApiKey | None
    operation: str
    address: str
    port: int = 0
    network: str = ""
    workspace: Workspace | None = None
    grant: SupportGrant | None = None
    recognised: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def key(self) -> ApiKey:
        """The key that calls."""
        assert self.holder is not None, "this operation is open, nobody has shown a key"
        return self.holder

    @property
    def actor(self) -> str:
        """Who it is, for the audit log."""
        if self.holder is None:
            return self.recognised or "unknown"
        return actor_name(self.holder)

    @property
    def place(self) -> Workplace:
        """What a change works with."""
        office = self.office
        return Workplace(
            office.config,
            office.store,
            office.vault,
            office.trail,
            self.actor,
            self._warn,
            self.address,
        )

    @property
    def here(self) -> Workspace:
        """The workspace that the path names."""
        assert self.workspace is not None, "this endpoint's path names no workspace"
        return self.workspace

    async def is_suspended(self) -> bool:
        """Whether the workspace whose key this is may do nothing: its key may not either."""
        if self.holder is None or self.holder.workspace_id is None:
            return False
        own = await self.office.store.workspace_by_id(self.holder.workspace_id)
        return own is None or own.state != "active"

    async def source(self, name: str) -> Source:
        """The workspace's source of that name. Raises Problem."""
        found = await self.office.store.find_source(self.here.id, name)
        if found is None:
            raise not_found()
        return found

    def _warn(self, sentence: str) -> None:
        log.warning("admin call", warning=sentence, operation=self.operation)
        self.warnings.append(sentence)


def _call_of(request: Request) -> Call:
    call: Call = request.state.call
    return call


Admitted = Annotated[Call, Depends(_call_of)]
"""An endpoint's parameter: the call, which ``route`` has admitted."""

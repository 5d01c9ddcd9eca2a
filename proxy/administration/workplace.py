"""What an administrator's change works with: store, vault, audit trail, and who it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from proxy.administration.trail import Trail, open_trail, operator_name
from proxy.config import Config
from proxy.parts import open_audit, open_store, open_vault
from proxy.store import Store
from vault import Vault


class Desk(Protocol):
    """What a change works with that touches no secret: a part of a ``Workplace``."""

    @property
    def store(self) -> Store:
        """Where the change is made."""
        ...

    @property
    def trail(self) -> Trail:
        """Where it is recorded."""
        ...

    @property
    def actor(self) -> str:
        """Who asks for it."""
        ...

    @property
    def warn(self) -> Callable[[str], None]:
        """Takes a sentence that must not be lost."""
        ...


@dataclass(frozen=True, slots=True)
class Workplace:
    """Open for one change. ``warn`` takes a sentence that must not be lost.

    ``address``: where the administrator is.
    """

    config: Config
    store: Store
    vault: Vault
    trail: Trail
    actor: str
    warn: Callable[[str], None]
    address: str = "127.0.0.1"


@asynccontextmanager
async def open_workplace(config: Config, warn: Callable[[str], None]) -> AsyncIterator[Workplace]:
    """Open store, vault and trail. Raises what each of them raises, one sentence each."""
    vault = open_vault(config)
    store = await open_store(config)
    try:
        async with open_trail(config.control.socket, lambda: open_audit(config, vault)) as trail:
            yield Workplace(config, store, vault, trail, operator_name(), warn)
    finally:
        await store.close()


@asynccontextmanager
async def open_reading(config: Config) -> AsyncIterator[Store]:
    """The store alone, for questions that change nothing and need no key."""
    store = await open_store(config)
    try:
        yield store
    finally:
        await store.close()

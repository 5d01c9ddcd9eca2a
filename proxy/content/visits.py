"""A visit to the workspace's sources through the proxy, for as long as a call takes.

With a token of its own, made for it and revoked at its end; its text stays in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from proxy.administration.tokens import create_token, revoke_token
from proxy.administration.trail import TrailError
from proxy.administration.workplace import Desk
from proxy.content.entrance import Entrance, TokenText, Visit
from proxy.content.sessions import OPENERS, Open, Sessions
from proxy.store import Store, StoreError, Workspace


@asynccontextmanager
async def visiting(
    place: Desk,
    entrance: Entrance,
    workspace: Workspace,
    *,
    label: str,
    name: str,
    lifetime: timedelta,
    openers: Mapping[str, Open] = OPENERS,
) -> AsyncIterator[Sessions]:
    """Sessions as the workspace. ``name``: what the audit log shows as the application.

    Where nobody is left to revoke the token, it ends after ``lifetime``. Raises what
    ``create_token`` raises.
    """
    ends = place.store.content.now() + lifetime
    text, token = await create_token(place, workspace, label=label, expires_at=ends)
    try:
        visit = Visit(workspace.name, TokenText(text), name)
        engine_of = engine_finder(place.store, workspace)
        async with Sessions(entrance, visit, engine_of, openers) as sessions:
            yield sessions
    finally:
        try:
            await revoke_token(place, workspace, token.id)
        except (StoreError, TrailError) as failure:
            place.warn(f"The token of this call could not be revoked and ends by itself: {failure}")


def engine_finder(store: Store, workspace: Workspace) -> Callable[[str], Awaitable[str | None]]:
    """Tells the engine of the workspace's sources; None: it has no such source."""

    async def engine_of(name: str) -> str | None:
        source = await store.find_source(workspace.id, name)
        return None if source is None else source.engine

    return engine_of

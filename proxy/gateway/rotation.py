"""A credential is rotated while sessions are being opened: what they then do.

The server's password changes at one moment, the store's at another, and the news of that
takes up to a second. Who logs in meanwhile has the wrong one through no fault of its own.
Knows no protocol and no secret, only their versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from protocols.errors import Refusal
from proxy.store.records import Source

NEWS_SECONDS = 1.5
"""How long to wait for a newer credential: the second that news may take, and a half."""
LOOK_SECONDS = 0.05

Stored = Callable[[str, str], Awaitable[Source | None]]
"""A workspace's source of that name, as the store has it now."""


def is_rotated(old: Source, new: Source) -> bool:
    """Whether the two differ in their secrets and in nothing else."""
    same = replace(
        new,
        credential=old.credential,
        password_version=old.password_version,
        client_key_version=old.client_key_version,
    )
    return new != old and same == old


async def newest(source: Source, stored: Stored) -> Source:
    """The same source with the secrets of now, for who has had it for a while.

    As it was where the store cannot be asked, or has another source by now.
    """
    try:
        found = await stored(source.workspace_id, source.name)
    except Refusal:
        return source
    return found if found is not None and is_rotated(source, found) else source


async def wait_for_newer(source: Source, stored: Stored) -> Source | None:
    """The same source with newer secrets, once it is there; None where none come in time.

    Raises what ``stored`` raises.
    """
    try:
        async with asyncio.timeout(NEWS_SECONDS):
            while True:
                found = await stored(source.workspace_id, source.name)
                if found is None:
                    return None
                if found != source:
                    return found if is_rotated(source, found) else None
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        return None

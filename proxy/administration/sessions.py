"""Live sessions of the running proxy: seen and ended, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from proxy.administration.trail import Trail, audited
from proxy.audit.events import DELETE, entity_changed
from proxy.control import ControlClient

LIST_VERB = "session.list"
KILL_VERB = "session.kill"


async def list_sessions(client: ControlClient, workspace: str | None) -> list[dict[str, Any]]:
    """What the running proxy tells of its open sessions. Raises ControlError."""
    arguments = {"workspace": workspace} if workspace else {}
    found: list[dict[str, Any]] = await asyncio.to_thread(client.call, LIST_VERB, arguments)
    return found


async def kill_session(
    client: ControlClient,
    trail: Trail,
    session_id: str,
    *,
    actor: str,
    warn: Callable[[str], None],
    workspace_id: str = "",
) -> int:
    """End a session by its id or number; how many ended. Raises ControlError, TrailError.

    ``workspace_id``: whose audit log tells of it, where that is known.
    """
    event = entity_changed(
        DELETE,
        actor=actor,
        workspace_id=workspace_id,
        entity_type="session",
        entity_id=session_id,
        name=session_id,
    )

    async def act() -> int:
        answer = await asyncio.to_thread(client.call, KILL_VERB, {"id": session_id})
        return int(answer["killed"])

    return await audited(trail, event, act, warn)

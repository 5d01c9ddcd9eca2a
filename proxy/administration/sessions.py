"""Live sessions of the running proxy: seen and ended, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from proxy.administration.trail import ProxyTrail, audited, operator_name
from proxy.audit.events import DELETE, entity_changed
from proxy.config import Config
from proxy.control import SocketClient

LIST_VERB = "session.list"
KILL_VERB = "session.kill"


async def list_sessions(config: Config, workspace: str | None) -> list[dict[str, Any]]:
    """What the running proxy tells of its open sessions. Raises ControlError."""
    arguments = {"workspace": workspace} if workspace else {}
    client = SocketClient(config.control.socket)
    found: list[dict[str, Any]] = await asyncio.to_thread(client.call, LIST_VERB, arguments)
    return found


async def kill_session(config: Config, session_id: str, warn: Callable[[str], None]) -> int:
    """End a session by its id or number; how many ended. Raises ControlError."""
    client = SocketClient(config.control.socket)
    event = entity_changed(
        DELETE,
        actor=operator_name(),
        workspace_id="",
        entity_type="session",
        entity_id=session_id,
        name=session_id,
    )

    async def act() -> int:
        answer = await asyncio.to_thread(client.call, KILL_VERB, {"id": session_id})
        return int(answer["killed"])

    return await audited(ProxyTrail(client), event, act, warn)

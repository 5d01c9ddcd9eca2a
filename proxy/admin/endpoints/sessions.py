"""Live sessions of the proxy that runs beside these endpoints: seen, and ended."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import Field

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.problems import not_found
from proxy.admin.shapes import Answer, WorkspaceName
from proxy.administration import sessions as work

SessionId = Annotated[str, Path(description="A session's id.")]


class SessionAnswer(Answer):
    """A session as it was a moment ago."""

    id: str
    number: int
    source: str
    token_id: str
    application_name: str
    client: str
    tls: bool
    state: str
    started_at: str
    age_seconds: float
    idle_seconds: float
    bytes_from_client: int
    bytes_from_source: int

    @classmethod
    def of(cls, told: dict[str, Any]) -> SessionAnswer:
        """From what the proxy tells, field by field."""
        return cls(**{name: told[name] for name in cls.model_fields})


class Sessions(Answer):
    """The open sessions; a proxy tells of ten thousand at most."""

    items: list[SessionAnswer]


class Killed(Answer):
    """What was ended."""

    killed: int = Field(examples=[1])


async def list_sessions(call: Admitted, workspace: WorkspaceName) -> Sessions:
    """As the running proxy tells them."""
    return Sessions(items=[SessionAnswer.of(one) for one in await _own(call)])


async def kill_session(call: Admitted, workspace: WorkspaceName, session_id: SessionId) -> Killed:
    """With the statement that it runs."""
    if session_id not in {one["id"] for one in await _own(call)}:
        raise not_found()
    place = call.place
    killed = await work.kill_session(
        call.office.client,
        place.trail,
        session_id,
        actor=place.actor,
        warn=place.warn,
        workspace_id=call.here.id,
    )
    return Killed(killed=killed)


async def _own(call: Call) -> list[dict[str, Any]]:
    """This workspace's: by its id, for a name may have been another's a moment ago."""
    found = await work.list_sessions(call.office.client, call.here.name)
    return [one for one in found if one.get("workspace_id") == call.here.id]


_ALL = "/v1/workspaces/{workspace}/sessions"

ENDPOINTS = (
    Endpoint("GET", _ALL, "listSessions", list_sessions, "List live sessions", asks_proxy=True),
    Endpoint(
        "POST",
        f"{_ALL}/{{session_id}}/kill",
        "killSession",
        kill_session,
        "End a session",
        asks_proxy=True,
    ),
)

"""Live sessions as they come, change and go: server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.endpoints.sessions import SessionAnswer
from proxy.admin.problems import Problem
from proxy.admin.streams import EVENTS, HEARTBEAT, EventStream, event
from proxy.administration.session_changes import Session, by_id, changes
from proxy.control import ControlError, NotRunningError
from proxy.store import StoreError


class StreamedSession(SessionAnswer):
    """A session, and whose it is."""

    workspace: str = Field(examples=["finance"])
    workspace_id: str


async def stream_sessions(call: Admitted, request: Request) -> StreamingResponse:
    """`snapshot` first, then `opened`, `changed` and `closed`, each with the session as JSON, and
    `end` with a reason before the stream ends. Of a workspace's key its own sessions alone.
    """
    streams = call.office.streams
    streams.check(call.key.id)
    # Now, while it can still be refused with a status.
    await _look(call)
    return EventStream(request, streams.slow, _events(call))


async def _events(call: Call) -> AsyncGenerator[bytes]:
    office, streams = call.office, call.office.streams
    loop = asyncio.get_running_loop()
    ends = loop.time() + streams.life
    try:
        # Others may have come since this one was let in.
        with streams.place(call.key.id):
            before = await _look(call)
            yield event("snapshot", {"items": [_value(one) for one in before.values()]})
            told_at = loop.time()
            while await streams.pause():
                found = await office.store.api_keys.find(call.key.id)
                if found is None or found.state(office.clock()) != "live":
                    yield _end("the key is no longer live")
                    return
                if await call.is_suspended():
                    yield _end("the workspace of the key is suspended")
                    return
                now = await _look(call)
                told = [event(one.what, _value(one.session)) for one in changes(before, now)]
                before = now
                if told or loop.time() - told_at >= streams.heartbeat:
                    yield b"".join(told) or HEARTBEAT
                    told_at = loop.time()
                if loop.time() >= ends:
                    yield _end("it has lasted as long as one may; ask again")
                    return
            yield _end("the admin endpoints are being stopped")
    except Problem as problem:
        yield _end(problem.detail)
    except NotRunningError:
        yield _end("no proxy is running here")
    except (ControlError, StoreError):
        yield _end("the proxy or its store gave no answer")


def _end(reason: str) -> bytes:
    return event("end", {"reason": reason})


async def _look(call: Call) -> dict[str, Session]:
    found = await call.office.sessions.get()
    own = call.key.workspace_id
    return by_id(one for one in found if own is None or one.get("workspace_id") == own)


def _value(session: Mapping[str, Any]) -> dict[str, Any]:
    return StreamedSession.of(dict(session)).model_dump()


_EVENT = {
    "type": "object",
    "description": "One event; `data` is JSON.",
    "properties": {
        "event": {"enum": ["snapshot", "opened", "changed", "closed", "end"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/sessions/stream",
        "streamSessions",
        stream_sessions,
        "Watch live sessions",
        asks_proxy=True,
        answers={
            200: {
                "description": "Server-sent events.",
                "content": {EVENTS: {"schema": _EVENT}},
            }
        },
    ),
)

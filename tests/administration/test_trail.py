from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocols.errors import Reason, Refusal
from proxy.administration.trail import (
    MemoryTrail,
    ProxyTrail,
    TrailError,
    audited,
    control_handlers,
    event_from_json,
    event_to_json,
    open_trail,
)
from proxy.audit.events import CREATE, authenticated, entity_changed, token_changed
from proxy.audit.ocsf import Event, EventClass, Status
from proxy.audit.people import administrator_logged_in, staff_logged_in
from proxy.control import ControlError, SocketClient, serve_control

EVENT = entity_changed(
    CREATE,
    actor="ops",
    workspace_id="w1",
    entity_type="workspace",
    entity_id="w1",
    name="finance",
    changes={"state": "active"},
)


class FakeLog:
    """The part of an AuditLog that is needed here."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.events: list[Event] = []
        self.refusal = refusal

    async def record_durably(self, event: Event) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.events.append(event)


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="acc") as folder:
        yield Path(folder) / "run" / "control.sock"


async def done() -> str:
    return "done"


async def test_the_record_comes_first_then_the_change_then_how_it_ended():
    trail, order = MemoryTrail(), []

    async def act() -> str:
        order.append(len(trail.events))
        return "done"

    assert await audited(trail, EVENT, act, order.append) == "done"  # type: ignore[arg-type]
    assert order == [1]
    assert [event.status for event in trail.events] == [Status.UNKNOWN, Status.SUCCESS]


async def test_without_the_first_record_nothing_is_done():
    ran = []

    async def act() -> None:
        ran.append(1)

    with pytest.raises(TrailError):
        await audited(MemoryTrail(fail_at=0), EVENT, act, ran.append)  # type: ignore[arg-type]
    assert ran == []


async def test_a_change_that_fails_is_recorded_as_failed_without_its_words():
    trail = MemoryTrail()

    async def act() -> None:
        raise ValueError("correct-horse-battery")

    with pytest.raises(ValueError, match="correct"):
        await audited(trail, EVENT, act, print)
    assert trail.events[-1].status is Status.FAILURE
    assert trail.events[-1].status_detail == "ValueError"


async def test_a_cancelled_change_is_recorded_as_failed():
    trail = MemoryTrail()
    begun = asyncio.Event()

    async def act() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(audited(trail, EVENT, act, print))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [event.status for event in trail.events] == [Status.UNKNOWN, Status.FAILURE]


async def test_where_only_the_last_record_fails_the_change_stands_and_somebody_is_told():
    warnings: list[str] = []
    trail = MemoryTrail(fail_at=1)
    assert await audited(trail, EVENT, done, warnings.append) == "done"
    (warning,) = warnings
    assert "could not be recorded" in warning


def test_an_event_survives_the_way_through_the_socket():
    event = replace(EVENT, time=12.0)
    assert event_from_json(event_to_json(event)) == replace(event, time=0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"event_class": EventClass.AUTHENTICATION},
        {"event_class": 1},
        {"activity": "1"},
        {"workspace": None},
        {"attributes": []},
        {"status": 77},
        {"message": 5},
    ],
)
def test_what_is_no_administrators_event_is_refused(change: dict[str, Any]):
    with pytest.raises(ControlError):
        event_from_json(event_to_json(EVENT) | change)


async def test_where_a_proxy_runs_its_log_gets_the_record(socket: Path):
    log = FakeLog()
    server = await serve_control(socket, control_handlers(log))

    own = FakeLog()

    @asynccontextmanager
    async def own_log() -> AsyncIterator[FakeLog]:
        yield own

    async with open_trail(socket, own_log) as trail:
        await trail.record(EVENT)
    await server.close()
    assert log.events == [EVENT]
    assert own.events == []


async def test_where_no_proxy_runs_the_log_is_opened_here(socket: Path):
    log = FakeLog()

    @asynccontextmanager
    async def own_log() -> AsyncIterator[FakeLog]:
        yield log

    async with open_trail(socket, own_log) as trail:
        await trail.record(EVENT)
    assert log.events == [EVENT]


async def test_a_running_proxy_that_cannot_record_refuses_the_change(socket: Path):
    refusal = Refusal(Reason.AUDIT_UNAVAILABLE, "public", "the disk is full")
    server = await serve_control(socket, control_handlers(FakeLog(refusal)))
    try:
        with pytest.raises(TrailError, match="the disk is full"):
            await ProxyTrail(SocketClient(socket)).record(EVENT)
    finally:
        await server.close()


async def test_a_malformed_event_stops_neither_the_proxy_nor_its_log(socket: Path):
    log = FakeLog()
    server = await serve_control(socket, control_handlers(log))
    try:
        with pytest.raises(ControlError, match="malformed"):
            await asyncio.to_thread(SocketClient(socket).call, "audit.record", {"event_class": {}})
        event = token_changed("create", actor="ops", workspace_id="w", token_id="t", label="l")
        await ProxyTrail(SocketClient(socket)).record(event)
    finally:
        await server.close()
    assert log.events == [event]


def test_of_logins_only_those_of_people_come_from_outside():
    mine = staff_logged_in(staff_id="1", name="ada", ip="192.0.2.1", port=1)
    issuer = "https://idp.example"
    theirs = administrator_logged_in(workspace_id="w", issuer=issuer, ip="192.0.2.1", port=1)
    for event in (mine, theirs):
        assert event_from_json(event_to_json(event)).attributes == event.attributes
    token = authenticated(
        workspace_id="w", workspace="finance", token_id="t", client_ip="192.0.2.1", client_port=1
    )
    for forged in (token, replace(mine, attributes={**mine.attributes, "user": "staff account"})):
        with pytest.raises(ControlError, match="own to record"):
            event_from_json(event_to_json(forged))

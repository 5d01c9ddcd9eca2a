from __future__ import annotations

import asyncio
import gc
import weakref
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from policies.document import Limits
from protocols.errors import PeerViolation, Reason, Refusal
from proxy.config import LimitsConfig
from proxy.gateway.live import LiveSessions
from proxy.gateway.neighbours import NUMBER_LIMIT
from proxy.gateway.quotas import Meter, Quotas
from proxy.metrics import Metrics
from tests.gateway.fakes import NOW, FakeTransport, Wire, session
from tests.servers.waiting import eventually

CUT = Refusal(Reason.SESSION_ENDED, "cut")


def test_a_workspace_has_so_many_places_and_gets_each_back():
    live = LiveSessions(LimitsConfig(sessions_per_workspace=2))
    live.take_place("w1")
    live.take_place("w1")
    live.take_place("w2")
    with pytest.raises(Refusal) as caught:
        live.take_place("w1")
    assert caught.value.reason is Reason.TOO_MANY_SESSIONS
    live.leave_place("w1")
    live.take_place("w1")
    for _ in range(2):
        live.leave_place("w1")
    live.leave_place("w2")
    live.take_place("w1")


def test_keys_are_secret_and_look_like_process_ids():
    live = LiveSessions(LimitsConfig())
    keys = [live.new_key() for _ in range(200)]
    assert len({key.secret for key in keys}) == 200
    assert all(0 < key.number <= NUMBER_LIMIT and len(key.secret) == 32 for key in keys)


@pytest.mark.parametrize("is_running", [True, False])
async def test_a_cut_stops_the_running_statement_and_only_that(is_running: bool):
    live = LiveSessions(LimitsConfig())
    stopped = asyncio.Event()

    async def stop() -> None:
        stopped.set()

    wire = Wire()
    wire.scanner.has_outstanding = is_running
    one = session(wire, stop=stop)
    live.add(one)
    live.cut(one, CUT)
    live.cut(one, CUT)
    assert wire.client.written == b"<session_ended>"
    wire.lose_both()
    live.remove(one)
    await live.settle(10)
    assert stopped.is_set() == is_running


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("error", [PeerViolation("nonsense"), CUT])
async def test_a_session_that_ends_over_what_its_client_sent_stops_what_runs(
    error: Exception, is_running: bool
):
    # The audit log fails in the middle of a pipeline, or the client breaks the protocol.
    live = LiveSessions(LimitsConfig())
    stopped = asyncio.Event()

    async def stop() -> None:
        stopped.set()

    wire = Wire()
    wire.scanner.has_outstanding = is_running
    one = session(wire, stop=stop)
    live.add(one)
    wire.scanner.error = error
    wire.relay.from_client(b"bad")
    assert wire.relay.is_closing
    wire.lose_both()
    live.remove(one)
    await live.settle(10)
    assert stopped.is_set() == is_running


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), CUT])
async def test_a_server_that_cannot_be_asked_to_stop_harms_nobody(error: Exception):
    async def stop() -> None:
        raise error

    live = LiveSessions(LimitsConfig())
    wire = Wire()
    wire.scanner.has_outstanding = True
    one = session(wire, stop=stop)
    live.add(one)
    live.cut(one, CUT)
    wire.lose_both()
    live.remove(one)
    await live.settle(10)
    assert len(live) == 0


async def test_those_that_are_meant_are_cut():
    live = LiveSessions(LimitsConfig())
    wires = [Wire() for _ in range(3)]
    for number, wire in enumerate(wires):
        live.add(session(wire, number + 1))
    assert live.cut_where(lambda one: one.key.number == 2, CUT) == 1
    assert [wire.client.closed for wire in wires] == [False, True, False]
    assert live.by_number(2) is not None
    assert live.by_number(4) is None
    for wire in wires:
        wire.lose_both()


async def test_a_drain_waits_for_the_last_session_and_no_longer():
    live = LiveSessions(LimitsConfig())
    idle, busy = Wire(), Wire()
    busy.scanner.is_idle = False
    sessions = [session(idle, 1), session(busy, 2)]
    for one in sessions:
        live.add(one)
    draining = asyncio.create_task(live.drain(Refusal(Reason.SHUTTING_DOWN, "stop"), 30.0))
    await eventually(lambda: idle.client.closed, within=40)
    assert busy.client.written == b""
    busy.scanner.is_idle = True
    busy.relay.from_source(b"done")
    assert busy.client.written == b"done<shutting_down>"
    for wire, one in zip((idle, busy), sessions, strict=True):
        wire.lose_both()
        live.remove(one)
    async with asyncio.timeout(40):
        await draining


async def test_what_still_runs_at_the_deadline_is_cut():
    live = LiveSessions(LimitsConfig())
    busy = Wire()
    busy.scanner.is_idle = False
    one = session(busy)
    live.add(one)
    draining = asyncio.create_task(live.drain(Refusal(Reason.SHUTTING_DOWN, "stop"), 0.0))
    await eventually(lambda: busy.client.closed, within=40)
    assert busy.client.written == b"<shutting_down>"
    busy.lose_both()
    live.remove(one)
    async with asyncio.timeout(40):
        await draining


async def test_a_session_that_opens_during_a_drain_ends_at_once():
    live = LiveSessions(LimitsConfig())
    live.drain_refusal = Refusal(Reason.SHUTTING_DOWN, "stop")
    wire = Wire()
    live.add(session(wire))
    assert wire.client.written == b"<shutting_down>"
    wire.lose_both()


async def test_settling_is_bounded_where_a_peer_does_not_take():
    live = LiveSessions(LimitsConfig())
    wire = Wire()
    live.add(session(wire))
    live.cut_where(lambda one: True, CUT)
    await live.settle(0.0)
    assert len(live) == 1
    wire.lose_both()


async def test_the_sweep_cuts_an_expired_token_and_no_other():
    now = NOW

    live = LiveSessions(LimitsConfig(), clock=lambda: now)
    expiring, lasting = Wire(), Wire()
    live.add(session(expiring, 1, expires_at=NOW + timedelta(minutes=1)))
    live.add(session(lasting, 2, expires_at=NOW + timedelta(days=1)))
    live.start()
    now = NOW + timedelta(minutes=2)
    await eventually(lambda: expiring.client.closed, within=40)
    assert not lasting.client.closed
    for wire in (expiring, lasting):
        wire.lose_both()
    await live.stop()


async def test_the_sweep_keeps_no_session_that_it_has_looked_at():
    looked = asyncio.Event()

    def clock() -> datetime:
        looked.set()
        return NOW

    live = LiveSessions(LimitsConfig(), clock=clock)
    wire = Wire()
    one = session(wire)
    scanner = weakref.ref(wire.scanner)
    live.add(one)
    live.start()
    await looked.wait()
    live.remove(one)
    wire.lose_both()
    gc.disable()
    try:
        del one, wire
        assert scanner() is None
    finally:
        gc.enable()
    await live.stop()


class Failing(FakeTransport):
    """A connection that can no longer be asked about."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        raise OSError("closed")


async def test_a_session_that_the_sweep_stumbles_over_ends_and_the_sweep_goes_on():
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    live = LiveSessions(LimitsConfig(), clock=lambda: NOW)
    failing, expired = Wire(has_client=False), Wire()
    failing.client = Failing(failing.relay.client_side)
    failing.relay.has_client(failing.client)
    live.add(session(failing, 1))
    live.add(session(expired, 2, expires_at=NOW - timedelta(minutes=1)))
    live.start()
    await eventually(lambda: expired.client.closed, within=40)
    assert failing.client.written == b"<internal>"
    assert [str(one["exception"]) for one in reported] == ["closed"]
    for wire in (failing, expired):
        wire.lose_both()
    await live.stop()


async def test_a_session_describes_itself_without_its_key():
    wire = Wire()
    one = session(wire, 7)
    told = one.describe(one.started + 1.5)
    assert (told["state"], told["age_seconds"], told["number"]) == ("idle", 1.5, 7)
    assert one.key.secret.hex() not in str(told)
    wire.scanner.is_in_transaction = True
    assert one.describe(0.0)["state"] == "idle in transaction"
    wire.scanner.has_outstanding = True
    assert (one.describe(0.0)["state"], one.describe(0.0)["idle_seconds"]) == ("active", 0.0)
    wire.lose_both()


def killable(live: LiveSessions, number: int, *, upstream_number: int = 0, **changes: Any):
    """An open session with a statement running, and what tells that it was stopped."""
    stopped = asyncio.Event()

    async def stop() -> None:
        stopped.set()

    wire = Wire()
    wire.scanner.has_outstanding = True
    one = session(wire, number, stop=stop, upstream_number=upstream_number, **changes)
    live.add(one)
    return wire, one, stopped


async def test_a_statement_is_killed_by_the_number_its_client_was_given():
    live = LiveSessions(LimitsConfig())
    wire, one, stopped = killable(live, 7)
    assert live.killer("w1", "s1")(7, True)
    await asyncio.wait_for(stopped.wait(), 40)
    assert not one.relay.is_closing
    assert wire.client.written == b""


async def test_a_statement_is_killed_by_the_number_the_data_source_gave():
    live = LiveSessions(LimitsConfig())
    _, _, stopped = killable(live, 7, upstream_number=99)
    assert live.killer("w1", "s1")(99, True)
    await asyncio.wait_for(stopped.wait(), 40)


async def test_a_flood_of_kills_stops_one_statement_at_a_time():
    live = LiveSessions(LimitsConfig())
    asked: list[int] = []
    go_on = asyncio.Event()

    async def stop() -> None:
        asked.append(1)
        await go_on.wait()

    wire = Wire()
    wire.scanner.has_outstanding = True
    live.add(session(wire, 7, stop=stop))
    kill = live.killer("w1", "s1")
    for _ in range(100):
        assert kill(7, True)
    await eventually(lambda: bool(asked), what="the first to be on its way")
    assert kill(7, True)
    # Its client is read no further, so that its next statement cannot be the one stopped.
    assert wire.holds_the_client()
    go_on.set()
    await live.settle(0)
    await eventually(lambda: not wire.holds_the_client(), what="the client to be read again")
    assert len(asked) == 1


async def test_a_session_may_kill_itself_while_its_client_is_read():
    live = LiveSessions(LimitsConfig())
    wire, one, _ = killable(live, 7)
    assert live.killer("w1", "s1")(7, False)
    assert not one.relay.is_closing
    await eventually(lambda: one.relay.is_closing, what="the session's end")
    assert wire.client.written == b"<session_ended>"


async def test_a_session_is_killed_and_told_why():
    live = LiveSessions(LimitsConfig())
    wire, one, stopped = killable(live, 7)
    assert live.killer("w1", "s1")(7, False)
    await asyncio.wait_for(stopped.wait(), 40)
    assert wire.client.written == b"<session_ended>"
    assert one.relay.is_closing


async def test_an_idle_session_has_no_statement_to_kill():
    live = LiveSessions(LimitsConfig())
    wire, one, stopped = killable(live, 7)
    wire.scanner.has_outstanding = False
    assert live.killer("w1", "s1")(7, True)
    await live.settle(0)
    assert not stopped.is_set()
    assert not one.relay.is_closing


@pytest.mark.parametrize("number", [7, 99])
@pytest.mark.parametrize("workspace", ["w2"])
async def test_nobody_kills_another_workspaces_session(number: int, workspace: str):
    live = LiveSessions(LimitsConfig())
    _, one, stopped = killable(live, 7, upstream_number=99)
    assert not live.killer(workspace, "s1")(number, False)
    assert not stopped.is_set()
    assert not one.relay.is_closing


async def test_the_data_sources_number_means_nothing_at_another_data_source():
    live = LiveSessions(LimitsConfig())
    _, one, _ = killable(live, 7, upstream_number=99)
    assert not live.killer("w1", "s2")(99, False)
    assert not one.relay.is_closing


async def test_no_session_is_named_by_zero():
    live = LiveSessions(LimitsConfig())
    _, one, _ = killable(live, 7)
    assert not live.killer("w1", "s1")(0, False)
    assert not one.relay.is_closing


def metered(limits: Limits) -> tuple[Meter, list[float]]:
    """A meter, and the seconds that its clock shows."""
    seconds = [0.0]
    meter = Quotas(time=lambda: seconds[0]).meter([("w1", limits)], Metrics())
    assert meter is not None
    return meter, seconds


@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_cut_answer_is_stopped_at_the_source_and_never_the_next_one(has_ended: bool):
    stopped = asyncio.Event()

    async def stop() -> None:
        stopped.set()

    live = LiveSessions(LimitsConfig())
    meter, _ = metered(Limits(result_rows=1))
    wire = Wire()
    wire.scanner.has_outstanding = True
    one = session(wire, stop=stop, meter=meter)
    live.watch(one)
    meter.cut(2, 1)
    if has_ended:
        meter.take_rule()
    await asyncio.sleep(0)
    if one.cancelling is not None:
        await one.cancelling
    assert stopped.is_set() is not has_ended
    assert not wire.holds_the_client()
    wire.lose_both()


async def test_a_meter_that_gives_up_ends_its_session_with_its_reason():
    live = LiveSessions(LimitsConfig())
    meter, _ = metered(Limits(result_rows=1))
    wire = Wire()
    one = session(wire, meter=meter)
    live.watch(one)
    meter.give_up(meter.cut(2, 1))
    assert not wire.client.closed
    await eventually(lambda: wire.client.closed, within=40)
    assert wire.client.written == b"<quota_exceeded>"
    wire.lose_both()


async def test_a_source_that_does_not_stop_a_cut_answer_loses_the_session():
    live = LiveSessions(LimitsConfig())
    meter, seconds = metered(Limits(result_rows=1))
    # Cut an hour ago, by the clock of the sweep.
    seconds[0] = monotonic() - 3600
    wire = Wire()
    wire.scanner.has_outstanding = True
    live.add(session(wire, meter=meter))
    meter.cut(2, 1)
    live.start()
    await eventually(lambda: wire.client.closed, within=40)
    await live.stop()
    assert wire.client.written == b"<quota_exceeded>"
    wire.lose_both()

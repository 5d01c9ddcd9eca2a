from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from protocols.errors import Reason, Refusal
from proxy.config import LimitsConfig
from proxy.gateway.live import LiveSessions
from proxy.gateway.revoke import Revoker
from proxy.store.records import Change, ChangeKind, Source
from tests.gateway.fakes import Wire, session, source
from tests.servers.waiting import eventually


class Answers:
    """An authenticator that knows what a test says; ``outages`` first answers are none."""

    def __init__(self, stored: Source | None, *, workspace: str = "w1", outages: int = 0) -> None:
        self.stored = stored
        self.workspace = workspace
        self.is_live = True
        self.outages = outages
        self.asked = 0

    async def again(self, workspace: str, token_id: str) -> Any:
        self.asked += 1
        if self.outages:
            self.outages -= 1
            raise Refusal(Reason.STORE_UNAVAILABLE, "gone")
        if not self.is_live:
            return None
        found = SimpleNamespace(id=self.workspace, policy=None)
        return SimpleNamespace(entry=SimpleNamespace(workspace=found))

    async def source(self, proved: Any, name: str) -> Source | None:
        return self.stored


async def reviewed(answers: Answers, change: Change) -> bytes:
    """What a session's client is told after a change."""
    live = LiveSessions(LimitsConfig())
    wire = Wire()
    live.add(session(wire))
    revoker = Revoker(live, answers)  # type: ignore[arg-type]
    revoker.changed(change)
    if change.kind in (ChangeKind.CREDENTIAL, ChangeKind.ROOT_KEY) or change.workspace_id == "w2":
        assert len(asyncio.all_tasks()) == 1
    else:
        await eventually(lambda: answers.asked > 0 and answers.outages == 0, within=40)
        # One turn more than the answer takes.
        await asyncio.wait_for(_until_reviewed(revoker), 40)
    await revoker.stop()
    told = wire.client.written
    wire.lose_both()
    return told


async def _until_reviewed(revoker: Revoker) -> None:
    others = [task for task in asyncio.all_tasks() if task.get_name() == "review sessions"]
    await asyncio.gather(*others)


CHANGES = [
    Change(ChangeKind.WORKSPACE, "w1", "w1"),
    Change(ChangeKind.TOKEN, "w1", "t1"),
    Change(ChangeKind.SOURCE, "w1", "s1"),
    Change(ChangeKind.EVERYTHING),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_session_that_may_go_on_goes_on(change: Change):
    assert await reviewed(Answers(source()), change) == b""


@pytest.mark.parametrize("change", CHANGES)
async def test_a_session_whose_token_is_gone_ends(change: Change):
    answers = Answers(source())
    answers.is_live = False
    assert await reviewed(answers, change) == b"<session_ended>"


@pytest.mark.parametrize(
    "stored",
    [
        None,
        source(id="s2"),
        source(host="other.example"),
        source(port=5433),
        source(username="other"),
        source(database="other"),
        source(engine="mysql"),
    ],
)
async def test_a_session_whose_source_is_gone_or_moved_ends(stored: Source | None):
    assert await reviewed(Answers(stored), CHANGES[2]) == b"<session_ended>"


async def test_a_workspace_of_the_same_name_is_another():
    answers = Answers(source(), workspace="w9")
    assert await reviewed(answers, CHANGES[0]) == b"<session_ended>"


async def test_a_read_that_fails_is_tried_again_until_it_answers():
    answers = Answers(source(), outages=2)
    answers.is_live = False
    assert await reviewed(answers, CHANGES[1]) == b"<session_ended>"


class Broken(Answers):
    """An authenticator with a bug."""

    async def source(self, proved: Any, name: str) -> Source | None:
        raise ValueError("a bug")


async def test_a_session_that_cannot_be_reviewed_ends_and_so_do_those_behind_it():
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    live = LiveSessions(LimitsConfig())
    wires = [Wire(), Wire()]
    for number, wire in enumerate(wires, 1):
        live.add(session(wire, number))
    revoker = Revoker(live, Broken(None))  # type: ignore[arg-type]
    revoker.changed(CHANGES[0])
    await eventually(lambda: all(wire.client.closed for wire in wires), within=40)
    assert [wire.client.written for wire in wires] == [b"<session_ended>"] * 2
    assert [str(one["exception"]) for one in reported] == ["a bug"] * 2
    await revoker.stop()
    for wire in wires:
        wire.lose_both()


@pytest.mark.parametrize(
    "change",
    [
        Change(ChangeKind.CREDENTIAL, "w1", "s1"),
        Change(ChangeKind.ROOT_KEY, "w1", "w1"),
        Change(ChangeKind.TOKEN, "w2", "t2"),
    ],
)
async def test_a_change_that_concerns_no_session_asks_nothing(change: Change):
    answers = Answers(None)
    assert await reviewed(answers, change) == b""
    assert answers.asked == 0

"""The stream of live sessions: in order, for whom, and when it ends."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.admin.streams import MOST, MOST_OF_A_KEY, Shared
from proxy.administration.sessions import list_sessions
from proxy.store import ApiRole
from tests.admin.rig import Prepared, Rig, problem
from tests.admin.served import Served, served
from tests.admin.town import a_session
from tests.servers.waiting import wait_until

STREAM = "/v1/sessions/stream"
Told = tuple[str, dict[str, Any]]


@pytest.fixture
def town(tmp_path: Path, prepared: Prepared) -> Iterator[Served]:
    """Streams that last until a test ends them, over looks that are never old."""
    with served(tmp_path, prepared) as made:
        office = made.rig.office
        office.streams.life = 60.0
        office.sessions = Shared(partial(list_sessions, office.client, None), age=0.0)
        yield made


@contextmanager
def watching(town: Served, key: str = "") -> Iterator[Iterator[str]]:
    """The lines of a stream, as they come."""
    headers = {"Authorization": f"Bearer {key or town.rig.keys[ApiRole.OPERATOR]}"}
    with httpx.stream("GET", town.url + STREAM, headers=headers, timeout=20) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.iter_lines()


def next_of(lines: Iterator[str]) -> Told:
    """The next event; heartbeats are passed over."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            return name, json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended without a word")


def call(town: Served, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {town.rig.keys[ApiRole.OWNER]}"}
    answer = httpx.request(method, town.url + path, json=body, headers=headers, timeout=20)
    assert answer.status_code < 300, answer.text
    return answer.json()


def ids(told: Told) -> Sequence[str]:
    return [one["id"] for one in told[1]["items"]]


def test_it_begins_with_all_there_are_and_goes_on_with_what_changes(town: Served):
    proxy = town.rig.proxy
    first, second = proxy.sessions
    with watching(town) as lines:
        name, shown = next_of(lines)
        assert name == "snapshot"
        assert {(one["id"], one["workspace"]) for one in shown["items"]} == {
            (first["id"], "finance"),
            (second["id"], "sales"),
        }
        proxy.sessions = [first | {"state": "active", "bytes_from_client": 99}, second]
        name, shown = next_of(lines)
        assert (name, shown["id"], shown["state"]) == ("changed", first["id"], "active")
        assert shown["bytes_from_client"] == 99
        # More bytes alone are no change: the next that is told is the one that closed.
        proxy.sessions = [proxy.sessions[0] | {"bytes_from_client": 100}, second]
        proxy.sessions = [proxy.sessions[0]]
        assert next_of(lines)[0] == "closed"
        proxy.sessions = [*proxy.sessions, second]
        assert next_of(lines)[0] == "opened"


def test_a_workspaces_key_is_told_of_its_own_alone(town: Served):
    rig = town.rig
    own, others = rig.workspaces["finance"], rig.workspaces["sales"]
    with watching(town, rig.keys[ApiRole.WORKSPACE_ADMIN]) as lines:
        assert ids(next_of(lines)) == ["0" * 32]
        # Of a workspace that has its name now, and of its own.
        foreign = a_session("b" * 32, "finance", others.id, "ledger")
        rig.proxy.sessions = [*rig.proxy.sessions, foreign]
        new = a_session("c" * 32, "finance", own.id, "orders")
        rig.proxy.sessions = [*rig.proxy.sessions, new]
        name, shown = next_of(lines)
        assert (name, shown["id"]) == ("opened", "c" * 32)


def test_it_ends_within_a_second_of_its_keys_end(town: Served):
    made = call(town, "POST", "/v1/keys", {"role": "auditor", "label": "short"})
    with watching(town, made["secret"]) as lines:
        next_of(lines)
        call(town, "POST", f"/v1/keys/{made['id']}/revoke")
        revoked = time.monotonic()
        assert next_of(lines) == ("end", {"reason": "the key is no longer live"})
        assert time.monotonic() - revoked < 1.0
        assert not [line for line in lines if line]


def test_it_ends_when_the_keys_workspace_is_suspended(town: Served):
    with watching(town, town.rig.keys[ApiRole.WORKSPACE_ADMIN]) as lines:
        next_of(lines)
        call(town, "POST", "/v1/workspaces/finance/suspend")
        assert next_of(lines) == ("end", {"reason": "the workspace of the key is suspended"})


def test_it_ends_when_its_key_expires(town: Served):
    clock = town.rig.clock
    soon = (clock() + timedelta(minutes=1)).isoformat()
    body = {"role": "auditor", "label": "short", "expires_at": soon}
    with watching(town, call(town, "POST", "/v1/keys", body)["secret"]) as lines:
        next_of(lines)
        clock.advance(minutes=2)
        assert next_of(lines)[1]["reason"] == "the key is no longer live"


def test_it_lasts_so_long_and_no_longer(town: Served):
    town.rig.office.streams.life = 0.1
    with watching(town) as lines:
        assert next_of(lines)[0] == "snapshot"
        assert "ask again" in next_of(lines)[1]["reason"]


def test_it_says_that_the_proxy_has_gone(town: Served):
    with watching(town) as lines:
        next_of(lines)
        town.rig.proxy.is_running = False
        assert next_of(lines) == ("end", {"reason": "no proxy is running here"})


def test_in_silence_it_shows_that_it_lives(town: Served):
    town.rig.office.streams.heartbeat = 0.1
    with watching(town) as lines:
        next_of(lines)
        assert next(line for line in lines if line) == ":"


def test_only_so_many_are_open_and_each_gives_its_place_back(town: Served):
    streams = town.rig.office.streams
    headers = {"Authorization": f"Bearer {town.rig.keys[ApiRole.OPERATOR]}"}
    # Kept: a stream that nobody holds is closed.
    opened: list[Iterator[str]] = []
    with ExitStack() as stack:
        for _ in range(MOST_OF_A_KEY):
            opened.append(stack.enter_context(watching(town)))
            next_of(opened[-1])
        problem(httpx.get(town.url + STREAM, headers=headers), 503, "busy")
        for number in range(MOST - MOST_OF_A_KEY):
            body = {"role": "auditor", "label": f"number {number}"}
            key = call(town, "POST", "/v1/keys", body)["secret"]
            opened.append(stack.enter_context(watching(town, key)))
            next_of(opened[-1])
        assert streams.count == MOST
        key = town.rig.keys[ApiRole.AUDITOR]
        busy = httpx.get(town.url + STREAM, headers={"Authorization": f"Bearer {key}"})
        problem(busy, 503, "busy")
    wait_until(lambda: streams.count == 0, what="the places to be given back")
    with watching(town) as lines:
        assert next_of(lines)[0] == "snapshot"


def test_a_client_that_does_not_read_is_dropped(town: Served):
    rig = town.rig
    rig.office.streams.slow = 0.3
    workspace = rig.workspaces["finance"]

    def many(state: str) -> list[dict[str, Any]]:
        # Some megabytes at each look: more than the kernel takes for both sides.
        found = [a_session(f"{n:032}", "finance", workspace.id, "orders") for n in range(8_000)]
        return [one | {"state": state} for one in found]

    rig.proxy.sessions = many("idle")
    head = f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
    with socket.create_connection(("127.0.0.1", town.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.sendall(f"{head}{rig.keys[ApiRole.OPERATOR]}\r\n\r\n".encode())
        wait_until(lambda: rig.office.streams.count == 1, what="the stream to begin")
        rig.proxy.sessions = many("active")
        wait_until(lambda: rig.office.streams.count == 0, what="the client to be dropped")
        assert was_reset(client)


def was_reset(client: socket.socket) -> bool:
    try:
        while client.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    return False


def test_streams_end_when_the_endpoints_are_told_to_stop(town: Served):
    with watching(town) as lines:
        next_of(lines)
        town.rig.office.streams.close()
        assert "being stopped" in next_of(lines)[1]["reason"]


async def test_one_look_serves_all_and_a_dear_one_is_kept_for_long():
    now, looks = 0.0, 0

    async def look() -> list[dict[str, Any]]:
        nonlocal now, looks
        looks += 1
        now += 0.5 * (looks - 1)
        return [{"id": str(looks)}]

    shared = Shared(look, age=1.0, clock=lambda: now)
    for moment, number in ((0.0, 1), (0.9, 1), (1.0, 2), (2.5, 2), (11.4, 2), (11.5, 3)):
        now = moment
        assert await shared.get() == [{"id": str(number)}]


async def test_before_it_begins_a_refusal_is_a_problem(rig: Rig):
    rig.proxy.is_running = False
    problem(await rig.call("GET", STREAM), 503, "proxy-not-running")

"""What is known of hosts, with a clock of the test's own; nothing is dialled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

from protocols.errors import PeerClosed, Reason, Refusal
from protocols.roles import ServerRole
from proxy.gateway.breaker import LONGEST_PAUSE, THRESHOLD
from proxy.gateway.hosts import (
    CHECKS_OF_WORKSPACE,
    HOSTS_KEPT,
    INTEREST_SECONDS,
    HostsOfSource,
    KnownHosts,
)
from proxy.metrics import Metrics
from proxy.store.failover import Endpoint, Failover
from proxy.store.records import Change, ChangeKind, Source, Workspace
from tests.gateway.fakes import NOW, source

A, B = Endpoint("db.example", 5432), Endpoint("standby.example", 5432)
GONE = Refusal(Reason.SOURCE_UNREACHABLE, "no")
PRIMARY = ServerRole(is_read_only=False, is_standby=False)
STANDBY = ServerRole(is_read_only=True, is_standby=True)


class Rig:
    """Hosts whose time goes on only when somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.now = 1000.0
        self.answers: list[BaseException | None] = []
        self.looked: list[tuple[float, Endpoint]] = []
        self.may_sleep = asyncio.Event()
        self.known = KnownHosts(
            self.metrics, lambda count: b"\0" * count, clock=lambda: self.now, sleep=self._sleep
        )

    async def _sleep(self, seconds: float, /) -> None:
        await self.may_sleep.wait()
        self.now += seconds
        await asyncio.sleep(0)

    async def look(self, endpoint: Endpoint) -> None:
        self.looked.append((self.now, endpoint))
        answer = self.answers.pop(0) if self.answers else GONE
        if answer is not None:
            raise answer

    def of(self, workspace_id: str = "w1", **changes: Any) -> HostsOfSource:
        workspace = Workspace(workspace_id, "finance", "active", b"", 4096, (), NOW, None)
        return self.known.of(workspace, a_source(workspace_id, **changes), self.look)


def a_source(workspace_id: str = "w1", **changes: Any) -> Source:
    return replace(
        source(), workspace_id=workspace_id, host=A.host, failover=Failover((B,)), **changes
    )


def break_(hosts: HostsOfSource, endpoint: Endpoint = A) -> None:
    for _ in range(THRESHOLD):
        assert hosts.enter(endpoint)
        hosts.fail(endpoint)


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_host_that_fails_is_left_alone_and_looked_after_until_it_is_back():
    rig = Rig()
    hosts = rig.of()
    break_(hosts)
    assert not hosts.may_enter(A)
    assert not hosts.enter(A)
    assert hosts.enter(B)
    assert (rig.metrics.breakers_opened, rig.metrics.breakers_open) == (1, 1)
    rig.answers = [GONE, PeerClosed(), TimeoutError(), None]
    rig.may_sleep.set()
    await settled()
    assert [endpoint for _, endpoint in rig.looked] == [A] * 4
    times = [at for at, _ in rig.looked]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses == sorted(pauses)
    # One client finds out whether it serves; the others wait for its word.
    assert hosts.enter(A)
    assert not hosts.enter(A)
    hosts.succeed(A)
    assert hosts.enter(A)
    assert hosts.enter(A)
    assert (rig.metrics.breakers_opened, rig.metrics.breakers_open) == (1, 0)
    await rig.known.stop()


async def test_a_host_that_nobody_asks_for_is_not_looked_after_for_ever():
    rig = Rig()
    hosts = rig.of()
    break_(hosts)
    rig.may_sleep.set()
    for _ in range(100):
        await settled()
    assert rig.now <= 1000.0 + INTEREST_SECONDS + LONGEST_PAUSE
    assert rig.looked
    looks = len(rig.looked)
    await settled()
    assert len(rig.looked) == looks
    # The next client finds out himself, and from then on it is looked after again.
    rig.may_sleep.clear()
    assert hosts.enter(A)
    hosts.fail(A)
    rig.may_sleep.set()
    await settled()
    assert len(rig.looked) > looks
    await rig.known.stop()


async def test_the_same_server_under_two_workspaces_or_sources_is_two_hosts():
    rig = Rig()
    break_(rig.of("w1"))
    assert rig.of("w2").enter(A)
    assert rig.of("w1", id="another").enter(A)
    assert not rig.of("w1").enter(A)
    await rig.known.stop()


async def test_a_changed_source_begins_anew_and_the_others_do_not():
    rig = Rig()
    mine, others = rig.of("w1"), rig.of("w2")
    break_(mine)
    break_(others)
    for kind in (ChangeKind.TOKEN, ChangeKind.CREDENTIAL):
        rig.known.changed(Change(kind, "w1", a_source().id))
    rig.known.changed(Change(ChangeKind.SOURCE, "w1", "another"))
    assert not mine.enter(A)
    rig.known.changed(Change(ChangeKind.SOURCE, "w1", a_source().id))
    assert mine.enter(A)
    assert not others.enter(A)
    assert rig.metrics.breakers_open == 1
    rig.known.changed(Change(ChangeKind.EVERYTHING))
    assert others.enter(A)
    assert rig.metrics.breakers_open == 0
    # Its check went with it.
    rig.may_sleep.set()
    await settled()
    assert rig.looked == []


async def test_hosts_and_checks_are_bounded_and_unchecked_ones_are_the_clients_to_try():
    rig = Rig()
    hosts = rig.of()
    many = [Endpoint("db.example", port) for port in range(1, CHECKS_OF_WORKSPACE + 2)]
    for endpoint in many:
        break_(hosts, endpoint)
    rig.now += LONGEST_PAUSE
    assert [hosts.enter(endpoint) for endpoint in many] == [False] * CHECKS_OF_WORKSPACE + [True]
    for port in range(10_000, 10_000 + HOSTS_KEPT):
        hosts.fail(Endpoint("db.example", port))
    assert all(hosts.enter(endpoint) for endpoint in many)
    assert rig.metrics.breakers_open == 0
    await rig.known.stop()


async def test_a_client_that_leaves_while_trying_makes_room_for_the_next():
    rig = Rig()
    hosts = rig.of()
    break_(hosts)
    rig.answers = [None]
    rig.may_sleep.set()
    await settled()
    assert hosts.enter(A)
    hosts.withdraw(A)
    rig.may_sleep.clear()
    await settled()
    await rig.known.stop()


async def test_a_server_that_says_it_is_another_is_no_longer_what_it_was():
    rig = Rig()
    hosts = rig.of()
    assert not rig.known.has_changed(a_source(), A, PRIMARY)
    hosts.is_as(A, PRIMARY)
    assert not rig.known.has_changed(a_source(), A, PRIMARY)
    hosts.is_as(A, STANDBY)
    assert rig.known.has_changed(a_source(), A, PRIMARY)
    assert not rig.known.has_changed(a_source("w2"), A, PRIMARY)
    # A success forgets failures, not what a server is.
    hosts.succeed(A)
    assert rig.known.has_changed(a_source(), A, PRIMARY)
    await rig.known.stop()


async def test_the_pause_that_is_told_is_that_of_the_first_host_that_will_be_tried():
    rig = Rig()
    hosts = rig.of()
    break_(hosts, A)
    rig.now += 0.05
    break_(hosts, B)
    assert 0.1 <= hosts.pause() <= LONGEST_PAUSE
    await rig.known.stop()

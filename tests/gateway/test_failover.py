"""Which host a session gets, held against libpq's rules; nothing is dialled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.egress import UNREACHABLE
from protocols.errors import Reason, Refusal
from protocols.roles import ServerRole, TargetSession
from proxy.gateway.failover import HostFailed, Search, is_not_ready, ordered
from proxy.metrics import Connect, Metrics
from proxy.store.failover import Endpoint, Failover
from proxy.store.records import Source
from tests.gateway.fakes import source

PRIMARY = ServerRole(is_read_only=False, is_standby=False)
READING_PRIMARY = ServerRole(is_read_only=True, is_standby=False)
STANDBY = ServerRole(is_read_only=True, is_standby=True)
HOSTS = tuple(Endpoint(f"db{number}", 5432) for number in range(4))

Answer = ServerRole | Exception


class Known:
    """Hosts that are left alone, and what was said of the others."""

    def __init__(self, *closed: Endpoint) -> None:
        self.closed = set(closed)
        self.said: list[tuple[str, Endpoint]] = []

    def may_enter(self, endpoint: Endpoint) -> bool:
        return endpoint not in self.closed

    def enter(self, endpoint: Endpoint) -> bool:
        return endpoint not in self.closed

    def succeed(self, endpoint: Endpoint) -> None:
        self.said.append(("succeed", endpoint))

    def fail(self, endpoint: Endpoint) -> None:
        self.said.append(("fail", endpoint))

    def withdraw(self, endpoint: Endpoint) -> None:
        self.said.append(("withdraw", endpoint))

    def pause(self) -> float:
        return 1.25


class Servers:
    """What each host answers, and how long it takes; remembers who was tried, with what time."""

    def __init__(self, *answers: Answer, takes: float = 0.0) -> None:
        self._answers = dict(zip(HOSTS, answers, strict=False))
        self._takes = takes
        self.now = 0.0
        self.tried: list[Endpoint] = []
        self.shares: list[float] = []

    async def attempt(self, endpoint: Endpoint, target: TargetSession, seconds: float) -> Endpoint:
        self.tried.append(endpoint)
        self.shares.append(seconds)
        answer = self._answers[endpoint]
        if isinstance(answer, Exception):
            self.now += min(self._takes, seconds)
            raise answer
        if not answer.fits(target):
            refusal = Refusal(Reason.SOURCE_UNREACHABLE, "wrong", f"is {answer.word}")
            raise HostFailed(Connect.WRONG_ROLE, refusal)
        return endpoint


def of(count: int, target: TargetSession = "any") -> Source:
    return replace(
        source(),
        host=HOSTS[0].host,
        port=HOSTS[0].port,
        failover=Failover(HOSTS[1:count], target),
    )


def unreachable(private: str = "no answer") -> HostFailed:
    return HostFailed(Connect.UNREACHABLE, Refusal(Reason.SOURCE_UNREACHABLE, UNREACHABLE, private))


def full() -> HostFailed:
    refusal = Refusal(Reason.SOURCE_REFUSED, "too many (53300)", "53300", code="53300")
    return HostFailed(Connect.NOT_READY, refusal)


def search(
    servers: Servers,
    target: TargetSession = "any",
    known: Known | None = None,
    metrics: Metrics | None = None,
    count: int | None = None,
) -> Endpoint:
    wanted = of(count or len(servers._answers), target)
    made = Search(
        wanted, known or Known(), metrics or Metrics(), bytes, lambda: servers.now, seconds=8.0
    )
    return asyncio.run(made.run(servers.attempt))


def refused(servers: Servers, target: TargetSession = "any", known: Known | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        search(servers, target, known)
    return caught.value


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("any", 0),
        ("read-only", 0),
        ("read-write", 2),
        ("primary", 1),
        ("standby", 0),
        ("prefer-standby", 0),
    ],
)
def test_the_first_host_in_order_that_fits_is_taken(target: TargetSession, expected: int):
    servers = Servers(STANDBY, READING_PRIMARY, PRIMARY)
    assert search(servers, target) == HOSTS[expected]
    assert servers.tried == list(HOSTS[: expected + 1])


def test_a_server_that_tells_only_whether_it_reads_is_no_standby_and_no_primary():
    replica = ServerRole(is_read_only=True)
    fits = [target for target in ("any", "read-only") if replica.fits(target)]
    assert fits == ["any", "read-only"]
    assert not any(replica.fits(target) for target in ("read-write", "primary", "standby"))


def test_prefer_standby_asks_again_those_that_have_answered_and_nobody_else():
    servers = Servers(unreachable(), PRIMARY, unreachable(), READING_PRIMARY)
    assert search(servers, "prefer-standby") == HOSTS[1]
    assert servers.tried == [*HOSTS, HOSTS[1]]


def test_what_cannot_be_reached_or_is_not_ready_gives_way_to_the_next():
    known = Known()
    assert search(Servers(unreachable(), full(), PRIMARY), known=known) == HOSTS[2]
    # A full server has answered: nothing is wrong with the host.
    assert known.said == [("fail", HOSTS[0]), ("succeed", HOSTS[1]), ("succeed", HOSTS[2])]


@pytest.mark.parametrize(
    ("takes", "count", "word"),
    [(0.0, 1, "withdraw"), (0.9, 1, "withdraw"), (1.0, 1, "fail"), (100.0, 1, "fail"),
     (0.0, 2, "fail"), (100.0, 2, "fail")],
)  # fmt: skip
def test_a_single_host_that_says_no_at_once_is_asked_by_everybody(
    takes: float, count: int, word: str
):
    known = Known()
    refused(Servers(*[unreachable()] * count, takes=takes), known=known)
    assert known.said[0] == (word, HOSTS[0])


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (Reason.SOURCE_REFUSED, "succeed"),
        (Reason.SOURCE_UNTRUSTED, "succeed"),
        (Reason.CREDENTIAL_UNUSABLE, "withdraw"),
        (Reason.AUDIT_UNAVAILABLE, "withdraw"),
    ],
)
def test_a_refused_login_or_an_impostor_ends_the_search(reason: Reason, word: str):
    known = Known()
    servers = Servers(Refusal(reason, "no"), PRIMARY)
    assert refused(servers, known=known).reason is reason
    assert servers.tried == [HOSTS[0]]
    assert known.said == [(word, HOSTS[0])]


def test_a_bug_or_an_end_in_between_says_nothing_of_the_host():
    known = Known()
    with pytest.raises(ZeroDivisionError):
        search(Servers(ZeroDivisionError(), PRIMARY), known=known)
    assert known.said == [("withdraw", HOSTS[0])]


def test_each_host_has_its_share_of_what_is_left():
    servers = Servers(unreachable(), unreachable(), unreachable(), PRIMARY, takes=100.0)
    assert search(servers) == HOSTS[3]
    assert servers.shares == [2.0, 2.0, 2.0, 2.0]
    quick = Servers(unreachable(), unreachable(), PRIMARY, takes=0.5)
    search(quick)
    assert quick.shares == pytest.approx([8.0 / 3, 7.5 / 2, 7.0])


def test_what_is_left_alone_has_no_share():
    servers = Servers(PRIMARY, unreachable(), PRIMARY, takes=100.0)
    metrics = Metrics()
    assert search(servers, known=Known(HOSTS[0]), metrics=metrics) == HOSTS[2]
    assert servers.shares == [4.0, 4.0]
    assert metrics.connects.read()[Connect.SKIPPED] == 1
    assert metrics.failovers == 1


def test_a_second_round_has_its_share_too():
    servers = Servers(unreachable(), PRIMARY, takes=100.0)
    assert search(servers, "prefer-standby") == HOSTS[1]
    assert servers.shares[0] == pytest.approx(8.0 / 3)
    assert sum(servers.shares[1:]) > 0


def test_where_all_are_left_alone_nobody_waits_and_is_told_when_to_come_back():
    refusal = refused(Servers(PRIMARY, PRIMARY), known=Known(*HOSTS))
    assert refusal.public == f"{UNREACHABLE}; next try in 1.2 s"
    assert refusal.reason is Reason.SOURCE_UNREACHABLE


def test_one_sentence_tells_what_stands_in_the_way():
    assert refused(Servers(unreachable("a"), unreachable("b"))).public == UNREACHABLE
    assert refused(Servers(PRIMARY, unreachable()), "standby").public == "wrong"
    said = refused(Servers(unreachable("silent"), full(), PRIMARY), "standby")
    assert (said.public, said.code) == ("too many (53300)", "53300")
    assert said.private == "db0:5432: silent; db1:5432: 53300; db2:5432: is primary"


def test_a_single_host_is_refused_in_its_own_words():
    refusal = refused(Servers(unreachable("no address answered")))
    assert (refusal.public, refusal.private) == (UNREACHABLE, "no address answered")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("57P03", True), ("57P01", True), ("53300", True), ("08004", True), ("08S01", True),
        ("28P01", False), ("28000", False), ("3D000", False), ("57014", False), ("", False),
    ],
)  # fmt: skip
def test_what_a_server_says_decides_whether_another_may_do(code: str, expected: bool):
    assert is_not_ready(code) is expected


@given(st.integers(1, 8), st.randoms(use_true_random=False))
def test_a_random_order_loses_and_repeats_nobody(count: int, dice: Random):
    hosts = [Endpoint("h", number) for number in range(1, count + 1)]
    found = ordered(hosts, "random", dice.randbytes)
    assert sorted(found, key=lambda one: one.port) == hosts
    assert ordered(hosts, "disable", dice.randbytes) == hosts


def test_each_host_comes_first_equally_often():
    entropy = Random(7).randbytes
    firsts = [ordered(HOSTS, "random", entropy)[0] for _ in range(4_000)]
    assert all(800 < firsts.count(host) < 1_200 for host in HOSTS)


@given(
    st.lists(st.sampled_from([True, False]), min_size=1, max_size=4),
    st.floats(0.0, 20.0),
    st.sampled_from(["any", "prefer-standby"]),
)
def test_however_slow_the_hosts_are_the_time_is_never_exceeded(
    answers: list[bool], takes: float, target: TargetSession
):
    servers = Servers(*(PRIMARY if one else unreachable() for one in answers), takes=takes)
    try:
        search(servers, target)
    except Refusal:
        assert not any(answers)
    assert servers.now <= 8.0 + 1e-6


ROLES = st.sampled_from([PRIMARY, READING_PRIMARY, STANDBY])
TARGETS = st.sampled_from(["any", "read-write", "read-only", "primary", "standby"])


@given(st.lists(st.one_of(ROLES, st.none()), min_size=1, max_size=4), TARGETS)
def test_a_host_that_fits_is_found_wherever_it_stands(
    answers: list[ServerRole | None], target: TargetSession
):
    servers = Servers(*(unreachable() if one is None else one for one in answers))
    fitting = [
        host
        for host, role in zip(HOSTS, answers, strict=False)
        if role is not None and role.fits(target)
    ]
    if fitting:
        assert search(servers, target) == fitting[0]
    else:
        assert refused(servers, target).reason is Reason.SOURCE_UNREACHABLE

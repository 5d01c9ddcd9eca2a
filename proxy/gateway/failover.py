"""Which host of a data source a session gets: libpq's rules, as decisions.

Hosts are tried in their order, or in a random one, each with its share of the time that is
left. One that cannot be reached, is not ready, or is not what is asked for gives way to
the next; one that refuses the login, or is not who it should be, ends the search (libpq,
"Specifying Multiple Hosts"). ``prefer-standby`` goes round twice. Only the connect is
tried again, never what a session has sent. Knows no protocol, no socket and no credential:
``attempt`` does it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from policies.egress import UNREACHABLE
from protocols.errors import Reason, Refusal
from protocols.interface import Entropy
from protocols.roles import TargetSession
from proxy.metrics import Connect, Metrics
from proxy.store.failover import Endpoint, LoadBalance
from proxy.store.records import Source

T = TypeVar("T")

_NOT_READY = ("53", "57P", "08")
"""SQLSTATE classes and their beginnings by which a server says that another may do: it is
full, starts, stops, or MySQL's 08004 (too many connections) and 08S01 (shutting down)."""
SLOW_SECONDS = 1.0
"""What a client notices. A source's only host is left alone where it costs that, or half of the
time there is: one that says no at once is asked again by whoever comes, so that a server that
was restarted is found by the first."""

_ANSWERS = (Reason.SOURCE_REFUSED, Reason.SOURCE_UNTRUSTED)
"""Why a search ends, where it is the server's doing; else it is ours."""


class HostFailed(Exception):
    """A host will not do, and another may. ``refusal`` is what is said if none does."""

    def __init__(self, outcome: Connect, refusal: Refusal) -> None:
        super().__init__(refusal.private)
        self.outcome = outcome
        self.refusal = refusal


class Hosts(Protocol):
    """What is known of a source's hosts: see ``proxy.gateway.hosts``."""

    def may_enter(self, endpoint: Endpoint) -> bool:
        """Whether it can be tried now."""
        ...

    def enter(self, endpoint: Endpoint) -> bool:
        """Try it, where that may be; then say how it went."""
        ...

    def succeed(self, endpoint: Endpoint) -> None:
        """It has answered."""
        ...

    def fail(self, endpoint: Endpoint) -> None:
        """It has not answered."""
        ...

    def withdraw(self, endpoint: Endpoint) -> None:
        """Whoever tried has left before it was known."""
        ...

    def pause(self) -> float:
        """Seconds until one of them can be tried again."""
        ...


def is_not_ready(code: str) -> bool:
    """Whether a server that refuses a login with this SQLSTATE only says: not now, not here."""
    return code.startswith(_NOT_READY)


def ordered(
    endpoints: Sequence[Endpoint], balance: LoadBalance, entropy: Entropy
) -> list[Endpoint]:
    """In the order in which to try them; each order is as likely as any other where random."""
    hosts = list(endpoints)
    if balance == "random":
        # Fisher and Yates; 64 bits make the remainder's bias too small to be seen.
        for last in range(len(hosts) - 1, 0, -1):
            other = int.from_bytes(entropy(8), "big") % (last + 1)
            hosts[last], hosts[other] = hosts[other], hosts[last]
    return hosts


@dataclass(slots=True)
class _Failure:
    endpoint: Endpoint
    outcome: Connect
    refusal: Refusal | None


class Search:
    """One connect to a data source. ``seconds``: how long all of it may take."""

    def __init__(
        self,
        source: Source,
        hosts: Hosts,
        metrics: Metrics,
        entropy: Entropy,
        clock: Callable[[], float],
        seconds: float,
    ) -> None:
        self._source = source
        self._hosts = hosts
        self._metrics = metrics
        self._entropy = entropy
        self._clock = clock
        self._end = clock() + seconds
        self._failures: list[_Failure] = []
        self._first: Endpoint | None = None

    async def run(self, attempt: Callable[[Endpoint, TargetSession, float], Awaitable[T]]) -> T:
        """The first host that does. Raises Refusal, and what ``attempt`` raises.

        ``attempt(endpoint, target, seconds)`` raises HostFailed where another host may do.
        """
        settings = self._source.failover
        target = settings.target_session_attrs
        left = ordered(self._source.endpoints, settings.load_balance_hosts, self._entropy)
        self._first = left[0]
        rounds: list[TargetSession] = ["standby", "any"] if target == "prefer-standby" else [target]
        for number, wanted in enumerate(rounds, 1):
            later = len(rounds) - number
            found = await self._go_round(left, wanted, later, attempt)
            if found is not None:
                return found
            # What has answered already is asked again, and nothing else.
            left = [one.endpoint for one in self._failures if one.outcome is Connect.WRONG_ROLE]
        raise self._refusal()

    async def _go_round(
        self,
        endpoints: Sequence[Endpoint],
        target: TargetSession,
        later: int,
        attempt: Callable[[Endpoint, TargetSession, float], Awaitable[T]],
    ) -> T | None:
        """``later``: how many tries behind this round need their share of the time, too."""
        hosts = self._hosts
        candidates = [one for one in endpoints if hosts.may_enter(one)]
        for place, endpoint in enumerate(endpoints):
            if not hosts.enter(endpoint):
                self._fail(endpoint, Connect.SKIPPED, None)
                continue
            behind = sum(one in candidates for one in endpoints[place + 1 :])
            began = self._clock()
            share = max(self._end - began, 0.0) / (1 + behind + later)
            try:
                found = await attempt(endpoint, target, share)
            except HostFailed as failed:
                is_slow = self._clock() - began >= min(SLOW_SECONDS, share / 2)
                if failed.outcome is not Connect.UNREACHABLE:
                    hosts.succeed(endpoint)
                elif is_slow or self._source.failover.others:
                    hosts.fail(endpoint)
                else:
                    hosts.withdraw(endpoint)
                self._fail(endpoint, failed.outcome, failed.refusal)
            except Refusal as refusal:
                if refusal.reason in _ANSWERS:
                    hosts.succeed(endpoint)
                else:
                    hosts.withdraw(endpoint)
                is_untrusted = refusal.reason is Reason.SOURCE_UNTRUSTED
                self._metrics.connects.add(Connect.UNTRUSTED if is_untrusted else Connect.REFUSED)
                raise
            except BaseException:
                hosts.withdraw(endpoint)
                raise
            else:
                hosts.succeed(endpoint)
                self._metrics.connects.add(Connect.OPENED)
                self._metrics.failovers += endpoint != self._first
                return found
        return None

    def _fail(self, endpoint: Endpoint, outcome: Connect, refusal: Refusal | None) -> None:
        self._metrics.connects.add(outcome)
        self._failures.append(_Failure(endpoint, outcome, refusal))

    def _refusal(self) -> Refusal:
        """One sentence for all of them: of what stands in the way where a server has answered."""
        refusals = [one.refusal for one in self._failures if one.refusal is not None]
        private = "; ".join(
            f"{one.endpoint}: "
            + ("left alone after failures" if one.refusal is None else one.refusal.private)
            for one in self._failures
        )
        if not refusals:
            pause = self._hosts.pause()
            return Refusal(
                Reason.SOURCE_UNREACHABLE, f"{UNREACHABLE}; next try in {pause:.1f} s", private
            )
        if len(self._failures) == 1:
            return refusals[0]
        by_outcome = {one.outcome: one.refusal for one in self._failures}
        for outcome in (Connect.NOT_READY, Connect.WRONG_ROLE, Connect.UNREACHABLE):
            found = by_outcome.get(outcome)
            if found is not None:
                return Refusal(found.reason, found.public, private, code=found.code)
        raise AssertionError("a host that was tried has failed in one of these ways")

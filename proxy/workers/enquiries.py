"""What is asked of the proxy as a whole, answered from what its workers say.

The control socket's verbs, ``/metrics``, ``/readyz``, and what a worker wants of another one.
A worker that does not answer is never taken for one that has nothing to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError as FutureCancelled
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.administration.probing import PROBE_VERB
from proxy.administration.sessions import KILL_VERB, LIST_VERB
from proxy.administration.trail import PING_VERB, RECORD_VERB
from proxy.control import ControlError, Handler
from proxy.workers.link import AnsweredNo, LinkError
from proxy.workers.member import Member, State
from proxy.workers.tally import Tally, dump

if TYPE_CHECKING:
    from proxy.workers.fleet import Fleet

_PREFIX = "accode_proxy_"
# As many as a proxy of one process lists.
_MOST_LISTED = 10_000
_LIST_SECONDS = 5.0
_SCRAPE_SECONDS = 2.0
# Below the control socket's own deadline.
_CONTROL_SECONDS = 25.0
_PASS_SECONDS = 10.0


class Enquiries:
    """Answers for all workers: ``fleet`` is given once it is there."""

    fleet: Fleet

    def __init__(self) -> None:
        self._tally = Tally()
        self._own = CollectorRegistry(auto_describe=False)
        ProcessCollector(namespace="accode_proxy", registry=self._own)

    @property
    def _serving(self) -> list[Member]:
        """Every worker that may have sessions."""
        return [one for one in self.fleet.members if one.state is not State.STARTING]

    # -- the control socket -------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        """The verbs of a proxy of one process, for all of them."""

        async def ping(arguments: dict[str, Any]) -> object:
            return "alive"

        return {
            PING_VERB: ping,
            RECORD_VERB: self._by_one(RECORD_VERB),
            PROBE_VERB: self._by_one(PROBE_VERB),
            LIST_VERB: self._list,
            KILL_VERB: self._kill,
        }

    def _by_one(self, verb: str) -> Handler:
        """Any worker can do this, but one must."""

        async def ask(arguments: dict[str, Any]) -> object:
            able = [one for one in self._serving if one.state is State.READY]
            if not able:
                raise ControlError("No worker of the proxy is running now.")
            member = max(able, key=lambda one: one.answered)
            return await _control(member, verb, arguments, _CONTROL_SECONDS)

        return ask

    async def _list(self, arguments: dict[str, Any]) -> object:
        answers = await asyncio.gather(
            *(_control(one, LIST_VERB, arguments, _LIST_SECONDS) for one in self._serving)
        )
        return [session for answer in answers for session in answer][:_MOST_LISTED]

    async def _kill(self, arguments: dict[str, Any]) -> object:
        answers = await asyncio.gather(
            *(_control(one, KILL_VERB, arguments, _LIST_SECONDS) for one in self._serving),
            return_exceptions=True,
        )
        killed = sum(answer["killed"] for answer in answers if isinstance(answer, dict))
        if killed:
            return {"killed": killed}
        silent = [answer for answer in answers if isinstance(answer, _SilentError)]
        if silent:
            raise silent[0]
        raise ControlError(f"there is no session {arguments.get('id', '')} at this proxy.")

    # -- between workers ------------------------------------------------------------------------

    def between_workers(self) -> dict[str, Handler]:
        """What one worker may want of another, which it names by its seat."""
        return {verb: self._pass_on(verb) for verb in ("kill", "cancel")}

    def _pass_on(self, verb: str) -> Handler:

        async def ask(arguments: dict[str, Any]) -> object:
            seat = arguments.pop("seat")
            member = next((one for one in self._serving if one.seat == seat), None)
            if member is None:
                raise ControlError("There is no worker with this seat.")
            return await member.link.call(verb, _PASS_SECONDS, **arguments)

        return ask

    # -- health and metrics -----------------------------------------------------------------------

    def readiness(self) -> dict[str, Callable[[], str | None]]:
        """What ``/readyz`` asks; read from another thread."""

        def current() -> list[Member]:
            return [
                slot.member
                for slot in list(self.fleet.slots)
                if slot.member is not None and slot.member.state is State.READY
            ]

        def listeners() -> str | None:
            if any(one.readiness.get("listeners", "") is None for one in current()):
                return None
            return "No worker accepts connections."

        def worst(name: str) -> Callable[[], str | None]:
            def ask() -> str | None:
                return next(filter(None, (one.readiness.get(name) for one in current())), None)

            return ask

        def draining() -> str | None:
            if self.fleet.is_stopping:
                return "The proxy is stopping and takes no new sessions."
            return None

        return {
            "listeners": listeners,
            "store": worst("store"),
            "audit": worst("audit"),
            "draining": draining,
        }

    def retire(self, member: Member) -> None:
        """A worker is gone."""
        self._tally.retire(member.metrics)

    async def metrics(self) -> list[Metric]:
        """Those of all workers, with what is last known of one that does not answer."""
        members = self._serving
        await asyncio.gather(*(one.count(_SCRAPE_SECONDS) for one in members))
        merged = self._tally.merged([*(one.metrics for one in members), dump(self._own)])
        states = GaugeMetricFamily(_PREFIX + "workers", "Workers by state.", labels=["state"])
        for state in State:
            count = sum(one.state is state for one in self.fleet.members)
            states.add_metric([state], count)
        restarts = CounterMetricFamily(
            _PREFIX + "worker_restarts",
            "Workers started because one had died.",
            value=self.fleet.restarts,
        )
        return [*merged, states, restarts]


class _SilentError(ControlError):
    """A worker did not answer."""


async def _control(member: Member, verb: str, arguments: dict[str, Any], timeout: float) -> Any:
    try:
        return await member.link.call("control", timeout, verb=verb, arguments=arguments)
    except AnsweredNo as error:
        raise ControlError(str(error)) from None
    except LinkError as error:
        raise _SilentError(f"A worker of the proxy gave no answer: {error}.") from None


class _AllWorkers(Collector):
    """Asks the supervisor's loop from the health server's thread."""

    def __init__(self, enquiries: Enquiries, loop: asyncio.AbstractEventLoop) -> None:
        self._enquiries = enquiries
        self._loop = loop

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: what is collected describes itself."""
        return iter(())

    def collect(self) -> Iterable[Metric]:
        """Every family. Raises TimeoutError where the supervisor's loop does not turn."""
        asked = asyncio.run_coroutine_threadsafe(self._enquiries.metrics(), self._loop)
        try:
            return asked.result(2 * _SCRAPE_SECONDS)
        except FutureCancelled:
            raise TimeoutError("the proxy is stopping") from None


def new_registry(enquiries: Enquiries, loop: asyncio.AbstractEventLoop) -> CollectorRegistry:
    """A registry of all workers' metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_AllWorkers(enquiries, loop))
    return registry

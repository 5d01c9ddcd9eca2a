"""Whether each worker still answers: asked twice a second, and ended where it does not.

Knows members alone. What becomes of the slots of one that is silent or gone is the fleet's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic
from typing import Any

import structlog

from proxy.workers.link import LinkError
from proxy.workers.member import START_SECONDS, Member, State

log = structlog.get_logger("supervisor")

# Twice a second: readiness is then never much older than a probe expects.
_PING_SECONDS = 0.5
# What a worker has counted is asked for so often, scraped or not: where it is killed, what it
# counted since is lost. It costs the worker about a millisecond.
_COUNT_SECONDS = 1.0


class Watch:
    """Looks at ``members``, as they are at each time, for as long as ``run`` runs.

    ``answer_timeout`` is what the configuration says now; ``keep`` runs a question in the
    background; ``looked`` is called after each look.
    """

    def __init__(
        self,
        members: Sequence[Member],
        answer_timeout: Callable[[], float],
        keep: Callable[[Coroutine[Any, Any, None], str], None],
        looked: Callable[[], None],
    ) -> None:
        self._members = members
        self._answer_timeout = answer_timeout
        self._keep = keep
        self._looked = looked

    async def run(self) -> None:
        """Never ends by itself."""
        last = monotonic()
        while True:
            await asyncio.sleep(_PING_SECONDS)
            now = monotonic()
            self._forgive(now - last - _PING_SECONDS)
            last = now
            for member in list(self._members):
                self._look_at(member, now, self._answer_timeout())
            self._looked()

    def _look_at(self, member: Member, now: float, limit: float) -> None:
        if member.state is State.STARTING:
            is_over = now - member.began > START_SECONDS
        else:
            is_over = now - member.answered > limit
        if is_over or (member.deadline and now > member.deadline):
            log.error("worker does not answer", worker=member.seat, pid=member.pid)
            member.end()
        elif not member.is_asked and member.state is not State.STARTING:
            member.is_asked = True
            self._keep(self._ask(member, limit), "ask a worker")

    def _forgive(self, absence: float) -> None:
        """Hold nobody to the time in which this process did not run: it heard no answer then.

        Stopped and continued, it would find every worker silent, and kill them all.
        """
        if absence > _PING_SECONDS:
            for member in self._members:
                member.excuse(absence)

    async def _ask(self, member: Member, timeout: float) -> None:
        try:
            member.readiness = await member.link.call("ping", timeout)
            member.answered = monotonic()
            if member.answered - member.counted > _COUNT_SECONDS:
                await member.count(timeout)
        except LinkError:
            # Its silence is seen by the next look, its end by its process.
            return
        finally:
            member.is_asked = False

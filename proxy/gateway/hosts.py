"""What is known of the hosts of data sources: which do not answer, and which are back.

Known from the connects of sessions, and of hosts that are known to be bad also from checks
of ours: a connection and a first word, which need no credential. A host is one of one
source of one workspace: what one tenant's servers do is nobody else's affair, also where
both have named the same server. Everything is bounded, and what nobody asks for is
forgotten.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import structlog

from protocols.errors import PeerClosed, Refusal
from protocols.interface import Entropy
from protocols.roles import ServerRole
from proxy.gateway.breaker import Breaker
from proxy.metrics import Metrics
from proxy.store.failover import Endpoint
from proxy.store.records import Change, ChangeKind, Source, Workspace

log = structlog.get_logger("hosts")

HOSTS_KEPT = 4_096
"""Hosts that something is known of: those that failed last, or whose role was asked."""
CHECKS = 256
CHECKS_OF_WORKSPACE = 16
"""Hosts that are looked after at the same time. Of more, the clients find out themselves."""
CHECK_SECONDS = 2.0
INTEREST_SECONDS = 60.0
"""A host that no client has asked for in so long is not looked after any more."""
SHORTEST_PAUSE = 0.1
"""What is shown, and waited for, where somebody else is trying just now."""

Key = tuple[str, str, str, int]
Look = Callable[[Endpoint], Awaitable[None]]
"""Connects to a host as a session would, hears whether it answers, and hangs up. Raises
Refusal, PeerClosed, OSError."""


class Sleep(Protocol):
    """``asyncio.sleep``."""

    async def __call__(self, seconds: float, /) -> None:
        """Wait."""
        ...


@dataclass(slots=True)
class Host:
    """One host. ``look`` is by the rules of the client who asked for it last, at ``wanted``."""

    key: Key
    endpoint: Endpoint
    breaker: Breaker
    look: Look
    wanted: float
    role: ServerRole | None = None
    check: asyncio.Task[None] | None = None


class KnownHosts:
    """All hosts of this process."""

    def __init__(
        self,
        metrics: Metrics,
        entropy: Entropy,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.metrics = metrics
        self.clock = clock
        self._entropy = entropy
        self._sleep = sleep
        self._hosts: OrderedDict[Key, Host] = OrderedDict()
        self._checks: Counter[str] = Counter()

    def of(self, workspace: Workspace, source: Source, look: Look) -> HostsOfSource:
        """Those of one source. ``look`` is called for those that do not answer."""
        return HostsOfSource(self, workspace, source, look)

    def has_changed(self, source: Source, endpoint: Endpoint, role: ServerRole) -> bool:
        """Whether a server has said since that it is another than ``role``."""
        host = self._hosts.get(_key(source, endpoint))
        return not (host is None or host.role is None or host.role == role)

    def changed(self, change: Change) -> None:
        """A source or a workspace was changed: what is known of its hosts may be of others."""
        if change.kind in (ChangeKind.TOKEN, ChangeKind.CREDENTIAL, ChangeKind.ROOT_KEY):
            return
        for key in list(self._hosts):
            workspace_id, source_id, _, _ = key
            if change.kind is not ChangeKind.EVERYTHING and workspace_id != change.workspace_id:
                continue
            if change.kind is ChangeKind.SOURCE and source_id != change.object_id:
                continue
            self.forget(key)

    async def stop(self) -> None:
        """Forget everything, and end all checks."""
        checks = [host.check for host in self._hosts.values() if host.check is not None]
        for key in list(self._hosts):
            self.forget(key)
        await asyncio.gather(*checks, return_exceptions=True)

    # -- for those of one source -----------------------------------------------------------

    def get(self, key: Key) -> Host | None:
        """What is known of a host."""
        return self._hosts.get(key)

    def make(self, key: Key, endpoint: Endpoint, look: Look) -> Host:
        """The same; from now on something is."""
        host = self._hosts.get(key)
        if host is None:
            host = Host(key, endpoint, Breaker(self._jitter), look, self.clock())
            self._hosts[key] = host
            if len(self._hosts) > HOSTS_KEPT:
                self.forget(next(iter(self._hosts)))
        self._hosts.move_to_end(key)
        return host

    def forget(self, key: Key) -> None:
        """Nothing is known of a host any more."""
        host = self._hosts.pop(key)
        if host.breaker.is_open:
            self.metrics.breakers_open -= 1
        if host.check is not None:
            host.check.cancel()

    def look_after(self, host: Host) -> None:
        """Find out when a host is back, where there is room for one more."""
        workspace_id = host.key[0]
        if host.check is not None or self._checks[workspace_id] >= CHECKS_OF_WORKSPACE:
            return
        if self._checks.total() >= CHECKS:
            return
        self._checks[workspace_id] += 1
        host.check = asyncio.create_task(self._check(host), name="check a host")

        def ended(task: asyncio.Task[None]) -> None:
            self._checks[workspace_id] -= 1
            if not self._checks[workspace_id]:
                del self._checks[workspace_id]
            host.check = None

        host.check.add_done_callback(ended)

    async def _check(self, host: Host) -> None:
        """Until the host can be connected to, or nobody wants it any more."""
        breaker = host.breaker
        while True:
            await self._sleep(max(breaker.due - self.clock(), 0.0))
            now = self.clock()
            if not breaker.is_open or now - host.wanted > INTEREST_SECONDS:
                return
            if not breaker.enter(now):
                # A client is trying, or has just failed: its word counts.
                await self._sleep(max(breaker.due - now, SHORTEST_PAUSE))
                continue
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await host.look(host.endpoint)
            except (Refusal, PeerClosed, OSError):
                # TimeoutError is one of them.
                breaker.fail(self.clock())
            except BaseException:
                breaker.withdraw()
                raise
            else:
                breaker.is_back(self.clock())
                return

    def _jitter(self) -> float:
        return int.from_bytes(self._entropy(4), "big") / (1 << 32)


class HostsOfSource:
    """See ``failover.Hosts``; and what each server said that it is."""

    def __init__(self, known: KnownHosts, workspace: Workspace, source: Source, look: Look) -> None:
        self._known = known
        self._workspace = workspace
        self._source = source
        self._look = look

    def may_enter(self, endpoint: Endpoint) -> bool:
        """See ``failover.Hosts``."""
        host = self._find(endpoint)
        if host is None:
            return True
        if host.breaker.is_open and host.check is not None:
            # No client is to find out what the check will.
            return False
        return host.breaker.may_enter(self._known.clock())

    def enter(self, endpoint: Endpoint) -> bool:
        """See ``failover.Hosts``."""
        host = self._find(endpoint)
        if host is None:
            return True
        host.look, host.wanted = self._look, self._known.clock()
        has_entered = self.may_enter(endpoint) and host.breaker.enter(host.wanted)
        if host.breaker.is_open:
            self._known.look_after(host)
        return has_entered

    def pause(self) -> float:
        """See ``failover.Hosts``."""
        now = self._known.clock()
        found = [self._find(endpoint) for endpoint in self._source.endpoints]
        due = min((host.breaker.due for host in found if host is not None), default=now)
        return max(due - now, SHORTEST_PAUSE)

    def succeed(self, endpoint: Endpoint) -> None:
        """See ``failover.Hosts``."""
        host = self._find(endpoint)
        if host is None:
            return
        if host.breaker.is_open:
            self._known.metrics.breakers_open -= 1
            self._say("a data source's host answers again", endpoint)
        host.breaker.succeed()
        if host.role is None:
            self._known.forget(_key(self._source, endpoint))

    def fail(self, endpoint: Endpoint) -> None:
        """See ``failover.Hosts``."""
        host = self._make(endpoint)
        was_open = host.breaker.is_open
        host.breaker.fail(self._known.clock())
        if not host.breaker.is_open:
            return
        if not was_open:
            self._known.metrics.breakers_opened += 1
            self._known.metrics.breakers_open += 1
            self._say("a data source's host does not answer and is left alone", endpoint)
        self._known.look_after(host)

    def withdraw(self, endpoint: Endpoint) -> None:
        """See ``failover.Hosts``."""
        host = self._find(endpoint)
        if host is not None:
            host.breaker.withdraw()

    def is_as(self, endpoint: Endpoint, role: ServerRole) -> None:
        """A server has just said what it is."""
        self._make(endpoint).role = role

    def _find(self, endpoint: Endpoint) -> Host | None:
        return self._known.get(_key(self._source, endpoint))

    def _make(self, endpoint: Endpoint) -> Host:
        return self._known.make(_key(self._source, endpoint), endpoint, self._look)

    def _say(self, what: str, endpoint: Endpoint) -> None:
        log.warning(
            what,
            workspace=self._workspace.name,
            source=self._source.name,
            host=endpoint.host,
            port=endpoint.port,
        )


def _key(source: Source, endpoint: Endpoint) -> Key:
    return (source.workspace_id, source.id, endpoint.host, endpoint.port)

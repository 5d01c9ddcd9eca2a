"""The composition root: every part is made here, once, and given what it needs.

``running`` is a whole proxy as a context manager, or one worker's part of it. The order of
making is the order of need; the end is the reverse. Hears no signals: that is ``serve``.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from protocols.errors import Reason, Refusal
from protocols.interface import WireProtocol
from proxy import parts
from proxy.administration.probing import probe_handlers
from proxy.administration.support_expiry import ExpiryWatch
from proxy.administration.trail import LogTrail, control_handlers
from proxy.audit.events import proxy_started, proxy_stopped
from proxy.audit.log import AuditLog
from proxy.config import Config, ListenerConfig
from proxy.control import ControlError, Handler, serve_control
from proxy.directory import Directory
from proxy.doors import PROTOCOLS, door_of
from proxy.expiries import WeakTlsWatch, tell_certificates
from proxy.gateway.authenticate import Authenticator
from proxy.gateway.cancel import Cancels
from proxy.gateway.counting import OwnPlaces, Places, Shares, no_shares
from proxy.gateway.crypto import ThreadedCrypto
from proxy.gateway.judge import Verdicts
from proxy.gateway.listener import Connections, Listener, PendingLogins
from proxy.gateway.live import LiveSessions
from proxy.gateway.loop import session_poller
from proxy.gateway.neighbours import NO_NEIGHBOURS, Neighbours
from proxy.gateway.probe import probe
from proxy.gateway.quotas import Quotas
from proxy.gateway.revoke import Revoker
from proxy.gateway.rooms import Door, Rooms
from proxy.gateway.sharing import SharingPools
from proxy.gateway.upstream import Upstreams
from proxy.heartbeat import Heartbeat
from proxy.memory import MemoryReturn, allocator_trim
from proxy.metrics import Metrics, new_registry
from proxy.metrics.exposition import program_version
from proxy.patience import Patience
from proxy.probed import ProbeResult
from proxy.store import Store
from proxy.store.records import Source, Workspace
from vault import Vault

# How long the end waits for peers that are slow to take their last bytes.
SETTLE_SECONDS = 1.0

_STOPPING = Refusal(Reason.SHUTTING_DOWN, "the proxy is shutting down")


@dataclass(frozen=True, slots=True)
class Post:
    """Where a proxy stands: alone, which is the default, or as one of several workers.

    ``slots``: None, or for each slot its listening sockets, in the order of the configured
    listeners; ``App.accept`` says of which slots connections are taken. ``metrics_port`` is
    that of the supervisor, who serves health, metrics and the control socket for all.
    """

    slots: Sequence[Sequence[socket.socket]] | None = None
    metrics_port: int = 0
    audit_folder: Path | None = None
    places: Places = field(default_factory=OwnPlaces)
    shares: Shares = no_shares
    neighbours: Neighbours = NO_NEIGHBOURS


@dataclass(slots=True)
class App:
    """A running proxy, or a worker of one. ``metrics_port`` is the health and metrics port.

    ``handlers`` are the verbs of the control socket, ``readiness`` what ``/readyz`` asks.
    """

    config: Config
    slots: list[list[Listener]]
    live: LiveSessions
    metrics: Metrics
    audit: AuditLog
    metrics_port: int
    is_draining: bool = field(default=False)
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    readiness: Mapping[str, Callable[[], str | None]] = field(default_factory=dict)
    cancels: Cancels | None = None
    protocols: Mapping[str, WireProtocol] = field(default_factory=dict)

    @property
    def listeners(self) -> list[Listener]:
        """Every listener of every slot."""
        return list(chain.from_iterable(self.slots))

    def port(self, protocol: str = "postgres") -> int:
        """The port of the first listener that speaks ``protocol``."""
        for config, listener in zip(self.config.listeners, self.slots[0], strict=True):
            if config.protocol == protocol:
                return listener.port
        raise LookupError(f"no listener speaks {protocol}")

    def accept(self, slots: Collection[int]) -> None:
        """Take the connections of these slots, and no others."""
        for number, listeners in enumerate(self.slots):
            for one in listeners:
                if number in slots:
                    one.start()
                else:
                    one.rest()

    async def drain(self, patience: float = 0.0) -> None:
        """Accept no more, let every session end at its next idle point, cut the rest.

        ``patience``: for so long, a part of the deadline, only those that rest are let go,
        and logins go on.
        """
        if self.is_draining:
            return
        self.is_draining = True
        for listener in self.listeners:
            listener.stop()
        if patience:
            await self.live.ease(
                _STOPPING, patience, lambda: any(one.session_count for one in self.listeners)
            )
        self.live.drain_refusal = _STOPPING
        with suppress(TimeoutError):
            await self.live.drain(_STOPPING, max(self.config.limits.drain_deadline - patience, 0.0))


@asynccontextmanager
async def running(config: Config, post: Post | None = None) -> AsyncIterator[App]:
    """A whole proxy in the running loop, until the block ends; with ``post``, a worker's part.

    Raises ConfigError, StoreError, KeyFileError, AuditFolderError, PortError, TlsError:
    each one clear sentence.
    """
    is_alone = post is None
    post = post or Post()
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        vault = parts.open_vault(config)
        crypto = ThreadedCrypto()
        doors = [door_of(listener, crypto) for listener in config.listeners]
        slots = post.slots
        if slots is None:
            slots = [parts.bind_listeners(config, stack)]
        store = await parts.open_store(config)
        stack.push_async_callback(store.close)
        poller = session_poller()
        audit = await stack.enter_async_context(
            parts.open_audit(config, vault, folder=post.audit_folder, between=poller.take_on)
        )
        if is_alone:
            # What workers left that there no longer are.
            await parts.recover_chains(config, vault, parts.idle_seats(config, [0]))
        parts.connect_audit(metrics, audit, post.audit_folder or config.audit.folder)
        version = program_version()
        audit.record(proxy_started(version, audit.instance))
        stack.callback(audit.record, proxy_stopped(version, audit.instance))

        directory = Directory(store)
        await directory.start()
        stack.push_async_callback(directory.stop)
        metrics.read_store_is_current = lambda: directory.is_current

        live = LiveSessions(config.limits, places=post.places, neighbours=post.neighbours)
        live.start()
        stack.push_async_callback(live.stop)
        authenticator = Authenticator(directory, vault.fake_salt_key(), os.urandom)
        revoker = Revoker(live, authenticator)
        directory.on_change(revoker.changed)
        stack.push_async_callback(revoker.stop)

        tell_certificates(metrics, doors)
        weak_tls = WeakTlsWatch(store.first_weak_tls_end, metrics.ends_weak_tls)
        weak_tls.start()
        stack.push_async_callback(weak_tls.stop)
        directory.on_change(weak_tls.changed)

        expiries = ExpiryWatch(store, LogTrail(audit))
        expiries.start()
        stack.push_async_callback(expiries.stop)

        memory = MemoryReturn(allocator_trim())
        memory.start()
        stack.push_async_callback(memory.stop)
        heartbeat = Heartbeat(metrics.observe_loop)
        heartbeat.start()
        stack.callback(heartbeat.stop)
        app = App(config, [], live, metrics, audit, post.metrics_port)
        app.readiness = parts.readiness_of(
            are_listeners_open=lambda: any(one.is_open for one in app.listeners),
            is_store_current=lambda: directory.is_current,
            is_audit_failed=lambda: audit.is_failed,
            is_draining=lambda: app.is_draining,
        )
        if is_alone:
            health = parts.start_health(config, new_registry(metrics), heartbeat, app.readiness)
            stack.push_async_callback(asyncio.to_thread, health.stop)
            app.metrics_port = health.port

        upstreams = Upstreams(
            vault,
            audit,
            metrics,
            await parts.egress_rules(
                config,
                {
                    "listeners": [parts.address_of(sock) for sock in slots[0]],
                    "metrics": [(config.metrics.host, app.metrics_port)],
                },
            ),
            os.urandom,
            config.limits.connect_timeout,
            poller,
        )
        stack.push_async_callback(upstreams.hosts.stop)
        directory.on_change(upstreams.hosts.changed)
        app.cancels = Cancels(live, metrics, post.neighbours)
        app.protocols = {one.protocol.name: one.protocol for one in doors}
        workers = 1 if post.slots is None else len(post.slots)
        pools = SharingPools(upstreams, authenticator, metrics, os.urandom, workers)
        pools.start()
        stack.push_async_callback(pools.stop)
        directory.on_change(pools.changed)
        rooms = Rooms(
            authenticator=authenticator,
            upstreams=upstreams,
            pools=pools,
            cancels=app.cancels,
            live=live,
            audit=audit,
            metrics=metrics,
            limits=config.limits,
            scan_limits=parts.scan_limits(config.audit),
            verdicts=Verdicts(),
            quotas=Quotas(shares=post.shares),
            poller=poller,
            login_patience=Patience(config.limits.login_deadline),
        )
        app.handlers = {
            **control_handlers(audit),
            **session_handlers(live),
            **probe_handlers(store, lambda workspace, source: _probe(upstreams, workspace, source)),
        }
        if is_alone:
            control = await serve_control(config.control.socket, app.handlers)
            stack.push_async_callback(control.close)
        app.slots = _listeners(slots, doors, rooms, post.places)
        stack.push_async_callback(_end_sessions, app)
        if is_alone:
            app.accept([0])
        yield app


def _listeners(
    slots: Sequence[Sequence[socket.socket]], doors: Sequence[Door], rooms: Rooms, places: Places
) -> list[list[Listener]]:
    """A listener for each socket; all share the bounds on connections and logins."""
    limits = rooms.limits
    everything = Connections(limits.sessions, places)
    pending = PendingLogins(limits.pending_logins, limits.pending_logins_per_address, places)
    bounds = [
        (everything, Connections(door.config.max_sessions, places, f"of listener {number}"))
        if door.config.max_sessions
        else (everything,)
        for number, door in enumerate(doors)
    ]
    return [
        [
            Listener(sock, door, rooms, bound, pending)
            for sock, door, bound in zip(sockets, doors, bounds, strict=True)
        ]
        for sockets in slots
    ]


async def probe_source(
    config: Config,
    store: Store,
    vault: Vault,
    audit: AuditLog,
    workspace: Workspace,
    source: Source,
) -> ProbeResult:
    """Test one source from the command line, with the rules and the log of a session."""
    upstreams = Upstreams(
        vault,
        audit,
        Metrics(),
        await parts.egress_rules(config, {}),
        os.urandom,
        config.limits.connect_timeout,
        session_poller(),
    )
    return await _probe(upstreams, workspace, source)


async def _probe(upstreams: Upstreams, workspace: Workspace, source: Source) -> ProbeResult:
    made = (make(ListenerConfig(), ThreadedCrypto()) for make in PROTOCOLS.values())
    protocol = next((one for one in made if one.engine == source.engine), None)
    if protocol is None:
        return ProbeResult(False, f"no protocol of this proxy speaks {source.engine}")
    return await probe(protocol, upstreams, workspace, source)


async def _end_sessions(app: App) -> None:
    for listener in app.listeners:
        listener.stop()
    app.live.drain_refusal = _STOPPING
    app.live.cut_where(lambda session: True, _STOPPING)
    await app.live.settle(SETTLE_SECONDS)
    for listener in app.listeners:
        await listener.finish()


def session_handlers(live: LiveSessions) -> dict[str, Handler]:
    """What ``session list`` and ``session kill`` ask over the control socket."""

    async def list_sessions(arguments: dict[str, Any]) -> object:
        now = asyncio.get_running_loop().time()
        workspace = arguments.get("workspace")
        return [
            session.describe(now)
            for session in live
            if workspace is None or session.workspace == workspace
        ][:10_000]

    async def kill_session(arguments: dict[str, Any]) -> object:
        wanted = str(arguments.get("id", ""))
        killed = live.cut_where(
            lambda session: wanted in (session.id, str(session.key.number)),
            Refusal(Reason.SESSION_ENDED, "this session was ended by an administrator"),
        )
        if killed == 0:
            raise ControlError(f"there is no session {wanted} at this proxy.")
        return {"killed": killed}

    return {"session.list": list_sessions, "session.kill": kill_session}

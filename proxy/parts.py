"""The parts that ``app`` and the command line put together, each one function.

Knows the configuration and what each part wants of it; starts nothing by itself.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from policies.egress import Address, EgressRules
from protocols.interface import ScanLimits
from proxy.audit.chains import chain_folders, folder_of, seat_of
from proxy.audit.files import AuditFolderError
from proxy.audit.journal import read_journal
from proxy.audit.log import AuditLog, Between
from proxy.audit.settings import AuditSettings
from proxy.config import AuditConfig, Config
from proxy.cores import usable_cores
from proxy.health import HealthServer, Probes
from proxy.heartbeat import Heartbeat
from proxy.metrics import AuditReading, Metrics
from proxy.sockets import bind_tcp
from proxy.store import Store
from proxy.store.errors import StoreUnusable
from proxy.store.location import PostgresqlLocation, SqliteLocation, locate
from vault import LocalKeyFile, Vault


def open_vault(config: Config) -> Vault:
    """The vault over the local key file, tested. Raises KeyFileError, SelfTestError."""
    vault = Vault(LocalKeyFile.load(config.keys.file))
    vault.self_test()
    return vault


async def open_store(config: Config) -> Store:
    """The store, which must have been made by ``init``. Raises StoreError.

    A SQLite file that is missing is not made: an empty store in the wrong folder would
    look like one that has lost everything.
    """
    location = locate(config.store.url)
    if isinstance(location, SqliteLocation) and not location.path.exists():
        raise StoreUnusable(f"there is no store at {location.path}; `accode-proxy init` makes one")
    return await Store.open(config.store.url)


MOST_WORKERS = 64
"""The most that ``workers.count`` may say."""


def with_workers(config: Config, wanted: int | None = None) -> Config:
    """The configuration with a number of workers: ``wanted``, or its own; 0 is the cores."""
    count = config.workers.count if wanted is None else wanted
    count = count or min(usable_cores(), MOST_WORKERS)
    return replace(config, workers=replace(config.workers, count=count))


def audit_settings(config: AuditConfig, folder: Path | None = None) -> AuditSettings:
    """The audit log's settings; ``folder`` is a worker's own."""
    return AuditSettings(
        folder=folder or config.folder,
        rotate_bytes=config.rotate_bytes,
        checkpoint_seconds=config.checkpoint_interval,
        durable_seconds=config.durable_timeout,
        sync_seconds=config.sync_interval,
        high_mark=config.queue_bytes // 4,
        low_mark=config.queue_bytes // 16,
        maximum_queued=config.queue_bytes,
    )


VALUES_KEPT = 16 * 1024
"""Bytes of a statement's bound values in its record, where ``audit.parameters`` is on: a
quarter of what a text may have, and many times what a form sends."""


def scan_limits(config: AuditConfig) -> ScanLimits:
    """What a session's scanner keeps for the audit log."""
    return ScanLimits(text=config.text_limit, values=VALUES_KEPT if config.parameters else 0)


@asynccontextmanager
async def open_audit(
    config: Config, vault: Vault, *, folder: Path | None = None, between: Between | None = None
) -> AsyncIterator[AuditLog]:
    """The audit log, closed at the end; ``folder`` is a worker's own, ``between`` as
    in ``AuditLog.open``.

    Raises AuditFolderError.
    """
    log = await AuditLog.open(
        audit_settings(config.audit, folder),
        vault.signing_key(),
        fingerprint_key=vault.fingerprint_key(),
        between=between,
    )
    try:
        yield log
    finally:
        await log.close()


async def recover_chains(config: Config, vault: Vault, seats: Iterable[int]) -> None:
    """Write what dead workers of these seats left in their journals into their chains.

    A seat that is taken again does so itself; one of another process is left to it.
    """
    for seat in seats:
        folder = folder_of(config.audit.folder, seat)
        left = await asyncio.to_thread(read_journal, folder)
        if left.statements or left.open_sessions:
            with suppress(AuditFolderError):
                async with open_audit(config, vault, folder=folder):
                    pass


def idle_seats(config: Config, taken: Collection[int]) -> list[int]:
    """The seats whose chains are there and that nobody has taken."""
    if not config.audit.folder.is_dir():
        return []
    seats = (seat_of(name) for name in chain_folders(config.audit.folder))
    return [seat for seat in seats if seat is not None and seat not in taken]


async def egress_rules(
    config: Config, listening: Mapping[str, list[tuple[str, int]]]
) -> EgressRules:
    """Where sources may be. ``listening``: by name, the addresses that are the proxy's own.

    The admin endpoints' and the store's are added, so that no source can be either.
    Raises StoreUnusable where the store's host is not known.
    """
    forbidden: set[tuple[Address, int]] = set()
    for host, port in (place for places in listening.values() for place in places):
        forbidden |= await _addresses_of(host, port)
    if config.admin.port:
        forbidden |= await _addresses_of(config.admin.host, config.admin.port)
    location = locate(config.store.url)
    if isinstance(location, PostgresqlLocation):
        parts = urlsplit(location.dsn)
        if parts.hostname:
            forbidden |= await _addresses_of(parts.hostname, parts.port or 5432)
    return EgressRules(
        allow_private=config.egress.allow_private,
        forbidden=frozenset(forbidden),
        ports=config.egress.ports,
    )


async def web_egress_rules(config: Config) -> EgressRules:
    """The same for calls of another process than the proxy, whose ports are as configured."""
    return await egress_rules(
        config,
        {
            "listeners": [(listener.host, listener.port) for listener in config.listeners],
            "metrics": [(config.metrics.host, config.metrics.port)],
        },
    )


async def _addresses_of(host: str, port: int) -> set[tuple[Address, int]]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except OSError:
        raise StoreUnusable(f"the host {host} cannot be resolved") from None
    return {(ip_address(str(where[0]).partition("%")[0]), port) for *_, where in found}


def connect_audit(metrics: Metrics, log: AuditLog, folder: Path) -> None:
    """Let the metrics read the audit log's own counters, and how full the disk of its folder is."""

    def read() -> AuditReading:
        free, size = _disk_of(folder)
        return AuditReading(
            queue_depth=log.queue_depth,
            lag_seconds=log.lag,
            records=log.records,
            bytes=log.bytes,
            lost=log.lost,
            failures=log.failures,
            is_failed=log.is_failed,
            free_bytes=free,
            size_bytes=size,
        )

    metrics.read_audit = read


def _disk_of(folder: Path) -> tuple[int, int] | tuple[None, None]:
    """Bytes that are free to us, and of all, on a folder's file system."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None, None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def bind_listeners(config: Config, stack: AsyncExitStack) -> list[socket.socket]:
    """A socket for each listener, closed with ``stack``. Raises PortError."""
    sockets = []
    for number, listener in enumerate(config.listeners):
        sock = bind_tcp(listener.host, listener.port, f"listeners.{number}")
        stack.callback(sock.close)
        sockets.append(sock)
    return sockets


def address_of(sock: socket.socket) -> tuple[str, int]:
    """Where a socket listens."""
    host, port = sock.getsockname()[:2]
    return host, port


def start_health(
    config: Config,
    registry: CollectorRegistry,
    heartbeat: Heartbeat,
    readiness: Mapping[str, Callable[[], str | None]],
) -> HealthServer:
    """The health port, open and answering. Raises PortError."""
    probes = Probes(is_alive=heartbeat.is_fresh, readiness=readiness)
    server = HealthServer(config.metrics.host, config.metrics.port, probes, registry)
    server.start()
    return server


def readiness_of(
    *,
    are_listeners_open: Callable[[], bool],
    is_store_current: Callable[[], bool],
    is_audit_failed: Callable[[], bool],
    is_draining: Callable[[], bool],
) -> dict[str, Callable[[], str | None]]:
    """What ``/readyz`` asks, with its sentences. Each callable only reads."""

    def when(is_bad: Callable[[], bool], sentence: str) -> Callable[[], str | None]:
        return lambda: sentence if is_bad() else None

    return {
        "listeners": when(lambda: not are_listeners_open(), "The listeners are not open."),
        "store": when(
            lambda: not is_store_current(),
            "Changes of the store are not seen in time, so no session is opened.",
        ),
        "audit": when(is_audit_failed, "The audit log cannot be written, so no session is opened."),
        "draining": when(is_draining, "The proxy is stopping and takes no new sessions."),
    }


def store_file(config: Config) -> Path | None:
    """The SQLite store's file, or None for a store on PostgreSQL."""
    location = locate(config.store.url)
    return location.path if isinstance(location, SqliteLocation) else None

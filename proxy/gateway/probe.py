"""``source test``: the way a session takes to a data source, and back, without a client.

Dials only what is stored, uses the credential as a session does, with the same record in
the log, and tells an administrator in one sentence how it went.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from uuid import uuid4

from protocols.errors import Refusal
from protocols.interface import WireProtocol
from protocols.roles import ServerRole
from proxy.audit.context import SessionContext
from proxy.gateway.upstream import Upstreams
from proxy.probed import HostResult, ProbeResult
from proxy.store.failover import SINGLE, Endpoint
from proxy.store.records import Source, Workspace
from proxy.store.store import Clock, utc_now


async def probe(
    protocol: WireProtocol,
    upstreams: Upstreams,
    workspace: Workspace,
    source: Source,
    *,
    clock: Clock = utc_now,
) -> ProbeResult:
    """Open each host of the source once and close it again."""
    found = await asyncio.gather(
        *(
            _probe_host(protocol, upstreams, workspace, source, endpoint, clock)
            for endpoint in source.endpoints
        )
    )
    target = source.failover.target_session_attrs
    hosts = tuple(result for result, _ in found)
    fitting = [
        result
        for result, role in found
        if result.ok and (role is None or target == "prefer-standby" or role.fits(target))
    ]
    if fitting:
        best = fitting[0]
        sentence = "the data source accepted the stored credential"
        return ProbeResult(
            True,
            sentence,
            best.method,
            best.server_version,
            best.tls_version,
            best.milliseconds,
            hosts,
        )
    if any(one.ok for one in hosts):
        return ProbeResult(False, f"no host of the data source is {target}", hosts=hosts)
    if len(hosts) == 1:
        (one,) = hosts
        return ProbeResult(False, one.sentence, milliseconds=one.milliseconds, hosts=hosts)
    sentences = "; ".join(f"{one.host}: {one.sentence}" for one in hosts)
    return ProbeResult(False, f"no host can be used: {sentences}", hosts=hosts)


async def _probe_host(
    protocol: WireProtocol,
    upstreams: Upstreams,
    workspace: Workspace,
    source: Source,
    endpoint: Endpoint,
    clock: Clock,
) -> tuple[HostResult, ServerRole | None]:
    started = monotonic()
    context = SessionContext(
        session_id=uuid4().hex,
        workspace_id=workspace.id,
        workspace=workspace.name,
        source_id=source.id,
        source=source.name,
        engine=source.engine,
        database=source.database,
        token_id="",
        application_name="accode-proxy source test",
        client_ip="127.0.0.1",
        client_port=0,
        started=clock().timestamp(),
        started_monotonic=started,
        upstream_user=source.username,
    )
    name = str(endpoint)
    try:
        # A single host whose role is nobody's concern is tested as a session is opened.
        asks_role = source.failover != SINGLE
        opened = await upstreams.open_at(
            protocol, workspace, source, endpoint, context, asks_role=asks_role
        )
    except Refusal as refusal:
        # Whoever tests a source administers it: the private reason is for them.
        return HostResult(name, False, refusal.private, milliseconds=_since(started)), None
    role = opened.upstream.role
    result = HostResult(
        name,
        True,
        "the server accepted the stored credential",
        "" if role is None else role.word,
        opened.upstream.method,
        opened.upstream.server_version,
        opened.channel.tls_version,
        _since(started),
    )
    await opened.channel.close()
    return result, role


def _since(started: float) -> float:
    return round((monotonic() - started) * 1000, 3)

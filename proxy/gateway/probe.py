"""``source test``: the way a session takes to a data source, and back, without a client.

Dials only what is stored, uses the credential as a session does, with the same record in
the log, and tells an administrator in one sentence how it went.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from uuid import uuid4

from protocols.errors import Refusal
from protocols.interface import WireProtocol
from proxy.audit.context import SessionContext
from proxy.gateway.upstream import Upstreams
from proxy.store.records import Source, Workspace
from proxy.store.store import Clock, utc_now


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a test of a source went. ``sentence`` holds no secret and no server text."""

    ok: bool
    sentence: str
    method: str = ""
    server_version: str = ""
    tls_version: str = ""
    milliseconds: float = 0.0


async def probe(
    protocol: WireProtocol,
    upstreams: Upstreams,
    workspace: Workspace,
    source: Source,
    *,
    clock: Clock = utc_now,
) -> ProbeResult:
    """Open the source once and close it again."""
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
    try:
        opened = await upstreams.open(protocol, workspace, source, None, context)
    except Refusal as refusal:
        # Whoever tests a source administers it: the private reason is for them.
        return ProbeResult(False, refusal.private, milliseconds=_since(started))
    result = ProbeResult(
        True,
        "the data source accepted the stored credential",
        opened.upstream.method,
        opened.upstream.server_version,
        opened.channel.tls_version,
        _since(started),
    )
    await opened.channel.close()
    return result


def _since(started: float) -> float:
    return round((monotonic() - started) * 1000, 3)

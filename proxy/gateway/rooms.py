"""What sessions work with: a listener's own things, and those of the whole process."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.interface import ScanLimits, WireProtocol
from proxy.audit.log import AuditLog
from proxy.config import LimitsConfig, ListenerConfig
from proxy.gateway.authenticate import Authenticator
from proxy.gateway.cancel import Cancels
from proxy.gateway.judge import Verdicts
from proxy.gateway.live import LiveSessions
from proxy.gateway.poller import Poller
from proxy.gateway.quotas import Quotas
from proxy.gateway.sharing import SharingPools
from proxy.gateway.tls import NoTls, ServerTls
from proxy.gateway.upstream import Upstreams
from proxy.metrics import Metrics
from proxy.patience import Patience
from proxy.store.store import Clock, utc_now


@dataclass(frozen=True, slots=True)
class Door:
    """One listener's own: its protocol, its TLS, its rules."""

    protocol: WireProtocol
    config: ListenerConfig
    tls: ServerTls | NoTls


@dataclass(frozen=True, slots=True)
class Rooms:
    """What every session of this process works with.

    ``login_patience`` bounds each phase of a login.
    """

    authenticator: Authenticator
    upstreams: Upstreams
    pools: SharingPools
    cancels: Cancels
    live: LiveSessions
    audit: AuditLog
    metrics: Metrics
    limits: LimitsConfig
    scan_limits: ScanLimits
    verdicts: Verdicts
    quotas: Quotas
    poller: Poller
    login_patience: Patience
    clock: Clock = utc_now

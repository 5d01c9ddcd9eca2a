"""What is counted, and how Prometheus reads it.

``tallies``    plain counters and histograms, cheap enough for the statement path
``metrics``    ``Metrics``: everything that is counted, by name
``exposition`` the collector that turns it into Prometheus's families when scraped
"""

from proxy.metrics.exposition import new_registry
from proxy.metrics.metrics import (
    AuditReading,
    Connect,
    Credential,
    Direction,
    Leg,
    Login,
    Metrics,
    PoolClose,
    PoolState,
    SessionState,
)
from proxy.metrics.tallies import Histogram, Tally

__all__ = [
    "AuditReading",
    "Connect",
    "Credential",
    "Direction",
    "Histogram",
    "Leg",
    "Login",
    "Metrics",
    "PoolClose",
    "PoolState",
    "SessionState",
    "Tally",
    "new_registry",
]

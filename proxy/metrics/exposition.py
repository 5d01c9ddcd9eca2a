"""How Prometheus reads ``Metrics``: a collector that makes its families when scraped.

Knows every metric's public name; names and labels are part of what users rely on, so
a test holds the whole list. Runs in the health server's thread.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from proxy.metrics.metrics import Direction, Metrics
from proxy.metrics.tallies import Histogram, Tally

_PREFIX = "accode_proxy_"


def new_registry(metrics: Metrics) -> CollectorRegistry:
    """A registry of its own, with the process's memory, CPU and descriptors."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MetricsCollector(metrics))
    ProcessCollector(namespace="accode_proxy", registry=registry)
    return registry


@cache
def program_version() -> str:
    """The installed distribution's version."""
    try:
        return version("accode-proxy")
    except PackageNotFoundError:
        return "unknown"


class _MetricsCollector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: what is collected describes itself."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Every family, with the values of now."""
        yield from self._sessions()
        yield from self._logins()
        yield from self._statements()
        yield from self._surroundings()

    def _sessions(self) -> Iterator[Metric]:
        metrics = self._metrics
        sessions = GaugeMetricFamily(
            _PREFIX + "sessions", "Client connections by state.", labels=["state"]
        )
        for state, count in metrics.sessions.read().items():
            sessions.add_metric([state], count)
        yield sessions
        yield _counter(
            "sessions_ended", "Sessions that were open and ended.", "cause", metrics.sessions_ended
        )
        yield _histogram(
            "session_setup_seconds",
            "From a client's connection to its open session.",
            metrics.setup_seconds,
        )
        yield _histogram(
            "source_connect_seconds",
            "From dialling a data source to its readiness, TLS and login included.",
            metrics.connect_seconds,
        )
        yield _counter(
            "source_connects",
            "Tries to log in at a host of a data source.",
            "outcome",
            metrics.connects,
        )
        yield _total(
            "source_failovers",
            "Connections to a data source that another host got than the first one tried.",
            metrics.failovers,
        )
        yield _total(
            "source_breakers_opened",
            "Hosts of data sources left alone because they did not answer.",
            metrics.breakers_opened,
        )
        yield _gauge(
            "source_breakers_open",
            "Hosts of data sources that are left alone now.",
            metrics.breakers_open,
        )
        pooled = GaugeMetricFamily(
            _PREFIX + "pool_connections",
            "Pooled connections to data sources by state.",
            labels=["state"],
        )
        for pool_state, count in metrics.read_pool_connections().items():
            pooled.add_metric([pool_state], count)
        yield pooled
        yield _counts(
            "pool_requests",
            "Sessions, or transactions, of pooled sources: a kept connection, a new one, or none.",
            "outcome",
            metrics.read_pool_requests(),
        )
        yield _counter(
            "pool_pins",
            "Connections that stay with a client beyond its transaction.",
            "cause",
            metrics.pool_pins,
        )
        yield _counter("pool_closes", "Pooled connections closed.", "cause", metrics.pool_closes)
        yield _histogram(
            "pool_wait_seconds",
            "How long sessions waited for a connection where all were in use.",
            metrics.pool_wait_seconds,
        )
        yield _counter("cancel_requests", "Cancel requests.", "outcome", metrics.cancels)
        traffic = CounterMetricFamily(
            _PREFIX + "relayed_bytes", "Bytes relayed in open sessions.", labels=["direction"]
        )
        traffic.add_metric([Direction.FROM_CLIENT], metrics.bytes_from_client)
        traffic.add_metric([Direction.FROM_SOURCE], metrics.bytes_from_source)
        yield traffic

    def _logins(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield _counter("logins", "Logins of clients.", "outcome", metrics.logins)
        yield _counter("refusals", "Refused logins and statements.", "reason", metrics.refusals)
        yield _counter(
            "policy_refusals",
            "Statements refused by a policy, by the part of the document that said no.",
            "part",
            metrics.policy_refusals,
        )
        yield _counter(
            "credential_uses", "Uses of stored credentials.", "outcome", metrics.credentials
        )
        tls = CounterMetricFamily(
            _PREFIX + "tls_connections",
            "Connections by leg and TLS profile; none is plaintext.",
            labels=["leg", "profile"],
        )
        for leg, tally in metrics.tls.items():
            for profile, count in tally.read().items():
                tls.add_metric([leg, profile], count)
        yield tls

    def _statements(self) -> Iterator[Metric]:
        counts = CounterMetricFamily(
            _PREFIX + "statements", "Ended statements.", labels=["kind", "outcome"]
        )
        seconds = HistogramMetricFamily(
            _PREFIX + "statement_seconds",
            "From a statement's arrival to its end.",
            labels=["kind"],
        )
        durations = self._metrics.read_durations()
        for kind, outcomes in self._metrics.read_statements().items():
            # A kind nobody has used is left out: 22 kinds have 21 buckets each.
            if not any(outcomes.values()):
                continue
            for outcome, count in outcomes.items():
                if count:
                    counts.add_metric([kind, outcome], count)
            buckets, total = durations[kind].read()
            seconds.add_metric([kind], buckets, total)
        yield counts
        yield seconds

    def _surroundings(self) -> Iterator[Metric]:
        metrics = self._metrics
        audit = metrics.read_audit()
        yield _gauge("audit_queue_depth", "Audit records not yet written.", audit.queue_depth)
        yield _gauge(
            "audit_lag_seconds",
            "Age of the oldest audit record not yet durable.",
            audit.lag_seconds,
        )
        yield _gauge("audit_failed", "1 while the audit log cannot be written.", audit.is_failed)
        yield _known(
            "audit_disk_free_bytes",
            "Free bytes, for the proxy, of the file system that the audit log is on.",
            audit.free_bytes,
        )
        yield _known(
            "audit_disk_size_bytes",
            "Bytes of the file system that the audit log is on.",
            audit.size_bytes,
        )
        yield _total("audit_records", "Audit records written.", audit.records)
        yield _total("audit_bytes", "Bytes of audit records written.", audit.bytes)
        yield _total("audit_failures", "Audit writes that failed or stalled.", audit.failures)
        yield _total("audit_lost_records", "Audit records that were lost.", audit.lost)
        yield _gauge(
            "store_current",
            "1 while changes of the store are seen in time.",
            metrics.read_store_is_current(),
        )
        certificates = GaugeMetricFamily(
            _PREFIX + "listener_certificate_expiry_timestamp_seconds",
            "When the certificate that a listener shows expires; of several the first.",
            labels=["protocol"],
        )
        for protocol, ends in metrics.certificate_ends.items():
            certificates.add_metric([protocol], ends)
        yield certificates
        yield _known(
            "weak_tls_expiry_timestamp_seconds",
            "When the first weak TLS profile of a data source ends; without one there is none.",
            metrics.weak_tls_end,
        )
        yield _total("log_lost_lines", "Log lines not written.", metrics.read_log_lines_lost())
        yield _gauge("event_loop_last_lag_seconds", "Event-loop lag last seen.", metrics.loop_lag)
        yield _gauge("tasks", "Tasks of the event loop, at its last heartbeat.", metrics.tasks)
        yield _histogram(
            "event_loop_lag_seconds",
            "How late the event loop wakes a timer.",
            metrics.loop_lag_seconds,
        )
        build = GaugeMetricFamily(
            _PREFIX + "build_info", "What is running.", labels=["version", "python"]
        )
        build.add_metric([program_version(), platform.python_version()], 1)
        yield build


def _counter(name: str, help_text: str, label: str, tally: Tally[Any]) -> Metric:
    return _counts(name, help_text, label, tally.read())


def _counts(name: str, help_text: str, label: str, counts: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, help_text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _histogram(name: str, help_text: str, histogram: Histogram) -> Metric:
    buckets, total = histogram.read()
    return HistogramMetricFamily(_PREFIX + name, help_text, buckets=buckets, sum_value=total)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, help_text, value=float(value))


def _known(name: str, help_text: str, value: float | None) -> Metric:
    """A gauge that has no sample where there is nothing to tell."""
    family = GaugeMetricFamily(_PREFIX + name, help_text)
    if value is not None:
        family.add_metric([], float(value))
    return family


def _total(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, help_text, value=float(value))

"""The metrics of several processes as those of one proxy.

What is counted is added up, also what a worker counted that is gone: a counter never goes
back. What is measured is added up or the worst of all is taken, by what it means. Knows
families and samples, no process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

Dump = list[list[Any]]
"""Families as JSON: name, type, help, and samples of name, labels and value."""

_PREFIX = "accode_proxy_"
_ADDED_UP = ("counter", "histogram")
_WORST: dict[str, Callable[[Iterable[float]], float]] = {
    f"{_PREFIX}audit_lag_seconds": max,
    f"{_PREFIX}audit_failed": max,
    f"{_PREFIX}audit_disk_free_bytes": min,
    f"{_PREFIX}audit_disk_size_bytes": min,
    f"{_PREFIX}listener_certificate_expiry_timestamp_seconds": min,
    f"{_PREFIX}weak_tls_expiry_timestamp_seconds": min,
    f"{_PREFIX}store_current": min,
    f"{_PREFIX}event_loop_last_lag_seconds": max,
    f"{_PREFIX}build_info": max,
    # Of a process, not of many: the oldest start, and the descriptors that each may have.
    f"{_PREFIX}process_start_time_seconds": min,
    f"{_PREFIX}process_max_fds": min,
}
"""Gauges that are not added up."""


def dump(registry: CollectorRegistry) -> Dump:
    """What a process has, to be sent."""
    return [
        [
            family.name,
            family.type,
            family.documentation,
            [[sample.name, sample.labels, sample.value] for sample in family.samples],
        ]
        for family in registry.collect()
    ]


class Tally:
    """Adds up. ``retire`` takes what a process that is gone had counted."""

    def __init__(self) -> None:
        self._past: Dump = []

    def retire(self, last: Dump) -> None:
        """A process is gone: its counters count on, its gauges are over."""
        counters = [family for family in last if family[1] in _ADDED_UP]
        self._past = _as_dump(_merged([self._past, counters]))

    def merged(self, dumps: Iterable[Dump]) -> list[Metric]:
        """All of them, and the past."""
        return _merged([self._past, *dumps])


def _merged(dumps: Iterable[Dump]) -> list[Metric]:
    families: dict[str, tuple[str, str]] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]] = {}
    for families_of_one in dumps:
        for name, kind, documentation, samples in families_of_one:
            families.setdefault(name, (kind, documentation))
            found = values.setdefault(name, {})
            for sample, labels, value in samples:
                found.setdefault((sample, tuple(sorted(labels.items()))), []).append(float(value))
    merged = []
    for name, (kind, documentation) in families.items():
        together = sum if kind in _ADDED_UP else _WORST.get(name, sum)
        metric = Metric(name, documentation, kind)
        for (sample, labels), found_values in values[name].items():
            metric.add_sample(sample, dict(labels), together(found_values))
        merged.append(metric)
    return merged


def _as_dump(metrics: Iterable[Metric]) -> Dump:
    return [
        [
            metric.name,
            metric.type,
            metric.documentation,
            [[sample.name, sample.labels, sample.value] for sample in metric.samples],
        ]
        for metric in metrics
    ]

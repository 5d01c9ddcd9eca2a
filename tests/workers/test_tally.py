from __future__ import annotations

import json
from datetime import UTC, datetime

from prometheus_client.core import Metric

from protocols.statements import Kind, Outcome
from proxy.metrics import AuditReading, Metrics, SessionState, new_registry
from proxy.workers.tally import Dump, Tally, dump


def dump_of(metrics: Metrics) -> Dump:
    """As it comes over a link."""
    made: Dump = json.loads(json.dumps(dump(new_registry(metrics))))
    return made


def sample(merged: list[Metric], name: str, **labels: str) -> float:
    (value,) = [
        one.value
        for family in merged
        for one in family.samples
        if one.name == f"accode_proxy_{name}" and one.labels == labels
    ]
    return float(value)


def worker(statements: int, **audit: float) -> Metrics:
    metrics = Metrics()
    metrics.read_audit = lambda: AuditReading(**audit)  # type: ignore[arg-type]
    metrics.sessions.add(SessionState.OPEN, 2)
    for _ in range(statements):
        metrics.statement(Kind.SELECT, Outcome.SUCCEEDED, 0.002)
    return metrics


def test_counters_histograms_and_most_gauges_are_added_up():
    merged = Tally().merged([dump_of(worker(3)), dump_of(worker(4))])
    assert sample(merged, "statements_total", kind="select", outcome="succeeded") == 7
    assert sample(merged, "statement_seconds_count", kind="select") == 7
    assert sample(merged, "statement_seconds_bucket", kind="select", le="0.001") == 0
    assert sample(merged, "statement_seconds_bucket", kind="select", le="0.0025") == 7
    assert sample(merged, "sessions", state="open") == 4


def test_where_a_sum_would_mean_nothing_the_worst_is_told():
    well = worker(0, lag_seconds=0.1, free_bytes=20, size_bytes=100)
    ill = worker(0, lag_seconds=7.5, is_failed=True, queue_depth=3, free_bytes=19, size_bytes=100)
    for metrics, day in ((well, 9), (ill, 8)):
        metrics.shows_certificate("postgres", datetime(2026, 5, day, tzinfo=UTC))
        metrics.ends_weak_tls(datetime(2026, 6, day, tzinfo=UTC))
    ill.read_store_is_current = lambda: False
    merged = Tally().merged([dump_of(well), dump_of(ill)])
    assert sample(merged, "audit_lag_seconds") == 7.5
    assert sample(merged, "audit_failed") == 1
    assert sample(merged, "audit_disk_free_bytes") == 19
    assert sample(merged, "audit_disk_size_bytes") == 100
    name = "listener_certificate_expiry_timestamp_seconds"
    ends = sample(merged, name, protocol="postgres")
    assert ends == datetime(2026, 5, 8, tzinfo=UTC).timestamp()
    ends = sample(merged, "weak_tls_expiry_timestamp_seconds")
    assert ends == datetime(2026, 6, 8, tzinfo=UTC).timestamp()
    assert sample(merged, "audit_queue_depth") == 3
    assert sample(merged, "store_current") == 0
    (build,) = [one for one in merged if one.name == "accode_proxy_build_info"]
    assert [one.value for one in build.samples] == [1]


def test_a_counter_never_goes_back_and_a_gauge_is_over_with_its_worker():
    tally, live = Tally(), dump_of(worker(4))
    before = tally.merged([live, dump_of(worker(3))])
    tally.retire(dump_of(worker(3)))
    tally.retire([])
    tally.retire(dump_of(worker(2)))
    after = tally.merged([live])
    name = {"kind": "select", "outcome": "succeeded"}
    assert sample(before, "statements_total", **name) == 7
    assert sample(after, "statements_total", **name) == 9
    assert sample(after, "statement_seconds_count", kind="select") == 9
    assert sample(after, "sessions", state="open") == 2


def test_every_family_of_one_process_is_one_of_all():
    alone = dump_of(worker(1))
    merged = Tally().merged([alone, dump_of(worker(1))])
    assert [family.name for family in merged] == [family[0] for family in alone]
    assert [len(family.samples) for family in merged] == [len(family[3]) for family in alone]

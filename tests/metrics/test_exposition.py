from __future__ import annotations

import re
import threading
from datetime import UTC, datetime

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from protocols.errors import Reason
from protocols.statements import Kind, Outcome
from proxy.metrics import (
    AuditReading,
    Credential,
    Leg,
    Login,
    Metrics,
    SessionState,
    new_registry,
)

# Dashboards and alerts rely on these names and labels.
PUBLIC = {
    "accode_proxy_sessions": {"state"},
    "accode_proxy_sessions_ended_total": {"cause"},
    "accode_proxy_session_setup_seconds": {"le"},
    "accode_proxy_source_connect_seconds": {"le"},
    "accode_proxy_source_connects_total": {"outcome"},
    "accode_proxy_source_failovers_total": set(),
    "accode_proxy_source_breakers_opened_total": set(),
    "accode_proxy_source_breakers_open": set(),
    "accode_proxy_cancel_requests_total": {"outcome"},
    "accode_proxy_relayed_bytes_total": {"direction"},
    "accode_proxy_logins_total": {"outcome"},
    "accode_proxy_refusals_total": {"reason"},
    "accode_proxy_policy_refusals_total": {"part"},
    "accode_proxy_pool_closes_total": {"cause"},
    "accode_proxy_pool_pins_total": {"cause"},
    "accode_proxy_pool_connections": {"state"},
    "accode_proxy_pool_requests_total": {"outcome"},
    "accode_proxy_pool_wait_seconds": {"le"},
    "accode_proxy_credential_uses_total": {"outcome"},
    "accode_proxy_tls_connections_total": {"leg", "profile"},
    "accode_proxy_statements_total": {"kind", "outcome"},
    "accode_proxy_statement_seconds": {"kind", "le"},
    "accode_proxy_audit_queue_depth": set(),
    "accode_proxy_audit_lag_seconds": set(),
    "accode_proxy_audit_failed": set(),
    "accode_proxy_audit_failures_total": set(),
    "accode_proxy_audit_disk_free_bytes": set(),
    "accode_proxy_audit_disk_size_bytes": set(),
    "accode_proxy_listener_certificate_expiry_timestamp_seconds": {"protocol"},
    "accode_proxy_weak_tls_expiry_timestamp_seconds": set(),
    "accode_proxy_audit_records_total": set(),
    "accode_proxy_audit_bytes_total": set(),
    "accode_proxy_audit_lost_records_total": set(),
    "accode_proxy_store_current": set(),
    "accode_proxy_log_lost_lines_total": set(),
    "accode_proxy_event_loop_last_lag_seconds": set(),
    "accode_proxy_event_loop_lag_seconds": {"le"},
    "accode_proxy_tasks": set(),
    "accode_proxy_build_info": {"version", "python"},
}


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = generate_latest(new_registry(metrics)).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


def test_the_names_and_labels_are_the_public_ones():
    metrics = Metrics()
    metrics.statement(Kind.SELECT, Outcome.SUCCEEDED, 0.01)
    # What is not known has no sample.
    metrics.read_audit = lambda: AuditReading(free_bytes=1, size_bytes=2)
    metrics.shows_certificate("postgres", datetime(2026, 5, 4, tzinfo=UTC))
    metrics.ends_weak_tls(datetime(2026, 5, 5, tzinfo=UTC))
    seen: dict[str, set[str]] = {}
    for name, labels in samples(metrics):
        if name.startswith("accode_proxy_process_"):
            continue
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        seen.setdefault(family, set()).update(key for key, _ in labels)
    assert seen == PUBLIC


def test_what_ends_is_told_by_its_moment_and_of_several_certificates_the_first():
    metrics = Metrics()
    weak, listener = "weak_tls_expiry", "listener_certificate_expiry"
    names = {name: f"accode_proxy_{name}_timestamp_seconds" for name in (weak, listener)}
    assert not {name for name, _ in samples(metrics)} & set(names.values())
    first, second = datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)
    for ends in (second, first, second):
        metrics.shows_certificate("postgres", ends)
    metrics.shows_certificate("mysql", second)
    assert value(metrics, names[listener], protocol="postgres") == first.timestamp()
    assert value(metrics, names[listener], protocol="mysql") == second.timestamp()
    metrics.ends_weak_tls(second)
    assert value(metrics, names[weak]) == second.timestamp()
    metrics.ends_weak_tls(None)
    assert (names[weak], frozenset()) not in samples(metrics)


def test_every_name_has_our_prefix():
    assert all(name.startswith("accode_proxy_") for name, _ in samples(Metrics()))


def test_a_statement_is_counted_by_kind_and_outcome_and_timed_by_kind():
    metrics = Metrics()
    metrics.statement(Kind.SELECT, Outcome.SUCCEEDED, 0.003)
    metrics.statement(Kind.SELECT, Outcome.FAILED, 7.0)
    name = "accode_proxy_statements_total"
    assert value(metrics, name, kind="select", outcome="succeeded") == 1
    assert value(metrics, name, kind="select", outcome="failed") == 1
    histogram = "accode_proxy_statement_seconds"
    assert value(metrics, f"{histogram}_bucket", kind="select", le="0.005") == 1
    assert value(metrics, f"{histogram}_count", kind="select") == 2
    assert value(metrics, f"{histogram}_sum", kind="select") == 7.003


def test_every_kind_and_outcome_can_be_counted():
    metrics = Metrics()
    for kind in Kind:
        for outcome in Outcome:
            metrics.statement(kind, outcome, 0.001)
    name = "accode_proxy_statements_total"
    found = [count for (sample, _), count in samples(metrics).items() if sample == name]
    assert found == [1] * (len(Kind) * len(Outcome))


def test_a_session_is_in_one_state_at_a_time():
    metrics = Metrics()
    metrics.move_session(None, SessionState.LOGIN)
    metrics.move_session(SessionState.LOGIN, SessionState.CONNECTING)
    metrics.move_session(SessionState.CONNECTING, SessionState.OPEN)
    assert value(metrics, "accode_proxy_sessions", state="open") == 1
    assert value(metrics, "accode_proxy_sessions", state="login") == 0
    metrics.move_session(SessionState.OPEN, None)
    assert value(metrics, "accode_proxy_sessions", state="open") == 0


def test_what_happens_once_a_session_is_counted():
    metrics = Metrics()
    metrics.logins.add(Login.FAILED)
    metrics.refused(Reason.TOO_MANY_SESSIONS)
    metrics.credentials.add(Credential.USED)
    metrics.used_tls(Leg.SOURCE, "legacy")
    metrics.bytes_from_source += 9
    metrics.setup_seconds.observe(0.02)
    metrics.observe_loop(0.2, 17)
    assert value(metrics, "accode_proxy_logins_total", outcome="failed") == 1
    assert value(metrics, "accode_proxy_refusals_total", reason="too_many_sessions") == 1
    assert value(metrics, "accode_proxy_credential_uses_total", outcome="used") == 1
    tls = "accode_proxy_tls_connections_total"
    assert value(metrics, tls, leg="source", profile="legacy") == 1
    assert value(metrics, "accode_proxy_relayed_bytes_total", direction="from_source") == 9
    assert value(metrics, "accode_proxy_session_setup_seconds_count") == 1
    assert value(metrics, "accode_proxy_event_loop_last_lag_seconds") == 0.2
    assert value(metrics, "accode_proxy_tasks") == 17


def test_what_other_parts_know_is_asked_for_when_scraped():
    metrics = Metrics()
    metrics.read_audit = lambda: AuditReading(
        queue_depth=3, lag_seconds=0.5, records=7, bytes=900, lost=2, failures=1, is_failed=True
    )
    metrics.read_store_is_current = lambda: False
    metrics.read_log_lines_lost = lambda: 4
    assert value(metrics, "accode_proxy_audit_queue_depth") == 3
    assert value(metrics, "accode_proxy_audit_lost_records_total") == 2
    assert value(metrics, "accode_proxy_audit_failed") == 1
    assert value(metrics, "accode_proxy_store_current") == 0
    assert value(metrics, "accode_proxy_log_lost_lines_total") == 4


def test_two_instances_share_nothing():
    first, second = Metrics(), Metrics()
    first.refused(Reason.INTERNAL)
    assert value(second, "accode_proxy_refusals_total", reason="internal") == 0


def test_what_a_thread_scrapes_while_it_is_counted_is_consistent():
    metrics = Metrics()
    stop = threading.Event()
    wrong: list[str] = []

    def scrape() -> None:
        while not stop.is_set():
            found = samples(metrics)
            buckets = [
                count
                for (name, labels), count in found.items()
                if name == "accode_proxy_statement_seconds_bucket" and ("kind", "select") in labels
            ]
            if buckets and (
                sorted(buckets) != buckets
                or buckets[-1]
                != found["accode_proxy_statement_seconds_count", frozenset({("kind", "select")})]
            ):
                wrong.append(str(buckets))

    thread = threading.Thread(target=scrape)
    thread.start()
    for count in range(20_000):
        metrics.statement(Kind.SELECT, Outcome.SUCCEEDED, (count % 100) / 1000)
    stop.set()
    thread.join()
    assert not wrong

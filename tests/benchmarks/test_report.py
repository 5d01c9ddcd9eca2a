from __future__ import annotations

import dataclasses
import json

from benchmarks.bench import Sizes
from benchmarks.record import CaseFacts, Run, SubjectFacts, file_name, to_json
from benchmarks.report import flatten, table, to_markdown
from benchmarks.requirements import MYSQL, POSTGRES, judge
from benchmarks.schedule import Failure
from benchmarks.summary import Round

RUN = Run(
    protocol="postgres",
    database="PostgreSQL",
    peer="pgbouncer",
    started="2026-01-02T03:04:05+00:00",
    minutes=1.5,
    revision="abc1234",
    is_modified=False,
    machine={
        "processor": "A Processor",
        "cores": "2",
        "memory": "24 GB",
        "kernel": "Linux 6",
        "system": "Debian",
    },
    python={"python": "3.11"},
    busy_at_rest=0.01,
    sizes=Sizes(),
    server={"fsync": "off", "unix_socket_directories": ""},
    subjects=(
        SubjectFacts("direct", "direct", "PostgreSQL 15", "no proxy", "TLSv1.3", ends_tls=True),
        SubjectFacts("pgbouncer", "PgBouncer", "1.26", "best", "TLSv1.3", ends_tls=True),
        SubjectFacts("haproxy", "HAProxy TCP", "2.6", "relay", "TLSv1.3", ends_tls=False),
    ),
    cases=(
        CaseFacts("simple-tls-8", "pgbench -S, TLS", "queries", tls=True),
        CaseFacts("idle", "idle sessions, plain", "idle", tls=False),
    ),
    rounds=tuple(
        Round("simple-tls-8", subject, number, 0, metrics)
        for number in range(4)
        for subject, metrics in (
            ("direct", {"tps": 50_000.0, "p50_us": 100.0}),
            ("pgbouncer", {"tps": 40_000.0 + number, "p50_us": 180.0, "cpu_us": 15.0}),
            ("haproxy", {"tps": 20_000.0, "p50_us": 200.0, "cpu_us": 30.0}),
        )
    ),
    failures=(),
)


def report_of(run: Run) -> str:
    return to_markdown(run, judge(run.results, POSTGRES))


def line_of(report: str, start: str) -> str:
    return next(line for line in report.splitlines() if line.startswith(start))


def test_a_row_has_medians_spreads_and_ratios():
    row = line_of(report_of(RUN), "| PgBouncer | 4")
    assert row == (
        "| PgBouncer | 40,002 (40,000..40,003) | 0.80 |  | 180 | 80 (80..80) |"
        "  | 15.0 (15.0..15.0) |  |  |  |"
    )


def test_a_relay_that_does_not_end_tls_is_marked_as_such():
    row = line_of(report_of(RUN), "| HAProxy TCP (passes TLS on)")
    assert row.endswith("| 2.00 (2.00..2.00) |")


def test_a_group_without_figures_has_no_table():
    assert "idle sessions, plain" not in report_of(RUN)


def test_machine_versions_and_place_of_the_load_generator_are_named():
    report = report_of(RUN)
    for words in ("A Processor, 2 cores", "PostgreSQL 15", "fsync=off", "load generator"):
        assert words in report


def test_a_short_run_a_busy_machine_and_a_failure_are_said_first():
    run = dataclasses.replace(
        RUN,
        sizes=Sizes(rounds=1),
        busy_at_rest=0.4,
        failures=(Failure("idle", "accode", 0, "it ended"),),
    )
    head = report_of(run).partition("## ")[0]
    assert "too few rounds" in head
    assert "40% of it was in use" in head
    assert "Failed: idle through accode, round 1: it ended" in head
    assert "**" not in report_of(RUN).partition("## ")[0]


def test_the_stores_own_figures_are_shown_when_there_are_some():
    run = dataclasses.replace(RUN, store_scale={"login": {"p50_us": 1.23456}})
    assert "| login.p50_us | 1.235 |" in report_of(run)


def test_nested_figures_become_dotted_names():
    assert flatten({"a": {"b": [1, 2.5]}, "c": "x"}) == [
        ("a.b.0", "1"),
        ("a.b.1", "2.500"),
        ("c", "x"),
    ]


def test_a_table_of_words_is_aligned_to_the_left():
    assert table(("a", "b"), [("1", "2")], of_words=True).splitlines() == [
        "| a | b |",
        "|---|---|",
        "| 1 | 2 |",
    ]


def test_the_json_has_every_raw_round_and_the_medians():
    content = json.loads(to_json(RUN, judge(RUN.results, POSTGRES)))
    assert len(content["rounds"]) == 12
    assert content["summary"]["simple-tls-8"]["pgbouncer"]["tps"]["median"] == 40_001.5
    assert content["requirements"][0]["is_reached"] is None
    assert content["machine"]["cores"] == "2"


def test_the_file_is_named_by_date_and_revision():
    assert file_name(RUN) == "2026-01-02-abc1234"
    assert file_name(dataclasses.replace(RUN, protocol="mysql")) == "mysql-2026-01-02-abc1234"


def test_mysql_has_the_same_report_compared_with_haproxy():
    run = dataclasses.replace(RUN, protocol="mysql", database="MariaDB", peer="haproxy")
    report = to_markdown(run, judge(run.results, MYSQL))
    assert report.startswith("# Accode Proxy: benchmark results, MariaDB\n")
    assert "CPU to HAProxy TCP" in report
    assert "CPU to PgBouncer" not in report
    assert "sysbench figures" in report
    assert line_of(report, "| PgBouncer | 4").endswith("| 0.50 (0.50..0.50) |")


def test_a_policy_is_shown_beside_the_same_proxy_without_one():
    run = dataclasses.replace(
        RUN,
        subjects=(
            SubjectFacts("accode", "Accode Proxy", "1", "", "TLSv1.3", ends_tls=True),
            SubjectFacts("accode-policy", "with a policy", "1", "", "TLSv1.3", ends_tls=True),
        ),
        cases=(CaseFacts("policy-literals", "new texts", "policies", tls=False),),
        rounds=(
            Round("policy-literals", "accode", 0, 0, {"tps": 100.0, "cpu_us": 20.0}),
            Round("policy-literals", "accode-policy", 0, 1, {"tps": 90.0, "cpu_us": 35.0}),
        ),
    )
    assert line_of(report_of(run), "| with a policy | 90") == (
        "| with a policy | 90 |  |  | 35.0 | 1.75 | 15.0 |"
    )


def test_two_builds_are_compared_at_the_top():
    run = dataclasses.replace(
        RUN,
        subjects=(
            SubjectFacts("accode", "Accode Proxy", "1", "", "TLSv1.3", ends_tls=True),
            SubjectFacts("against", "Accode Proxy (abc)", "1", "", "TLSv1.3", ends_tls=True),
        ),
        rounds=tuple(
            Round("simple-tls-8", subject, number, 0, {"cpu_us": figure})
            for number in range(3)
            for subject, figure in (("accode", 9.0), ("against", 10.0))
        ),
    )
    report = report_of(run)
    assert "## Accode Proxy as a multiple of Accode Proxy (abc)" in report
    assert "| simple-tls-8 | CPU | 0.90x (0.90..0.90) | better |" in report
    assert "as a multiple" not in report_of(RUN)

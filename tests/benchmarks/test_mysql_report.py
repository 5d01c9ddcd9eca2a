from __future__ import annotations

from benchmarks.mysql import LOADS
from benchmarks.mysql_report import to_markdown
from benchmarks.summary import Results, Round
from benchmarks.sysbench import Load

SUBJECTS = [("direct", "direct", "1", "none"), ("accode", "Accode Proxy", "2", "audit on")]
LOAD = Load("select-1", "point select", "oltp_point_select", 1)


def test_a_report_compares_with_direct_round_by_round():
    results = Results(
        [
            Round("select-1", "direct", 0, 0, {"tps": 1000.0, "p50_us": 50.0}),
            Round("select-1", "accode", 0, 1, {"tps": 500.0, "p50_us": 90.0, "cpu_us": 30.0}),
        ]
    )
    words = to_markdown({"cores": "2"}, SUBJECTS, [LOAD], results, [])
    assert "0.50 (0.50 to 0.50)" in words
    assert "40 (40 to 40)" in words
    assert "30.0 (30.0 to 30.0)" in words
    assert "## Failed" not in words


def test_what_was_not_measured_is_a_dash_and_failures_are_told():
    words = to_markdown({}, SUBJECTS, [LOAD], Results([]), ["round 1: it broke"])
    assert "| point select | direct | - | - | - | - | - | - |" in words
    assert "- round 1: it broke" in words


def test_every_case_has_its_own_name():
    assert len({load.name for load in LOADS}) == len(LOADS) == 14

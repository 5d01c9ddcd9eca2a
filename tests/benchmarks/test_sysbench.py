from __future__ import annotations

import pytest

from benchmarks.processes import BenchmarkError
from benchmarks.sysbench import Load, Target, arguments, parse_report

TARGET = Target(3307, "bench", "secret", "bench")

REPORT = """\
Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
       0.050 |****************************************** 90
       0.100 |*****                                    8
       1.250 |*                                        2

SQL statistics:
    queries performed:
        read:                            100
        total:                           100
    transactions:                        100    (99.51 per sec.)
    queries:                             1600   (1592.16 per sec.)
    ignored errors:                      0      (0.00 per sec.)
    reconnects:                          0      (0.00 per sec.)
"""


def test_a_report_gives_rates_and_percentiles():
    assert parse_report(REPORT) == {
        "tps": 99.51,
        "transactions": 100,
        "queries": 1600,
        "p50_us": 50.0,
        "p99_us": 1250.0,
    }


@pytest.mark.parametrize("name", ["transactions", "queries", "ignored errors"])
def test_a_report_without_a_figure_is_an_error(name: str):
    with pytest.raises(BenchmarkError, match=name):
        parse_report(REPORT.replace(f"    {name}:", "    other:"))


def test_a_report_without_a_histogram_is_an_error():
    with pytest.raises(BenchmarkError, match="histogram"):
        parse_report(REPORT[REPORT.index("SQL statistics") :])


def test_ignored_errors_are_an_error():
    with pytest.raises(BenchmarkError, match="7 errors"):
        parse_report(REPORT.replace("errors:                      0", "errors:         7"))


def test_no_transaction_is_an_error():
    with pytest.raises(BenchmarkError, match="no transaction"):
        parse_report(REPORT.replace("100    (99.51", "0    (0.00"))


def test_tls_is_asked_for_only_where_the_load_wants_it():
    plain = arguments(Load("a", "A", "oltp_read_only", 8), TARGET, 3, 1000)
    assert "--threads=8" in plain
    assert "--mysql-ssl=on" not in plain
    assert "--mysql-ssl=on" in arguments(
        Load("b", "B", "oltp_point_select", 1, tls=True), TARGET, 3, 1000
    )


def test_only_sysbenchs_own_scripts_are_told_of_tables():
    own = arguments(Load("a", "A", "oltp_read_only", 8), TARGET, 3, 1000)
    other = arguments(Load("b", "B", "/folder/connect.lua", 8), TARGET, 3, 1000)
    assert "--table-size=1000" in own
    assert not [word for word in other if word.startswith("--table")]

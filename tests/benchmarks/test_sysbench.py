from __future__ import annotations

import dataclasses

import pytest

from benchmarks.bench import Sizes
from benchmarks.cases import MYSQL_CASES
from benchmarks.machine import ROOT
from benchmarks.processes import BenchmarkError
from benchmarks.sessions import Endpoint
from benchmarks.sysbench import SysbenchCase, parse_report

ENDPOINT = Endpoint(3307, "bench", "secret", "bench")

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

Latency (ms):
         min:                                    0.04
         avg:                                    0.08
         max:                                    1.24
"""


def test_a_report_gives_rates_and_percentiles():
    assert parse_report(REPORT) == {
        "tps": 99.51,
        "transactions": 100,
        "queries": 1600,
        "mean_us": 80.0,
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
    with pytest.raises(BenchmarkError, match="no mean"):
        parse_report(REPORT[: REPORT.index("Latency (ms)")])


def test_ignored_errors_are_an_error():
    with pytest.raises(BenchmarkError, match="7 errors"):
        parse_report(REPORT.replace("errors:                      0", "errors:         7"))


def test_no_transaction_is_an_error():
    with pytest.raises(BenchmarkError, match="no transaction"):
        parse_report(REPORT.replace("100    (99.51", "0    (0.00"))


def words_of(case: SysbenchCase, *, tls: bool = False) -> list[str]:
    return case.command("sysbench", dataclasses.replace(ENDPOINT, tls=tls), Sizes())


def test_tls_is_asked_for_only_where_the_endpoint_wants_it():
    case = SysbenchCase("a", "A", "oltp_read_only", 8)
    assert "--threads=8" in words_of(case)
    assert "--mysql-ssl=on" not in words_of(case)
    assert "--mysql-ssl=on" in words_of(case, tls=True)


def test_statements_are_prepared_or_text():
    prepared = SysbenchCase("a", "A", "oltp_point_select", 1)
    text = SysbenchCase("b", "B", "oltp_point_select", 1, is_prepared=False)
    assert "--db-ps-mode=auto" in words_of(prepared)
    assert "--db-ps-mode=disable" in words_of(text)


def test_only_sysbenchs_own_scripts_are_told_of_tables():
    own = words_of(SysbenchCase("a", "A", "oltp_read_only", 8))
    other = words_of(SysbenchCase("b", "B", "connect.lua", 8))
    assert "--table-size=100000" in own
    assert not [word for word in other if word.startswith("--table")]


def test_every_script_of_ours_is_there():
    scripts = {case.script for case in MYSQL_CASES if isinstance(case, SysbenchCase)}
    ours = {script for script in scripts if not script.startswith("oltp_")}
    assert ours == {"connect.lua", "repeated.lua", "literals.lua"}
    assert all((ROOT / "benchmarks" / "scripts" / script).is_file() for script in ours)

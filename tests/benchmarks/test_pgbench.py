from __future__ import annotations

import pytest

from benchmarks.pgbench import (
    Transaction,
    parse_connect_time,
    parse_failures,
    parse_log,
    window_latencies,
)
from benchmarks.processes import BenchmarkError

LOG = """\
0 1 152 0 1795475367 100000
3 1 98 0 1795475367 250000
0 2 failed 0 1795475367 300000
1 1 77 0 1795475368 1
"""

REPORT = """\
pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: script.sql
number of transactions actually processed: 917
number of failed transactions: 3 (0.327%)
latency average = 8.711 ms
average connection time = 1.034 ms
tps = 917.1 (including reconnection times)
"""


def test_a_log_line_has_the_latency_and_the_time_of_the_end():
    assert parse_log(LOG.splitlines())[0] == Transaction(1795475367.1, 152.0)


def test_a_failed_transaction_is_left_out_of_the_log():
    assert [entry.latency for entry in parse_log(LOG.splitlines())] == [152.0, 98.0, 77.0]


def test_a_cut_line_is_left_out_of_the_log():
    assert parse_log(["0 1 152 0 17954"]) == []


def test_a_window_holds_what_ended_within_it_sorted_by_latency():
    log = parse_log(LOG.splitlines())
    assert window_latencies(log, 1795475367.0, 1795475368.0) == [98.0, 152.0]


def test_the_closing_report_says_how_many_transactions_failed():
    assert parse_failures(REPORT) == 3
    assert parse_failures("pgbench: error: no such file") == 0


def test_the_closing_report_says_how_long_a_connect_takes():
    assert parse_connect_time(REPORT) == pytest.approx(1034.0)


def test_a_report_without_the_time_of_a_connect_is_an_error():
    with pytest.raises(BenchmarkError, match="how long a connect takes"):
        parse_connect_time("tps = 1")

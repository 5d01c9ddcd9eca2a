from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.document import Limits
from protocols.errors import Reason, Refusal
from protocols.statements import Statement, Via, kind_of_text
from proxy.gateway.quotas import ACCOUNT_LIMIT, UNBOUNDED, Meter, Quotas, Window
from proxy.metrics import Metrics


class Hands:
    """Clocks that a test moves."""

    def __init__(self) -> None:
        self.wall = datetime(2030, 1, 1, 12, tzinfo=UTC)
        self.seconds = 1000.0
        self.quotas = Quotas(clock=lambda: self.wall, time=lambda: self.seconds)
        self.metrics = Metrics()

    def meter(self, *limited: tuple[str, Limits]) -> Meter:
        meter = self.quotas.meter(limited, self.metrics)
        assert meter is not None
        return meter


def is_over(meter: Meter) -> bool:
    return meter.cut_at is None


def statement(text: bytes = b"SELECT 1") -> Statement:
    made = Statement(Via.SIMPLE, text, len(text), 0.0)
    made.kind = kind_of_text(text)
    return made


@given(st.integers(1, 20), st.lists(st.floats(0, 30), max_size=200))
def test_no_minute_has_more_than_its_number(limit: int, steps: list[float]):
    window, now, taken = Window(), 0.0, []
    for step in steps:
        now += step
        if window.take(limit, now):
            taken.append(int(now))
    for second in taken:
        assert sum(second - 60 < other <= second for other in taken) <= limit


def test_a_minute_later_there_is_room_again():
    window = Window()
    assert [window.take(2, 10.5) for _ in range(3)] == [True, True, False]
    assert not window.take(2, 69.9)
    assert window.take(2, 70.0)


def test_statements_of_all_sessions_are_counted_together():
    hands = Hands()
    limits = Limits(statements_per_minute=2)
    one, other = hands.meter(("w1", limits)), hands.meter(("w1", limits))
    assert one.verdict(statement()).is_allowed
    assert other.verdict(statement()).is_allowed
    verdict = one.verdict(statement())
    assert (verdict.rule, verdict.reason) == (
        "limits.statements_per_minute",
        Reason.QUOTA_EXCEEDED,
    )
    assert hands.meter(("w2", limits)).verdict(statement()).is_allowed
    hands.seconds += 60
    assert other.verdict(statement()).is_allowed


@pytest.mark.parametrize("text", [b"COMMIT", b" rollback;", b"ROLLBACK WORK", b"end transaction ;"])
def test_a_transaction_can_be_ended_however_much_was_used(text: bytes):
    hands = Hands()
    meter = hands.meter(("w1", Limits(statements_per_minute=1, rows_per_day=1)))
    meter.spend(1, 1)
    meter.verdict(statement())
    assert meter.verdict(statement(text)).is_allowed


@pytest.mark.parametrize("text", [b"COMMIT; SELECT 1", b"COMMIT AND CHAIN", b"rollback to a"])
def test_what_only_begins_like_an_end_is_counted(text: bytes):
    meter = Hands().meter(("w1", Limits(statements_per_minute=1)))
    meter.verdict(statement())
    assert not meter.verdict(statement(text)).is_allowed


def test_the_narrower_of_workspace_and_source_bounds_an_answer():
    meter = Hands().meter(
        ("w1", Limits(result_rows=10, result_bytes=99)), ("s1", Limits(result_rows=5))
    )
    assert (meter.rows, meter.size) == (5, 99)
    assert meter.left() == (UNBOUNDED, UNBOUNDED)


def test_a_days_rows_are_those_of_all_sessions_and_end_at_midnight():
    hands = Hands()
    limits = Limits(rows_per_day=10, bytes_per_day=1000)
    one, other = hands.meter(("w1", limits)), hands.meter(("w1", limits))
    one.spend(7, 100)
    assert other.left() == (3, 900)
    other.spend(3, 100)
    assert one.left() == (0, 800)
    assert one.verdict(statement()).rule == "limits.rows_per_day"
    assert one.verdict(statement(b"BEGIN")).is_allowed
    assert "rows_per_day" in one.cut(1, 1).public
    hands.wall += timedelta(hours=12)
    assert one.left() == (10, 1000)
    one.spend(0, 1000)
    assert other.verdict(statement()).rule == "limits.bytes_per_day"
    assert "bytes_per_day" in one.cut(1, 1).public


def test_a_cut_names_its_rule_is_counted_and_told_once():
    hands = Hands()
    meter = hands.meter(("w1", Limits(result_rows=10, result_bytes=100)))
    cuts: list[str] = []
    meter.on_cut = lambda: cuts.append("stop")
    refusal = meter.cut(11, 50)
    assert refusal.public == (
        "refused by policy: the result was cut at 10 rows (limits.result_rows)"
    )
    assert meter.cut_at == hands.seconds
    assert [meter.take_rule(), meter.take_rule()] == ["limits.result_rows", ""]
    assert is_over(meter)
    assert "100 bytes (limits.result_bytes)" in meter.cut(5, 101).public
    assert cuts == ["stop", "stop"]
    assert dict(hands.metrics.policy_refusals.read())["limits"] == 2


def test_a_cut_in_the_middle_of_a_piece_names_the_limit_that_cut_it():
    hands = Hands()
    meter = hands.meter(("w1", Limits(rows_per_day=10)))
    other = hands.meter(("w2", Limits(bytes_per_day=1000)))
    # Nothing of the piece at hand has been accounted for.
    assert "(limits.rows_per_day)" in meter.cut(11, 50).public
    assert "(limits.bytes_per_day)" in other.cut(11, 1001).public


def test_sessions_of_a_minute_are_counted():
    hands = Hands()
    hands.quotas.admit("w1", 1)
    hands.quotas.admit("w1", None)
    hands.quotas.admit("w2", 1)
    with pytest.raises(Refusal, match=r"limits\.sessions_per_minute"):
        hands.quotas.admit("w1", 1)
    hands.seconds += 60
    hands.quotas.admit("w1", 1)


def test_where_nothing_is_counted_there_is_no_meter():
    hands = Hands()
    assert hands.quotas.meter([("w1", Limits(sessions=1))], hands.metrics) is None
    assert hands.quotas.meter([], hands.metrics) is None
    assert len(hands.quotas) == 0


def test_accounts_that_remember_nothing_are_dropped_when_there_are_many():
    hands = Hands()
    limits = Limits(rows_per_day=10)
    kept = hands.meter(("kept", limits))
    used = hands.meter(("used", limits))
    used.spend(10, 0)
    used.close()
    for number in range(ACCOUNT_LIMIT):
        hands.meter((f"w{number}", limits)).close()
    assert len(hands.quotas) < 10
    kept.spend(4, 0)
    assert hands.meter(("kept", limits)).left()[0] == 6
    assert hands.meter(("used", limits)).left()[0] == 0

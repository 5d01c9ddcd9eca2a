from __future__ import annotations

from protocols.errors import Reason
from protocols.statements import Outcome, Statement, Via
from proxy.gateway.deadline import ON_ITS_WAY, RULE, Deadline
from proxy.metrics import Metrics


def deadline(seconds: int = 2) -> Deadline:
    return Deadline(seconds, Metrics(), 5.0)


def ended(outcome: Outcome) -> Statement:
    statement = Statement(Via.SIMPLE, b"SELECT 1", 8, 0.0)
    statement.outcome = outcome
    return statement


def test_time_runs_from_one_answer_to_the_next() -> None:
    found = deadline()
    first, second = object(), object()
    assert not found.is_over(first, 10.0)
    assert not found.is_over(first, 11.9)
    assert not found.is_over(second, 12.0)
    assert not found.is_over(second, 13.9)
    assert found.is_over(second, 14.0)


def test_nothing_is_over_where_nothing_is_awaited() -> None:
    found = deadline()
    answer = object()
    assert not found.is_over(answer, 10.0)
    assert not found.is_over(None, 20.0)
    assert not found.is_over(answer, 20.0)


def test_the_error_of_what_was_stopped_names_the_rule_and_so_does_its_record() -> None:
    found = deadline()
    assert found.why_stopped() is None
    found.stop(3.0, 0)
    said = found.why_stopped()
    assert said is not None
    assert said.reason is Reason.STATEMENT_TIMEOUT
    assert said.public == (
        "refused by policy: the statement ran for more than 2 seconds (limits.statement_seconds)"
    )
    before, failed = ended(Outcome.SUCCEEDED), ended(Outcome.FAILED)
    found.end(before)
    found.end(failed)
    assert (before.rule, failed.rule) == ("", RULE)
    assert found.why_stopped() is None


def test_what_ended_by_itself_has_no_rule_nor_has_the_next_one() -> None:
    for outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
        found = deadline()
        found.stop(3.0, 0)
        statement = ended(outcome)
        found.end(statement)
        assert statement.rule == ""
        assert found.why_stopped() is None


def test_a_data_source_that_goes_on_is_given_up_after_a_while() -> None:
    found = deadline()
    answer = object()
    found.is_over(answer, 0.0)
    for now in (2.0, 3.0, 4.0, 5.0, 6.0, 7.0):
        assert found.is_over(answer, now)
        assert not found.is_ignored(now, 100)
        found.stop(now, 100)
    assert found.is_ignored(7.5, 100)
    assert "does not stop it" in found.why_ended().public


def test_what_was_on_its_way_may_come_as_slowly_as_its_client_takes_it() -> None:
    found = deadline()
    answer = object()
    found.is_over(answer, 0.0)
    found.stop(2.0, 100)
    for now in range(3, 60, 4):
        assert found.is_over(answer, now)
        assert not found.is_ignored(now, 100 * now)
    assert not found.is_ignored(62.0, 10_000)
    assert found.is_ignored(62.5, 10_001)


def test_a_data_source_that_sends_on_and_on_is_given_up() -> None:
    found = deadline()
    found.is_over(object(), 0.0)
    found.stop(2.0, 100)
    assert not found.is_ignored(3.0, 100 + ON_ITS_WAY)
    assert found.is_ignored(3.5, 101 + ON_ITS_WAY)


def test_another_answer_is_not_given_up_for_the_one_before() -> None:
    found = deadline()
    found.is_over(object(), 0.0)
    found.stop(2.0, 0)
    found.is_over(object(), 3.0)
    assert not found.is_ignored(9.0, 0)
    assert found.why_stopped() is None

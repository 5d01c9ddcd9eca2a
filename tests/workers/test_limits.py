"""Limits are those of the proxy: counted over all workers, and past the death of one."""

from __future__ import annotations

import signal
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from policies.document import policy_from
from protocols.errors import Reason
from tests.conformance.driver import Session, Told
from tests.conformance.office import Office
from tests.servers.waiting import wait_past_midnight, wait_until
from tests.workers.conftest import WORKERS, OfficeFactory
from tests.workers.spread import (
    seat_of,
    session_elsewhere,
    sessions_at_both,
    signal_worker,
    wait_for_restarts,
)

# Twelve sessions that are all one worker's, so that nothing is shown: one run in two thousand.
MOST = 12


@pytest.mark.parametrize(
    "sections",
    [
        {"limits": {"sessions": MOST}},
        {"listener": {"max_sessions": MOST}},
        {"limits": {"sessions_per_workspace": MOST}},
    ],
    ids=["all", "listener", "workspace"],
)
def test_sessions_are_counted_over_all_workers(start_office: OfficeFactory, sections: Any):
    office = start_office(**sections)
    with ExitStack() as stack:
        sessions = [stack.enter_context(office.session()) for _ in range(MOST)]
        for _ in range(MOST):
            assert office.refusal().code == office.code(Reason.TOO_MANY_SESSIONS)
        assert [session.value("SELECT 'on'") for session in sessions] == ["on"] * MOST
        sessions[0].close()
        wait_until(office.can_log_in, what="the place to be free")


def test_pending_logins_are_counted_over_all_workers(start_office: OfficeFactory):
    office = start_office(
        limits={"pending_logins": MOST, "pending_logins_per_address": MOST, "login_deadline": 60}
    )
    with office.session() as session, ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(office.driver.connect(office.proxy.port))

        def are_counted() -> bool:
            return office.proxy.metrics()["sessions{state=login}"] == MOST

        wait_until(are_counted, what="all silent clients to be counted")
        for _ in range(MOST):
            assert office.refusal().code == office.code(Reason.TOO_MANY_SESSIONS)
        assert session.value("SELECT 'on'") == "on"


def test_what_a_dead_worker_had_counted_is_free_again(start_office: OfficeFactory):
    office = start_office(limits={"sessions_per_workspace": MOST})
    with ExitStack() as stack:
        sessions = [stack.enter_context(office.session()) for _ in range(MOST)]
        dead = seat_of(sessions[0])
        signal_worker(office.proxy, dead, signal.SIGKILL)
        lost = [session for session in sessions if seat_of(session) == dead]
        wait_for_restarts(office.proxy, 1, WORKERS)
        wait_until(office.can_log_in, what="the dead worker's places to be free")
        again: list[Session] = []

        def has_all() -> bool:
            # The place of the login that was tried may not be free at once.
            with suppress(Told):
                again.append(stack.enter_context(office.session()))
            return len(again) == len(lost)

        wait_until(has_all, what="as many sessions as were lost")
        assert office.refusal().code == office.code(Reason.TOO_MANY_SESSIONS)


def govern(office: Office, **limits: int) -> None:
    """A policy of limits, which every worker has."""
    office.govern(policy_from({"version": 1, "access": "full", "limits": limits}))


def is_over(session: Session, limit: str) -> bool:
    session.send("SELECT 'one more'")
    answer = session.answer()
    return isinstance(answer, Told) and limit in answer.text


def test_statements_of_a_minute_are_those_of_all_workers(office: Office):
    govern(office, statements_per_minute=20)
    with sessions_at_both(office) as (first, second):
        ran = 0
        for session in (first, second):
            for _ in range(9):
                ran += session.value("SELECT 'on'") == "on"
        # Drivers of MySQL may have run one of their own.
        assert ran == 18
        for _ in range(10):
            if is_over(first, "statements_per_minute"):
                break
        assert is_over(first, "statements_per_minute")
        assert is_over(second, "statements_per_minute")


def test_rows_of_a_day_are_those_of_all_workers_and_outlive_one(start_office: OfficeFactory):
    office = start_office()
    wait_past_midnight()
    govern(office, rows_per_day=100)
    with sessions_at_both(office) as (first, second):
        assert len(first.rows(office.driver.series(60))) == 60
        assert len(second.rows(office.driver.series(40))) == 40
        for session in (first, second):
            assert is_over(session, "rows_per_day")
        signal_worker(office.proxy, seat_of(first), signal.SIGKILL)
        wait_for_restarts(office.proxy, 1, WORKERS)
        with session_elsewhere(office, seat_of(second)) as third:
            assert is_over(third, "rows_per_day")


def test_sessions_of_a_minute_are_those_of_all_workers(office: Office):
    govern(office, sessions_per_minute=MOST)
    opened = 0
    for _ in range(2 * MOST):
        with suppress(Told):
            office.session().close()
            opened += 1
    assert opened <= MOST
    assert opened > 0

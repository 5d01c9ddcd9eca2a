"""Several workers are one proxy: what they serve, list, end, measure and record together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from policies.document import policy_from
from protocols.errors import Reason
from proxy.audit.chains import chain_folders
from proxy.audit.crosscheck import verify_all
from proxy.control import ControlError
from tests.conformance.driver import TABLE
from tests.conformance.office import Office
from tests.servers.waiting import wait_until
from tests.workers.conftest import WORKERS, OfficeFactory
from tests.workers.spread import events, seat_of, sessions_at_both


def test_both_workers_serve_and_are_listed_as_one_proxy(office: Office):
    with sessions_at_both(office) as (first, second):
        assert [session.value("SELECT 'on'") for session in (first, second)] == ["on", "on"]
        both = {first.number, second.number}
        # Those that went to the same worker may just be leaving.
        wait_until(
            lambda: {one["number"] for one in office.sessions()} == both, what="both to be listed"
        )
        assert seat_of(first) != seat_of(second)


def test_a_session_of_any_worker_is_killed_by_its_id_or_number(office: Office):
    with sessions_at_both(office) as (first, second):
        office.run_for_long(second, "to be killed anywhere")
        assert office.control("session.kill", id=office.id_of(first)) == {"killed": 1}
        assert office.control("session.kill", id=str(second.number)) == {"killed": 1}
        for session in (first, second):
            told = session.ended()
            assert told.code == office.code(Reason.SESSION_ENDED)
            assert told.text == "this session was ended by an administrator"
        office.wait_until_not_running("to be killed anywhere")
    with pytest.raises(ControlError, match="there is no session 12345"):
        office.control("session.kill", id="12345")


@pytest.mark.parametrize("change", ["revoke", "suspend", "remove", "govern"])
def test_a_change_of_the_store_cuts_the_sessions_of_every_worker(office: Office, change: str):
    with sessions_at_both(office) as sessions:
        for session in sessions:
            assert session.value("SELECT 'begun'") == "begun"
        match change:
            case "revoke":
                office.proxy.revoke_token(office.name, office.token)
            case "suspend":
                office.proxy.suspend(office.name)
            case "remove":
                office.proxy.remove_source(office.name, "orders")
            case _:
                office.govern(policy_from({"version": 1, "access": "read-only"}))
        for session in sessions:
            assert session.ended().code == office.code(Reason.SESSION_ENDED)


def test_a_rotated_password_is_used_by_every_worker_at_once(office: Office):
    with sessions_at_both(office) as sessions:
        office.rotate("wrong")
        # No session is cut; every new one uses what is stored now. At once: each waits for a
        # newer password before it is refused.
        with ThreadPoolExecutor(12) as threads:
            wait_until(
                lambda: not any(threads.map(lambda _: office.can_log_in(), range(12))),
                what="every worker to use the new password",
            )
        assert [session.value("SELECT 'on'") for session in sessions] == ["on", "on"]


def test_the_metrics_are_those_of_all_workers(office: Office):
    before = office.proxy.metrics()
    with sessions_at_both(office) as (first, second), ExitStack() as stack:
        more = [stack.enter_context(office.session()) for _ in range(6)]
        sessions = [first, second, *more]

        def is_counted() -> bool:
            return office.proxy.metrics()["sessions{state=open}"] == len(sessions)

        wait_until(is_counted, what="the sessions of both workers to be counted")
        for session in sessions:
            for _ in range(5):
                session.rows(f"SELECT note FROM {TABLE}")
        name = "statements_total{kind=select,outcome=succeeded}"
        histogram = "statement_seconds_count{kind=select}"
        wanted = 5 * len(sessions)

        def has_all() -> bool:
            now = office.proxy.metrics()
            return all(now[one] - before.get(one, 0) == wanted for one in (name, histogram))

        wait_until(has_all, what="the statements of both workers to be counted")
    wait_until(lambda: office.proxy.metrics()["store_current"] == 1, what="the store's word")
    samples = office.proxy.metrics()
    assert samples["workers{state=ready}"] == WORKERS
    assert samples["audit_failed"] == 0
    (build,) = [value for key, value in samples.items() if key.startswith("build_info")]
    assert build == 1
    wait_until(lambda: office.proxy.is_ready, what="the proxy to be ready")


def test_every_statement_is_in_one_of_the_chains_and_all_verify(start_office: OfficeFactory):
    office = start_office()
    with sessions_at_both(office) as (first, second):
        for number in range(10):
            first.value(f"SELECT 'first {number}'")
            second.value(f"SELECT 'second {number}'")
        ids = [office.id_of(session) for session in (first, second)]
    for session_id, word in zip(ids, ("first", "second"), strict=True):
        texts = [
            record["query_info"]["query_string"] for record in office.records_of_session(session_id)
        ]
        assert texts == [f"SELECT '{word} {number}'" for number in range(10)]
    office.proxy.stop()
    assert list(chain_folders(office.proxy.audit_folder)) == ["main", "worker-1"]
    reports = verify_all(office.proxy.audit_folder, office.proxy.vault.verification_key(), {})
    assert all(report.is_intact for report in reports.values())
    seen = [
        record["unmapped"]["chains"]
        for record in office.proxy.audit_events()
        if record.get("message") == "Audit chains seen"
    ]
    assert {name for one in seen for name in one} == {"main", "worker-1"}


def test_several_chains_go_on_in_one_process_and_back(start_office: OfficeFactory):
    office = start_office()
    office.session().close()
    office.proxy.wait_until_quiet()
    text = office.proxy.config_file.read_text()
    office.proxy.stop()
    office.proxy.config_file.write_text(text.replace(f"count = {WORKERS}", "count = 1"))
    office.proxy.start()
    with office.session() as session:
        assert session.value("SELECT 'alone'") == "alone"
        # A number of one process is any.
        assert len(office.sessions()) == 1
    office.proxy.stop()
    office.proxy.config_file.write_text(text)
    office.proxy.start()
    with sessions_at_both(office):
        pass
    office.proxy.stop()
    reports = verify_all(office.proxy.audit_folder, office.proxy.vault.verification_key(), {})
    assert all(report.is_intact for report in reports.values())


def test_the_supervisor_says_who_was_started(office: Office):
    assert len(events(office.proxy, "worker started")) == WORKERS

"""Who is over a limit is told so, and nobody else suffers."""

from __future__ import annotations

from contextlib import ExitStack, suppress

import pytest

from policies.document import policy_from
from protocols.errors import Reason
from tests.conformance.conftest import OfficeFactory
from tests.conformance.driver import Session, Told
from tests.conformance.fixtures import new_name
from tests.conformance.office import Office
from tests.servers.waiting import wait_until


def is_turned_away(office: Office, *, tls: bool = False) -> None:
    """One more connection is told that there are too many, before its workspace is known."""
    told = office.refusal(workspace=new_name(), tls=tls)
    assert told.code == office.code(Reason.TOO_MANY_SESSIONS)


def test_pending_logins_of_one_address_are_limited(start_office: OfficeFactory):
    office = start_office(limits={"pending_logins_per_address": 5})
    with office.session() as session, ExitStack() as stack:
        before = office.proxy.socket_count()

        def has_silent(count: int) -> bool:
            return office.proxy.metrics()["sessions{state=login}"] == count

        silent = [stack.enter_context(office.driver.connect(office.proxy.port)) for _ in range(5)]
        wait_until(lambda: has_silent(5), what="five silent clients")
        for _ in range(20):
            is_turned_away(office)
        # Who has logged in is no longer pending.
        assert session.value("SELECT 'on'") == "on"
        silent[0].close()
        wait_until(lambda: has_silent(4), what="a place to be free")
        with office.session() as another:
            assert another.value("SELECT 'in'") == "in"
    wait_until(lambda: office.proxy.socket_count() <= before - 2, what="all sockets to be closed")


def test_pending_logins_of_all_are_limited(start_office: OfficeFactory):
    office = start_office(limits={"pending_logins": 4, "pending_logins_per_address": 4})
    with office.session() as session, ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(office.driver.connect(office.proxy.port))
        wait_until(
            lambda: office.proxy.metrics()["sessions{state=login}"] == 4, what="four silent clients"
        )
        is_turned_away(office)
        assert session.value("SELECT 'on'") == "on"


@pytest.mark.parametrize("place", ["limits.sessions", "listener.max_sessions"])
def test_sessions_in_all_are_limited(start_office: OfficeFactory, place: str):
    section, _, name = place.partition(".")
    office = start_office(**{section: {name: 2}})
    with office.session() as first, office.session() as second:
        for _ in range(5):
            is_turned_away(office)
        assert [session.value("SELECT 'on'") for session in (first, second)] == ["on", "on"]
        first.close()
        wait_until(office.can_log_in, what="the place to be free")


def test_the_sessions_of_a_workspace_are_limited_and_no_others(start_office: OfficeFactory):
    office = start_office(limits={"sessions_per_workspace": 2})
    other = Office(office.proxy, office.driver, new_name())
    with office.session() as first, office.session() as second:
        told = office.refusal()
        assert told.code == office.code(Reason.TOO_MANY_SESSIONS)
        assert told.text == "this workspace has too many sessions at the proxy"
        assert [session.value("SELECT 'on'") for session in (first, second)] == ["on", "on"]
        with other.session() as session:
            assert session.value("SELECT 'theirs'") == "theirs"
        first.close()
        wait_until(office.can_log_in, what="the place to be free")


def test_the_sessions_of_a_policy_are_limited(office: Office):
    document = {"version": 1, "access": "full", "limits": {"sessions": 1}}
    office.govern(policy_from(document))

    opened: list[Session] = []

    def is_bounded() -> bool:
        # The place of a session before this one may not be free yet.
        with suppress(Told):
            opened.append(office.session())
        while len(opened) > 1:
            opened.pop(0).close()
        return bool(opened) and not office.can_log_in()

    wait_until(is_bounded, what="the policy to hold")
    with opened[0] as session:
        assert office.refusal().code == office.code(Reason.TOO_MANY_SESSIONS)
        assert session.value("SELECT 'on'") == "on"
    wait_until(office.can_log_in, what="the place to be free")

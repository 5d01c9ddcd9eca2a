"""``session list`` and ``session kill``: through the control socket, to the server."""

from __future__ import annotations

import pytest

from protocols.errors import Reason
from proxy.control import ControlError
from tests.conformance.driver import TABLE, Session
from tests.conformance.office import Office
from tests.servers.waiting import wait_until


def test_a_session_is_listed_with_what_it_does(office: Office, session: Session):
    (idle,) = office.sessions()
    assert (idle["state"], idle["source"], idle["tls"]) == ("idle", "orders", False)
    session.rows("BEGIN")
    session.rows(f"SELECT note FROM {TABLE}")
    assert office.sessions()[0]["state"] == "idle in transaction"
    office.run_for_long(session, "listed")
    assert office.sessions()[0]["state"] == "active"
    assert office.sessions()[0]["number"] == session.number
    office.control("session.kill", id=str(session.number))
    session.ended()
    office.wait_until_not_running("listed")


def test_a_killed_session_is_told_and_its_statement_stops_at_the_server(
    office: Office, session: Session
):
    with office.session() as other:
        office.run_for_long(session, "to be killed")
        killed = office.control("session.kill", id=office.id_of(session))
        assert killed == {"killed": 1}
        told = session.ended()
        assert told.code == office.code(Reason.SESSION_ENDED)
        assert told.text == "this session was ended by an administrator"
        office.wait_until_not_running("to be killed")
        assert other.value("SELECT 'on'") == "on"
    assert office.record_of("to be killed")["unmapped"]["outcome"] == "interrupted"


def test_an_idle_session_is_killed_with_a_word(office: Office, session: Session):
    office.control("session.kill", id=office.id_of(session))
    told = session.ended()
    assert told.code == office.code(Reason.SESSION_ENDED)
    assert told.text == "this session was ended by an administrator"
    wait_until(lambda: office.sessions() == [], what="the session to be gone")


@pytest.mark.parametrize("wanted", ["", "nobody", 0, None, "12345"])
def test_a_session_that_is_not_there_is_one_sentence(office: Office, wanted: object):
    with pytest.raises(ControlError, match="there is no session"):
        office.control("session.kill", id=wanted)

"""What is changed at one node takes effect at the other within a second."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocols.errors import Reason
from proxy.audit.chains import chain_folders
from proxy.store import parse_token
from tests.conformance.driver import TABLE, Driver, Session
from tests.conformance.fixtures import new_name
from tests.conformance.office import SOURCE, Office
from tests.nodes.node import WITHIN, Node
from tests.servers.waiting import wait_until

Record = Callable[[str, object], None]

# The first of each protocol waits for servers and two proxies to start.
pytestmark = pytest.mark.timeout(180)

NO_LONGER = "the workspace or its token may no longer use this session"


@pytest.fixture
def office(nodes: tuple[Node, Node], driver: Driver) -> Office:
    """A workspace, as the node sees it at which nothing is changed."""
    return Office(nodes[1], driver, new_name())


@dataclass(frozen=True)
class Change:
    """A command, what a session that it cuts is told, and a new login behind it."""

    words: Callable[[Office], tuple[str, ...]]
    told: str
    refused: Reason


CHANGES = {
    "a token revoked": Change(
        lambda office: ("token", "revoke", office.name, parse_token(office.token), "--yes"),
        NO_LONGER,
        Reason.AUTHENTICATION_FAILED,
    ),
    "a workspace suspended": Change(
        lambda office: ("workspace", "suspend", office.name, "--yes"),
        NO_LONGER,
        Reason.NOT_PERMITTED,
    ),
    "a source removed": Change(
        lambda office: ("source", "remove", office.name, SOURCE, "--yes"),
        "the data source was removed",
        Reason.UNKNOWN_SOURCE,
    ),
}


def begun(office: Office, stack: ExitStack, source: str = SOURCE) -> Session:
    """A session that has run a statement."""
    session = stack.enter_context(office.session(source))
    assert session.value("SELECT 'begun'") == "begun"
    return session


def wait_for_the_end(session: Session, code: str, text: str, record: Record) -> None:
    """The session ends within a second of now, which is when the command has returned."""
    returned = time.monotonic()
    session.wait_at_most(WITHIN)
    told = session.ended()
    record("seconds_after_the_command", round(time.monotonic() - returned, 3))
    assert told.code == code
    assert text in told.text


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_on_one_node_cuts_its_sessions_on_the_other_and_no_others(
    nodes: tuple[Node, Node], office: Office, change: Change, record_property: Record
):
    first, second = nodes
    stranger = Office(second, office.driver, new_name())
    with ExitStack() as stack:
        session = begun(office, stack)
        running = begun(office, stack)
        spared = begun(stranger, stack)
        office.run_for_long(running, office.name)
        first.run(*change.words(office))
        wait_for_the_end(session, office.code(Reason.SESSION_ENDED), change.told, record_property)
        # What another session of it was in the middle of is stopped at the server too.
        assert running.ended().text == change.told
        office.wait_until_not_running(office.name)
        assert spared.value("SELECT 'on'") == "on"
    assert office.refusal().code == office.code(change.refused)


def test_of_a_workspace_only_what_was_changed_is_cut(nodes: tuple[Node, Node], office: Office):
    first, second = nodes
    office.add_source("ledger")
    kept = copy.copy(office)
    kept.token = second.create_token(office.name)
    wait_until(kept.can_log_in, what="the second token to be known")
    with ExitStack() as stack:
        of_the_token = begun(office, stack)
        of_the_source = begun(kept, stack)
        spared = begun(kept, stack, "ledger")
        first.run(*CHANGES["a token revoked"].words(office))
        of_the_token.wait_at_most(WITHIN)
        assert of_the_token.ended().text == NO_LONGER
        assert of_the_source.value("SELECT 'on'") == "on"
        first.run(*CHANGES["a source removed"].words(office))
        of_the_source.wait_at_most(WITHIN)
        assert of_the_source.ended().text == "the data source was removed"
        assert spared.value("SELECT 'on'") == "on"


def test_a_policy_of_one_node_holds_at_the_other(
    nodes: tuple[Node, Node], office: Office, tmp_path: Path, record_property: Record
):
    first, _ = nodes
    policy = tmp_path / "policy.toml"
    policy.write_text('version = 1\naccess = "read-only"\n')
    writing = f"UPDATE {TABLE} SET note = note"
    with ExitStack() as stack:
        session = begun(office, stack)
        session.rows(writing)
        first.run("policy", "set", office.name, str(policy))
        wait_for_the_end(session, office.code(Reason.SESSION_ENDED), "policy", record_property)
        governed = begun(office, stack)
        assert "policy" in governed.error(writing).text
        assert governed.value("SELECT 'on'") == "on"
        first.run("policy", "clear", office.name, "--yes")
        wait_for_the_end(governed, office.code(Reason.SESSION_ENDED), "policy", record_property)
        begun(office, stack).rows(writing)


def test_what_was_suspended_at_one_node_is_resumed_at_the_other(
    nodes: tuple[Node, Node], office: Office
):
    first, second = nodes
    first.run("workspace", "suspend", office.name, "--yes")
    wait_until(lambda: not office.can_log_in(), within=WITHIN, what="the workspace to be refused")
    second.run("workspace", "resume", office.name)
    at_first = copy.copy(office)
    at_first.proxy = first
    wait_until(at_first.can_log_in, within=WITHIN, what="the workspace to be let in again")


def test_a_session_is_listed_and_killed_at_its_own_node_alone(
    nodes: tuple[Node, Node], office: Office
):
    first, second = nodes
    with office.session() as session:
        session_id = office.id_of(session)
        assert first.run("session", "list", "--workspace", office.name) == []
        told = first.refused("session", "kill", session_id, "--yes")
        assert f"There is no session {session_id} at this proxy." in told
        assert session.value("SELECT 'on'") == "on"
        assert second.run("session", "kill", session_id, "--yes") == {"killed": 1}
        session.wait_at_most(WITHIN)
        assert session.ended().text == "this session was ended by an administrator"


def test_each_node_records_what_was_done_at_it_and_both_logs_verify(
    nodes: tuple[Node, Node], office: Office
):
    words = CHANGES["a token revoked"].words(office)
    with office.session() as session:
        session_id = office.id_of(session)
        assert session.value("SELECT 'told at one node'") == "told at one node"
        nodes[0].run(*words)
        session.wait_at_most(WITHIN)
        session.ended()
    assert len(office.records_of_session(session_id)) == 1
    token_id = words[3]

    def revoked(node: Node) -> list[object]:
        return [
            record
            for record in node.audit_events()
            if record.get("message") == "Token: disable" and record["user"]["uid"] == token_id
        ]

    # Before the change and behind it: see ``audited``.
    assert [len(revoked(node)) for node in nodes] == [2, 0]
    for node in nodes:
        assert list(chain_folders(node.audit_folder)) == ["main"]
        node.run("audit", "verify")

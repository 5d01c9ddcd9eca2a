"""Servers that ask for a client's file, where LOAD DATA LOCAL is relayed.

The listener offers it, the client has the flag; still only the client's own statement makes
a request, and only for its own file ("Security Considerations for LOAD DATA LOCAL" in the
MySQL manual; aiomysql GHSA-r397-ff8c-wv2g). Every attack is tried in a workspace without a
policy, in one whose policy allows LOAD DATA LOCAL, and in one whose policy does not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from policies.document import Policy, policy_from
from proxy.store import Store
from tests.hostile.fake_server import FakeServer
from tests.hostile.mysql.conftest import MysqlStage, open_theatre
from tests.hostile.mysql.fake_server import (
    LOCAL_FILES,
    MysqlPeer,
    numbered,
    ok,
    rows,
)
from tests.hostile.mysql.raw import (
    AUTOCOMMIT,
    PING,
    USUAL,
    MysqlClient,
    execute,
    number_of,
    packet,
    prepare,
    query,
    refused,
)
from tests.hostile.stage import text_of
from tests.servers.certificates import Certificates
from tests.servers.proxy import Record

LOGOFF = 300202
MORE = AUTOCOMMIT | 8
WRITES = {"version": 1, "access": "read-write"}
POLICIES: dict[str, Policy | None] = {
    "free": None,
    "loads": policy_from(WRITES | {"features": ["load_data_local"]}),
    "writes": policy_from(WRITES),
}
FILE = packet(2, b"1,one\n2,two\n") + packet(3, b"")
LOAD = query("LOAD DATA LOCAL INFILE 'mine.csv' INTO TABLE t")
PASSWD = b"\xfb/etc/passwd"
MINE = b"\xfbmine.csv"

NOBODY_LOADS = "the data source asked for a file that nobody loads"
ANOTHER = "the data source asked for another file than the client loads"
UNASKED = "the data source sent an answer that nobody asked for"
STEP = "the data source sent an answer out of step"


@pytest.fixture(scope="module")
def theatre(server_folder: Path, certificates: Certificates) -> Iterator[MysqlStage]:
    """A proxy that relays LOAD DATA LOCAL, and a workspace for each policy."""
    folder = server_folder / "loading-proxy"
    with open_theatre(folder, certificates, [("home", "orders")], local_infile=True) as stage:
        yield stage


@pytest.fixture(scope="module")
def villain(theatre: MysqlStage) -> Iterator[FakeServer]:
    """A server that every workspace has a source on; each test gives it its script."""
    with FakeServer(MysqlPeer) as server:
        for name, policy in POLICIES.items():
            theatre.create_workspace(name)
            theatre.add_fake_source(name, "villain", server.port)

            async def govern(store: Store, name: str = name, policy: Any = policy) -> None:
                await store.policies.set_of_workspace(await store.workspace(name), policy)

            theatre.proxy.with_store(govern)
        yield server


def entered(peer: MysqlPeer) -> bytes:
    """A login, with all that a policy sets; the first command of the client."""
    peer.welcome()
    while (command := peer.command()).startswith(b"\x03SET SESSION"):
        peer.send(numbered(ok()))
    return command


def log_in(stage: MysqlStage, workspace: str, *, flag: int = LOCAL_FILES) -> MysqlClient:
    return stage.log_in(workspace, "villain", capabilities=USUAL | flag)


def requested(client: MysqlClient) -> bytes:
    """What a LOAD is answered with."""
    client.send(LOAD)
    client.sequence = 1
    return client.receive()


def prepared(number: int) -> bytes:
    return numbered(b"\0" + struct.pack("<IHHBH", number, 0, 0, 0, 0))


def saying(*answers: bytes) -> Callable[[MysqlPeer], None]:
    """A server that answers one command after the other."""

    def script(peer: MysqlPeer) -> None:
        entered(peer)
        peer.send(answers[0])
        for answer in answers[1:]:
            peer.command()
            peer.send(answer)

    return script


def closing(stage: MysqlStage, marker: str) -> Record:
    """The record of the session that has ended since."""
    (record,) = (e for e in stage.events_since(marker) if e["type_uid"] == LOGOFF)
    return record


# What the client sends, one after the other, what it is answered, and what is recorded. The
# last answer is the attack.
ATTACKS: dict[str, tuple[list[bytes], list[bytes], str]] = {
    "to a query": ([query("SELECT 1")], [numbered(PASSWD)], NOBODY_LOADS),
    "to a ping": ([PING], [numbered(PASSWD)], STEP),
    "to a prepare": ([prepare("SELECT 1")], [numbered(PASSWD)], STEP),
    "to an execution": (
        [prepare("SELECT 1"), execute(1)],
        [prepared(1), numbered(PASSWD)],
        NOBODY_LOADS,
    ),
    "to a text that only speaks of it": (
        [query("SELECT 'LOAD DATA LOCAL INFILE mine.csv'")],
        [numbered(MINE)],
        NOBODY_LOADS,
    ),
    "in the place of a second result": (
        [query("SELECT 1")],
        [numbered(*rows(b"1")[:-1], ok(header=0xFE, status=MORE), PASSWD)],
        NOBODY_LOADS,
    ),
    "behind an OK": ([query("SELECT 1")], [numbered(ok()) + numbered(PASSWD)], UNASKED),
    "behind a result": ([query("SELECT 1")], [numbered(*rows(b"1")) + numbered(PASSWD)], UNASKED),
}


@pytest.mark.parametrize("workspace", POLICIES)
@pytest.mark.parametrize("name", ATTACKS)
def test_a_request_that_no_statement_made_never_reaches_the_client(
    theatre: MysqlStage, villain: FakeServer, workspace: str, name: str
):
    commands, answers, reason = ATTACKS[name]
    villain.play(saying(*answers))
    marker = theatre.mark()
    with theatre.unharmed(), log_in(theatre, workspace) as client:
        for command in commands[:-1]:
            client.ask(command)
        client.send(commands[-1])
        heard = client.read_to_end()
    assert b"\xfb/etc" not in heard
    assert b"mine.csv" not in heard
    assert heard.count(b"the data source broke the protocol and the session was ended") == 1
    villain.received()
    record = closing(theatre, marker)
    assert record["unmapped"]["reason"] == "source_lost"
    assert record["status_detail"] == reason


def test_nothing_is_asked_while_nothing_was_sent(theatre: MysqlStage, villain: FakeServer):
    def script(peer: MysqlPeer) -> None:
        peer.welcome()
        peer.send(numbered(PASSWD, sequence=0))

    villain.play(script)
    marker = theatre.mark()
    with theatre.unharmed(), log_in(theatre, "free") as client:
        error = refused(client.read_to_end()[4:])
        assert error.text == "the data source broke the protocol and the session was ended"
    assert closing(theatre, marker)["status_detail"] == UNASKED


@pytest.mark.parametrize("workspace", ["free", "loads"])
def test_another_file_than_the_statements_is_not_asked_for(
    theatre: MysqlStage, villain: FakeServer, workspace: str
):
    villain.play(saying(numbered(PASSWD)))
    marker = theatre.mark()
    with theatre.unharmed(), log_in(theatre, workspace) as client:
        client.send(LOAD)
        heard = client.read_to_end()
    assert b"passwd" not in heard
    assert number_of(refused(heard[4:])) == 1053
    assert closing(theatre, marker)["status_detail"] == ANOTHER
    (told,) = (e for e in theatre.events_since(marker) if text_of(e).startswith("LOAD"))
    assert told["unmapped"]["outcome"] == "interrupted"


@pytest.mark.parametrize("workspace", ["free", "loads"])
@pytest.mark.parametrize(
    ("then", "reason"),
    [
        # In the place of the OK; behind it; and with the numbers of one more answer.
        (packet(4, MINE), STEP),
        (packet(4, ok()) + packet(5, MINE), UNASKED),
        (packet(4, ok()) + packet(1, PASSWD), UNASKED),
        # As a further result of the same text, which has but one statement that loads.
        (packet(4, ok(status=MORE)) + packet(5, PASSWD), NOBODY_LOADS),
        (packet(4, ok(status=MORE)) + packet(5, MINE), NOBODY_LOADS),
    ],
)
def test_a_file_is_not_asked_for_twice(
    theatre: MysqlStage, villain: FakeServer, workspace: str, then: bytes, reason: str
):
    def script(peer: MysqlPeer) -> None:
        assert entered(peer) == LOAD[4:]
        peer.send(numbered(MINE))
        assert peer.read(len(FILE)) == FILE
        peer.send(then)

    villain.play(script)
    marker = theatre.mark()
    with theatre.unharmed(), log_in(theatre, workspace) as client:
        assert requested(client) == MINE
        client.send(FILE)
        heard = client.read_to_end()
    assert b"\xfb" not in heard
    villain.received()
    assert closing(theatre, marker)["status_detail"] == reason


def test_a_policy_that_does_not_allow_it_refuses_the_statement(
    theatre: MysqlStage, villain: FakeServer
):
    def script(peer: MysqlPeer) -> None:
        # What goes upstream in its place is a ping.
        assert entered(peer) == b"\x0e"
        peer.send(numbered(MINE))

    villain.play(script)
    marker = theatre.mark()
    with theatre.unharmed(), log_in(theatre, "writes") as client:
        client.send(LOAD)
        heard = client.read_to_end()
    assert b"mine.csv" not in heard
    villain.received()
    assert closing(theatre, marker)["status_detail"] == STEP
    (told,) = (e for e in theatre.events_since(marker) if text_of(e).startswith("LOAD"))
    assert told["unmapped"]["outcome"] == "refused"


def test_a_client_without_the_flag_is_not_asked_for_its_own_file(
    theatre: MysqlStage, villain: FakeServer
):
    villain.play(saying(numbered(MINE)))
    marker = theatre.mark()
    with theatre.unharmed(), log_in(theatre, "free", flag=0) as client:
        client.send(LOAD)
        assert b"mine.csv" not in client.read_to_end()
    assert closing(theatre, marker)["status_detail"] == NOBODY_LOADS


def test_an_honest_load_passes(theatre: MysqlStage, villain: FakeServer):
    # What all of the above would be vain without: the same client and server, no attack.
    def script(peer: MysqlPeer) -> None:
        assert entered(peer) == LOAD[4:]
        peer.send(numbered(MINE))
        assert peer.read(len(FILE)) == FILE
        peer.send(packet(4, ok(2)))

    villain.play(script)
    with theatre.unharmed(), log_in(theatre, "loads") as client:
        assert requested(client) == MINE
        client.send(FILE)
        assert client.answer(4) == [ok(2)]

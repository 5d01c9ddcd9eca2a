"""Clients that go away at a step of their login, or never take what they asked for."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.hostile.mysql.conftest import MysqlPlay, MysqlStage
from tests.hostile.mysql.fake_server import DEFINITION, MysqlPeer, eof, numbered, ok
from tests.hostile.mysql.raw import (
    DEPRECATE_EOF,
    FULL,
    USUAL,
    MysqlClient,
    packet,
    query,
    response,
    scrambled,
    text,
)
from tests.hostile.stage import CREDENTIAL_USED, of_type, text_of
from tests.servers.waiting import wait_until

Step = Callable[[MysqlClient], None]


def _answer(token: str) -> Step:
    def step(client: MysqlClient) -> None:
        proof = scrambled(token, client.scramble)
        client.put(response("alpha", proof, "orders"))

    return step


def _half_of_an_answer(client: MysqlClient) -> None:
    whole = packet(1, response("alpha", scrambled("x", client.scramble), "orders"))
    client.send(whole[: len(whole) // 2])


def _nothing(client: MysqlClient) -> None:
    """Only the greeting has been read."""


def _tls(client: MysqlClient) -> None:
    client.start_tls()


def _switch(client: MysqlClient) -> None:
    client.put(response("alpha", b"", "orders", plugin="mysql_clear_password"))
    assert client.receive()[0] == 0xFE


def _wrong(client: MysqlClient) -> None:
    _answer("acp_wrong")(client)
    assert client.receive() == b"\x01\x04"


def _asks_for_the_key(client: MysqlClient) -> None:
    _wrong(client)
    client.put(b"\x02")
    assert client.receive().startswith(b"\x01-----BEGIN PUBLIC KEY-----")


STEPS: dict[str, Step] = {
    "behind the greeting": _nothing,
    "in the answer": _half_of_an_answer,
    "behind TLS": _tls,
    "where it was told to switch": _switch,
    "where its whole password is due": _wrong,
    "where it was given the key": _asks_for_the_key,
}


@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("name", STEPS)
def test_a_client_that_leaves_its_login_leaves_nothing_behind(
    stage: MysqlStage, marker: str, name: str, how: str
):
    with stage.client() as client:
        client.greeted()
        STEPS[name](client)
        if how == "reset":
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The fixture waits for the descriptors to be given back.
    assert of_type(stage.events_since(marker), CREDENTIAL_USED) == []


def test_a_client_that_leaves_as_it_is_welcomed_ends_its_session(stage: MysqlStage, marker: str):
    with stage.client() as client:
        client.greeted()
        _answer(stage.tokens["alpha"])(client)

    def is_closed() -> bool:
        return "Session closed" in [event.get("message") for event in stage.events_since(marker)]

    wait_until(is_closed, what="the session's last record")


def test_endless_rows_to_a_client_that_takes_none_are_not_kept(stage: MysqlStage, play: MysqlPlay):
    def script(peer: MysqlPeer) -> None:
        peer.welcome()
        peer.command()
        peer.send(numbered(b"\1", DEFINITION))
        sequence = 3
        peer.socket.settimeout(3.0)
        while True:
            rows = b""
            for _ in range(64):
                rows += packet(sequence, text(b"r" * 1000))
                sequence += 1
            # Raises Gone once nothing has been taken for three seconds.
            peer.send(rows)

    play.fake.play(script)
    with stage.client(receive_buffer=4096) as client:
        client.log_in("alpha", stage.tokens["alpha"], "plain")
        client.send(query("SELECT 'endless'"))
        (peer,) = play.fake.peers
        before = stage.proxy.resident_bytes()
        assert peer.is_over.wait(40), "the server could send on and on"
        # What was sent before that lies in the kernel's buffers, not in ours.
        assert stage.proxy.resident_bytes() - before < 16 * 1024 * 1024
        assert stage.bystander is not None
        assert stage.bystander.value("SELECT 'on'") == "on"


def test_a_server_that_takes_nothing_stops_its_client(stage: MysqlStage, play: MysqlPlay):
    is_over = threading.Event()

    def script(peer: MysqlPeer) -> None:
        peer.welcome()
        is_over.wait(40)

    play.fake.play(script)
    sent = 0
    try:
        with stage.client() as client:
            client.log_in("alpha", stage.tokens["alpha"], "plain")
            patience = client.socket.gettimeout()
            client.socket.settimeout(3.0)
            before = stage.proxy.resident_bytes()
            # One statement of 640 MB, in packets that are each continued by the next.
            with suppress(TimeoutError):
                for number in range(40):
                    client.send(packet(number, b"\x03SELECT '".ljust(FULL, b"x")))
                    sent += FULL
            assert sent < 100_000_000
            assert stage.proxy.resident_bytes() - before < 16 * 1024 * 1024
            assert stage.bystander is not None
            assert stage.bystander.value("SELECT 'on'") == "on"
            # The server ends without having read it: so does the session.
            (peer,) = play.fake.peers
            peer.socket.shutdown(socket.SHUT_RDWR)
            client.socket.settimeout(patience)
            assert b"the data source closed the connection" in client.read_to_end()
    finally:
        is_over.set()


# --- sessions without DEPRECATE_EOF ------------------------------------------------------

OLD = USUAL & ~DEPRECATE_EOF


def _old_rows(*values: bytes) -> bytes:
    return numbered(b"\1", DEFINITION, eof(), *map(text, values), eof())


def test_an_old_session_has_eofs_behind_columns_and_rows(stage: MysqlStage, play: MysqlPlay):
    def script(peer: MysqlPeer) -> None:
        peer.welcome()
        assert not int.from_bytes(peer.login[:4], "little") & DEPRECATE_EOF
        peer.command()
        peer.send(_old_rows(b"a", b"b"))
        peer.command()
        peer.send(numbered(ok()))

    marker = stage.mark()
    play.fake.play(script)
    with stage.client() as client:
        client.log_in("alpha", stage.tokens["alpha"], "plain", capabilities=OLD)
        client.send(query("SELECT 'old'"))
        client.sequence = 1
        answer = [client.receive() for _ in range(6)]
        assert answer == [b"\1", DEFINITION, eof(), text(b"a"), text(b"b"), eof()]
        assert client.ask(query("SET @x = 1")) == [ok()]
    (record,) = [event for event in stage.events_since(marker) if "'old'" in text_of(event)]
    assert (record["unmapped"]["outcome"], record["unmapped"]["rows"]) == ("succeeded", 2)


@pytest.mark.parametrize(
    "answer",
    [
        numbered(b"\1", DEFINITION, text(b"a")),
        numbered(b"\1", DEFINITION, ok(header=0xFE)),
        numbered(b"\1", DEFINITION, b"\xfe"),
    ],
    ids=["no EOF", "an OK for it", "an EOF of 4.0"],
)
def test_an_old_answer_without_its_eof_ends_the_session(
    stage: MysqlStage, play: MysqlPlay, answer: bytes
):
    def script(peer: MysqlPeer) -> None:
        peer.welcome()
        peer.command()
        peer.send(answer)

    play.fake.play(script)
    with stage.client() as client:
        client.log_in("alpha", stage.tokens["alpha"], "plain", capabilities=OLD)
        client.send(query("SELECT 'broken'"))
        assert b"broke the protocol" in client.read_to_end()

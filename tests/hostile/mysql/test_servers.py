"""Hostile MySQL servers: at the login, and in a session that they have let us into."""

from __future__ import annotations

import ssl
from functools import partial

import pytest

from tests.hostile.fake_server import Script
from tests.hostile.mysql.conftest import MysqlPlay
from tests.hostile.mysql.fake_server import (
    ALL,
    DEFINITION,
    FAST,
    FULL_AUTHENTICATION,
    MysqlPeer,
    eof,
    err,
    greeting,
    numbered,
    ok,
    switch,
)
from tests.hostile.mysql.raw import DEPRECATE_EOF, SSL, number_of, packet, query, text
from tests.hostile.stage import PASSWORD, USERNAME, text_of

OUT_OF_STEP = "the data source did not keep to its protocol during the login"
BROKEN = "the data source broke the protocol and the session was ended"
UNTRUSTED, LOST = 1429, 1053


def saying(*payloads: bytes, hello: bytes = b"") -> Script:
    """A server that greets, and answers the response with these."""

    def script(peer: MysqlPeer) -> None:
        peer.greet(hello)
        for payload in payloads:
            peer.put(payload)

    return script


# --- the greeting -----------------------------------------------------------------------


def test_a_greeting_cut_anywhere_is_refused_before_anything_is_sent(play: MysqlPlay):
    whole = greeting()
    # From here on only the plug-in's name is cut, which is a name like any other.
    for cut in range(len(whole) - len("caching_sha2_password") - 1):
        attack = play.refused(partial(MysqlPeer.put, payload=whole[:cut]))
        assert number_of(attack.refused) == UNTRUSTED
        assert attack.received == b""


GREETINGS = {
    "protocol 9": greeting(protocol=9),
    "protocol 11": greeting(protocol=11),
    "a version too long": greeting(version="8" * 200),
    "older than 4.1": greeting(capabilities=ALL & ~(1 << 9)),
    "without what the client took": greeting(capabilities=ALL & ~DEPRECATE_EOF),
}


@pytest.mark.parametrize("name", GREETINGS)
def test_a_greeting_that_cannot_be_trusted_is_answered_with_nothing(play: MysqlPlay, name: str):
    attack = play.refused(lambda peer: peer.put(GREETINGS[name]))
    assert attack.received == b""


def test_a_server_stripped_of_tls_learns_nothing(play: MysqlPlay):
    for source in ("tls", "full", "clear"):
        attack = play.refused(saying(hello=greeting(capabilities=ALL & ~SSL)), source)
        assert attack.refused.text == "the data source's server does not offer TLS"
        assert attack.received == b""


def test_plaintext_behind_the_ssl_request_is_no_answer(play: MysqlPlay):
    def script(peer: MysqlPeer) -> None:
        peer.ssl_request()
        peer.put(ok())

    attack = play.refused(script, "full")
    assert USERNAME.encode() not in attack.received


# --- the method -------------------------------------------------------------------------

LOGINS: dict[str, tuple[list[bytes], str]] = {
    "OK at once": ([ok()], "plain"),
    "cleartext": ([switch("mysql_clear_password")], "plain"),
    "cleartext that is allowed inside TLS only": ([switch("mysql_clear_password")], "sha2"),
    "the hash of MySQL 3.23": ([b"\xfe"], "plain"),
    "mysql_old_password": ([switch("mysql_old_password")], "plain"),
    "an unknown plug-in": ([switch("evil_plugin")], "plain"),
    "a method that is not allowed": ([switch("mysql_native_password")], "sha2"),
    "two switches": ([switch("mysql_native_password"), switch("caching_sha2_password")], "plain"),
    "the whole password without TLS": ([FULL_AUTHENTICATION], "plain"),
    "a key of its own": ([b"\x01-----BEGIN PUBLIC KEY-----\nMIIB"], "plain"),
    "sha256_password without TLS": ([switch("sha256_password")], "plain"),
    "a scramble of another length": ([switch("mysql_native_password", b"short")], "plain"),
    "an empty packet": ([b""], "plain"),
    "a request for a file": ([b"\xfb/etc/passwd"], "plain"),
    "endless steps": ([FAST] * 20, "plain"),
    "an error with our password": ([err(1045, f"denied for {PASSWORD}", "28000")], "plain"),
    "an error without SQLSTATE": ([err(1045, PASSWORD, "")], "plain"),
    "an error cut short": ([b"\xff\x15"], "plain"),
}


@pytest.mark.parametrize("name", LOGINS)
def test_a_hostile_login_is_refused_and_gets_no_password(play: MysqlPlay, name: str):
    payloads, source = LOGINS[name]
    attack = play.refused(saying(*payloads), source)
    assert number_of(attack.refused) == UNTRUSTED
    assert "evil" not in attack.refused.text


def test_an_ok_cut_anywhere_lets_nobody_in(play: MysqlPlay):
    for cut in range(len(ok())):
        attack = play.refused(saying(FAST, ok()[:cut]))
        assert attack.refused.text == OUT_OF_STEP


def test_a_login_out_of_order_is_refused(play: MysqlPlay):
    def script(peer: MysqlPeer) -> None:
        peer.greet()
        peer.send(packet(7, ok()))

    assert play.refused(script).refused.text == OUT_OF_STEP


# --- the session ------------------------------------------------------------------------


def answering(data: bytes) -> Script:
    """A server that answers the first command with ``data``."""

    def script(peer: MysqlPeer) -> None:
        peer.welcome()
        peer.command()
        peer.send(data)

    return script


ANSWERS = {
    "a request for a file that nobody loads": numbered(b"\xfb/etc/passwd"),
    "an empty packet": numbered(b""),
    "a wrong number": packet(3, ok()),
    "OK cut short": numbered(ok()[:4]),
    "a compressed packet": b"\x10\0\0\1\xff\xff\xff" + b"x\x9c" + bytes(14),
    "2**64-1 columns": numbered(b"\xfe" + b"\xff" * 8),
    "16 million columns": numbered(b"\xfd\xff\xff\xff"),
    "no columns": numbered(b"\xfc\0\0"),
    "EOF for OK": numbered(eof()),
    "EOF behind the columns": numbered(b"\1", DEFINITION, eof()[:3]),
    "another OK": numbered(ok()) + numbered(ok()),
    "another greeting": numbered(greeting()),
    "a switch of the method": numbered(switch("mysql_clear_password")),
    "another protocol": b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 40,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_broken_answer_ends_the_session_with_one_sentence(play: MysqlPlay, name: str):
    marker = play.stage.mark()
    with play.session(answering(ANSWERS[name])) as client:
        client.send(query("SELECT 'broken answer'"))
        rest = client.read_to_end()
    assert BROKEN.encode() in rest
    assert b"passwd" not in rest
    assert int.from_bytes(rest[5:7], "little") == LOST
    play.fake.received()
    told = [e for e in play.stage.events_since(marker) if "broken answer" in text_of(e)]
    assert [e["unmapped"]["outcome"] for e in told] in (["interrupted"], ["succeeded"])


def test_words_while_nothing_was_asked_end_the_session(play: MysqlPlay):
    def script(peer: MysqlPeer) -> None:
        peer.welcome()
        peer.send(numbered(ok(), sequence=0))

    with play.session(script) as client:
        assert BROKEN.encode() in client.read_to_end()


def test_a_row_shorter_than_it_says_is_not_waited_for_when_the_server_ends(play: MysqlPlay):
    def script(peer: MysqlPeer) -> None:
        peer.welcome()
        peer.command()
        row = b"\xff\0\0\3" + text(b"half")
        peer.send(numbered(b"\1", DEFINITION) + row)
        peer.socket.shutdown(2)

    with play.session(script) as client:
        client.send(query("SELECT 'half'"))
        # Nothing that a client could take for the row's rest.
        assert client.read_to_end().endswith(text(b"half"))


@pytest.fixture(scope="module")
def encrypted(context: ssl.SSLContext) -> Script:
    """A server that asks for the password in the clear inside verified TLS."""

    def script(peer: MysqlPeer) -> None:
        peer.ssl_request()
        peer.encrypt(context)
        peer.login = peer.receive()
        peer.put(switch("mysql_clear_password"))

    return script


def test_cleartext_needs_to_be_allowed_also_inside_tls(play: MysqlPlay, encrypted: Script):
    attack = play.refused(encrypted, "full")
    assert "mysql_clear_password" in attack.refused.text

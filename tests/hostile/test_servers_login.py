"""Hostile data sources while the proxy logs in to them.

Tenants name the server, so it may be anybody: it must learn nothing, the client must be
told one sentence of ours, and the failure must be on record.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import ssl
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hostile.fake_server import (
    AUTH_OK,
    KEY,
    READY,
    Gone,
    Peer,
    Script,
    error,
    notice,
    parameter,
    parameters,
    server_context,
    server_first,
    sign,
)
from tests.hostile.play import Play
from tests.hostile.raw import Refused, message
from tests.hostile.stage import PASSWORD, USERNAME
from tests.servers.certificates import Certificates

CLEARTEXT = message(b"R", struct.pack("!I", 3))
MD5 = message(b"R", struct.pack("!I", 5) + b"salt")
UNREACHABLE = "the data source cannot be reached"
BROKEN = "the data source did not keep to its protocol during the login"


@pytest.fixture(scope="module")
def context(certificates: Certificates) -> ssl.SSLContext:
    return server_context(str(certificates.certificate("server")), str(certificates.key("server")))


def after_startup(*data: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.startup()
        peer.send(b"".join(data))

    return script


# --- SCRAM ----------------------------------------------------------------------------


def challenged(change: Callable[[str], str]) -> Script:
    """A server whose challenge is made from the client's first message."""

    def script(peer: Peer) -> None:
        peer.startup()
        peer.challenge(change(peer.offer_scram()))
        code, body = peer.message()
        raise AssertionError(f"the proxy answered with {code!r} {body!r}")

    return script


def iterations(text: str) -> Script:
    return challenged(lambda bare: server_first(bare, iterations=text))


CHALLENGES = {
    "more iterations than are allowed": iterations("100001"),
    "iterations to burn a processor": iterations("2147483647"),
    "iterations beyond an integer": iterations("99999999999999999999"),
    "no iterations": iterations("0"),
    "negative iterations": iterations("-4096"),
    "iterations with a sign": iterations("+4096"),
    "iterations with a space": iterations(" 4096"),
    "iterations in other digits": iterations("٤٠٩٦"),
    "iterations with a fraction": iterations("4096.0"),
    "iterations with an underscore": iterations("4_096"),
    "empty iterations": iterations(""),
    "few iterations, without TLS": iterations("1"),
    "something behind the iterations": iterations("4096,m=ext"),
    "a nonce of its own": challenged(lambda bare: server_first(bare, nonce="A" * 40)),
    "our nonce unchanged": challenged(lambda bare: server_first(bare, nonce=bare[5:])),
    "our nonce cut": challenged(lambda bare: server_first(bare, nonce=bare[5:-1] + "!" * 20)),
    "a nonce too long": challenged(lambda bare: server_first(bare, nonce=bare[5:] + "a" * 1500)),
    "a nonce with a control character": challenged(
        lambda bare: server_first(bare, nonce=bare[5:] + "a\x01b")
    ),
    "a salt that is not base64": challenged(lambda bare: f"r={bare[5:]}xyz,s=@@@,i=4096"),
    "an empty salt": challenged(lambda bare: f"r={bare[5:]}xyz,s=,i=4096"),
    "attributes in another order": challenged(lambda bare: f"s=c2FsdA==,r={bare[5:]}xyz,i=4096"),
    "an extension first": challenged(lambda bare: f"m=x,{server_first(bare)}"),
    "nothing": challenged(lambda bare: ""),
}


@pytest.mark.parametrize("name", CHALLENGES)
def test_a_bad_scram_challenge_gets_no_proof(play: Play, name: str):
    attack = play.refused(CHALLENGES[name])
    assert attack.refused.code == "08001"


def finished(last: Callable[[bytes], bytes]) -> Script:
    """A server that ends the exchange with something made from the right signature."""

    def script(peer: Peer) -> None:
        peer.startup()
        bare = peer.offer_scram()
        first = server_first(bare)
        peer.challenge(first)
        final = peer.message()[1].decode()
        peer.send(last(sign(PASSWORD, bare, first, final)))
        peer.send(AUTH_OK + parameters() + KEY + READY)

    return script


def sasl_final(data: bytes) -> bytes:
    return message(b"R", struct.pack("!I", 12) + data)


FINALS = {
    "no signature at all": finished(lambda signature: b""),
    "an empty one": finished(lambda signature: sasl_final(b"")),
    "an empty value": finished(lambda signature: sasl_final(b"v=")),
    "the signature of somebody else": finished(lambda s: sasl_final(b"v=" + b"A" * 43 + b"=")),
    "half the signature": finished(lambda signature: sasl_final(b"v=" + signature[:20])),
    "something behind the signature": finished(lambda s: sasl_final(b"v=" + s + b",x=y")),
    "an error in its place": finished(lambda signature: sasl_final(b"e=other-error")),
    "another challenge": finished(
        lambda signature: message(b"R", struct.pack("!I", 11) + b"r=x,s=eA==,i=4096")
    ),
}


@pytest.mark.parametrize("name", FINALS)
def test_a_server_that_does_not_prove_itself_is_left(play: Play, name: str):
    attack = play.refused(FINALS[name])
    assert attack.refused.code == "08001"


@pytest.mark.parametrize(
    "mechanisms",
    [(b"PLAIN",), (b"SCRAM-SHA-1",), (b"OAUTHBEARER", b"GS2-KRB5"), (b"SCRAM-SHA-256-PLUS",)],
)
def test_a_mechanism_that_is_not_spoken_is_refused(play: Play, mechanisms: tuple[bytes, ...]):
    names = b"".join(name + b"\0" for name in mechanisms) + b"\0"
    attack = play.refused(after_startup(message(b"R", struct.pack("!I", 10) + names)))
    assert attack.refused.code in ("0A000", "08001")


def test_channel_binding_that_is_demanded_cannot_be_stripped(play: Play, context: ssl.SSLContext):
    def script(peer: Peer) -> None:
        peer.accept_tls(context)
        peer.startup()
        peer.offer_scram(b"SCRAM-SHA-256")

    attack = play.refused(script, "plus")
    assert attack.refused.code == "08001"


# --- downgrades -----------------------------------------------------------------------

DOWNGRADES = {
    "cleartext": (CLEARTEXT, "plain"),
    "cleartext where md5 is allowed": (CLEARTEXT, "md5"),
    "md5": (MD5, "plain"),
    "Kerberos": (message(b"R", struct.pack("!I", 2)), "plain"),
    "crypt": (message(b"R", struct.pack("!I", 4) + b"ab"), "plain"),
    "SSPI": (message(b"R", struct.pack("!I", 9)), "plain"),
    "a request that does not exist": (message(b"R", struct.pack("!I", 4711)), "plain"),
    "a negative request": (message(b"R", b"\xff\xff\xff\xff"), "plain"),
    "a challenge at once": (message(b"R", struct.pack("!I", 11) + b"r=a,s=b,i=1"), "plain"),
    "a request without a number": (message(b"R", b"\0\0"), "plain"),
    "cleartext from a server that was to trust": (CLEARTEXT, "trust"),
}


@pytest.mark.parametrize("name", DOWNGRADES)
def test_a_downgrade_gets_no_password(play: Play, name: str):
    request, source = DOWNGRADES[name]
    attack = play.refused(after_startup(request), source)
    assert attack.refused.code in ("08001", "0A000", "28000")


def test_a_downgrade_within_verified_tls_gets_no_password(play: Play, context: ssl.SSLContext):
    def script(peer: Peer) -> None:
        peer.accept_tls(context)
        peer.startup()
        peer.send(CLEARTEXT)

    assert play.refused(script, "full").refused.code == "08001"


def test_a_second_request_after_md5_is_refused(play: Play):
    def script(peer: Peer) -> None:
        peer.startup()
        peer.send(MD5)
        inner = hashlib.md5((PASSWORD + USERNAME).encode()).hexdigest()
        expected = "md5" + hashlib.md5(inner.encode() + b"salt").hexdigest()
        assert peer.message() == (b"p", expected.encode() + b"\0")
        peer.send(CLEARTEXT)

    assert play.refused(script, "md5").refused.code == "08001"


@pytest.mark.parametrize("source", ["plain", "md5"])
def test_a_server_that_lets_us_in_unasked_is_not_the_one_we_know(play: Play, source: str):
    attack = play.refused(after_startup(AUTH_OK + parameters() + KEY + READY), source)
    assert attack.refused.code == "08001"
    assert attack.refused.text == "the data source did not ask for the stored password"


def test_cleartext_goes_only_through_verified_tls(play: Play, context: ssl.SSLContext):
    marker = play.stage.mark()

    def script(peer: Peer) -> None:
        peer.accept_tls(context)
        peer.startup()
        peer.send(CLEARTEXT)
        assert peer.message() == (b"p", PASSWORD.encode() + b"\0")
        peer.send(AUTH_OK + parameters(server_version=PASSWORD) + KEY + READY)
        code, _ = peer.message()
        assert code == b"X"

    with play.session(script, "clear") as client:
        client.send(message(b"X"))
        client.read_to_end()
    play.fake.received()
    # A server that knows the password may tell its owner; not our log, not our trail.
    play.check_secrecy(json.dumps(play.stage.events_since(marker)).encode())


# --- before TLS -----------------------------------------------------------------------


def answer_ssl(data: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.ssl_request()
        peer.send(data)

    return script


BEFORE_TLS = {
    "N": answer_ssl(b"N"),
    "N and a login": answer_ssl(b"N" + AUTH_OK + READY),
    "an error": answer_ssl(error("you will see this text")),
    "something else": answer_ssl(b"X"),
    "GSSAPI's answer": answer_ssl(b"G"),
    "plaintext behind S": answer_ssl(b"S" + AUTH_OK + parameters() + KEY + READY),
    "no TLS behind S": answer_ssl(b"S" + b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}


@pytest.mark.parametrize("source", ["tls", "full"])
@pytest.mark.parametrize("name", BEFORE_TLS)
def test_nothing_is_believed_or_sent_before_tls(play: Play, name: str, source: str):
    attack = play.refused(BEFORE_TLS[name], source)
    assert attack.refused.code == "08001"
    assert "you will see" not in f"{attack.refused.fields} {attack.events} {attack.log}"
    # SSLRequest and perhaps the beginning of a handshake; no start-up packet.
    assert b"fakedb" not in attack.received


# --- broken messages ------------------------------------------------------------------

BROKEN_LOGINS = {
    "a length of 0": b"R\0\0\0\0",
    "a length of 3": b"R\0\0\0\3",
    "a negative length": b"R\xff\xff\xff\xff",
    "a huge length": b"R\x7f\xff\xff\xff",
    "a huge error": b"E\x7f\xff\xff\xff",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "zeroes": bytes(4096),
    "noise": bytes(range(1, 256)) * 8,
    "a row": message(b"D", b"\0\1\0\0\0\1x"),
    "a message type that does not exist": message(b"?", b"what"),
    "ReadyForQuery at once": READY,
    "parameters at once": parameters(),
    "a newer protocol than was asked for": message(b"v", struct.pack("!II", 3 << 16 | 2, 0)),
    "options nobody asked for": message(b"v", struct.pack("!II", 3 << 16, 1) + b"_pq_.x\0"),
    "more options than bytes": message(b"v", struct.pack("!II", 3 << 16, 0x7FFFFFFF)),
    "an error without a terminator": message(b"E", b"SFATAL\0C28P01"),
}


@pytest.mark.parametrize("name", BROKEN_LOGINS)
def test_a_broken_login_is_told_in_one_sentence(play: Play, name: str):
    attack = play.refused(after_startup(BROKEN_LOGINS[name]))
    assert (attack.refused.code, attack.refused.text) == ("08001", BROKEN)


def after_scram(*data: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.startup()
        peer.scram(PASSWORD)
        peer.send(b"".join(data))

    return script


BROKEN_STARTS = {
    "endless notices": AUTH_OK + notice("n" * 200) * 5_000,
    "large notices": AUTH_OK + notice("n" * 29_000) * 4,
    "a notice too large": AUTH_OK + notice("n" * 31_000),
    "endless parameters": AUTH_OK + parameter("name", "value") * 5_000,
    "endless parameters of other names": AUTH_OK
    + b"".join(parameter(f"name{n}", "value") for n in range(1_000)),
    "large parameters": AUTH_OK + b"".join(parameter(f"n{n}", "v" * 60_000) for n in range(3)),
    "a parameter too large": AUTH_OK + parameter("name", "v" * 70_000),
    "a parameter without a value": AUTH_OK + message(b"S", b"name\0"),
    "two cancel keys": AUTH_OK + KEY + KEY,
    "a cancel key too short": AUTH_OK + message(b"K", b"\0\0\0\1abc"),
    "a cancel key of protocol 3.2": AUTH_OK + message(b"K", b"\0\0\0\1" + b"k" * 32),
    "a cancel key too long": AUTH_OK + message(b"K", b"\0\0\0\1" + b"k" * 5_000),
    "an open transaction": AUTH_OK + parameters() + KEY + message(b"Z", b"T"),
    "a failed transaction": AUTH_OK + parameters() + KEY + message(b"Z", b"E"),
    "a status that does not exist": AUTH_OK + parameters() + KEY + message(b"Z", b"Q"),
    "ReadyForQuery without a status": AUTH_OK + parameters() + KEY + message(b"Z"),
    "another request for a password": AUTH_OK + CLEARTEXT,
    "AuthenticationOk twice": AUTH_OK + AUTH_OK,
    "AuthenticationOk with more": message(b"R", bytes(8)),
    "a row before it is ready": AUTH_OK + parameters() + message(b"D", b"\0\0"),
}


@pytest.mark.parametrize("name", BROKEN_STARTS)
def test_a_broken_start_is_bounded_and_told_in_one_sentence(play: Play, name: str):
    attack = play.refused(after_scram(BROKEN_STARTS[name]))
    assert (attack.refused.code, attack.refused.text) == ("08001", BROKEN)


# --- errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("28P01", "08004"),
        ("28000", "08004"),
        ("3D000", "3D000"),
        ("53300", "53300"),
        ("57P03", "57P03"),
        ("ZZZZZ", "08004"),
        ("", "08004"),
        ("toolong", "08004"),
        ("28P0\n", "08004"),
        ("28p01", "08004"),
    ],
)
@pytest.mark.parametrize("place", ["at once", "after the proof", "after AuthenticationOk"])
def test_an_error_is_told_without_a_word_of_the_servers(
    play: Play, place: str, code: str, shown: str
):
    # Our own password within: the server may have it from us.
    text = error(f"no entry for {USERNAME} with password {PASSWORD} (evil)", code=code)

    def script(peer: Peer) -> None:
        peer.startup()
        if place == "at once":
            peer.send(text)
            return
        if place == "after AuthenticationOk":
            peer.scram(PASSWORD)
            peer.send(AUTH_OK + text)
            return
        peer.challenge(server_first(peer.offer_scram()))
        peer.message()
        peer.send(text)

    attack = play.refused(script)
    assert attack.refused.code == shown
    assert "evil" not in f"{attack.refused.fields} {attack.events} {attack.log}"


# --- silence and ends -----------------------------------------------------------------


def silent_at(phase: int) -> Script:
    def script(peer: Peer) -> None:
        if phase == 0:
            return
        peer.startup()
        if phase == 1:
            return
        bare = peer.offer_scram()
        if phase == 2:
            return
        peer.challenge(server_first(bare))
        peer.message()
        if phase == 3:
            return
        peer.send(message(b"R", struct.pack("!I", 12))[:7])

    return script


def test_silence_at_every_phase_ends_at_the_deadline(play: Play):
    phases = itertools.count()

    def script(peer: Peer) -> None:
        silent_at(next(phases))(peer)

    play.fake.play(script)

    # A source of its own: who is silent so often is left alone for a while.
    play.stage.add_fake_source("alpha", "silent", play.fake.port)

    def attempt(_: int) -> Refused:
        with pytest.raises(Refused) as refused:
            play.stage.log_in("alpha", "silent")
        return refused.value

    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(attempt, range(5)))
    assert {(answer.code, answer.text) for answer in answers} == {("08001", UNREACHABLE)}
    play.check_secrecy(play.fake.received())


def close_after(count: int) -> Script:
    """A server that closes in the middle of its own words."""
    words = AUTH_OK + parameters() + KEY + READY

    def script(peer: Peer) -> None:
        peer.startup()
        peer.scram(PASSWORD)
        peer.send(words[:count])
        peer.socket.close()
        raise Gone

    return script


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 9, 20, 60, -6, -1])
def test_a_login_cut_anywhere_is_told_in_one_sentence(play: Play, count: int):
    attack = play.refused(close_after(count))
    assert (attack.refused.code, attack.refused.text) == ("08001", UNREACHABLE)


@pytest.mark.parametrize("source", ["plain", "full"])
def test_a_server_that_is_ready_and_gone_leaves_no_client_waiting(
    play: Play, source: str, context: ssl.SSLContext
):
    def script(peer: Peer) -> None:
        if source == "full":
            peer.accept_tls(context)
        peer.startup()
        peer.scram(PASSWORD)
        peer.welcome()
        if isinstance(peer.socket, ssl.SSLSocket):
            peer.socket.unwrap()
        peer.socket.close()
        raise Gone

    play.fake.play(script)
    for _ in range(10):
        with play.stage.client() as client:
            try:
                client.log_in("alpha", play.stage.tokens["alpha"], source)
                refused = client.refusal()
            except Refused as told:
                refused = told
            assert refused.code == "08006"
            assert refused.text == "the data source closed the connection"

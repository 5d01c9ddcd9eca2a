"""Servers without TLS whose RSA key is pinned: the whole password may go to its owner alone.

The proxy asks no server for a key; so one that comes is never taken. Whoever sits in
between sees the scramble's proof and, where full authentication is demanded, one
ciphertext for the pinned key ("Caching SHA-2 Pluggable Authentication" in the MySQL manual).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from proxy.store import TlsSettings
from tests.hostile.fake_server import FakeServer
from tests.hostile.mysql.conftest import MysqlPlay, MysqlStage
from tests.hostile.mysql.fake_server import (
    FAST,
    FULL_AUTHENTICATION,
    SCRAMBLE,
    MysqlPeer,
    greeting,
    ok,
    switch,
)
from tests.hostile.mysql.raw import mixed, number_of, packet, scrambled
from tests.hostile.mysql.test_servers import OUT_OF_STEP, saying
from tests.hostile.stage import PASSWORD, USERNAME

UNTRUSTED = 1429
OTHER_SCRAMBLE = b"another-scramble-!!!"
OAEP_SHA1 = OAEP(MGF1(SHA1()), SHA1(), None)


def pem(key: RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def pinned() -> RSAPrivateKey:
    """The key that the source is pinned to."""
    return generate_private_key(65_537, 2_048)


@pytest.fixture(scope="module")
def villains() -> RSAPrivateKey:
    """Another one."""
    return generate_private_key(65_537, 2_048)


@pytest.fixture(scope="module", autouse=True)
def sources(
    theatre: MysqlStage, fake: FakeServer, fake_sources: None, pinned: RSAPrivateKey
) -> Iterator[None]:
    """Alpha's sources on the hostile server, without TLS and with a pinned key."""
    tls = TlsSettings(mode="disable", server_key_pem=pem(pinned).decode())
    for name, methods in (
        ("pinned", frozenset({"caching_sha2_password"})),
        ("pinned-256", frozenset({"sha256_password", "caching_sha2_password"})),
    ):
        theatre.add_fake_source("alpha", name, fake.port, tls=tls, auth_methods=methods)
    yield
    MysqlPlay.check_files(theatre)


def packets(stream: bytes) -> list[bytes]:
    """The payloads of all that the server was sent."""
    found = []
    while stream:
        length = int.from_bytes(stream[:3], "little")
        assert len(stream) >= 4 + length, stream
        found.append(stream[4 : 4 + length])
        stream = stream[4 + length :]
    return found


def is_login(payload: bytes, scramble: bytes = SCRAMBLE) -> bool:
    """Whether it is a HandshakeResponse, whose proof is that of the scramble and no other."""
    proof = scrambled(PASSWORD, scramble)
    return USERNAME.encode() + b"\0\x20" + proof in payload and len(payload) < 160


def opened(key: RSAPrivateKey, ciphertext: bytes, scramble: bytes = SCRAMBLE) -> bytes:
    """What the key's owner makes of it. Raises ValueError."""
    return mixed(key.decrypt(ciphertext, OAEP_SHA1), scramble)


def test_the_owner_of_the_pinned_key_is_given_the_password_and_nobody_else(
    play: MysqlPlay, pinned: RSAPrivateKey, villains: RSAPrivateKey
):
    def script(peer: MysqlPeer) -> None:
        peer.greet()
        peer.put(FULL_AUTHENTICATION)
        whole.append(peer.receive())
        peer.put(ok())

    whole: list[bytes] = []
    with play.session(script, "pinned"):
        assert opened(pinned, whole[0]) == PASSWORD.encode() + b"\0"
        with pytest.raises(ValueError, match=r"(?i)decrypt"):
            opened(villains, whole[0])


# --- keys that nobody asked for -----------------------------------------------------------


def keys(villains: bytes, pinned: bytes) -> dict[str, bytes]:
    body = villains.split(b"\n")
    return {
        "another key": villains,
        # Nobody asked for that one either.
        "the pinned key": pinned,
        "no key": b"",
        "a malformed key": villains[:-60],
        "a key that is no PEM": bytes(range(256)),
        "a key of another kind": b"-----BEGIN EC PUBLIC KEY-----\n" + body[1] + b"\n",
        "a key that is far too big": body[0] + b"\n" + b"A" * 60_000 + b"\n" + body[-2],
        "a certificate": b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "two keys": villains + pinned,
    }


NAMES = list(keys(b"a\nb\nc\nd", b""))


@pytest.mark.parametrize("name", NAMES)
def test_a_key_that_was_not_asked_for_gets_nothing(
    play: MysqlPlay, pinned: RSAPrivateKey, villains: RSAPrivateKey, name: str
):
    key = keys(pem(villains), pem(pinned))[name]
    attack = play.refused(saying(b"\x01" + key), "pinned")
    assert attack.refused.text == OUT_OF_STEP
    assert number_of(attack.refused) == UNTRUSTED
    (login,) = packets(attack.received)
    assert is_login(login)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_in_the_place_of_the_result_changes_nothing(
    play: MysqlPlay, pinned: RSAPrivateKey, villains: RSAPrivateKey, name: str
):
    # As a server would that takes our answer to "full authentication" for a question.
    key = keys(pem(villains), pem(pinned))[name]

    def script(peer: MysqlPeer) -> None:
        peer.greet()
        peer.put(FULL_AUTHENTICATION)
        peer.receive()
        peer.put(b"\x01" + key)

    attack = play.refused(script, "pinned")
    assert attack.refused.text == OUT_OF_STEP
    login, whole = packets(attack.received)
    assert is_login(login)
    assert opened(pinned, whole) == PASSWORD.encode() + b"\0"
    with pytest.raises(ValueError, match=r"(?i)decrypt"):
        opened(villains, whole)


def test_a_key_larger_than_a_login_is_not_waited_for(play: MysqlPlay):
    def script(peer: MysqlPeer) -> None:
        peer.greet()
        # A header that announces 16 MB, and enough to see that it is believed.
        peer.send(b"\xff\xff\xff\2\x01" + b"A" * 70_000)

    attack = play.refused(script, "pinned")
    (login,) = packets(attack.received)
    assert is_login(login)


# --- the password, more than once ---------------------------------------------------------

STEPS = {
    "demanded twice": [FULL_AUTHENTICATION, FULL_AUTHENTICATION],
    "demanded twice at the end": [FULL_AUTHENTICATION, FULL_AUTHENTICATION, ok()],
    "demanded, then nothing to prove": [FULL_AUTHENTICATION, FAST],
    "demanded, then another scramble": [
        FULL_AUTHENTICATION,
        switch("caching_sha2_password", OTHER_SCRAMBLE),
    ],
    "demanded, then another method": [
        FULL_AUTHENTICATION,
        switch("sha256_password", OTHER_SCRAMBLE),
    ],
}


@pytest.mark.parametrize("source", ["pinned", "pinned-256"])
@pytest.mark.parametrize("name", STEPS)
def test_the_whole_password_is_given_once(
    play: MysqlPlay, pinned: RSAPrivateKey, name: str, source: str
):
    def script(peer: MysqlPeer) -> None:
        first, *others = STEPS[name]
        peer.greet()
        peer.put(first)
        # Before anything that may be left unread: such a connection is closed by a reset, and
        # what was sent before goes with it.
        peer.receive()
        for payload in others:
            peer.put(payload)

    attack = play.refused(script, source)
    assert attack.refused.text == OUT_OF_STEP
    login, whole = packets(attack.received)
    assert is_login(login)
    assert opened(pinned, whole) == PASSWORD.encode() + b"\0"


@pytest.mark.parametrize("source", ["pinned", "pinned-256"])
@pytest.mark.parametrize("then", [FULL_AUTHENTICATION, FAST, switch("caching_sha2_password")])
def test_who_has_said_that_the_proof_is_enough_gets_no_more(
    play: MysqlPlay, then: bytes, source: str
):
    attack = play.refused(saying(FAST, then), source)
    assert attack.refused.text == OUT_OF_STEP
    (login,) = packets(attack.received)
    assert is_login(login)


# --- scrambles of another length ----------------------------------------------------------


@pytest.mark.parametrize("size", [8, 9, 19, 21, 40, 200])
def test_a_greeting_whose_scramble_has_another_length_is_answered_with_nothing(
    play: MysqlPlay, size: int
):
    scramble = (SCRAMBLE * 10)[:size]
    attack = play.refused(saying(FULL_AUTHENTICATION, hello=greeting(scramble=scramble)), "pinned")
    assert attack.refused.text == OUT_OF_STEP
    assert attack.received == b""


@pytest.mark.parametrize("size", [1, 8, 20, 22, 40, 255])
def test_a_greeting_that_tells_of_another_length_is_answered_with_nothing(
    play: MysqlPlay, size: int
):
    declared = bytes(10) + SCRAMBLE[8:]
    hello = greeting().replace(b"\x15" + declared, bytes((size,)) + declared)
    assert hello != greeting()
    attack = play.refused(saying(FULL_AUTHENTICATION, hello=hello), "pinned")
    assert attack.refused.text == OUT_OF_STEP
    assert attack.received == b""


@pytest.mark.parametrize("size", [0, 1, 8, 18, 21, 32, 64, 255])
@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
def test_a_switch_to_a_scramble_of_another_length_gets_nothing(
    play: MysqlPlay, plugin: str, size: int
):
    request = switch(plugin, (OTHER_SCRAMBLE * 13)[:size])
    attack = play.refused(saying(request, FULL_AUTHENTICATION), "pinned-256")
    assert attack.refused.text == OUT_OF_STEP
    (login,) = packets(attack.received)
    assert is_login(login)


def test_a_switch_to_another_scramble_is_proved_by_that_alone(
    play: MysqlPlay, pinned: RSAPrivateKey
):
    def script(peer: MysqlPeer) -> None:
        peer.greet()
        peer.put(switch("caching_sha2_password", OTHER_SCRAMBLE))
        assert peer.receive() == scrambled(PASSWORD, OTHER_SCRAMBLE)
        peer.put(FULL_AUTHENTICATION)
        assert opened(pinned, peer.receive(), OTHER_SCRAMBLE) == PASSWORD.encode() + b"\0"
        peer.send(packet(peer.sequence, ok()))

    with play.session(script, "pinned"):
        pass
    play.fake.received()

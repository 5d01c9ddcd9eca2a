"""Our client side, with a server played by hand: every method, every way to be deceived."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal, UpstreamRefused
from protocols.interface import Upstream, UpstreamLogin
from protocols.mysql import caching_sha2, native
from protocols.mysql import capabilities as flags
from protocols.mysql.connect import connect
from protocols.mysql.explain import explain
from protocols.mysql.framing import frame
from protocols.mysql.log_in import METHODS
from protocols.mysql.messages import (
    AuthSwitchRequest,
    ClientSettings,
    Err,
    Greeting,
    HandshakeResponse,
    Ok,
    UpstreamSettings,
)
from tests.protocols.mysql.peers import ALGORITHMS, PUBLIC_KEY, TOKEN, Crypto, entropy, login

SCRAMBLE = bytes(range(1, 21))
OTHER = bytes(range(21, 41))
OK = Ok(status=2).encode()
CAPABILITIES = flags.OFFERED | flags.SSL
FAST, FULL = b"\x01\x03", b"\x01\x04"


def greeting(
    plugin: bytes = b"caching_sha2_password",
    *,
    capabilities: int = CAPABILITIES,
    version: bytes = b"8.4.2",
) -> bytes:
    return Greeting(version, 99, SCRAMBLE, capabilities, 255, 2, plugin).encode()


class Server:
    """The payloads of a server, each numbered as it must be at its place."""

    def __init__(self, *payloads: bytes, encrypts: bool = False) -> None:
        # The client sends one packet after each of ours but FAST, which needs no answer.
        sent, sequence = b"", 0
        for place, payload in enumerate(payloads):
            sent += frame(payload, sequence)
            sequence += 1 if payload == FAST else 2
            if encrypts and place == 0:
                sequence += 1
        self.channel = MemoryChannel(sent)
        if encrypts:
            self.channel.has_unread = lambda: False  # type: ignore[method-assign]

    def meet(self, entry: UpstreamLogin) -> Upstream:
        return run(connect(self.channel, entry, Crypto(), entropy, ALGORITHMS))

    @property
    def heard(self) -> list[bytes]:
        found, data = [], bytes(self.channel.sent)
        while data:
            length = int.from_bytes(data[:3], "little")
            found.append(data[4 : 4 + length])
            data = data[4 + length :]
        return found

    def response(self, place: int = 0) -> HandshakeResponse:
        return HandshakeResponse.decode(self.heard[place], flags.OFFERED)


def switch(plugin: str, data: bytes = OTHER) -> bytes:
    return AuthSwitchRequest(plugin.encode(), data).encode()


def test_the_fast_path():
    server = Server(greeting(), FAST, OK)
    upstream = server.meet(login())
    assert (upstream.method, upstream.number) == ("caching_sha2_password", 99)
    assert upstream.server_version == "8.4.2"
    assert isinstance(upstream.detail, UpstreamSettings)
    assert not upstream.detail.is_mariadb
    sent = server.response()
    assert sent.user == b"finance"
    assert sent.database == b"orders"
    assert sent.response == caching_sha2.response(TOKEN, SCRAMBLE)


PACKED = CAPABILITIES | flags.COMPRESS | flags.ZSTD


@pytest.mark.parametrize("name", ["zlib", "zstd"])
def test_a_source_is_compressed_as_it_is_set_to_whatever_the_client_took(name: str):
    for taken in (0, flags.COMPRESS, flags.ZSTD):
        server = Server(greeting(capabilities=PACKED), FAST, OK)
        detail = ClientSettings(flags.OFFERED | taken, 46, 1 << 20)
        upstream = server.meet(login(compression=name, detail=detail))
        asked = int.from_bytes(server.heard[0][:4], "little")
        assert asked & (flags.COMPRESS | flags.ZSTD) == flags.COMPRESSION[name]
        assert upstream.detail.compression == name
        # The level of zstd is the last byte: MySQL's default.
        assert (server.heard[0][-1] == 3) == (name == "zstd")


def test_a_source_is_not_compressed_because_its_client_is():
    server = Server(greeting(capabilities=PACKED), FAST, OK)
    taken = flags.OFFERED | flags.COMPRESS | flags.ZSTD
    upstream = server.meet(login(detail=ClientSettings(taken, 46, 1 << 20)))
    assert not int.from_bytes(server.heard[0][:4], "little") & (flags.COMPRESS | flags.ZSTD)
    assert upstream.detail.compression == ""


@pytest.mark.parametrize(("name", "lacking"), [("zlib", flags.COMPRESS), ("zstd", flags.ZSTD)])
def test_a_server_that_lacks_what_its_source_is_set_to_hears_nothing(name: str, lacking: int):
    server = Server(greeting(capabilities=PACKED & ~lacking), FAST, OK)
    with pytest.raises(Refusal, match=f"does not offer {name} compression"):
        server.meet(login(compression=name))
    assert server.heard == []


def test_what_the_client_took_is_asked_of_the_server():
    taken = flags.OFFERED & ~flags.SESSION_TRACK
    server = Server(greeting(), FAST, OK)
    upstream = server.meet(login(detail=ClientSettings(taken, 46, 1 << 20)))
    sent = server.response()
    assert sent.capabilities & flags.ANSWER_SHAPING == taken & flags.ANSWER_SHAPING
    assert upstream.detail.capabilities & flags.ANSWER_SHAPING == taken & flags.ANSWER_SHAPING
    assert (sent.collation, sent.max_packet) == (46, 1 << 20)


def test_a_server_that_lacks_what_the_client_took_is_refused_before_anything_is_proved():
    server = Server(greeting(capabilities=CAPABILITIES & ~flags.DEPRECATE_EOF))
    with pytest.raises(Refusal) as caught:
        server.meet(login(detail=ClientSettings(flags.OFFERED, 46, 1 << 20)))
    assert caught.value.reason is Reason.UNSUPPORTED
    assert server.heard == []


@pytest.mark.parametrize(
    ("version", "shown", "is_mariadb"),
    [
        (b"5.5.5-10.11.6-MariaDB-0+deb12u1", "10.11.6-MariaDB", True),
        (b"11.8.3-MariaDB", "11.8.3-MariaDB", True),
        (b"8.4.2-commercial s3cret", "8.4.2", False),
        (b"s3cret", "", False),
    ],
)
def test_a_version_is_kept_as_a_number(version: bytes, shown: str, is_mariadb: bool):
    upstream = Server(greeting(version=version), FAST, OK).meet(login())
    assert upstream.server_version == shown
    assert upstream.detail.is_mariadb == is_mariadb


def test_the_database_may_be_the_clients():
    server = Server(greeting(), FAST, OK)
    server.meet(login(parameters={"database": "shop"}))
    assert server.response().database == b"shop"


def test_a_login_without_a_database():
    server = Server(greeting(), FAST, OK)
    server.meet(login(database=""))
    assert not server.response().capabilities & flags.CONNECT_WITH_DB


def test_tls_comes_before_the_user_name():
    server = Server(greeting(), FAST, OK, encrypts=True)
    server.meet(login(require_tls=True))
    assert len(server.heard[0]) == 32
    assert server.channel.tls_started_after == 36
    assert server.response(1).user == b"finance"


def test_a_server_stripped_of_tls_learns_nothing():
    server = Server(greeting(capabilities=flags.OFFERED))
    with pytest.raises(Refusal, match="does not offer TLS") as caught:
        server.meet(login(require_tls=True))
    assert caught.value.reason is Reason.SOURCE_UNTRUSTED
    assert server.heard == []


def test_plaintext_behind_the_greeting_never_counts():
    server = Server(greeting(), OK)
    with pytest.raises(PeerViolation, match="plaintext"):
        server.meet(login(require_tls=True))
    assert server.heard == []


def test_native():
    server = Server(greeting(b"mysql_native_password"), OK)
    assert server.meet(login()).method == "mysql_native_password"
    assert server.response().response == native.response(TOKEN, SCRAMBLE)


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "mysql_native_password"])
def test_a_switch_is_answered_with_its_own_scramble(plugin: str):
    answers = [FAST] if plugin == "caching_sha2_password" else []
    server = Server(greeting(b"client_ed25519"), switch(plugin), *answers, OK)
    assert server.meet(login()).method == plugin
    compute = caching_sha2.response if answers else native.response
    assert server.heard[1] == compute(TOKEN, OTHER)


def test_nothing_is_proved_to_a_server_whose_method_is_not_allowed():
    server = Server(greeting(), switch("client_ed25519", bytes(32)), OK)
    assert server.meet(login(methods=frozenset({"client_ed25519"}))).method == "client_ed25519"
    assert server.response().response == b""
    assert server.heard[1] == hashlib.sha512(TOKEN + bytes(32)).digest()


def test_parsec():
    salt = b"P\x00" + bytes(range(18))
    server = Server(greeting(), switch("parsec", bytes(32)), salt, OK)
    assert server.meet(login()).method == "parsec"
    assert server.heard[1] == b""
    ours, signature = server.heard[2][:32], server.heard[2][32:]
    seed = hashlib.pbkdf2_hmac("sha512", TOKEN, bytes(range(18)), 1024, 32)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    public.verify(signature, bytes(32) + ours)


@pytest.mark.parametrize(
    "salt", [b"", b"P", b"P\x04" + bytes(18), b"Q\x00" + bytes(18), b"P\x00" + bytes(19)]
)
def test_the_servers_salt_is_bounded(salt: bytes):
    with pytest.raises(PeerViolation):
        Server(greeting(), switch("parsec", bytes(32)), salt).meet(login())


@pytest.mark.parametrize("method", ["caching_sha2_password", "sha256_password"])
def test_the_whole_password_inside_verified_tls(method: str):
    steps = (FULL,) if method.startswith("caching") else (switch(method),)
    server = Server(greeting(), *steps, OK, encrypts=True)
    assert server.meet(login(require_tls=True)).method == method
    assert server.heard[2] == TOKEN + b"\0"


@pytest.mark.parametrize("method", ["caching_sha2_password", "sha256_password"])
@pytest.mark.parametrize("require_tls", [True, False])
def test_the_whole_password_goes_to_nobody_else(method: str, require_tls: bool):
    steps = (FULL,) if method.startswith("caching") else (switch(method),)
    server = Server(greeting(), *steps, OK, encrypts=require_tls)
    with pytest.raises(Refusal, match="pinned public key") as caught:
        server.meet(login(require_tls=require_tls, is_tls_verified=False))
    assert caught.value.reason is Reason.SOURCE_UNTRUSTED
    assert not any(TOKEN in payload for payload in server.heard)


@pytest.mark.parametrize("method", ["caching_sha2_password", "sha256_password"])
def test_the_whole_password_for_a_pinned_key(method: str):
    scramble = SCRAMBLE if method.startswith("caching") else OTHER
    steps = (FULL,) if method.startswith("caching") else (switch(method),)
    server = Server(greeting(), *steps, OK)
    server.meet(login(server_public_key=PUBLIC_KEY))
    hidden = run(Crypto().rsa_decrypt(server.heard[1]))
    assert hidden is not None
    assert caching_sha2.revealed(hidden, scramble) == TOKEN + b"\0"


def test_a_key_that_the_server_sends_is_never_used():
    server = Server(greeting(), FULL, b"\x01" + PUBLIC_KEY, OK)
    with pytest.raises(Refusal, match="pinned public key"):
        server.meet(login())


def test_cleartext_by_choice_inside_verified_tls():
    server = Server(greeting(), switch("mysql_clear_password", b""), OK, encrypts=True)
    assert server.meet(login(require_tls=True)).method == "mysql_clear_password"
    assert server.heard[2] == TOKEN + b"\0"


@pytest.mark.parametrize(
    ("entry", "encrypts"),
    [
        (login(), False),
        (login(require_tls=True, is_tls_verified=False), True),
        (login(require_tls=True, methods=METHODS - {"mysql_clear_password"}), True),
    ],
)
def test_cleartext_goes_to_nobody_else(entry: UpstreamLogin, encrypts: bool):
    server = Server(greeting(), switch("mysql_clear_password", b""), OK, encrypts=encrypts)
    with pytest.raises(Refusal):
        server.meet(entry)
    assert not any(TOKEN in payload for payload in server.heard)


@pytest.mark.parametrize("plugin", ["mysql_old_password", "dialog", "authentication_kerberos"])
def test_unknown_methods_are_refused(plugin: str):
    with pytest.raises(Refusal, match="does not speak"):
        Server(greeting(), switch(plugin)).meet(login())


def test_the_hash_of_mysql_3_23_is_refused():
    with pytest.raises(Refusal, match="does not speak"):
        Server(greeting(), b"\xfe").meet(login())


def test_there_is_one_switch():
    server = Server(greeting(), switch("mysql_native_password"), switch("caching_sha2_password"))
    with pytest.raises(Refusal, match="asked for a second login method"):
        server.meet(login())


def test_a_server_that_asks_for_nothing_is_not_the_one_the_password_is_for():
    for methods in (METHODS, frozenset({"client_ed25519"})):
        with pytest.raises(Refusal, match="did not ask for the stored password"):
            Server(greeting(), OK).meet(login(methods=methods))


def test_a_server_that_refuses_what_was_never_proved_has_not_refused_the_password():
    # MariaDB to a user of mysql_native_password: it does not switch to what was named already.
    no = Err(1045, b"28000", b"Access denied").encode()
    server = Server(greeting(b"mysql_native_password"), no)
    with pytest.raises(Refusal, match="asked for none of the login methods allowed to it"):
        server.meet(login(methods=frozenset({"client_ed25519"})))
    assert server.response().response == b""


def test_a_login_without_a_secret():
    server = Server(greeting(), OK)
    assert server.meet(login(password=None)).method == "caching_sha2_password"
    assert server.response().response == b""


def test_a_login_without_a_secret_has_no_whole_password_to_give():
    with pytest.raises(PeerViolation):
        Server(greeting(), FULL, OK).meet(login(password=None))


@pytest.mark.parametrize(
    "last",
    [b"\x01\x05", b"\x01", b"\x05", b"", b"\x00", b"\x00\x00\x00\x02", b"\xfeabc"],
)
def test_a_server_out_of_step(last: bytes):
    with pytest.raises(PeerViolation):
        Server(greeting(), last).meet(login())


def test_a_login_comes_to_an_end():
    with pytest.raises(PeerViolation, match="twice"):
        Server(greeting(), *([FAST] * 20)).meet(login())


@pytest.mark.parametrize("length", [0, 8, 19, 21])
def test_a_scramble_has_its_length(length: int):
    with pytest.raises(PeerViolation, match="scramble"):
        Server(greeting(), switch("mysql_native_password", bytes([1]) * length)).meet(login())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Err(1045, b"28000", b"Access denied (using password: acp_token)"), "stored credential"),
        (Err(1049, b"42000", b"Unknown database"), "no such database"),
        (Err(1040, b"", b"Too many connections"), "too many connections"),
        (Err(9999, b"HY000", b"s3cret"), "refused the login"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_refused_login_is_explained_by_its_number(error: Err, words: str, at_once: bool):
    steps = (error.encode(),) if at_once else (greeting(), error.encode())
    with pytest.raises(UpstreamRefused) as caught:
        Server(*steps).meet(login())
    told = explain(caught.value)
    assert words in told.public
    assert str(error.code) in told.public
    for secret in ("acp_token", "s3cret"):
        assert secret not in told.public + told.private


@pytest.mark.parametrize("size", range(0, len(frame(greeting(), 0)), 5))
def test_a_greeting_cut_short_is_a_closed_connection(size: int):
    channel = MemoryChannel(frame(greeting(), 0)[:size])
    with pytest.raises(PeerClosed):
        run(connect(channel, login(), Crypto(), entropy, ALGORITHMS))


def test_a_name_that_cannot_be_sent_is_refused():
    with pytest.raises(Refusal, match="cannot be sent"):
        Server(greeting()).meet(login(username="a\0b"))

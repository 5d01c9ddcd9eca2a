"""Our server side, with a client played by hand: every plug-in, every way to fail."""

from __future__ import annotations

from functools import partial

import pytest

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal
from protocols.interface import Arrival, Upstream
from protocols.mysql import caching_sha2, native
from protocols.mysql import capabilities as flags
from protocols.mysql.accept import make_scramble
from protocols.mysql.framing import frame
from protocols.mysql.messages import (
    CACHING_SHA2_PASSWORD,
    MYSQL_NATIVE_PASSWORD,
    AuthSwitchRequest,
    ClientSettings,
    Err,
    Greeting,
    HandshakeResponse,
    Ok,
    SslRequest,
    UpstreamSettings,
)
from tests.protocols.mysql.peers import PUBLIC_KEY, TOKEN, Crypto, entropy, leg, verifiers

SCRAMBLE = make_scramble(entropy)
SHA2, NATIVE = CACHING_SHA2_PASSWORD, MYSQL_NATIVE_PASSWORD
BEHIND = Upstream("caching_sha2_password", "8.4.2", (10, 0), 99, UpstreamSettings(0, 0x4002, False))


def response(**changes: object) -> HandshakeResponse:
    values: dict[str, object] = {
        "capabilities": flags.OFFERED,
        "max_packet": 1 << 24,
        "collation": 45,
        "user": b"finance",
        "response": caching_sha2.response(TOKEN, SCRAMBLE),
        "database": b"orders",
        "plugin": SHA2,
        "attributes": ((b"_client_name", b"libmysql"), (b"program_name", b"rep\xffort")),
    }
    return HandshakeResponse(**(values | changes))  # type: ignore[arg-type]


class Login:
    """One login: what the client sends, and then all that we said, as payloads."""

    def __init__(self, *payloads: bytes, first: int = 1, encrypted: bool = False) -> None:
        self.leg = leg()
        sent = b"".join(frame(payload, first + 2 * place) for place, payload in enumerate(payloads))
        self.channel = MemoryChannel(sent, encrypted=encrypted)

    def greet(self) -> Arrival:
        return run(self.leg.greet(self.channel))

    def authenticate(self, *tokens: bytes, is_real: bool = True) -> str | None:
        against = verifiers(*tokens, is_real=is_real)
        return run(self.leg.authenticate(self.channel, self.greet(), against, entropy))

    @property
    def said(self) -> list[bytes]:
        found, data = [], bytes(self.channel.sent)
        while data:
            length = int.from_bytes(data[:3], "little")
            found.append(data[4 : 4 + length])
            data = data[4 + length :]
        return found


def test_the_greeting_offers_what_every_data_source_can_serve():
    login = Login(response().encode())
    login.greet()
    greeting = Greeting.decode(login.said[0])
    assert greeting.capabilities == flags.OFFERED | flags.SSL
    assert not greeting.capabilities & (
        flags.COMPRESS | flags.ZSTD | flags.QUERY_ATTRIBUTES | flags.LOCAL_FILES
    )
    assert greeting.thread_id == 42
    assert greeting.plugin == SHA2
    assert greeting.scramble == SCRAMBLE


def test_local_files_are_offered_where_the_listener_says_so():
    one = leg(local_infile=True)
    channel = MemoryChannel(frame(response().encode(), 1))
    run(one.greet(channel))
    assert Greeting.decode(bytes(channel.sent[4:])).capabilities & flags.LOCAL_FILES


@pytest.mark.parametrize(
    ("offered", "taken", "agreed"),
    [
        ((), flags.COMPRESS | flags.ZSTD, ""),
        (("zlib",), flags.COMPRESS | flags.ZSTD, "zlib"),
        (("zstd",), flags.COMPRESS | flags.ZSTD, "zstd"),
        (("zlib", "zstd"), flags.COMPRESS | flags.ZSTD, "zlib"),
        (("zlib", "zstd"), flags.ZSTD, "zstd"),
        (("zlib", "zstd"), 0, ""),
    ],
)
def test_compression_is_what_the_listener_offers_and_the_client_takes(
    offered: tuple[str, ...], taken: int, agreed: str
):
    one = leg(compression=offered)
    # A client that takes zstd ends its packet with a level, whatever it is.
    asked = response(capabilities=flags.OFFERED | taken).encode().removesuffix(b"\3") + b"\x16"
    channel = MemoryChannel(frame(asked, 1))
    arrival = run(one.greet(channel))
    greeting = Greeting.decode(bytes(channel.sent[4:]))
    for name, flag in flags.COMPRESSION.items():
        assert bool(greeting.capabilities & flag) == (name in offered)
    assert arrival.detail.compression == agreed


def test_tls_is_not_offered_without_a_certificate():
    channel = MemoryChannel(frame(response().encode(), 1), offers_tls=False)
    run(leg().greet(channel))
    assert not Greeting.decode(bytes(channel.sent[4:])).capabilities & flags.SSL


def test_an_ssl_request_without_a_certificate_ends_the_login():
    request = SslRequest(flags.OFFERED | flags.SSL, 1, 45).encode()
    channel = MemoryChannel(frame(request, 1), offers_tls=False)
    with pytest.raises(PeerViolation):
        run(leg().greet(channel))


def test_an_arrival_says_who_asks_for_what():
    arrival = Login(response().encode()).greet()
    assert (arrival.workspace, arrival.source) == ("finance", "orders")
    assert arrival.application_name == "rep?ort"
    assert arrival.parameters == {}
    assert arrival.version == (10, 0)
    assert not arrival.is_encrypted
    assert arrival.detail == ClientSettings(flags.OFFERED, 45, 1 << 24)


@pytest.mark.parametrize(
    ("user", "database", "source", "parameters"),
    [
        (b"finance/orders", b"", "orders", {}),
        (b"finance/orders", b"orders", "orders", {}),
        (b"finance/orders", b"shop", "orders", {"database": "shop"}),
    ],
)
def test_the_user_name_may_name_the_source(user, database, source, parameters):
    arrival = Login(response(user=user, database=database).encode()).greet()
    assert (arrival.workspace, arrival.source) == ("finance", source)
    assert arrival.parameters == parameters


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"database": b""}, Reason.UNKNOWN_SOURCE),
        ({"user": b"finance/", "database": b"x"}, Reason.UNKNOWN_SOURCE),
        ({"user": b""}, Reason.AUTHENTICATION_FAILED),
        ({"user": b"/orders"}, Reason.AUTHENTICATION_FAILED),
        ({"user": b"x" * 129}, Reason.PARAMETER_REFUSED),
        ({"user": b"a\nb"}, Reason.PARAMETER_REFUSED),
        ({"database": b"\xff"}, Reason.PARAMETER_REFUSED),
    ],
)
def test_names_are_bounded_and_told_what_is_wrong(changes: dict[str, object], reason: Reason):
    with pytest.raises(Refusal) as caught:
        Login(response(**changes).encode()).greet()
    assert caught.value.reason is reason


def test_tls_begins_right_behind_its_request():
    request = SslRequest(flags.OFFERED | flags.SSL, 1 << 24, 45).encode()
    login = Login()
    login.channel.incoming += frame(request, 1) + frame(response().encode(), 2)
    assert login.greet().is_encrypted
    assert login.channel.tls_started_after == len(login.channel.sent)


@pytest.mark.parametrize("size", range(0, len(frame(response().encode(), 1)), 7))
def test_a_login_cut_short_is_a_closed_connection(size: int):
    login = Login()
    login.channel.incoming += frame(response().encode(), 1)[:size]
    with pytest.raises(PeerClosed):
        login.greet()


def test_a_login_out_of_order_is_refused():
    with pytest.raises(PeerViolation, match="out of order"):
        Login(response().encode(), first=2).greet()


def test_a_broken_login_is_told():
    broken = response().encode()[:40]
    with pytest.raises(Refusal) as caught:
        Login(broken).greet()
    assert caught.value.reason is Reason.PROTOCOL_VIOLATION


@pytest.mark.parametrize("tokens", [(TOKEN,), (b"other", TOKEN), (TOKEN, b"other")])
def test_a_proof_names_its_token(tokens: tuple[bytes, ...]):
    login = Login(response().encode())
    assert login.authenticate(*tokens) == TOKEN.decode()
    assert login.said[1:] == [b"\x01\x03"]


def test_a_native_proof_is_taken_from_who_offers_it():
    proof = native.response(TOKEN, SCRAMBLE)
    login = Login(response(plugin=NATIVE, response=proof).encode())
    assert login.authenticate(TOKEN) == TOKEN.decode()
    assert login.said[1:] == []


def test_a_client_without_plugins_proves_the_native_way():
    login = Login(
        response(
            capabilities=flags.OFFERED & ~flags.PLUGIN_AUTH,
            response=native.response(TOKEN, SCRAMBLE),
        ).encode()
    )
    assert login.authenticate(TOKEN) == TOKEN.decode()


@pytest.mark.parametrize("plugin", [b"client_ed25519", b"mysql_clear_password", b"", b"x" * 300])
def test_other_plugins_are_switched_and_see_a_fresh_scramble(plugin: bytes):
    proof = caching_sha2.response(TOKEN, SCRAMBLE)
    login = Login(response(plugin=plugin, response=b"what it thought").encode(), proof)
    assert login.authenticate(TOKEN) == TOKEN.decode()
    assert login.said[1] == AuthSwitchRequest(SHA2, SCRAMBLE).encode()


def test_a_client_that_insists_on_another_plug_in_than_the_greetings_gets_a_scramble_for_it():
    # --default-auth of both C libraries: they take a scramble for the plug-in it was made
    # for alone, and begin with a dummy answer where the greeting names another.
    proof = native.response(TOKEN, SCRAMBLE)
    login = Login(response(plugin=NATIVE, response=b"").encode(), proof)
    assert login.authenticate(TOKEN) == TOKEN.decode()
    assert login.said[1:] == [AuthSwitchRequest(NATIVE, SCRAMBLE).encode()]


@pytest.mark.parametrize("proof", [b"", b"\0", bytes(20), bytes(32), bytes(33)])
@pytest.mark.parametrize("plugin", [SHA2, NATIVE])
def test_a_wrong_proof_proves_nothing(plugin: bytes, proof: bytes):
    login = Login(response(plugin=plugin, response=proof).encode(), b"wrong\0", encrypted=True)
    assert login.authenticate(TOKEN) is None


def test_a_fake_verifier_lets_nobody_in():
    login = Login(response().encode(), b"wrong\0", encrypted=True)
    assert login.authenticate(TOKEN, is_real=False) is None


def test_the_whole_password_inside_tls():
    login = Login(response(response=b"").encode(), TOKEN + b"\0", encrypted=True)
    assert login.authenticate(b"other", TOKEN) == TOKEN.decode()
    assert login.said[1:] == [b"\x01\x04"]


def hidden(token: bytes) -> bytes:
    return run(Crypto().rsa_encrypt(PUBLIC_KEY, caching_sha2.obscured(token, SCRAMBLE)))


def test_the_whole_password_by_rsa():
    login = Login(response(response=b"").encode(), b"\x02", hidden(TOKEN))
    assert login.authenticate(TOKEN) == TOKEN.decode()
    assert login.said[1:] == [b"\x01\x04", b"\x01" + PUBLIC_KEY]


@pytest.mark.parametrize("sent", [b"", b"garbage", bytes(256), TOKEN + b"\0"])
def test_without_tls_nothing_but_rsa_is_read(sent: bytes):
    login = Login(response(response=b"").encode(), sent)
    assert login.authenticate(TOKEN) is None


def test_a_client_that_knows_the_key_sends_at_once():
    login = Login(response(response=b"").encode(), hidden(TOKEN))
    assert login.authenticate(TOKEN) == TOKEN.decode()


def test_a_password_is_bounded():
    login = Login(response(response=b"").encode(), bytes(1025), encrypted=True)
    with pytest.raises(PeerViolation, match="too long"):
        login.authenticate(TOKEN)


def test_the_welcome_has_the_data_sources_status_and_the_next_number():
    login = Login(response().encode())
    arrival = login.greet()
    run(login.leg.authenticate(login.channel, arrival, verifiers(TOKEN), entropy))
    assert login.leg.welcome(arrival, BEHIND) == frame(Ok(status=2).encode(), 3)


NO = Refusal(Reason.AUTHENTICATION_FAILED, "no \N{EURO SIGN}", "unknown workspace")


def test_a_refusal_stands_where_the_login_stands():
    login = Login(response().encode())
    assert login.leg.refusal(NO)[3] == 0
    login.greet()
    refused = login.leg.refusal(NO)
    assert refused[3] == 2
    assert Err.decode(refused[4:]) == Err(1045, b"28000", "no \N{EURO SIGN}".encode())


def test_a_refusal_of_a_silent_client_has_no_sqlstate():
    assert Err.decode(leg().refusal(NO)[4:]).sqlstate == b""


def counting(start: int, count: int) -> bytes:
    return bytes(range(start, start + count))


def test_scrambles_hold_neither_nul_nor_dollar():
    for start in range(237):
        scramble = make_scramble(partial(counting, start))
        assert len(scramble) == 20
        assert not set(scramble) & {0, ord("$")}
        assert max(scramble) < 128

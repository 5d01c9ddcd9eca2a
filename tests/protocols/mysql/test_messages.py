from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerViolation
from protocols.mysql import capabilities as flags
from protocols.mysql.messages import (
    AuthMoreData,
    AuthSwitchRequest,
    Err,
    Greeting,
    HandshakeResponse,
    Ok,
    SslRequest,
)

SCRAMBLE = bytes(range(1, 21))
ALL = flags.OFFERED | flags.SSL
GREETING = Greeting(b"8.0.36", 7, SCRAMBLE, ALL, 255, 2, b"caching_sha2_password")
RESPONSE = HandshakeResponse(
    flags.OFFERED,
    1 << 24,
    45,
    b"finance",
    b"\x01" * 32,
    b"orders",
    b"caching_sha2_password",
    ((b"_client_name", b"libmysql"), (b"program_name", b"report")),
)
names = st.binary(max_size=40).filter(lambda name: b"\0" not in name)


def test_a_greeting_comes_back():
    assert Greeting.decode(GREETING.encode()) == GREETING


def test_a_greeting_in_the_form_of_mariadb():
    # No CLIENT_MYSQL, extended capabilities in the reserve, the old version prefix.
    payload = bytes.fromhex(
        "0a352e352e352d31302e31312e362d4d6172696144422d302b6465623132753100"
        "0500000069405f4b5a63602e00fef72d0200ff81150000000000001d0000004f6f53"
        "3e6d4f3b27765c446c006d7973716c5f6e61746976655f70617373776f726400"
    )
    found = Greeting.decode(payload)
    assert found.server_version == b"5.5.5-10.11.6-MariaDB-0+deb12u1"
    assert found.plugin == b"mysql_native_password"
    assert len(found.scramble) == 20
    assert not found.capabilities & flags.LONG_PASSWORD
    assert found.capabilities & flags.DEPRECATE_EOF


@pytest.mark.parametrize("size", range(len(GREETING.encode()) - len(GREETING.plugin) - 1))
def test_a_greeting_cut_short_is_refused(size: int):
    with pytest.raises(PeerViolation):
        Greeting.decode(GREETING.encode()[:size])


def test_a_server_of_another_protocol_is_refused():
    with pytest.raises(PeerViolation, match="version 10"):
        Greeting.decode(b"\x09" + GREETING.encode()[1:])


def test_a_server_before_4_1_is_refused():
    old = Greeting(b"4.0.1", 7, SCRAMBLE, flags.LONG_PASSWORD, 8, 2, b"")
    with pytest.raises(PeerViolation, match=r"4\.1"):
        Greeting.decode(old.encode())


def test_an_ssl_request_comes_back_and_is_exactly_as_long():
    request = SslRequest(ALL, 1 << 24, 45)
    assert SslRequest.decode(request.encode()) == request
    with pytest.raises(PeerViolation, match="longer"):
        SslRequest.decode(request.encode() + b"\0")
    for size in range(32):
        with pytest.raises(PeerViolation):
            SslRequest.decode(request.encode()[:size])


@given(
    user=names,
    database=names,
    plugin=names,
    response=st.binary(max_size=300),
    attributes=st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=300)), max_size=5),
)
def test_a_response_comes_back(user, database, plugin, response, attributes):
    sent = HandshakeResponse(
        flags.OFFERED, 1 << 24, 45, user, response, database, plugin, tuple(attributes)
    )
    assert HandshakeResponse.decode(sent.encode(), flags.OFFERED) == sent


def test_what_was_not_offered_is_not_taken():
    sent = HandshakeResponse(ALL | flags.COMPRESS | flags.QUERY_ATTRIBUTES, 1, 45, b"u", b"")
    found = HandshakeResponse.decode(sent.encode(), flags.OFFERED)
    assert found.capabilities == flags.OFFERED


def test_trailing_fields_may_be_missing():
    whole = RESPONSE.encode()
    cut = whole[: whole.index(b"finance") + 8] + b"\0"
    found = HandshakeResponse.decode(cut, flags.OFFERED)
    assert (found.user, found.response, found.database) == (b"finance", b"", b"")


def test_a_plugin_without_its_terminator():
    capabilities = flags.OFFERED & ~flags.CONNECT_ATTRS
    sent = HandshakeResponse(capabilities, 1, 45, b"u", b"r", b"d", b"caching_sha2_password")
    assert HandshakeResponse.decode(sent.encode()[:-1], flags.OFFERED) == sent


@given(st.binary(max_size=200))
def test_anything_is_a_response_or_refused(data: bytes):
    front = SslRequest(flags.OFFERED, 1, 45).encode()
    try:
        HandshakeResponse.decode(front + data, flags.OFFERED)
    except PeerViolation:
        return


@given(st.binary(max_size=200))
def test_anything_from_a_server_is_understood_or_refused(data: bytes):
    for decode in (Greeting.decode, Ok.decode, Err.decode, AuthSwitchRequest.decode):
        try:
            decode(data or b"\0")
        except PeerViolation:
            continue


def test_names_with_a_nul_are_not_sent():
    with pytest.raises(ValueError, match="NUL"):
        HandshakeResponse(flags.OFFERED, 1, 45, b"a\0b", b"").encode()


def test_a_long_response_needs_a_server_that_takes_it():
    old = HandshakeResponse(flags.REQUIRED, 1, 45, b"a", bytes(256))
    with pytest.raises(ValueError, match="too long"):
        old.encode()


def test_a_switch_comes_back():
    switch = AuthSwitchRequest(b"caching_sha2_password", SCRAMBLE)
    assert AuthSwitchRequest.decode(switch.encode()) == switch
    assert AuthSwitchRequest.decode(b"\xfe").plugin == b"mysql_old_password"


def test_the_last_byte_of_a_nonce_may_be_a_nul():
    # client_ed25519 and parsec: 32 random bytes with nothing behind them, unlike a scramble.
    nonce = bytes(range(1, 32)) + b"\0"
    switch = AuthSwitchRequest.decode(b"\xfeclient_ed25519\0" + nonce)
    assert switch == AuthSwitchRequest(b"client_ed25519", nonce)
    assert AuthSwitchRequest.decode(switch.encode()) == switch


def test_results_come_back():
    assert AuthMoreData(b"\x03").encode() == b"\x01\x03"
    ok = Ok(300, 2**40, 2, 1, b"info")
    assert Ok.decode(ok.encode()) == ok
    for err in (Err(1045, b"28000", b"no"), Err(1040, b"", b"Too many connections")):
        assert Err.decode(err.encode()) == err


def test_secrets_are_not_shown():
    assert "response" not in repr(RESPONSE)
    assert "scramble" not in repr(GREETING)

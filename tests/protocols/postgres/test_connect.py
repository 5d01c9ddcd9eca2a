from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal, UpstreamRefused
from protocols.interface import Upstream, UpstreamLogin
from protocols.postgres.connect import connect
from protocols.postgres.messages import (
    AuthenticationOk,
    BackendKeyData,
    ErrorResponse,
    NegotiateProtocolVersion,
    NoticeResponse,
    ParameterStatus,
    ReadyForQuery,
    StartupMessage,
    frame,
)
from tests.protocols.postgres.login import Script, derive, entropy, login, ready

OK = AuthenticationOk().encode()
READY = ReadyForQuery(b"I").encode()
OPEN = login(password=None, methods=("trust",))


def opened(*, version: tuple[int, int] = (3, 0), parameters: dict[str, str] | None = None):
    return login(password=None, methods=("trust",), version=version, parameters=parameters)


def go(channel: MemoryChannel, entry: UpstreamLogin = OPEN) -> Upstream:
    return run(connect(channel, entry, derive, entropy))


def test_a_server_that_says_yes_is_kept_with_its_own_words():
    upstream = go(Script(ready()))
    assert (upstream.method, upstream.server_version, upstream.version) == ("trust", "15.8", (3, 0))
    assert upstream.detail.parameters == (
        (b"server_version", b"15.8"),
        (b"client_encoding", b"UTF8"),
    )
    assert (upstream.detail.process_id, upstream.detail.cancel_key) == (4711, b"\1\2\3\4")
    assert upstream.detail.transaction_status == b"I"


def test_the_key_does_not_show_in_a_representation():
    upstream = go(Script(ready(b"kkkk")))
    assert "kkkk" not in repr(upstream) + repr(upstream.detail)


def test_the_startup_message_has_the_login_and_its_settings():
    channel = Script(ready())
    go(channel, opened(parameters={"TimeZone": "UTC", "search_path": "\u00e4"}))
    assert StartupMessage.decode(bytes(channel.sent[4:])) == StartupMessage(
        (3, 0),
        (
            (b"user", b"app"),
            (b"database", b"shop"),
            (b"TimeZone", b"UTC"),
            (b"search_path", "\u00e4".encode()),
        ),
    )


def test_tls_comes_before_the_first_word_of_the_login():
    channel = Script(b"S", ready())
    go(channel, login(password=None, methods=("trust",), require_tls=True))
    assert channel.tls_started_after == 8


def test_a_server_that_declines_tls_learns_nothing():
    channel = Script(b"N")
    with pytest.raises(Refusal) as caught:
        go(channel, login(require_tls=True))
    assert caught.value.reason is Reason.SOURCE_UNTRUSTED
    assert b"app" not in channel.sent


def test_a_login_that_cannot_be_written_is_refused():
    with pytest.raises(Refusal) as caught:
        go(Script(ready()), login(username="a\0b"))
    assert caught.value.reason is Reason.CREDENTIAL_UNUSABLE


def test_a_version_we_do_not_speak_is_our_own_mistake():
    with pytest.raises(ValueError, match=r"3\.2"):
        go(Script(ready()), opened(version=(3, 1)))


@pytest.mark.parametrize("length", [4, 32, 256])
def test_a_new_server_grants_3_2_and_keys_of_its_length(length: int):
    upstream = go(Script(ready(b"k" * length)), opened(version=(3, 2)))
    assert upstream.version == (3, 2)
    assert upstream.detail.cancel_key == b"k" * length


def test_an_older_server_grants_3_0():
    line = NegotiateProtocolVersion((3, 0)).encode() + ready()
    assert go(Script(line), opened(version=(3, 2))).version == (3, 0)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ((3, 0), NegotiateProtocolVersion((3, 0))),
        ((3, 0), NegotiateProtocolVersion((3, 2))),
        ((3, 2), NegotiateProtocolVersion((3, 2))),
        ((3, 2), NegotiateProtocolVersion((3, 1))),
        ((3, 2), NegotiateProtocolVersion((3, 3))),
        ((3, 2), NegotiateProtocolVersion((2, 0))),
        ((3, 2), NegotiateProtocolVersion((0, 0))),
        ((3, 2), NegotiateProtocolVersion((3, 0), (b"_pq_.x",))),
    ],
)
def test_a_negotiation_that_makes_no_sense_is_a_violation(asked, answer):
    with pytest.raises(PeerViolation, match="negotiation"):
        go(Script(answer.encode() + ready()), opened(version=asked))


def test_a_version_is_negotiated_once():
    line = NegotiateProtocolVersion((3, 0)).encode()
    with pytest.raises(PeerViolation):
        go(Script(line + line + ready()), opened(version=(3, 2)))


def test_a_long_key_in_protocol_3_0_is_a_violation():
    with pytest.raises(PeerViolation, match="cancel key"):
        go(Script(ready(b"k" * 32)))


def test_a_server_without_cancel_keys_is_served_all_the_same():
    upstream = go(Script(OK + READY))
    assert (upstream.detail.process_id, upstream.detail.cancel_key) == (0, b"")
    assert upstream.server_version == ""


def error(*fields: tuple[bytes, bytes]) -> bytes:
    return ErrorResponse(fields).encode()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (((b"S", b"FATAL"), (b"C", b"28P01"), (b"M", b"no")), "28P01"),
        (((b"M", b"no SQLSTATE at all"),), ""),  # CVE-2026-6666
        (((b"C", b""),), ""),
        (((b"C", b"28p01"),), ""),
        (((b"C", b"28P01x"),), ""),
        (((b"C", b"\xff\xfe\xff\xfe\xff"),), ""),
        ((), ""),
    ],
)
def test_a_server_that_says_no_is_known_by_its_code_alone(fields, code: str):
    for line in (error(*fields), OK + error(*fields)):
        with pytest.raises(UpstreamRefused) as caught:
            go(Script(line))
        assert caught.value.code == code


def test_our_own_password_echoed_in_an_error_stays_out_of_what_is_shown():
    with pytest.raises(UpstreamRefused) as caught:
        go(Script(error((b"C", b"28P01"), (b"M", b"your password is pencil" * 100))), login())
    assert "pencil" not in str(caught.value)
    assert len(caught.value.detail) <= 1_000


def test_notices_are_kept_for_the_welcome():
    notice = NoticeResponse(((b"M", b"hello"),)).encode()
    upstream = go(Script(notice + OK + notice + READY))
    assert upstream.detail.notices == (notice[5:], notice[5:])


def test_endless_notices_end_the_login():
    notice = NoticeResponse(((b"M", b"hello"),)).encode()
    with pytest.raises(PeerViolation, match="too many notices"):
        go(Script(notice * 101 + OK + READY))
    with pytest.raises(PeerViolation, match="too many notices"):
        go(Script(OK + NoticeResponse(((b"M", b"x" * 29_000),)).encode() * 3))


def test_endless_parameters_end_the_login():
    with pytest.raises(PeerViolation, match="too many parameters"):
        go(Script(OK + ParameterStatus(b"a", b"b").encode() * 101 + READY))
    with pytest.raises(PeerViolation, match="too many parameters"):
        go(Script(OK + ParameterStatus(b"a", b"b" * 60_000).encode() * 3 + READY))


def test_the_last_value_of_a_parameter_counts():
    lines = ParameterStatus(b"a", b"1").encode() + ParameterStatus(b"a", b"2").encode()
    assert go(Script(OK + lines + READY)).detail.parameters == ((b"a", b"2"),)


@pytest.mark.parametrize(
    ("reported", "shown"),
    [
        (b"15.8 (Debian 15.8-0+deb12u1)", "15.8"),
        (b"9.6.24", "9.6.24"),
        (b"19beta2", "19beta2"),
        (b"15\n\xff" + b"x" * 500, "15"),
        (b"15the-password", "15"),
        (b"the-password", ""),
        (b"9" * 500, "999"),
        (b"", ""),
    ],
)
def test_of_a_server_version_only_the_number_is_shown(reported: bytes, shown: str):
    status = ParameterStatus(b"server_version", reported).encode()
    assert go(Script(OK + status + READY)).server_version == shown


@pytest.mark.parametrize(
    "line",
    [
        OK + OK + READY,
        OK + BackendKeyData(1, b"abcd").encode() * 2 + READY,
        OK + ReadyForQuery(b"T").encode(),
        OK + ReadyForQuery(b"E").encode(),
        OK + NegotiateProtocolVersion((3, 0)).encode(),
        READY,
        ParameterStatus(b"a", b"b").encode() + OK + READY,
        BackendKeyData(1, b"abcd").encode() + OK + READY,
        OK + frame(b"T", b"\0\0"),
        OK + frame(b"D", b"\0\0"),
        OK + frame(b"A", b"\0\0\0\1a\0b\0"),
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
    ],
)
def test_a_message_out_of_step_is_a_violation(line: bytes):
    with pytest.raises(PeerViolation):
        go(Script(line))


def test_a_login_cut_anywhere_is_a_closed_connection():
    notice = NoticeResponse(((b"M", b"hello"),)).encode()
    whole = NegotiateProtocolVersion((3, 0)).encode() + notice + ready()
    for end in range(len(whole)):
        with pytest.raises(PeerClosed):
            go(MemoryChannel(whole[:end]), opened(version=(3, 2)))


@given(st.binary(max_size=80))
def test_any_server_ends_cleanly(data: bytes):
    for line in (data, OK + data, b"R" + (len(data) + 4).to_bytes(4, "big") + data):
        with contextlib.suppress(PeerViolation, PeerClosed, Refusal, UpstreamRefused):
            go(MemoryChannel(line), login(methods=("scram-sha-256", "md5", "trust")))

"""The reset between two clients, answered rightly and in every wrong way."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation, UpstreamRefused
from protocols.interface import SessionRules, Upstream
from protocols.postgres.encoding import frame
from protocols.postgres.reset import MESSAGES_LIMIT, is_resettable, reset
from protocols.postgres.upstream import UpstreamDetail

REPORTED = ((b"TimeZone", b"UTC"), (b"is_superuser", b"off"))


def upstream(*parameters: tuple[bytes, bytes]) -> Upstream:
    detail = UpstreamDetail(parameters or REPORTED, 1, b"abcd", b"I")
    return Upstream("scram-sha-256", "15.8", (3, 0), detail=detail)


def done(tag: bytes, status: bytes = b"I") -> bytes:
    return frame(b"C", tag + b"\0") + frame(b"Z", status)


def row(*values: bytes | None) -> bytes:
    fields = b"".join(
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        for value in values
    )
    return frame(b"T", b"\0\0") + frame(b"D", struct.pack("!h", len(values)) + fields)


COMMANDS = done(b"DISCARD ALL") + done(b"RESET") + done(b"SET")
RIGHT = COMMANDS + row(b"UTC", b"off") + done(b"SELECT 1")
UNASKED = (
    frame(b"S", b"TimeZone\0UTC\0")
    + frame(b"N", b"SNOTICE\0VNOTICE\0C00000\0Mthere\0\0")
    + frame(b"A", b"\0\0\0\1channel\0\0")
)


def play(
    incoming: bytes,
    *,
    rules: SessionRules | None = None,
    is_in_transaction: bool = False,
    of: Upstream | None = None,
) -> bytes:
    """Run the reset against these answers; what was sent."""
    channel = MemoryChannel(incoming)
    run(
        reset(
            channel,
            of or upstream(),
            rules,
            lambda count: b"\x80" + bytes(count - 1),
            is_in_transaction=is_in_transaction,
        )
    )
    return bytes(channel.sent)


def test_the_session_is_discarded_and_its_settings_asked_for():
    assert play(RIGHT) == b"".join(
        frame(b"Q", text + b"\0")
        for text in (
            b"DISCARD ALL",
            b"RESET ROLE",
            b"SET SEED TO 0.500000000000000",
            b"SELECT pg_catalog.current_setting('TimeZone', true),"
            b" pg_catalog.current_setting('is_superuser', true)",
        )
    )


def test_an_open_transaction_is_rolled_back_first():
    sent = play(done(b"ROLLBACK") + RIGHT, is_in_transaction=True)
    assert sent.startswith(frame(b"Q", b"ROLLBACK\0"))


def test_what_the_rules_demand_is_asked_for_where_no_login_reports_it():
    rules = SessionRules(is_read_only=True, search_path='a"b')
    answer = row(b"UTC", b"off", b"UTF8", b"on", b"on", b'"a""b"')
    sent = play(COMMANDS + answer + done(b"SELECT 1"), rules=rules)
    for name in (b"default_transaction_read_only", b"search_path", b"client_encoding"):
        assert b"'%b'" % name in sent


def test_a_session_that_is_no_longer_read_only_is_refused():
    rules = SessionRules(is_read_only=True)
    answer = row(b"UTC", b"off", b"UTF8", b"on", b"off")
    with pytest.raises(PeerViolation, match="settings"):
        play(COMMANDS + answer + done(b"SELECT 1"), rules=rules)


def test_what_comes_unasked_is_passed_over():
    assert play(UNASKED + RIGHT.replace(row(b"UTC", b"off"), UNASKED + row(b"UTC", b"off")))


@pytest.mark.parametrize(
    "answer",
    [
        row(b"Asia/Kathmandu", b"off"),
        row(b"UTC", b"on"),
        row(b"UTC", None),
        row(b"UTC"),
        row(b"UTC", b"off", b"more"),
        row(),
    ],
)
def test_settings_that_are_not_back_are_refused(answer: bytes):
    with pytest.raises(PeerViolation, match="settings"):
        play(COMMANDS + answer + done(b"SELECT 1"))


@pytest.mark.parametrize(
    "incoming",
    [
        done(b"DISCARD"),
        done(b"SELECT 1"),
        done(b"DISCARD ALL", b"T"),
        done(b"DISCARD ALL", b"E"),
        done(b"DISCARD ALL", b"?"),
        frame(b"Z", b"I"),
        done(b"DISCARD ALL") + frame(b"Z", b"I"),
        frame(b"C", b"DISCARD ALL\0") * 2,
        frame(b"G", b"\0\0\0"),
        b"C" + struct.pack("!i", 3),
        b"C" + struct.pack("!i", 1 << 30),
        b"C" + struct.pack("!i", -1),
        COMMANDS + done(b"SELECT 1"),
        COMMANDS + row(b"UTC", b"off") + row(b"UTC", b"off") + done(b"SELECT 2"),
        COMMANDS + frame(b"T", b"") + frame(b"D", b"\0\1\0\0\1\0x"),
        COMMANDS + frame(b"T", b"") + frame(b"D", struct.pack("!hi", 1, -2)),
        RIGHT + b"\0",
        RIGHT + done(b"DISCARD ALL"),
        UNASKED * MESSAGES_LIMIT + RIGHT,
    ],
)
def test_an_answer_that_is_not_right_is_a_violation(incoming: bytes):
    with pytest.raises(PeerViolation):
        play(incoming)


def test_an_error_is_the_servers_no_and_its_words_are_not_kept():
    error = frame(b"E", b"SERROR\0C25001\0MDISCARD ALL cannot, secret\0\0")
    with pytest.raises(UpstreamRefused) as caught:
        play(error + frame(b"Z", b"I"))
    assert caught.value.code == "25001"
    assert "secret" not in repr(caught.value.__dict__) + str(caught.value)


@given(st.integers(0, len(RIGHT) - 1))
def test_a_server_that_closes_in_the_middle_has_closed(place: int):
    with pytest.raises(PeerClosed):
        play(RIGHT[:place])


@given(st.binary(max_size=200))
def test_no_answer_but_the_right_one_is_believed(incoming: bytes):
    with pytest.raises((PeerViolation, PeerClosed, UpstreamRefused)):
        play(incoming)


@pytest.mark.parametrize("name", [b"x'); DROP TABLE t; --", b"", b"a b", b"\xff", b"a.b.c"])
def test_a_server_whose_settings_have_no_plain_names_is_not_reset(name: bytes):
    assert not is_resettable(UpstreamDetail(((name, b""),), 1, b"", b"I"))
    assert is_resettable(UpstreamDetail((*REPORTED, (b"plugin.name", b"")), 1, b"", b"I"))

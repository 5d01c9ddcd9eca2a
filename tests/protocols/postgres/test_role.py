"""What a server says that it is: reported since PostgreSQL 14, asked before, and lies."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation, UpstreamRefused
from protocols.interface import SessionRules, Upstream
from protocols.postgres.connect import connect
from protocols.postgres.encoding import frame
from protocols.postgres.messages import AuthenticationOk, ParameterStatus, ReadyForQuery
from protocols.postgres.role import check_role
from protocols.postgres.upstream import UpstreamDetail
from protocols.roles import ServerRole
from tests.protocols.postgres.login import Script, derive, entropy, login

PRIMARY = ServerRole(is_read_only=False, is_standby=False)
STANDBY = ServerRole(is_read_only=True, is_standby=True)
QUESTION = (
    b"SELECT pg_catalog.pg_is_in_recovery(),"
    b" pg_catalog.current_setting('default_transaction_read_only')"
)


def welcome(*reported: tuple[bytes, bytes]) -> bytes:
    statuses = b"".join(ParameterStatus(name, value).encode() for name, value in reported)
    return AuthenticationOk().encode() + statuses + ReadyForQuery(b"I").encode()


def answer(*values: bytes | None) -> bytes:
    fields = b"".join(
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        for value in values
    )
    row = frame(b"T", b"\0\0") + frame(b"D", struct.pack("!h", len(values)) + fields)
    return row + frame(b"C", b"SELECT 1\0") + frame(b"Z", b"I")


def reported(standby: bytes, read_only: bytes) -> bytes:
    return welcome((b"in_hot_standby", standby), (b"default_transaction_read_only", read_only))


def role_of(
    *incoming: bytes, parameters: dict[str, str] | None = None, rules: SessionRules | None = None
) -> ServerRole | None:
    entry = login(password=None, methods=("trust",), parameters=parameters)
    channel = Script(*incoming)
    upstream = run(connect(channel, replace(entry, asks_role=True, rules=rules), derive, entropy))
    asked = frame(b"Q", QUESTION + b"\0") in bytes(channel.sent)
    assert asked is (len(incoming) > 1)
    return upstream.role


@pytest.mark.parametrize(
    ("standby", "read_only", "role"),
    [
        (b"off", b"off", PRIMARY),
        (b"off", b"on", ServerRole(is_read_only=True, is_standby=False)),
        (b"on", b"off", STANDBY),
        (b"on", b"on", STANDBY),
    ],
)
def test_what_a_server_reports_needs_no_question(
    standby: bytes, read_only: bytes, role: ServerRole
):
    assert role_of(reported(standby, read_only)) == role


@pytest.mark.parametrize(
    ("values", "role"),
    [
        ((b"f", b"off"), PRIMARY),
        ((b"f", b"on"), ServerRole(is_read_only=True, is_standby=False)),
        ((b"t", b"off"), STANDBY),
    ],
)
def test_an_older_server_is_asked(values: tuple[bytes, bytes], role: ServerRole):
    assert role_of(welcome((b"server_version", b"13.14")), answer(*values)) == role
    # One that reports half of it is asked, too.
    assert role_of(welcome((b"in_hot_standby", b"off")), answer(*values)) == role


def test_who_does_not_want_to_know_asks_nothing():
    entry = login(password=None, methods=("trust",))
    channel = Script(welcome())
    assert run(connect(channel, entry, derive, entropy)).role is None
    assert QUESTION not in bytes(channel.sent)


@pytest.mark.parametrize("name", ["default_transaction_read_only"])
def test_what_the_client_asked_for_is_not_the_server_s(name: str):
    assert role_of(reported(b"off", b"on"), parameters={name: "on"}) == PRIMARY
    assert role_of(reported(b"on", b"on"), parameters={name: "on"}) == STANDBY


def test_what_a_policy_asked_for_is_not_the_server_s():
    assert role_of(reported(b"off", b"on"), rules=SessionRules(is_read_only=True)) == PRIMARY
    assert role_of(reported(b"off", b"on"), rules=SessionRules()) != PRIMARY


@pytest.mark.parametrize("lie", [b"", b"maybe", b"ON", b"t", b"on\n"])
def test_a_server_that_reports_nonsense_breaks_the_protocol(lie: bytes):
    for said in (reported(lie, b"off"), reported(b"off", lie)):
        with pytest.raises(PeerViolation, match="did not say what it is"):
            role_of(said)


@pytest.mark.parametrize(
    "values", [(), (b"t",), (b"on", b"off"), (None, b"off"), (b"t", None), (b"t", b"on", b"x")]
)
def test_a_server_that_answers_nonsense_breaks_the_protocol(values: tuple[bytes | None, ...]):
    with pytest.raises(PeerViolation, match="did not say what it is"):
        role_of(welcome(), answer(*values))


@given(st.integers(0, len(answer(b"t", b"off")) - 1))
def test_an_answer_cut_anywhere_is_a_closed_connection(length: int):
    with pytest.raises(PeerClosed):
        role_of(welcome(), answer(b"t", b"off")[:length])


def test_a_server_without_the_function_refuses():
    error = frame(b"E", b"SERROR\0C42883\0Mno such function\0\0") + frame(b"Z", b"I")
    with pytest.raises(UpstreamRefused):
        role_of(welcome(), error)


def kept(role: ServerRole | None, *parameters: tuple[bytes, bytes]) -> Upstream:
    detail = UpstreamDetail(parameters, 1, b"abcd", b"I")
    return Upstream("scram-sha-256", "13.14", (3, 0), detail=detail, role=role)


def test_a_kept_session_s_older_server_is_asked_whether_it_still_is_what_it_was():
    channel = MemoryChannel(answer(b"t", b"off"))
    run(check_role(channel, kept(STANDBY)))
    with pytest.raises(PeerViolation, match="no longer"):
        run(check_role(MemoryChannel(answer(b"f", b"off")), kept(STANDBY)))


def test_one_that_reports_it_or_was_never_asked_is_not_asked_again():
    reports = ((b"in_hot_standby", b"off"), (b"default_transaction_read_only", b"off"))
    for one in (kept(PRIMARY, *reports), kept(None)):
        channel = MemoryChannel(b"")
        run(check_role(channel, one))
        assert channel.sent == b""

"""The reset between two clients, answered rightly and in every wrong way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation, UpstreamRefused
from protocols.interface import SessionRules, Upstream
from protocols.mysql import capabilities as flags
from protocols.mysql.encoding import lenenc_bytes
from protocols.mysql.framing import frame
from protocols.mysql.messages import Err, Fresh, Ok, UpstreamSettings
from protocols.mysql.reset import look, reset

FRESH: Fresh = (
    *(b"shop", b"utf8mb4", b"utf8mb4", b"utf8mb4_general_ci"),
    *(b"STRICT_TRANS_TABLES", b"28800", b""),
    *(b"REPEATABLE-READ", b"0", None, b"1", b"SYSTEM", b"1", b"1", b"0"),
)
AUTOCOMMIT = 2
OK = Ok(status=AUTOCOMMIT).encode()
EOF_PACKET = b"\xfe\0\0\2\0"
OK_AT_THE_END = b"\xfe\0\0\2\0\0\0"
COLLATION = 45


def settings(*, has_eof: bool = False, fresh: Fresh | None = FRESH) -> UpstreamSettings:
    capabilities = flags.MULTI_STATEMENTS | (0 if has_eof else flags.DEPRECATE_EOF)
    return UpstreamSettings(capabilities, AUTOCOMMIT, False, True, fresh)


def upstream(made: UpstreamSettings) -> Upstream:
    return Upstream("native", "8.0.36", (10, 0), 7, made, True)


def packets(*payloads: bytes) -> bytes:
    return b"".join(frame(payload, number + 1) for number, payload in enumerate(payloads))


def result(values: Fresh = FRESH, *, has_eof: bool = False) -> bytes:
    row = b"".join(b"\xfb" if value is None else lenenc_bytes(value) for value in values)
    definitions = [b"\3def"] * len(values)
    between = [EOF_PACKET] if has_eof else []
    end = EOF_PACKET if has_eof else OK_AT_THE_END
    return packets(bytes((len(values),)), *definitions, *between, row, end)


COMMANDS = packets(OK) * 4
RIGHT = COMMANDS + result()


def play(
    incoming: bytes, made: UpstreamSettings | None = None, rules: SessionRules | None = None
) -> bytes:
    channel = MemoryChannel(incoming)
    run(reset(channel, upstream(made or settings()), rules, COLLATION))
    assert not channel.incoming
    return bytes(channel.sent)


@pytest.mark.parametrize("has_eof", [True, False])
def test_the_session_is_reset_and_made_again_what_it_was(has_eof: bool):
    sent = play(COMMANDS + result(has_eof=has_eof), settings(has_eof=has_eof))
    assert sent.startswith(frame(b"\x1f", 0) + frame(b"\x1b\0\0", 0) + frame(b"\x02shop", 0))
    assert (
        b"SET character_set_client = utf8mb4, character_set_results = utf8mb4,"
        b" collation_connection = utf8mb4_general_ci, sql_mode = 'STRICT_TRANS_TABLES',"
        b" wait_timeout = 28800"
    ) in sent
    assert b"@@transaction_read_only" in sent


def test_a_client_without_several_statements_leaves_the_next_one_without():
    made = replace(settings(), capabilities=flags.DEPRECATE_EOF)
    assert frame(b"\x1b\1\0", 0) in play(RIGHT, made)


def test_a_session_without_a_database_is_given_none():
    fresh = (None, *FRESH[1:])
    sent = play(packets(OK) * 3 + result(fresh), settings(fresh=fresh))
    assert frame(b"\x02", 0)[4:] + b"shop" not in sent


def test_what_the_rules_demand_is_set_again():
    sent = play(packets(OK) * 7 + result(), rules=SessionRules(is_read_only=True))
    assert b"SET SESSION TRANSACTION READ ONLY" in sent


def test_the_next_client_is_told_the_status_of_its_own_session():
    channel = MemoryChannel(COMMANDS + result().replace(OK_AT_THE_END, b"\xfe\0\0\0\0\0\0"))
    found = run(reset(channel, upstream(settings()), None, COLLATION))
    assert found.detail.status == 0


@pytest.mark.parametrize("place", range(len(FRESH)))
def test_a_session_that_is_not_what_it_was_is_refused(place: int):
    values = (*FRESH[:place], b"another", *FRESH[place + 1 :])
    with pytest.raises(PeerViolation, match="not what it was"):
        play(COMMANDS + result(values))


@pytest.mark.parametrize(
    "incoming",
    [
        packets(b"\1"),
        packets(OK)[:3] + b"\2" + OK,
        COMMANDS + packets(OK),
        COMMANDS + packets(b"\xfb"),
        COMMANDS + packets(b"\0"),
        COMMANDS + packets(b"\2", b"\3def", b"\3def", b"\1a", OK_AT_THE_END),
        COMMANDS + packets(b"\1", b"\3def", OK_AT_THE_END),
        COMMANDS + packets(b"\1", b"\3def", b"\1a\1b", OK_AT_THE_END),
        COMMANDS + packets(b"\1", b"\3def", b"\xfc\xff", OK_AT_THE_END),
        COMMANDS + packets(b"\1", b"\3def", b"\1a", b"\1b"),
        b"\xff\xff\xff\1",
    ],
)
def test_an_answer_that_is_not_right_is_a_violation(incoming: bytes):
    with pytest.raises(PeerViolation):
        play(incoming)


@pytest.mark.parametrize("number", range(5))
def test_an_error_in_any_place_is_the_servers_no(number: int):
    error = packets(Err(1047, b"08S01", b"unknown command").encode())
    with pytest.raises(UpstreamRefused) as caught:
        play(packets(OK) * number + error)
    assert caught.value.code == "08S01"


@given(st.integers(0, len(RIGHT) - 1))
def test_a_server_that_closes_in_the_middle_has_closed(place: int):
    with pytest.raises(PeerClosed):
        play(RIGHT[:place])


@given(st.binary(max_size=200))
def test_no_answer_but_the_right_one_is_believed(incoming: bytes):
    with pytest.raises((PeerViolation, PeerClosed, UpstreamRefused)):
        play(incoming)


# --- what a fresh session is -------------------------------------------------------------


def seen(incoming: bytes) -> Fresh | None:
    return run(look(MemoryChannel(incoming), settings(fresh=None)))


def test_a_fresh_session_is_looked_at():
    assert seen(result()) == FRESH


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (1, b"utf8; DROP TABLE t"),
        (1, None),
        (2, b"'"),
        (3, b""),
        (4, b"ANSI'; --"),
        (5, b"-1"),
        (6, b"SET autocommit = 0"),
    ],
)
def test_a_session_that_cannot_be_made_again_is_not_kept(place: int, value: bytes | None):
    assert seen(result((*FRESH[:place], value, *FRESH[place + 1 :]))) is None


def test_a_server_that_does_not_know_what_is_asked_is_not_kept():
    assert seen(packets(Err(1193, b"HY000", b"unknown variable").encode())) is None

from __future__ import annotations

import pytest

from protocols.errors import PeerViolation
from tests.protocols.mysql.conversation import (
    AUTOCOMMIT,
    EMPTY_ROW,
    FULL,
    IN_TRANS,
    MORE,
    NULL_ROW,
    PING,
    QUIT,
    RESET_CONNECTION,
    ROW,
    STATISTICS,
    Slicing,
    Talk,
    answer,
    both_ends,
    command,
    err,
    init_db,
    message,
    ok,
    packet,
    query,
    three_slicings,
)


@three_slicings
@both_ends
def test_a_query_with_rows_is_told_with_its_rows(slicing: Slicing, deprecates: bool):
    talk = Talk(slicing, deprecates=deprecates)
    talk.passes(query(b"SELECT x"), answer(*talk.rows(ROW, NULL_ROW, EMPTY_ROW, columns=2)))
    assert talk.told == [("simple", b"SELECT x", "succeeded")]
    assert talk.last.rows == 3
    assert talk.last.bytes_out == len(answer(*talk.rows(ROW, NULL_ROW, EMPTY_ROW, columns=2)))
    assert talk.last.bytes_in == len(query(b"SELECT x"))
    talk.finish()


@three_slicings
def test_affected_rows_are_counted_and_errors_told_with_their_sqlstate(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"INSERT"), answer(ok(70_000)))
    assert talk.last.rows == 70_000
    talk.passes(query(b"BAD"), answer(err(1146, b"42S02")))
    assert (str(talk.last.outcome), talk.last.code) == ("failed", "42S02")
    talk.finish()


@three_slicings
@both_ends
def test_every_result_of_several_statements_belongs_to_one_record(
    slicing: Slicing, deprecates: bool
):
    talk = Talk(slicing, deprecates=deprecates)
    more = AUTOCOMMIT | MORE
    bodies = [*talk.rows(ROW, status=more), ok(2, more), *talk.rows(ROW, ROW, status=more), ok(1)]
    talk.passes(query(b"SELECT; UPDATE; CALL"), answer(*bodies))
    assert talk.told == [("simple", b"SELECT; UPDATE; CALL", "succeeded")]
    assert talk.last.rows == 6
    talk.passes(query(b"SELECT; BAD"), answer(*talk.rows(ROW, status=more), err()))
    assert talk.last.outcome == "failed"
    talk.finish()


@three_slicings
@both_ends
def test_an_error_may_come_in_the_middle_of_rows_and_definitions(
    slicing: Slicing, deprecates: bool
):
    talk = Talk(slicing, deprecates=deprecates)
    talk.passes(query(b"SELECT 1"), answer(*talk.rows(ROW)[:-1], err(1317, b"70100")))
    assert (talk.last.rows, talk.last.code) == (1, "70100")
    talk.passes(query(b"SELECT 2"), answer(b"\2", talk.rows()[1], err()))
    assert talk.last.outcome == "failed"
    talk.finish()


@three_slicings
def test_commands_without_statements_pass(slicing: Slicing):
    talk = Talk(slicing)
    for each, body in (
        (PING, ok()),
        (STATISTICS, b"Uptime: 5"),
        (command(0x1B, b"\0\0"), ok(0, 2, 0xFE)),
        (command(0x1B, b"\1\0"), b"\xfe\0\0\2\0"),
    ):
        talk.passes(each, answer(body))
    assert talk.told == []
    talk.passes(init_db(b"shop"), answer(ok()))
    assert talk.told == [("function", b"USE shop", "succeeded")]
    talk.passes(command(0x04, b"t\0%"), answer(talk.rows()[1], talk.end()))
    assert talk.told[1:] == [("function", b"SHOW FIELDS FROM t", "succeeded")]
    talk.passes(RESET_CONNECTION, answer(ok()))
    assert talk.told[2:] == [("function", b"RESET CONNECTION", "succeeded")]
    assert talk.client(QUIT, PING) == QUIT
    assert talk.scanner.has_said_goodbye
    talk.close()


@three_slicings
def test_pipelined_commands_are_answered_in_order(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(
        query(b"a") + PING + query(b"b") + query(b"c"),
        answer(ok(1)) + answer(ok()) + answer(*talk.rows(ROW)) + answer(err()),
    )
    assert talk.told == [
        ("simple", b"a", "succeeded"),
        ("simple", b"b", "succeeded"),
        ("simple", b"c", "failed"),
    ]
    talk.finish()


def test_the_transaction_is_known_by_the_status_flags():
    talk = Talk()
    talk.passes(query(b"BEGIN"), answer(ok(0, AUTOCOMMIT | IN_TRANS)))
    assert talk.is_in_transaction()
    assert not talk.is_idle()
    talk.passes(query(b"COMMIT"), answer(ok()))
    assert not talk.is_in_transaction()
    assert talk.is_idle()


@pytest.mark.parametrize("size", [FULL - 2, FULL - 1, FULL, FULL + 1, 2 * FULL - 1])
def test_a_long_statement_is_continued_and_its_answer_numbered_behind_it(size: int):
    talk = Talk()
    sent = query(b"x" * size)
    number = (size + 1) // FULL + 1
    talk.passes(sent, answer(ok(), sequence=number))
    assert talk.last.text_length == size
    assert len(talk.last.text) == 65_536
    assert talk.last.bytes_in == len(sent)
    talk.finish()


@pytest.mark.parametrize("size", [FULL - 1, FULL, FULL + 1, 2 * FULL])
@both_ends
def test_a_long_row_is_continued_and_counted_once(size: int, deprecates: bool):
    talk = Talk(deprecates=deprecates)
    row = b"\xfe" + b"x" * (size - 1)
    if size < FULL:
        row = b"\xfd" + row[1:]
    talk.passes(query(b"SELECT"), answer(*talk.rows(row, ROW)))
    assert talk.last.rows == 2
    talk.finish()


def test_sequence_numbers_wrap():
    talk = Talk()
    talk.passes(query(b"SELECT"), answer(*talk.rows(*[ROW] * 1000)))
    assert talk.last.rows == 1000


def test_packets_out_of_order_are_a_violation():
    for stream in (packet(1, b"\x0e"), packet(255, b"\3x"), packet(0, b"")):
        with pytest.raises(PeerViolation):
            Talk().client(stream)
    for stream in (packet(0, ok()), packet(2, ok()), packet(1, b"")):
        talk = Talk()
        talk.client(PING)
        with pytest.raises(PeerViolation):
            talk.server(stream)
    talk = Talk()
    talk.client(message(0, b"\3" + b"x" * FULL)[: FULL + 4])
    with pytest.raises(PeerViolation):
        talk.client(packet(2, b"x"))


def test_an_unasked_error_tells_that_the_server_ends_the_session():
    talk = Talk()
    last = packet(0, err(4031, b"HY000"))
    assert talk.server(last) == last
    assert talk.scanner.is_ended_by_server
    with pytest.raises(PeerViolation):
        talk.server(last)
    with pytest.raises(PeerViolation):
        Talk().server(packet(0, ok()))


def test_the_last_error_may_cross_a_command():
    talk = Talk()
    talk.client(query(b"SELECT 1"))
    last = packet(0, err(1927, b"70100"))
    assert talk.server(last) == last
    assert talk.scanner.is_ended_by_server
    assert (talk.last.outcome, talk.last.code) == ("failed", "70100")

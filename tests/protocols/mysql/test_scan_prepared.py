from __future__ import annotations

import pytest

from protocols.errors import PeerViolation
from protocols.interface import ScanLimits
from protocols.mysql.prepared import UNKNOWN_TEXT
from tests.protocols.mysql.conversation import (
    AUTOCOMMIT,
    BINARY_ROW,
    CURSOR,
    FULL,
    LAST_ROW,
    MORE,
    PING,
    RESET_CONNECTION,
    Slicing,
    Talk,
    answer,
    both_ends,
    close,
    eof,
    err,
    execute,
    fetch,
    long_data,
    ok,
    packet,
    prepare,
    prepared,
    query,
    reset,
    three_slicings,
)

LAST_ID = 0xFFFFFFFF


def make(talk: Talk, text: bytes, number: int, parameters: int = 0, columns: int = 0) -> None:
    bodies = [
        prepared(number, parameters, columns),
        *talk.definitions(parameters),
        *talk.definitions(columns),
    ]
    talk.passes(prepare(text), answer(*bodies))


def unknown(talk: Talk, sent: bytes) -> None:
    assert talk.client(sent) == PING
    said = talk.server(answer(ok()))
    assert said[4:7] == b"\xff" + (1243).to_bytes(2, "little")


@three_slicings
@both_ends
@pytest.mark.parametrize("parameters", [0, 1, 3])
@pytest.mark.parametrize("columns", [0, 1, 3])
def test_a_prepared_statement_is_told_and_each_run_of_it(
    slicing: Slicing, deprecates: bool, parameters: int, columns: int
):
    talk = Talk(slicing, deprecates=deprecates)
    make(talk, b"SELECT ?", 7, parameters, columns)
    assert talk.told == [("prepare", b"SELECT ?", "prepared")]
    rows = talk.rows(BINARY_ROW, BINARY_ROW, columns=2)
    talk.passes(execute(7, rest=b"\0\1\3\0\5\0\0\0"), answer(*rows))
    assert talk.told[1:] == [("execute", b"SELECT ?", "succeeded")]
    assert talk.last.rows == 2
    talk.passes(execute(7), answer(ok(5)))
    assert talk.last.rows == 5
    talk.passes(execute(7), answer(err()))
    talk.passes(reset(7), answer(ok()))
    assert talk.client(close(7)) == close(7)
    talk.finish()


@three_slicings
def test_a_statement_that_was_never_prepared_is_refused_in_place(slicing: Slicing):
    talk = Talk(slicing)
    unknown(talk, execute(1))
    assert talk.told == [("execute", UNKNOWN_TEXT, "refused")]
    unknown(talk, fetch(1))
    talk.passes(prepare(b"BAD"), answer(err()))
    unknown(talk, execute(LAST_ID))
    make(talk, b"SELECT 1", 1)
    talk.client(close(1))
    unknown(talk, execute(1))
    talk.finish()


@three_slicings
def test_mariadb_names_the_last_statement_before_its_answer(slicing: Slicing):
    talk = Talk(slicing, is_mariadb=True)
    talk.passes(
        prepare(b"SELECT 1") + execute(LAST_ID),
        answer(prepared(1)) + answer(*talk.rows(BINARY_ROW)),
    )
    assert talk.told[1:] == [("execute", b"SELECT 1", "succeeded")]
    talk.passes(prepare(b"BAD") + execute(LAST_ID), answer(err()) + answer(err(1243, b"HY000")))
    assert talk.told[-1] == ("execute", b"BAD", "failed")
    unknown(talk, execute(LAST_ID))
    make(talk, b"SELECT 2", 2)
    talk.client(close(LAST_ID))
    unknown(talk, execute(2))
    talk.finish()


def test_a_refused_statement_is_not_the_last_one():
    talk = Talk(is_mariadb=True, refused=b"DROP")
    make(talk, b"SELECT 1", 1)
    assert talk.client(prepare(b"DROP") + execute(LAST_ID)) == PING + PING
    talk.server(answer(ok()) + answer(ok()))
    assert [told[2] for told in talk.told] == ["prepared", "refused", "refused"]
    talk.finish()


@three_slicings
@both_ends
def test_a_cursor_is_read_in_pieces(slicing: Slicing, deprecates: bool):
    talk = Talk(slicing, deprecates=deprecates)
    make(talk, b"SELECT x", 3, 0, 1)
    opened = AUTOCOMMIT | CURSOR
    # Definitions, and one EOF or OK that tells of the cursor: no rows.
    bodies = [b"\1", talk.rows()[1], talk.end(opened)]
    talk.passes(execute(3, flags=1), answer(*bodies))
    assert talk.told[1:] == [("execute", b"SELECT x", "suspended")]
    talk.passes(fetch(3, 2), answer(BINARY_ROW, BINARY_ROW, talk.end(opened)))
    assert (talk.last.rows, talk.last.outcome) == (2, "suspended")
    talk.passes(fetch(3, 2), answer(BINARY_ROW, talk.end(AUTOCOMMIT | LAST_ROW)))
    assert (talk.last.rows, talk.last.outcome) == (1, "succeeded")
    talk.passes(fetch(3, 2), answer(err(1421, b"HY000")))
    talk.finish()


def test_without_a_cursor_asked_for_rows_follow_the_definitions():
    talk = Talk(deprecates=False)
    make(talk, b"SELECT x", 3, 0, 1)
    bodies = [b"\1", talk.rows()[1], eof(AUTOCOMMIT | CURSOR), BINARY_ROW, eof()]
    talk.passes(execute(3), answer(*bodies))
    assert talk.last.rows == 1
    talk.finish()


@three_slicings
@both_ends
def test_a_call_has_several_binary_results(slicing: Slicing, deprecates: bool):
    talk = Talk(slicing, deprecates=deprecates)
    make(talk, b"CALL p(?)", 1, 1, 0)
    more = AUTOCOMMIT | MORE
    bodies = [
        *talk.rows(BINARY_ROW, status=more),
        *talk.rows(BINARY_ROW, BINARY_ROW, status=more),
        ok(),
    ]
    talk.passes(execute(1), answer(*bodies))
    assert talk.last.rows == 3
    talk.finish()


def test_a_long_binary_row_is_fetched_and_counted_once():
    talk = Talk()
    make(talk, b"SELECT x", 3, 0, 1)
    row = b"\0" + b"x" * FULL
    talk.passes(execute(3, flags=1), answer(b"\1", talk.rows()[1], talk.end(CURSOR)))
    talk.passes(fetch(3, 2), answer(row, row, talk.end(LAST_ROW)))
    assert talk.last.rows == 2
    talk.passes(execute(3), answer(*talk.rows(row, BINARY_ROW)))
    assert talk.last.rows == 2
    talk.finish()


@three_slicings
def test_long_data_has_no_answer_and_counts_for_the_next_run(slicing: Slicing):
    talk = Talk(slicing)
    make(talk, b"INSERT ?", 1, 1, 0)
    sent = long_data(1, b"x" * 100) * 2
    assert talk.client(sent) == sent
    assert not talk.has_outstanding()
    talk.passes(execute(1), answer(ok(1)))
    assert talk.last.bytes_in == len(sent) + len(execute(1))
    talk.finish()


def test_a_reset_connection_makes_away_with_every_statement():
    talk = Talk()
    make(talk, b"SELECT 1", 1)
    talk.passes(RESET_CONNECTION, answer(err()))
    talk.passes(execute(1), answer(ok()))
    talk.passes(RESET_CONNECTION, answer(ok()))
    unknown(talk, execute(1))
    talk.finish()


@pytest.mark.parametrize(
    "limits", [ScanLimits(prepared=2), ScanLimits(prepared_bytes=20)], ids=["count", "bytes"]
)
def test_prepared_statements_are_bounded_and_closing_makes_room(limits: ScanLimits):
    talk = Talk(limits=limits)
    text = b"SELECT 123"
    make(talk, text, 1)
    assert talk.client(prepare(text) + prepare(text)) == prepare(text) + PING
    said = talk.server(answer(prepared(2)) + answer(ok()))
    assert (1461).to_bytes(2, "little") in said
    talk.client(close(1))
    make(talk, text, 3)
    talk.passes(execute(3), answer(ok()))
    talk.client(close(2))
    talk.passes(prepare(text), answer(err()))
    make(talk, text, 4)
    talk.finish()


def test_a_long_prepared_text_keeps_its_whole_length():
    talk = Talk()
    text = b"S" + b"x" * (2 * FULL)
    talk.passes(prepare(text), answer(prepared(1), sequence=3))
    assert talk.last.text_length == len(text)
    talk.passes(execute(1), answer(ok()))
    assert talk.last.text_length == len(text)
    assert len(talk.last.text) == 65_536
    talk.finish()


@both_ends
def test_rows_of_the_wrong_sort_are_a_violation(deprecates: bool):
    for row in (b"\1x", b"\xfb", b"\xfd"):
        talk = Talk(deprecates=deprecates)
        make(talk, b"SELECT x", 3, 0, 1)
        talk.client(execute(3))
        with pytest.raises(PeerViolation):
            talk.server(answer(*talk.rows(row)))


@pytest.mark.parametrize(
    "stream",
    [
        packet(0, b"\x17\1\0\0\0\0\1\0\0"),
        packet(0, b"\x18\1\0\0\0\0"),
        packet(0, b"\x19\1\0\0"),
        packet(0, b"\x1c\1\0\0\0\1\0\0"),
        packet(0, b"\x0e\0"),
        packet(0, b"\x1b\0"),
        packet(0, b"\2" + b"x" * 1025),
    ],
)
def test_a_command_of_a_wrong_length_is_a_violation(stream: bytes):
    with pytest.raises(PeerViolation):
        Talk().client(stream)


def test_a_query_between_does_not_disturb():
    talk = Talk()
    make(talk, b"SELECT 1", 1)
    talk.passes(query(b"x") + execute(1), answer(ok()) + answer(ok()))
    talk.finish()

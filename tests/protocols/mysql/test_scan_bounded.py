from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocols.metered import FakeMeter
from tests.protocols.mysql.conversation import (
    AUTOCOMMIT,
    BINARY_ROW,
    CURSOR,
    FULL,
    LAST_ROW,
    MORE,
    ROW,
    Slicing,
    Talk,
    answer,
    both_ends,
    err,
    execute,
    fetch,
    ok,
    packets,
    prepare,
    prepared,
    query,
    three_slicings,
)

CUT = err(1226, b"42000", b"cut")


def talk_with(meter: FakeMeter, slicing: Slicing, deprecates: bool = True) -> Talk:
    return Talk(slicing, deprecates=deprecates, meter=meter)


@three_slicings
@both_ends
def test_within_its_bounds_nothing_of_an_answer_is_changed(slicing: Slicing, deprecates: bool):
    meter = FakeMeter(rows=3)
    talk = talk_with(meter, slicing, deprecates)
    for _ in range(3):
        talk.passes(query(b"SELECT"), answer(*talk.rows(ROW, ROW, ROW, columns=2)))
    talk.passes(query(b"INSERT"), answer(ok(500)))
    assert meter.cuts == []
    assert meter.spent[0] == 9
    talk.finish()


@three_slicings
@both_ends
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_result_is_cut_at_its_row_and_the_session_goes_on(
    slicing: Slicing, deprecates: bool, rows: int
):
    meter = FakeMeter(rows=rows)
    talk = talk_with(meter, slicing, deprecates)
    sent = talk.rows(*[ROW] * 7)
    kept = [*sent[: -8 + rows], CUT]
    for _ in range(2):
        talk.client(query(b"SELECT"))
        assert talk.server(answer(*sent)) == answer(*kept)
        assert (talk.last.outcome, talk.last.code, talk.last.rows) == ("failed", "42000", rows)
    talk.passes(query(b"SELECT"), answer(*talk.rows(ROW)))
    assert [cut for cut, _ in meter.cuts] == [rows + 1] * 2
    talk.finish()


@three_slicings
@both_ends
def test_the_servers_own_error_for_a_cut_statement_is_ours(slicing: Slicing, deprecates: bool):
    talk = talk_with(FakeMeter(rows=1), slicing, deprecates)
    talk.client(query(b"CALL p()"))
    head = talk.rows(ROW)[:-1]
    assert talk.server(answer(*head, ROW, ROW, err(1317, b"70100"))) == answer(*head, CUT)
    talk.finish()


@three_slicings
def test_a_result_is_cut_by_its_bytes_also_within_a_row_of_many_packets(slicing: Slicing):
    meter = FakeMeter(size=1000)
    talk = talk_with(meter, slicing if slicing.__name__ != "byte_by_byte" else packets)
    talk.client(query(b"SELECT"))
    sent = talk.rows(ROW, b"x" * (FULL + 100), ROW)
    assert talk.server(answer(*sent)) == answer(*sent[:3], CUT)
    assert talk.last.rows == 1
    talk.finish()


@three_slicings
@pytest.mark.parametrize(
    ("text", "status"),
    [(b"SELECT 1; DELETE", AUTOCOMMIT | MORE), (b"INSERT", AUTOCOMMIT), (b"CALL p()", AUTOCOMMIT)],
)
def test_where_an_error_would_not_be_true_the_session_ends(
    slicing: Slicing, text: bytes, status: int
):
    meter = FakeMeter(rows=1)
    talk = talk_with(meter, slicing)
    talk.client(query(text))
    sent = talk.rows(ROW, ROW, status=status)
    assert talk.server(answer(*sent)) == answer(*sent[:3])
    assert [str(refusal) for refusal in meter.given_up] == ["cut"]
    assert talk.server(answer(ok())) == b""
    assert talk.scanner.client_message_remaining == 0
    # The last word has the number that the client waits for.
    assert talk.scanner.refusal(meter.given_up[0])[3] == 4
    talk.close()


@three_slicings
@both_ends
def test_a_cursor_is_one_answer_however_it_is_read(slicing: Slicing, deprecates: bool):
    meter = FakeMeter(rows=5)
    talk = talk_with(meter, slicing, deprecates)
    bodies = [prepared(3, 0, 1), *talk.definitions(1)]
    talk.passes(prepare(b"SELECT x"), answer(*bodies))
    opened = AUTOCOMMIT | CURSOR
    opening = answer(b"\1", talk.rows()[1], talk.end(opened))
    piece = [BINARY_ROW, BINARY_ROW, talk.end(opened)]
    for _ in range(2):
        talk.passes(execute(3, flags=1), opening)
        talk.passes(fetch(3, 2), answer(*piece))
        talk.passes(fetch(3, 2), answer(*piece))
        talk.client(fetch(3, 2))
        assert talk.server(answer(*piece)) == answer(BINARY_ROW, CUT)
        talk.client(fetch(3, 2))
        last = talk.end(AUTOCOMMIT | LAST_ROW)
        assert talk.server(answer(BINARY_ROW, last)) == answer(CUT)
    assert meter.spent[0] == 10
    talk.finish()


@three_slicings
def test_the_day_ends_in_the_middle_of_an_answer(slicing: Slicing):
    meter = FakeMeter(day=(5, 1 << 40))
    talk = talk_with(meter, slicing)
    sent = talk.rows(ROW, ROW, ROW)
    talk.passes(query(b"SELECT"), answer(*sent))
    talk.client(query(b"SELECT") + query(b"SELECT"))
    assert talk.server(answer(*sent) * 2) == answer(*sent[:4], CUT) + answer(*sent[:2], CUT)
    talk.finish()


@given(
    st.integers(1, 6),
    st.lists(st.integers(0, 8), min_size=1, max_size=5),
    st.lists(st.integers(1, 40), max_size=60),
    st.booleans(),
)
def test_however_it_is_sliced_no_answer_is_longer_than_its_bound(
    limit: int, answers: list[int], slices: list[int], deprecates: bool
):
    talk = talk_with(FakeMeter(rows=limit), lambda stream: iter([stream]), deprecates)
    talk.client(*[query(b"SELECT")] * len(answers))
    stream = b"".join(answer(*talk.rows(*[ROW] * rows)) for rows in answers)
    said = b""
    for size in slices:
        said += talk.server(stream[:size])
        stream = stream[size:]
    said += talk.server(stream)
    expected = b""
    for rows in answers:
        bodies = talk.rows(*[ROW] * rows)
        beyond = rows - limit
        expected += answer(*bodies) if beyond <= 0 else answer(*bodies[: -1 - beyond], CUT)
    assert said == expected
    talk.finish()


def test_a_cut_answer_of_a_compressed_connection_has_the_clients_numbers():
    talk = Talk(is_compressed=True, meter=FakeMeter(rows=2))
    sent = talk.rows(ROW, ROW, ROW, ROW)
    for _ in range(2):
        talk.client(query(b"SELECT"))
        # Such a server numbers on from what its compressed packets had.
        assert talk.server(answer(*sent, sequence=7)) == answer(*sent[:4], CUT)
    talk.finish()


@three_slicings
def test_a_fetch_of_an_unknown_statement_is_refused_where_answers_are_bounded(slicing: Slicing):
    meter = FakeMeter(rows=5)
    talk = talk_with(meter, slicing)
    for sent in (fetch(7), execute(7)):
        talk.client(sent)
        said = talk.server(answer(ok()))
        assert said[4:7] == b"\xff" + (1243).to_bytes(2, "little")
    talk.passes(query(b"SELECT"), answer(*talk.rows(ROW)))
    talk.finish()

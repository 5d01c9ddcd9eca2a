from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.postgres.bounded import BoundedScanner
from protocols.postgres.refuse import refusal_message
from tests.protocols.metered import FakeMeter
from tests.protocols.postgres.conversation import (
    BOUND,
    CALLED,
    CLOSED,
    COPY_DONE,
    COPY_OUT,
    DESCRIBED,
    FLUSH,
    NO_DATA,
    PARSED,
    READY,
    ROW,
    SUSPENDED,
    SYNC,
    Slicing,
    Talk,
    bind,
    complete,
    data,
    error,
    execute,
    function,
    messages,
    notice,
    parse,
    query,
    ready,
    three_slicings,
    unnamed,
    whole,
)

CUT = refusal_message(Refusal(Reason.QUOTA_EXCEEDED, "cut"), is_fatal=False)
CANCELLED = error(b"57014")
TEN = ROW * 10 + complete(b"SELECT 10")


class BoundedTalk(Talk):
    def __init__(self, meter: FakeMeter, slicing: Slicing = whole) -> None:
        super().__init__(slicing)
        self.meter = meter
        self.scanner: Any = BoundedScanner(self.scanner, meter)


@three_slicings
def test_within_its_bounds_nothing_of_an_answer_is_changed(slicing: Slicing):
    talk = BoundedTalk(FakeMeter(rows=10, size=1000), slicing)
    talk.passes(query(b"SELECT"), DESCRIBED + TEN + READY)
    talk.passes(unnamed(b"SELECT") + SYNC, PARSED + BOUND + TEN + READY)
    talk.passes(query(b"a; b"), (DESCRIBED + TEN) * 2 + READY)
    assert talk.meter.cuts == []
    assert talk.meter.spent == (40, 40 * len(ROW))
    talk.finish()


@three_slicings
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_a_result_is_cut_at_its_row_and_the_session_goes_on(slicing: Slicing, rows: int):
    talk = BoundedTalk(FakeMeter(rows=rows), slicing)
    talk.client(query(b"SELECT"))
    assert talk.server(DESCRIBED + TEN + READY) == DESCRIBED + ROW * rows + CUT + READY
    assert (talk.last.outcome, talk.last.code, talk.last.rows) == ("failed", "53400", rows)
    talk.client(unnamed(b"SELECT") + SYNC)
    began = PARSED + BOUND + ROW * rows
    assert talk.server(PARSED + BOUND + TEN + READY) == began + CUT + READY
    assert (talk.last.outcome, talk.last.rows) == ("failed", rows)
    assert talk.meter.cuts == [(rows + 1, (rows + 1) * len(ROW))] * 2
    talk.passes(query(b"SELECT"), DESCRIBED + ROW + complete(b"SELECT 1") + READY)
    talk.finish()


@three_slicings
def test_a_result_is_cut_before_the_row_that_is_too_much_in_bytes(slicing: Slicing):
    talk = BoundedTalk(FakeMeter(size=3 * len(ROW) + 1), slicing)
    talk.client(query(b"SELECT"))
    assert talk.server(DESCRIBED + TEN + READY) == DESCRIBED + ROW * 3 + CUT + READY
    talk.finish()


@three_slicings
def test_a_copy_is_cut_too(slicing: Slicing):
    talk = BoundedTalk(FakeMeter(rows=2), slicing)
    talk.client(query(b"COPY t TO STDOUT"))
    copied = COPY_OUT + data() * 5 + COPY_DONE + complete(b"COPY 5")
    assert talk.server(copied + READY) == COPY_OUT + data() * 2 + CUT + READY
    talk.finish()


@three_slicings
def test_the_servers_own_error_for_a_cut_statement_is_ours_to_the_client(slicing: Slicing):
    talk = BoundedTalk(FakeMeter(rows=1), slicing)
    talk.client(unnamed(b"UPDATE") + unnamed(b"INSERT") + SYNC)
    said = talk.server(PARSED + BOUND + ROW * 4 + notice() + CANCELLED + ready(b"E"))
    assert said == PARSED + BOUND + ROW + notice() + CUT + ready(b"E")
    assert [outcome for *_, outcome in talk.told] == ["failed", "skipped"]
    assert not talk.has_outstanding()


@three_slicings
@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (query(b"INSERT"), ROW * 4 + complete(b"INSERT 0 4") + READY),
        (query(b"a; b"), complete(b"INSERT 0 1") + ROW * 4 + complete(b"SELECT 4") + READY),
        (query(b"a; b"), ROW * 4 + complete(b"SELECT 4") + complete(b"INSERT 0 1") + READY),
        (
            unnamed(b"SELECT") + unnamed(b"INSERT") + SYNC,
            PARSED + BOUND + ROW * 4 + complete(b"SELECT 4") + PARSED + BOUND + ROW,
        ),
        (unnamed(b"SELECT") + FLUSH, PARSED + BOUND + ROW * 4 + complete(b"SELECT 4")),
    ],
    ids=["it wrote", "one before", "one behind", "pipelined", "no Sync"],
)
def test_where_an_error_would_not_be_true_the_session_ends(
    slicing: Slicing, sent: bytes, said: bytes
):
    talk = BoundedTalk(FakeMeter(rows=2), slicing)
    talk.client(sent)
    passed = talk.server(said)
    assert CUT not in passed
    assert passed.count(ROW) <= 2
    assert [str(refusal) for refusal in talk.meter.given_up] == ["cut"]
    assert talk.server(ROW, READY) == b""
    assert talk.scanner.client_message_remaining == 0
    talk.close()


@three_slicings
def test_the_result_of_a_function_call_is_whole_or_ends_the_session(slicing: Slicing):
    talk = BoundedTalk(FakeMeter(size=len(CALLED)), slicing)
    talk.passes(function(1), CALLED + READY)
    talk.client(function(1))
    assert talk.server(CALLED[:1] + b"\0\0\0\x0b" + b"\0" * 7 + b"x") == b""
    assert len(talk.meter.given_up) == 1
    talk.close()


@three_slicings
def test_a_fatal_error_behind_a_cut_is_the_servers_own(slicing: Slicing):
    talk = BoundedTalk(FakeMeter(rows=1), slicing)
    talk.client(query(b"SELECT"))
    fatal = error(b"57P01", b"FATAL")
    assert talk.server(ROW * 2 + fatal) == ROW + fatal
    assert talk.scanner.is_ended_by_server
    talk.close()


@three_slicings
def test_a_portal_that_is_read_in_pieces_is_one_answer(slicing: Slicing):
    talk = BoundedTalk(FakeMeter(rows=5), slicing)
    talk.client(query(b"BEGIN"))
    talk.server(complete(b"BEGIN") + ready(b"T"))
    talk.passes(
        parse(b"SELECT", b"s") + bind(b"p", b"s") + execute(b"p", 3) + SYNC,
        PARSED + BOUND + ROW * 3 + SUSPENDED + ready(b"T"),
    )
    # Another statement between the pieces has bounds of its own.
    talk.passes(query(b"SELECT"), DESCRIBED + ROW * 5 + complete(b"SELECT 5") + ready(b"T"))
    talk.client(execute(b"p", 3) + SYNC)
    assert talk.server(ROW * 3 + SUSPENDED + ready(b"T")) == ROW * 2 + CUT + ready(b"T")
    # Bound again, the portal is another one.
    talk.passes(
        bind(b"p", b"s") + execute(b"p", 5) + SYNC, BOUND + ROW * 5 + SUSPENDED + ready(b"T")
    )
    assert talk.meter.spent[0] == 3 + 5 + 2 + 5


@three_slicings
def test_the_day_ends_in_the_middle_of_an_answer(slicing: Slicing):
    talk = BoundedTalk(FakeMeter(day=(12, 1 << 40)), slicing)
    talk.passes(query(b"SELECT"), DESCRIBED + TEN + READY)
    talk.client(query(b"SELECT"))
    assert talk.server(DESCRIBED + TEN + READY) == DESCRIBED + ROW * 2 + CUT + READY
    talk.passes(query(b"INSERT"), complete(b"INSERT 0 4") + READY)
    assert talk.meter.spent == (12, 12 * len(ROW))
    talk.finish()


def test_a_server_that_breaks_the_protocol_behind_a_cut_ends_the_session():
    talk = BoundedTalk(FakeMeter(rows=1))
    talk.client(query(b"SELECT"))
    talk.server(ROW * 2)
    with pytest.raises(PeerViolation):
        talk.server(b"Z\0\0\0\1")
    talk.close()


def test_what_was_returned_before_a_violation_still_goes_to_the_client():
    talk = BoundedTalk(FakeMeter(rows=1))
    talk.client(query(b"SELECT") + query(b"SELECT"))
    said = talk.server(ROW + complete(b"SELECT 1") + READY + PARSED)
    assert said.startswith(ROW)
    assert [refusal.reason for refusal in talk.meter.given_up] == [Reason.SOURCE_LOST]
    talk.close()


@given(
    st.integers(1, 6),
    st.lists(st.integers(0, 8), min_size=1, max_size=5),
    st.lists(st.integers(1, 40), max_size=60),
)
def test_however_it_is_sliced_no_answer_is_longer_than_its_bound(
    limit: int, answers: list[int], slices: list[int]
):
    talk = BoundedTalk(FakeMeter(rows=limit))
    talk.client(*[query(b"SELECT %d" % rows) for rows in answers])
    stream = b"".join(
        DESCRIBED + ROW * rows + complete(b"SELECT %d" % rows) + READY for rows in answers
    )
    said = b""
    for size in slices:
        said += talk.server(stream[:size]) if stream[:size] else b""
        stream = stream[size:]
    said += talk.server(stream) if stream else b""
    expected = b"".join(
        DESCRIBED
        + ROW * min(rows, limit)
        + (complete(b"SELECT %d" % rows) if rows <= limit else CUT)
        + READY
        for rows in answers
    )
    assert said == expected
    assert all(len(part) for part in messages(said))
    talk.finish()


@pytest.mark.parametrize("answer", [NO_DATA, CLOSED])
def test_an_answer_out_of_step_is_told_by_the_scanner(answer: bytes):
    talk = BoundedTalk(FakeMeter(rows=1))
    with pytest.raises(PeerViolation):
        talk.server(answer)
    talk.close()

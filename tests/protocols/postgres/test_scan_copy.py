from __future__ import annotations

import pytest

from protocols.errors import PeerViolation
from protocols.interface import ScanLimits
from protocols.statements import Kind, Outcome
from tests.protocols.postgres.conversation import (
    BOUND,
    COPY_DONE,
    COPY_IN,
    COPY_OUT,
    DESCRIBED,
    FLUSH,
    PARSED,
    RAN,
    READY,
    ROW,
    SYNC,
    TERMINATE,
    Slicing,
    Talk,
    complete,
    copy_fail,
    data,
    error,
    function,
    query,
    three_slicings,
    unnamed,
    whole,
)

COPIED = complete(b"COPY 2")


@three_slicings
def test_copy_in_is_one_record_with_its_bytes_and_rows(slicing: Slicing):
    talk = Talk(slicing)
    text = query(b"copy t from stdin")
    talk.passes(text, COPY_IN)
    lines = data(b"1\n") + data(b"x" * 3000)
    assert talk.client(lines) == lines
    assert talk.has_outstanding()
    talk.passes(COPY_DONE, COPIED + READY)
    record = talk.last
    assert talk.told == [("simple", b"copy t from stdin", "succeeded")]
    assert record.kind is Kind.COPY
    assert record.rows == 2
    assert record.bytes_in == len(text) + len(lines)
    talk.finish()


@three_slicings
def test_copy_out_is_one_record_with_its_bytes_and_rows(slicing: Slicing):
    talk = Talk(slicing)
    lines = data(b"1\n") + data(b"x" * 3000)
    talk.passes(query(b"copy t to stdout"), COPY_OUT + lines + COPY_DONE + COPIED + READY)
    assert talk.told == [("simple", b"copy t to stdout", "succeeded")]
    assert talk.last.rows == 2
    assert talk.last.bytes_out == len(lines)
    talk.finish()


@three_slicings
def test_copy_out_that_breaks_off_is_failed(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"copy t to stdout"), COPY_OUT + data() + error(b"57014") + READY)
    assert talk.told == [("simple", b"copy t to stdout", "failed")]
    talk.passes(
        unnamed(b"copy t to stdout") + SYNC,
        PARSED + BOUND + COPY_OUT + data() + COPY_DONE + COPIED + READY,
    )
    assert talk.told[-1] == ("execute", b"copy t to stdout", "succeeded")
    talk.finish()


@three_slicings
def test_several_copies_in_one_query(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"copy a from stdin; copy b from stdin; select 1"), COPY_IN)
    talk.passes(data() + COPY_DONE, COPIED + COPY_IN)
    # Still in copy-in, so this Sync is swallowed.
    talk.passes(SYNC + data() + COPY_DONE, COPIED + DESCRIBED + ROW + complete(b"SELECT 1") + READY)
    assert len(talk.told) == 1
    assert talk.last.rows == 5
    talk.finish()


@three_slicings
def test_copy_data_may_be_sent_before_the_server_asks_for_it(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(query(b"copy t from stdin"), data(), COPY_DONE, query(b"select 1"))
    talk.server(COPY_IN, COPIED, READY, DESCRIBED, ROW, complete(b"SELECT 1"), READY)
    assert talk.told == [
        ("simple", b"copy t from stdin", "succeeded"),
        ("simple", b"select 1", "succeeded"),
    ]
    talk.finish()


@three_slicings
def test_a_copy_that_the_client_gives_up_fails(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    talk.passes(data() + copy_fail(), error(b"57014") + READY)
    assert talk.told == [("simple", b"copy t from stdin", "failed")]
    assert talk.last.code == "57014"
    talk.passes(unnamed(b"copy t from stdin") + FLUSH, PARSED + BOUND + COPY_IN)
    talk.passes(data() + copy_fail() + SYNC, error(b"57014") + READY)
    assert talk.told[-1] == ("execute", b"copy t from stdin", "failed")
    talk.finish()


@three_slicings
def test_a_sync_right_behind_the_execute_of_a_copy_is_swallowed(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(unnamed(b"copy t from stdin") + SYNC, PARSED + BOUND + COPY_IN)
    talk.passes(data() + data() + COPY_DONE + SYNC, COPIED + READY)
    assert talk.told == [("execute", b"copy t from stdin", "succeeded")]
    talk.passes(unnamed(b"select 1") + SYNC, RAN + READY)
    talk.finish()


@three_slicings
def test_a_copy_sent_whole_with_both_its_syncs(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(unnamed(b"copy t from stdin"), SYNC, data(), COPY_DONE, SYNC)
    talk.client(unnamed(b"select 1"), SYNC)
    talk.server(PARSED, BOUND, COPY_IN, COPIED, READY, RAN, READY)
    assert talk.told == [
        ("execute", b"copy t from stdin", "succeeded"),
        ("execute", b"select 1", "succeeded"),
    ]
    talk.finish()


@three_slicings
def test_a_copy_that_never_began_answers_both_syncs(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(unnamed(b"copy t from stdin"), SYNC, data(), COPY_DONE, SYNC)
    talk.server(PARSED, BOUND, error(b"42P01"), READY)
    assert talk.has_outstanding()
    talk.server(READY)
    assert talk.told == [("execute", b"copy t from stdin", "failed")]
    talk.finish()


@three_slicings
def test_a_copy_that_fails_in_the_middle_with_its_sync_swallowed(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(unnamed(b"copy t from stdin") + SYNC, PARSED + BOUND + COPY_IN)
    talk.client(data())
    talk.server(error(b"22P02"))
    talk.client(data(), COPY_DONE, SYNC)
    assert talk.has_outstanding()
    talk.server(READY)
    assert not talk.has_outstanding()
    assert not talk.is_idle(), "the first Sync may have been read after the error"
    talk.passes(unnamed(b"select 1") + SYNC, RAN + READY)
    assert talk.told == [
        ("execute", b"copy t from stdin", "failed"),
        ("execute", b"select 1", "succeeded"),
    ]
    assert talk.sink.ended[0].code == "22P02"
    talk.finish()


@three_slicings
def test_a_copy_that_fails_in_the_middle_with_its_sync_answered(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(unnamed(b"copy t from stdin") + SYNC, PARSED + BOUND + COPY_IN)
    talk.client(data(), COPY_DONE, SYNC, query(b"select 1"), query(b"select 2"))
    talk.server(error(b"57014"), READY, READY, complete(b"SELECT 1"), READY)
    assert talk.told == [
        ("execute", b"copy t from stdin", "failed"),
        ("simple", b"select 1", "succeeded"),
    ]
    talk.server(complete(b"SELECT 2"), READY)
    assert talk.told[-1] == ("simple", b"select 2", "succeeded")
    talk.finish()


@three_slicings
@pytest.mark.parametrize("is_answered", [False, True])
def test_a_query_that_fails_behind_a_doubtful_sync_is_its_own_record(
    slicing: Slicing, is_answered: bool
):
    talk = Talk(slicing)
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    talk.client(SYNC, data(), COPY_DONE, query(b"bad"))
    talk.server(error(b"22P02"), READY, READY if is_answered else b"", error(b"42601"), READY)
    assert talk.told == [
        ("simple", b"copy t from stdin", "failed"),
        ("simple", b"bad", "failed"),
    ]
    assert [each.code for each in talk.sink.ended] == ["22P02", "42601"]
    talk.finish()


@three_slicings
@pytest.mark.parametrize("is_answered", [False, True])
def test_rows_behind_a_doubtful_sync_belong_to_what_follows_it(slicing: Slicing, is_answered: bool):
    talk = Talk(slicing)
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    talk.client(SYNC, data(), copy_fail(), unnamed(b"select 1"), SYNC)
    talk.server(error(b"57014"), READY, READY if is_answered else b"")
    talk.server(PARSED, BOUND, ROW, complete(b"SELECT 1"), READY)
    assert talk.told[-1] == ("execute", b"select 1", "succeeded")
    assert talk.last.rows == 1
    talk.finish()


@three_slicings
def test_without_a_second_sync_the_answer_to_the_first_ends_the_skipping(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(unnamed(b"copy t from stdin") + FLUSH, PARSED + BOUND + COPY_IN)
    talk.client(data(), SYNC)
    talk.server(error(b"57014"), READY)
    assert talk.is_idle()
    talk.passes(unnamed(b"select 1") + SYNC, RAN + READY)
    assert talk.told[-1] == ("execute", b"select 1", "succeeded")
    talk.finish()


@three_slicings
def test_what_cannot_be_told_apart_ends_the_session_as_interrupted(slicing: Slicing):
    # Skipped if the first Sync was swallowed, run if it was answered: nobody can tell.
    talk = Talk(slicing)
    talk.passes(unnamed(b"copy t from stdin") + SYNC, PARSED + BOUND + COPY_IN)
    talk.client(data(), COPY_DONE, unnamed(b"delete from t"), SYNC)
    failure = error(b"57014")
    assert talk.server(failure) == failure
    with pytest.raises(PeerViolation, match="cannot be told apart"):
        talk.server(READY)
    talk.close()
    assert talk.told == [
        ("execute", b"copy t from stdin", "failed"),
        ("execute", b"delete from t", "interrupted"),
    ]


@three_slicings
def test_the_end_of_a_copy_that_comes_too_late_is_ignored(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    talk.passes(data(), error(b"22P02") + READY)
    before = talk.last.bytes_in
    talk.client(data(), data(), COPY_DONE)
    assert talk.last.bytes_in == before, "the record is told"
    assert talk.is_idle()
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    talk.passes(data() + COPY_DONE, COPIED + READY)
    assert talk.last.outcome is Outcome.SUCCEEDED
    talk.finish()


@three_slicings
def test_a_server_may_end_a_copy_before_the_client_does(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    talk.server(COPIED, READY)
    talk.client(data())
    talk.passes(query(b"select 1"), complete(b"SELECT 0") + READY)
    talk.finish()


@three_slicings
def test_a_client_that_dies_in_a_copy_leaves_an_interrupted_record(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    talk.client(data(b"x" * 100)[:-7])
    talk.close()
    assert talk.told == [("simple", b"copy t from stdin", "interrupted")]


@three_slicings
def test_terminate_in_a_copy_is_a_goodbye(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    assert talk.client(data() + TERMINATE) == data() + TERMINATE
    assert talk.scanner.has_said_goodbye


@pytest.mark.parametrize("sent", [query(b"select 1"), unnamed(b"select 1"), function(1)])
def test_a_statement_inside_a_copy_is_a_violation_for_us_as_for_the_server(sent: bytes):
    talk = Talk()
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    with pytest.raises(PeerViolation, match="during COPY from stdin"):
        talk.client(sent)
    assert len(talk.sink.begun) == 1


def test_a_copy_is_never_crowded_out():
    talk = Talk(limits=ScanLimits(outstanding=1))
    talk.client(query(b"copy t from stdin"))
    assert talk.is_crowded()
    talk.server(COPY_IN)
    assert not talk.is_crowded(), "the server waits for the client"
    talk.client(data(), COPY_DONE)
    assert talk.is_crowded()
    talk.server(COPIED, READY)
    talk.finish()


def test_syncs_inside_a_copy_are_bounded():
    talk = Talk(limits=ScanLimits(outstanding=100))
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    with pytest.raises(PeerViolation, match="too many Sync"):
        talk.client(SYNC * 101)


def test_copy_data_streams_whatever_its_size():
    talk = Talk(whole)
    talk.passes(query(b"copy t from stdin"), COPY_IN)
    header = b"d" + (0x3FFFFFF0).to_bytes(4, "big")
    assert talk.client(header + b"x") == header + b"x"
    block = b"y" * 65536
    for _ in range(20):
        assert talk.client(block) is block

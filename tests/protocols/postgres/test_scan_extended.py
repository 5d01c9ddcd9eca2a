from __future__ import annotations

import pytest

from protocols.interface import ScanLimits
from protocols.postgres.prepared import UNKNOWN_TEXT
from protocols.statements import Kind, Outcome, Via
from tests.protocols.postgres.conversation import (
    BOUND,
    CLOSED,
    DESCRIBED,
    EMPTY,
    FLUSH,
    NO_DATA,
    PARAMETERS,
    PARSED,
    RAN,
    READY,
    ROW,
    SUSPENDED,
    SYNC,
    Slicing,
    Talk,
    bind,
    close,
    complete,
    describe,
    error,
    execute,
    function,
    parse,
    query,
    ready,
    three_slicings,
    unnamed,
)

DONE = complete(b"SELECT 0")
BEGUN = ready(b"T")


def prepared(talk: Talk, name: bytes, text: bytes) -> None:
    talk.passes(parse(text, name) + SYNC, PARSED + ready(b"T"))


@three_slicings
def test_parse_bind_and_execute_of_an_unnamed_statement_are_one_record(slicing: Slicing):
    talk = Talk(slicing)
    sent = parse(b"select $1", b"", 2) + describe(b"", b"S") + bind(values=b"v" * 5000)
    sent += describe() + execute()
    talk.passes(
        sent + SYNC,
        PARSED
        + PARAMETERS
        + DESCRIBED
        + BOUND
        + DESCRIBED
        + ROW * 3
        + complete(b"SELECT 3")
        + READY,
    )
    (record,) = talk.sink.ended
    assert talk.told == [("execute", b"select $1", "succeeded")]
    assert record.text_length == 9
    assert record.rows == 3
    assert record.tag == b"SELECT 3"
    assert record.kind is Kind.SELECT
    assert record.bytes_out == 3 * len(ROW)
    unrelated = describe(b"", b"S") + describe()
    assert record.bytes_in == len(sent) - len(unrelated)
    talk.finish()


@three_slicings
def test_a_named_statement_is_told_when_prepared_and_each_time_it_runs(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(
        parse(b"select 1", b"one") + describe(b"one", b"S") + SYNC,
        PARSED + PARAMETERS + NO_DATA + READY,
    )
    assert talk.told == [("prepare", b"select 1", "prepared")]
    for _ in range(2):
        talk.passes(bind(b"", b"one") + execute() + SYNC, BOUND + ROW + DONE + READY)
    assert talk.told[1:] == [("execute", b"select 1", "succeeded")] * 2
    assert [each.name for each in talk.sink.ended] == [b"one"] * 3
    assert [each.rows for each in talk.sink.ended] == [0, 1, 1]
    talk.finish()


@three_slicings
def test_an_unnamed_statement_that_runs_again_is_told_again(slicing: Slicing):
    talk = Talk(slicing)
    again = bind() + execute() + SYNC
    talk.passes(unnamed(b"select 1") + SYNC, RAN + READY)
    talk.passes(again, BOUND + DONE + READY)
    talk.passes(again, BOUND + DONE + READY)
    assert talk.told == [("execute", b"select 1", "succeeded")] * 3
    talk.finish()


@three_slicings
def test_an_unnamed_statement_prepared_first_and_run_later_is_one_record(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(parse(b"select 1") + SYNC, PARSED + READY)
    assert talk.told == []
    talk.passes(bind() + execute() + SYNC, BOUND + DONE + READY)
    assert talk.told == [("execute", b"select 1", "succeeded")]
    talk.finish()


@three_slicings
def test_an_unnamed_statement_that_is_replaced_was_only_prepared(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(parse(b"select 1") + SYNC, PARSED + READY)
    talk.passes(unnamed(b"select 2") + SYNC, RAN + READY)
    assert talk.told == [
        ("prepare", b"select 1", "prepared"),
        ("execute", b"select 2", "succeeded"),
    ]
    talk.finish()


@three_slicings
def test_a_portal_that_stops_at_its_row_limit_is_told_each_time(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(
        parse(b"select 1") + bind(b"p") + execute(b"p", 2) + FLUSH,
        PARSED + BOUND + ROW * 2 + SUSPENDED,
    )
    talk.passes(execute(b"p", 2) + FLUSH, ROW * 2 + SUSPENDED)
    talk.passes(execute(b"p") + SYNC, ROW + complete(b"SELECT 1") + READY)
    assert talk.told == [
        ("execute", b"select 1", "suspended"),
        ("execute", b"select 1", "suspended"),
        ("execute", b"select 1", "succeeded"),
    ]
    assert [each.rows for each in talk.sink.ended] == [2, 2, 1]
    talk.finish()


@three_slicings
def test_an_empty_statement_succeeds(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(unnamed(b"") + SYNC, PARSED + BOUND + EMPTY + READY)
    assert talk.told == [("execute", b"", "succeeded")]
    talk.finish()


@three_slicings
def test_a_pipeline_with_one_sync(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(unnamed(b"select 1"), unnamed(b"select 2"), SYNC)
    talk.server(RAN)
    assert talk.has_outstanding()
    talk.server(RAN, READY)
    assert talk.told == [
        ("execute", b"select 1", "succeeded"),
        ("execute", b"select 2", "succeeded"),
    ]
    talk.finish()


@three_slicings
def test_a_pipeline_with_several_syncs(slicing: Slicing):
    talk = Talk(slicing)
    texts = [b"select %d" % number for number in range(20)]
    talk.client(*(unnamed(text) + SYNC for text in texts))
    talk.server((RAN + READY) * len(texts))
    assert talk.told == [("execute", text, "succeeded") for text in texts]
    talk.finish()


@three_slicings
def test_an_error_skips_what_follows_up_to_its_sync(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(
        unnamed(b"select 1"),
        unnamed(b"fail"),
        unnamed(b"select 2"),
        query(b"select 3"),
        function(5),
        SYNC,
        unnamed(b"select 4"),
        SYNC,
    )
    talk.server(RAN, PARSED, BOUND, error(b"22012"), READY, RAN, READY)
    assert talk.told == [
        ("execute", b"select 1", "succeeded"),
        ("execute", b"fail", "failed"),
        ("execute", b"select 2", "skipped"),
        ("simple", b"select 3", "skipped"),
        ("function", b"function call of oid 5", "skipped"),
        ("execute", b"select 4", "succeeded"),
    ]
    assert talk.sink.ended[1].code == "22012"
    talk.finish()


@three_slicings
def test_after_an_error_all_is_skipped_until_the_sync_that_is_yet_to_be_sent(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(unnamed(b"fail") + FLUSH, PARSED + BOUND + error())
    assert not talk.has_outstanding()
    skipped = unnamed(b"select 2") + query(b"select 3") + function(5) + parse(b"select 4", b"s")
    skipped += describe(b"s", b"S") + close(b"s") + FLUSH
    assert talk.client(skipped) == skipped
    assert not talk.has_outstanding()
    assert talk.told == [
        ("execute", b"fail", "failed"),
        ("prepare", b"select 2", "skipped"),
        ("simple", b"select 3", "skipped"),
        ("function", b"function call of oid 5", "skipped"),
        ("prepare", b"select 4", "skipped"),
    ]
    talk.client(SYNC)
    assert talk.has_outstanding()
    talk.server(READY)
    talk.passes(unnamed(b"select 5") + SYNC, RAN + READY)
    assert talk.told[-1] == ("execute", b"select 5", "succeeded")
    talk.finish()


@three_slicings
def test_the_execute_that_comes_too_late_is_skipped_under_its_own_text(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(unnamed(b"select old") + SYNC, RAN + READY)
    talk.passes(parse(b"select new") + bind() + FLUSH, PARSED + error(b"08P01"))
    talk.client(execute() + SYNC)
    talk.server(READY)
    assert talk.told[-1] == ("execute", b"select new", "skipped")
    talk.finish()


@three_slicings
def test_a_parse_that_fails_is_one_failed_record(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(unnamed(b"selekt") + SYNC, error(b"42601") + READY)
    assert talk.told == [("execute", b"selekt", "failed")]
    talk.passes(parse(b"selekt", b"s") + bind(b"", b"s") + execute() + SYNC, error() + READY)
    assert talk.told[1:] == [("prepare", b"selekt", "failed"), ("execute", b"selekt", "skipped")]
    talk.finish()


@three_slicings
@pytest.mark.parametrize("name", [b"", b"s"])
def test_a_bind_that_fails_fails_its_statement(slicing: Slicing, name: bytes):
    talk = Talk(slicing)
    talk.passes(
        parse(b"select $1", name) + bind(b"", name) + describe() + execute() + SYNC,
        PARSED + error(b"22P02") + READY,
    )
    assert talk.told[-1] == ("execute", b"select $1", "failed")
    assert talk.last.code == "22P02"
    talk.finish()


@three_slicings
def test_a_describe_that_fails_fails_the_statement_behind_it(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(
        parse(b"select 1") + describe(b"", b"S") + bind() + execute() + SYNC,
        PARSED + PARAMETERS + error() + READY,
    )
    assert talk.told == [("execute", b"select 1", "failed")]
    talk.finish()


@three_slicings
def test_what_runs_under_a_name_that_was_taken_is_told_by_its_old_text(slicing: Slicing):
    talk = Talk(slicing)
    prepared(talk, b"s", b"select old")
    talk.client(
        parse(b"select new", b"s") + bind(b"", b"s") + execute() + SYNC,
        bind(b"", b"s") + execute() + SYNC,
    )
    talk.server(error(b"42P05"), READY, BOUND, DONE, READY)
    assert talk.told[1:] == [
        ("prepare", b"select new", "failed"),
        ("execute", b"select new", "skipped"),
        ("execute", b"select old", "succeeded"),
    ]
    assert talk.last.text_length == len(b"select old")
    talk.finish()


@three_slicings
def test_what_fails_under_a_name_that_was_taken_is_told_by_its_old_text(slicing: Slicing):
    talk = Talk(slicing)
    prepared(talk, b"s", b"select old")
    talk.client(
        parse(b"select new", b"s") + SYNC,
        bind(b"", b"s") + execute() + SYNC,
    )
    talk.server(error(b"42P05"), READY, BOUND, error(b"22012"), READY)
    assert talk.told[1:] == [
        ("prepare", b"select new", "failed"),
        ("execute", b"select old", "failed"),
    ]
    talk.finish()


@three_slicings
def test_a_skipped_parse_leaves_the_old_unnamed_statement_in_place(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(unnamed(b"select old") + SYNC, RAN + READY)
    talk.client(
        unnamed(b"fail") + parse(b"select new") + SYNC,
        bind() + execute() + SYNC,
    )
    talk.server(error(), READY, BOUND, DONE, READY)
    assert talk.told[1:] == [
        ("execute", b"fail", "failed"),
        ("prepare", b"select new", "skipped"),
        ("execute", b"select old", "succeeded"),
    ]
    talk.finish()


@three_slicings
def test_a_skipped_bind_leaves_the_old_portal_in_place(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"begin"), complete(b"BEGIN") + ready(b"T"))
    talk.passes(
        parse(b"select old") + bind(b"p") + execute(b"p", 1) + SYNC,
        PARSED + BOUND + ROW + SUSPENDED + ready(b"T"),
    )
    talk.passes(parse(b"select new") + SYNC, PARSED + ready(b"T"))
    talk.client(bind(b"p") + SYNC + execute(b"p") + SYNC)
    talk.server(error(b"42P03"), ready(b"T"), ROW, DONE, ready(b"T"))
    assert talk.told[-1] == ("execute", b"select old", "succeeded")
    talk.close()
    assert talk.told[-1] == ("prepare", b"select new", "prepared"), "it has not run"


@three_slicings
def test_a_statement_is_judged_by_the_last_that_was_sent_under_its_name(slicing: Slicing):
    talk = Talk(slicing)
    prepared(talk, b"s", b"select old")
    talk.client(close(b"s") + parse(b"select new", b"s") + FLUSH)
    talk.server(CLOSED)
    talk.client(bind(b"", b"s") + execute() + SYNC)
    assert talk.sink.begun[-1].text == b"select new"
    talk.server(PARSED, BOUND, DONE, READY)
    talk.finish()


@three_slicings
def test_a_portal_is_judged_by_the_last_that_was_sent_under_its_name(slicing: Slicing):
    talk = Talk(slicing)
    prepared(talk, b"s", b"select old")
    prepared(talk, b"t", b"select new")
    talk.client(bind(b"p", b"s") + close(b"p", b"P") + bind(b"p", b"t") + FLUSH)
    talk.server(BOUND)
    talk.client(execute(b"p") + SYNC)
    assert talk.sink.begun[-1].text == b"select new"
    talk.server(CLOSED, BOUND, DONE, READY)
    assert talk.told[-1] == ("execute", b"select new", "succeeded")
    talk.finish()


@three_slicings
def test_what_was_bound_while_the_server_skipped_is_not_there_afterwards(slicing: Slicing):
    talk = Talk(slicing)
    prepared(talk, b"s", b"select old")
    talk.passes(parse(b"bad") + FLUSH, error())
    talk.client(bind(b"", b"s") + parse(b"select skipped") + SYNC)
    talk.server(READY)
    talk.client(execute() + SYNC)
    assert talk.sink.begun[-1].text == UNKNOWN_TEXT
    talk.server(error(b"34000"), READY)
    talk.client(bind() + execute() + SYNC)
    assert talk.sink.begun[-1].text == UNKNOWN_TEXT
    talk.server(error(b"26000"), READY)
    talk.finish()


@three_slicings
def test_the_bytes_of_a_bind_count_for_its_own_execute_only(slicing: Slicing):
    talk = Talk(slicing)
    prepared(talk, b"s", b"select 1")
    talk.passes(bind(b"", b"s", b"x" * 5000) + SYNC, error(b"22P02") + READY)
    sent = bind(b"", b"s") + execute()
    talk.passes(sent + SYNC, BOUND + DONE + READY)
    assert talk.last.bytes_in == len(sent)
    talk.finish()


@three_slicings
def test_a_portal_that_was_not_bound_here_is_told_as_such(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(
        query(b"begin; declare c cursor for select 1"),
        complete(b"BEGIN") + complete(b"DECLARE CURSOR") + ready(b"T"),
    )
    talk.passes(execute(b"c") + SYNC, ROW + complete(b"SELECT 1") + ready(b"T"))
    record = talk.last
    assert (record.via, record.text, record.text_length) == (Via.EXECUTE, UNKNOWN_TEXT, 0)
    assert record.name == b"c"
    assert record.kind is Kind.SELECT, "from the server's tag"
    assert record.rows == 1
    talk.close()


@three_slicings
def test_a_statement_prepared_by_sql_is_told_as_unknown(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"prepare q as select 1"), complete(b"PREPARE") + READY)
    talk.passes(bind(b"", b"q") + execute() + SYNC, BOUND + ROW + DONE + READY)
    assert talk.told[-1] == ("execute", UNKNOWN_TEXT, "succeeded")
    talk.client(parse(b"select other", b"q") + SYNC, bind(b"", b"q") + execute() + SYNC)
    talk.server(error(b"42P05"), READY, BOUND, DONE, READY)
    assert talk.told[-1] == ("execute", UNKNOWN_TEXT, "succeeded")
    talk.finish()


@three_slicings
def test_portals_end_with_their_transaction(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(
        parse(b"select 1") + bind(b"p") + execute(b"p", 1) + SYNC,
        PARSED + BOUND + ROW + SUSPENDED + READY,
    )
    talk.passes(execute(b"p") + SYNC, error(b"34000") + READY)
    assert talk.last.text == UNKNOWN_TEXT
    assert talk.last.outcome is Outcome.FAILED
    talk.finish()


@three_slicings
def test_portals_live_on_in_an_open_transaction(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"begin"), complete(b"BEGIN") + BEGUN)
    talk.passes(
        parse(b"select 1") + bind(b"p") + execute(b"p", 1) + SYNC,
        PARSED + BOUND + ROW + SUSPENDED + BEGUN,
    )
    talk.passes(execute(b"p") + SYNC, ROW + DONE + BEGUN)
    assert talk.told[-1] == ("execute", b"select 1", "succeeded")
    talk.passes(close(b"p", b"P") + SYNC, CLOSED + BEGUN)
    talk.passes(execute(b"p") + SYNC, error(b"34000") + ready(b"E"))
    assert talk.last.text == UNKNOWN_TEXT
    talk.close()


@three_slicings
def test_a_name_may_be_parsed_again_after_close(slicing: Slicing):
    talk = Talk(slicing)
    prepared(talk, b"s", b"select old")
    talk.passes(
        close(b"s") + parse(b"select new", b"s") + bind(b"", b"s") + execute() + SYNC,
        CLOSED + PARSED + BOUND + DONE + READY,
    )
    assert talk.told[1:] == [
        ("prepare", b"select new", "prepared"),
        ("execute", b"select new", "succeeded"),
    ]
    talk.finish()


@three_slicings
def test_closing_one_name_twice_around_a_parse_keeps_them_apart(slicing: Slicing):
    talk = Talk(slicing)
    prepared(talk, b"s", b"select old")
    talk.client(close(b"s") + parse(b"select new", b"s") + close(b"s") + FLUSH)
    talk.server(CLOSED)
    talk.client(bind(b"", b"s") + execute() + SYNC)
    talk.server(PARSED, CLOSED, error(b"26000"), READY)
    assert talk.told[-1] == ("execute", UNKNOWN_TEXT, "failed")
    talk.finish()


@three_slicings
def test_closing_what_does_not_exist_is_answered_all_the_same(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(close(b"none") + close(b"none", b"P") + SYNC, CLOSED + CLOSED + READY)
    assert talk.told == []
    talk.finish()


@pytest.mark.parametrize(
    "text",
    [
        b"deallocate s",
        b"  DEALLOCATE PREPARE s;",
        b'deallocate "s"',
        b"deallocate S",
        b"deallocate x; deallocate s",
        b"select 1; deallocate s",
        b"deallocate/**/s",
    ],
)
def test_deallocate_is_followed(text: bytes):
    talk = Talk()
    prepared(talk, b"s", b"select old")
    talk.passes(query(text), complete(b"DEALLOCATE") + READY)
    talk.passes(bind(b"", b"s") + execute() + SYNC, BOUND + DONE + READY)
    assert talk.told[-1] == ("execute", UNKNOWN_TEXT, "succeeded")
    talk.finish()


def test_deallocate_of_one_name_leaves_the_others():
    talk = Talk()
    prepared(talk, b's"1', b"select 1")
    prepared(talk, b"S2", b"select 2")
    prepared(talk, b"s3", b"select 3")
    talk.passes(
        query(b'deallocate "s""1"; deallocate S3'),
        complete(b"DEALLOCATE") + complete(b"DEALLOCATE") + READY,
    )
    for name, text in ((b's"1', UNKNOWN_TEXT), (b"S2", b"select 2"), (b"s3", UNKNOWN_TEXT)):
        talk.passes(bind(b"", name) + execute() + SYNC, BOUND + DONE + READY)
        assert talk.last.text == text
    talk.finish()


@pytest.mark.parametrize("tag", [b"DEALLOCATE ALL", b"DISCARD ALL"])
def test_all_statements_may_be_forgotten_at_once(tag: bytes):
    talk = Talk()
    prepared(talk, b"s", b"select old")
    prepared(talk, b"", b"select unnamed")
    talk.passes(unnamed(tag) + SYNC, PARSED + BOUND + complete(tag) + READY)
    assert ("prepare", b"select unnamed", "prepared") in talk.told
    talk.passes(bind(b"", b"s") + execute() + SYNC, BOUND + DONE + READY)
    assert talk.told[-1] == ("execute", UNKNOWN_TEXT, "succeeded")
    talk.finish()


def test_names_are_one_where_the_server_holds_them_for_one():
    start = b"n" * 63
    talk = Talk()
    prepared(talk, start + b"A", b"select old")
    talk.passes(close(start + b"B") + SYNC, CLOSED + ready(b"T"))
    prepared(talk, start + b"C", b"select new")
    talk.passes(bind(b"", start + b"A") + execute() + SYNC, BOUND + DONE + READY)
    assert talk.told[-1] == ("execute", b"select new", "succeeded")
    talk.finish()


@three_slicings
def test_two_portals_of_one_unnamed_statement_are_two_records(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(
        parse(b"select 1") + bind(b"a") + bind(b"b") + execute(b"a") + execute(b"b") + SYNC,
        PARSED + BOUND + BOUND + DONE + DONE + READY,
    )
    assert talk.told == [("execute", b"select 1", "succeeded")] * 2
    talk.finish()


@three_slicings
def test_a_parse_in_an_earlier_segment_is_not_yet_sure(slicing: Slicing):
    # Its Parse may still be skipped while the Execute runs an older statement.
    talk = Talk(slicing)
    talk.client(parse(b"select 1") + SYNC + bind() + execute() + SYNC)
    talk.server(PARSED, READY, BOUND, DONE, READY)
    talk.close()
    assert talk.told == [
        ("execute", b"select 1", "succeeded"),
        ("prepare", b"select 1", "prepared"),
    ]


@three_slicings
def test_a_query_may_stand_in_a_pipeline(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(unnamed(b"select 1"), query(b"select 2"), unnamed(b"select 3"), SYNC)
    talk.server(RAN, DESCRIBED, ROW, DONE, READY, RAN, READY)
    assert talk.told == [
        ("execute", b"select 1", "succeeded"),
        ("simple", b"select 2", "succeeded"),
        ("execute", b"select 3", "succeeded"),
    ]
    talk.finish()


@three_slicings
@pytest.mark.parametrize("answer", [complete(b"INSERT 0 1"), SUSPENDED], ids=["done", "suspended"])
def test_a_commit_that_fails_at_the_sync_fails_the_statement_before_it(
    slicing: Slicing, answer: bytes
):
    # A deferred constraint is checked when the implicit transaction commits.
    talk = Talk(slicing)
    talk.client(unnamed(b"insert") + SYNC)
    talk.server(PARSED, BOUND, ROW, answer)
    assert talk.told == []
    assert talk.server(error(b"23503")) == error(b"23503")
    assert talk.server(READY) == READY
    assert talk.told == [("execute", b"insert", "failed")]
    assert (talk.last.code, talk.last.rows, talk.last.bytes_out) == ("23503", 1, len(ROW))
    talk.finish()


@three_slicings
def test_a_commit_that_fails_is_told_of_the_last_statement_of_its_own_sync(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(unnamed(b"before"), SYNC, unnamed(b"one"), unnamed(b"two"), SYNC)
    talk.client(unnamed(b"behind"), SYNC)
    talk.server(RAN, READY, RAN, RAN, error(b"40001"), error(b"XX000"), READY, RAN, READY)
    assert talk.told == [
        ("execute", b"before", "succeeded"),
        ("execute", b"one", "succeeded"),
        ("execute", b"two", "failed"),
        ("execute", b"behind", "succeeded"),
    ]
    assert [each.code for each in talk.sink.ended] == ["", "", "40001", ""]
    talk.finish()


def test_a_sync_that_fails_with_nothing_run_before_it_fails_nothing():
    talk = Talk()
    talk.client(unnamed(b"select"), SYNC, SYNC)
    talk.server(RAN, READY, error(b"57014"), READY)
    assert talk.told == [("execute", b"select", "succeeded")]
    assert talk.last.code == ""
    talk.finish()


def test_what_was_answered_but_not_committed_when_the_session_ends_is_unknown():
    talk = Talk()
    talk.client(unnamed(b"insert"), SYNC)
    talk.server(RAN)
    talk.close()
    assert talk.told == [("execute", b"insert", "interrupted")]


def test_what_was_answered_within_a_transaction_when_the_session_ends_has_succeeded():
    talk = Talk()
    talk.passes(query(b"begin"), complete(b"BEGIN") + ready(b"T"))
    talk.client(unnamed(b"insert"), SYNC)
    talk.server(RAN)
    talk.close()
    assert talk.told[1:] == [("execute", b"insert", "succeeded")]


def test_a_commit_that_failed_before_the_session_ended_has_failed():
    talk = Talk()
    talk.client(unnamed(b"insert"), SYNC)
    talk.server(RAN, error(b"23505"))
    talk.close()
    assert talk.told == [("execute", b"insert", "failed")]
    assert talk.last.code == "23505"


@three_slicings
def test_statements_that_wait_when_the_session_ends_are_interrupted(slicing: Slicing):
    talk = Talk(slicing)
    prepared(talk, b"", b"select parsed")
    talk.client(parse(b"select 1", b"s") + bind(b"", b"s") + execute() + SYNC)
    talk.close()
    assert talk.told == [
        ("prepare", b"select 1", "interrupted"),
        ("execute", b"select 1", "interrupted"),
        ("prepare", b"select parsed", "prepared"),
    ]


@three_slicings
def test_a_pipeline_that_never_comes_to_rest_leaves_nothing_behind(slicing: Slicing):
    # One message is always outstanding; names are not kept for ever.
    talk = Talk(slicing, limits=ScanLimits(prepared=50))
    talk.client(parse(b"select", b"0") + SYNC)
    for number in range(1, 300):
        before = b"%d" % (number - 1)
        name = b"%d" % number
        talk.client(close(before) + parse(b"select", name) + bind(name, name) + SYNC)
        first = number == 1
        talk.server(PARSED, b"" if first else BOUND, READY, CLOSED)
    talk.close()
    assert all(each.outcome is not Outcome.REFUSED for each in talk.sink.ended)

from __future__ import annotations

import pytest

from protocols.statements import Kind, Outcome, Via
from tests.protocols.postgres.conversation import (
    BOUND,
    CALLED,
    DESCRIBED,
    EMPTY,
    PARSED,
    READY,
    ROW,
    SYNC,
    TERMINATE,
    Slicing,
    Talk,
    bind,
    byte_by_byte,
    complete,
    error,
    execute,
    function,
    messages,
    notice,
    notification,
    parse,
    query,
    ready,
    setting,
    three_slicings,
    unnamed,
    with_a_tail,
)

SELECTED = DESCRIBED + ROW + ROW + complete(b"SELECT 2")


@three_slicings
def test_a_simple_query_is_one_record(slicing: Slicing):
    talk = Talk(slicing)
    sent = query(b"select 1")
    assert talk.client(sent) == sent
    assert talk.has_outstanding()
    assert not talk.is_idle()
    assert talk.server(SELECTED + READY) == SELECTED + READY
    (record,) = talk.sink.ended
    assert record.via is Via.SIMPLE
    assert record.kind is Kind.SELECT
    assert record.text == b"select 1"
    assert record.text_length == 8
    assert record.outcome is Outcome.SUCCEEDED
    assert record.rows == 2
    assert record.tag == b"SELECT 2"
    assert record.code == ""
    assert record.bytes_in == len(sent)
    assert record.bytes_out == 2 * len(ROW)
    assert (record.started, record.ended) == (1.0, 2.0)
    talk.finish()


def test_a_statement_is_begun_before_its_bytes_are_returned():
    talk = Talk()
    begun_when_sent: list[int] = []
    for part in byte_by_byte(query(b"select 1")):
        sent = talk.scanner.from_client(part, 0.0)
        if sent:
            begun_when_sent.append(len(talk.sink.begun))
    assert begun_when_sent == [1]


@pytest.mark.parametrize(
    ("tag", "rows", "kind"),
    [
        (b"INSERT 0 5", 5, Kind.INSERT),
        (b"UPDATE 7", 7, Kind.UPDATE),
        (b"DELETE 0", 0, Kind.DELETE),
        (b"CREATE TABLE", 0, Kind.CREATE),
        (b"COPY 99999999999999999999", 0, Kind.COPY),
        (b"MERGE 3", 3, Kind.MERGE),
        (b"", 0, Kind.OTHER),
    ],
)
def test_the_servers_number_counts_where_no_row_was_sent(tag: bytes, rows: int, kind: Kind):
    talk = Talk()
    talk.passes(query(b"with x as (values (1)) " + tag), complete(tag) + READY)
    assert talk.last.rows == rows
    if tag:
        assert talk.last.kind is kind
    talk.finish()


@three_slicings
def test_several_statements_in_one_query_are_one_record_with_the_last_tag(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(
        query(b"insert into t values (1); select 1; select 2"),
        complete(b"INSERT 0 1") + SELECTED + SELECTED + READY,
    )
    assert talk.told == [("simple", b"insert into t values (1); select 1; select 2", "succeeded")]
    assert talk.last.rows == 5
    assert talk.last.tag == b"SELECT 2"
    assert talk.last.bytes_out == 4 * len(ROW)
    talk.finish()


@three_slicings
def test_an_empty_query_is_a_record(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b""), EMPTY + READY)
    assert talk.told == [("simple", b"", "succeeded")]
    assert talk.last.tag == b""
    talk.finish()


@three_slicings
def test_pipelined_queries_are_answered_one_by_one(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(query(b"select 1"), query(b"fail"), query(b"select 2"))
    talk.server(SELECTED, READY)
    assert talk.has_outstanding()
    talk.server(error(b"22012"), READY)
    talk.server(complete(b"SELECT 0"), READY)
    assert talk.told == [
        ("simple", b"select 1", "succeeded"),
        ("simple", b"fail", "failed"),
        ("simple", b"select 2", "succeeded"),
    ]
    assert [record.code for record in talk.sink.ended] == ["", "22012", ""]
    talk.finish()


@three_slicings
def test_an_error_in_the_middle_keeps_what_was_sent_before_it(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"select 1/x from t"), DESCRIBED + ROW + ROW + error(b"22012") + READY)
    assert talk.last.outcome is Outcome.FAILED
    assert talk.last.code == "22012"
    assert talk.last.rows == 2
    assert talk.last.bytes_out == 2 * len(ROW)
    talk.finish()


@three_slicings
def test_an_error_without_a_code_is_still_an_error(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(query(b"select 1"), error(b"") + READY)
    assert talk.last.outcome is Outcome.FAILED
    assert talk.last.code == "XX000"
    talk.finish()


@pytest.mark.parametrize("code", [b"12\xff45", b"1234", b"123456", b"12 45"])
def test_a_code_that_is_none_is_not_believed(code: bytes):
    talk = Talk()
    talk.passes(query(b"select 1"), error(code) + READY)
    assert talk.last.code == "XX000"


@three_slicings
def test_transactions_are_followed(slicing: Slicing):
    talk = Talk(slicing)
    assert not talk.is_in_transaction()
    talk.passes(query(b"begin"), complete(b"BEGIN") + ready(b"T"))
    assert talk.is_in_transaction()
    assert not talk.is_idle()
    assert not talk.has_outstanding()
    talk.passes(query(b"fail"), error() + ready(b"E"))
    assert talk.is_in_transaction()
    talk.passes(query(b"rollback"), complete(b"ROLLBACK") + READY)
    assert not talk.is_in_transaction()
    talk.finish()


@three_slicings
def test_notices_notifications_and_settings_may_come_at_any_time(slicing: Slicing):
    aside = notice() + notification() + setting(b"TimeZone", b"UTC")
    talk = Talk(slicing)
    assert talk.server(aside) == aside
    answers = [PARSED, BOUND, ROW, complete(b"SELECT 1"), READY]
    talk.client(unnamed(b"select 1"), SYNC)
    for answer in answers:
        assert talk.server(aside + answer + aside) == aside + answer + aside
    assert talk.told == [("execute", b"select 1", "succeeded")]
    assert talk.last.rows == 1
    talk.finish()


@three_slicings
def test_settings_that_change_how_statements_are_read_are_followed(slicing: Slicing):
    talk = Talk(slicing)
    talk.server(setting(b"standard_conforming_strings", b"off"), setting(b"TimeZone", b"UTC"))
    assert talk.scanner.settings == {b"standard_conforming_strings": b"off"}
    talk.server(setting(b"client_encoding", b"x" * 5000), setting(b"client_encoding", b"SJIS"))
    assert talk.scanner.settings[b"client_encoding"] == b"SJIS"
    assert len(talk.scanner.settings) == 2


@three_slicings
def test_a_function_call_is_a_record(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(function(4_000_000_000), CALLED + READY)
    assert talk.told == [("function", b"function call of oid 4000000000", "succeeded")]
    assert talk.last.kind is Kind.FUNCTION
    assert talk.last.bytes_in == len(function(4_000_000_000))
    assert talk.last.bytes_out == len(CALLED)
    talk.passes(function(952), error(b"42501") + READY)
    assert talk.last.outcome is Outcome.FAILED
    assert talk.last.code == "42501"
    talk.finish()


@three_slicings
def test_terminate_is_a_goodbye_and_nothing_is_read_behind_it(slicing: Slicing):
    talk = Talk(slicing)
    sent = query(b"select 1") + TERMINATE
    assert talk.client(sent, query(b"select 2")) == sent
    assert talk.scanner.has_said_goodbye
    assert [each.text for each in talk.sink.begun] == [b"select 1"]
    talk.close()
    assert talk.told == [("simple", b"select 1", "interrupted")]


@three_slicings
def test_terminate_with_data_in_flight_still_accounts_for_it(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(query(b"select 1"), TERMINATE)
    talk.server(DESCRIBED, ROW, ROW)
    talk.close()
    assert talk.last.outcome is Outcome.INTERRUPTED
    assert talk.last.rows == 2
    assert talk.last.bytes_out == 2 * len(ROW)


@three_slicings
def test_a_fatal_error_while_idle_is_relayed(slicing: Slicing):
    fatal = error(b"57P01", b"FATAL")
    talk = Talk(slicing)
    assert talk.server(fatal) == fatal
    assert talk.scanner.is_ended_by_server
    talk.close()
    assert talk.told == []


@three_slicings
def test_a_fatal_error_fails_what_runs_and_interrupts_what_waits(slicing: Slicing):
    talk = Talk(slicing)
    talk.client(query(b"select 1"), query(b"select 2"), unnamed(b"select 3"), SYNC)
    fatal = error(b"57P01", b"FATAL")
    assert talk.server(SELECTED, READY, DESCRIBED, ROW, fatal) == (
        SELECTED + READY + DESCRIBED + ROW + fatal
    )
    talk.close()
    assert talk.told == [
        ("simple", b"select 1", "succeeded"),
        ("simple", b"select 2", "failed"),
        ("execute", b"select 3", "interrupted"),
    ]
    assert [each.code for each in talk.sink.ended] == ["", "57P01", ""]
    assert talk.sink.ended[1].rows == 1


@pytest.mark.parametrize("answered", [b"", PARSED, PARSED + BOUND])
def test_a_fatal_error_in_a_pipeline_fails_the_statement_it_met(answered: bytes):
    talk = Talk()
    talk.client(parse(b"select 3") + bind() + execute() + SYNC)
    talk.server(answered, error(b"57P01", b"FATAL"))
    talk.close()
    assert talk.told == [("execute", b"select 3", "failed")]
    assert talk.last.code == "57P01"


def test_closing_twice_tells_nothing_twice():
    talk = Talk()
    talk.client(query(b"select 1"))
    talk.close()
    talk.close()
    assert len(talk.sink.ended) == 1


def test_the_rest_of_a_message_to_the_client_is_known():
    talk = Talk()
    talk.client(query(b"select 1"))
    assert talk.scanner.client_message_remaining == 0
    talk.server(DESCRIBED[:-3])
    assert talk.scanner.client_message_remaining == 3
    talk.server(DESCRIBED[-3:])
    assert talk.scanner.client_message_remaining == 0
    assert talk.server(ROW[:3]) == b"", "a header is not sent in part"
    assert talk.scanner.client_message_remaining == 0


def test_a_half_sent_message_is_not_idle():
    talk = Talk()
    talk.client(query(b"select 1")[:3])
    assert not talk.is_idle()
    assert not talk.has_outstanding()
    talk = Talk()
    talk.server(notice()[:7])
    assert not talk.is_idle()
    talk.server(notice()[7:])
    assert talk.is_idle()


CONVERSATION: list[tuple[bytes, bytes]] = [
    (query(b"begin"), complete(b"BEGIN") + ready(b"T")),
    (
        parse(b"select $1", b"s1", 1) + bind(b"", b"s1", b"value") + execute() + SYNC,
        PARSED + BOUND + notice() + ROW + complete(b"SELECT 1") + ready(b"T"),
    ),
    (
        unnamed(b"insert") + SYNC + query(b"x" * 300),
        PARSED + BOUND + error() + ready(b"E") + error(b"25P02") + ready(b"E"),
    ),
    (query(b"commit"), complete(b"ROLLBACK") + READY),
]
TOLD = [
    ("simple", b"begin", "succeeded"),
    ("prepare", b"select $1", "prepared"),
    ("execute", b"select $1", "succeeded"),
    ("execute", b"insert", "failed"),
    ("simple", b"x" * 300, "failed"),
    ("simple", b"commit", "succeeded"),
]


def test_a_conversation_may_be_cut_at_each_byte():
    total = sum(len(client) + len(server) for client, server in CONVERSATION)
    for cut in range(total):
        talk = Talk()
        left = cut
        for client, server in CONVERSATION:
            for say, stream in ((talk.client, client), (talk.server, server)):
                here, left = min(left, len(stream)), max(0, left - len(stream))
                assert say(stream[:here]) + say(stream[here:]) == stream
        assert talk.told == TOLD
        talk.finish()


def test_a_conversation_that_ends_at_any_byte_ends_every_record():
    total = sum(len(client) + len(server) for client, server in CONVERSATION)
    for cut in range(total):
        talk = Talk(with_a_tail if cut % 2 else byte_by_byte)
        left = cut
        for client, server in CONVERSATION:
            for side, stream in (
                (talk.scanner.from_client, client),
                (talk.scanner.from_server, server),
            ):
                here, left = min(left, len(stream)), max(0, left - len(stream))
                side(stream[:here], 0.0)
        talk.close()


def test_the_words_of_these_tests_are_whole_messages():
    for client, server in CONVERSATION:
        assert b"".join(messages(client)) == client
        assert b"".join(messages(server)) == server

from __future__ import annotations

import tracemalloc

import pytest

from protocols.errors import PeerViolation
from protocols.interface import ScanLimits
from protocols.postgres.scan import PostgresScanner
from protocols.statements import AllowAll, Outcome
from tests.protocols.postgres.conversation import (
    BOUND,
    CLOSED,
    COPY_DONE,
    FLUSH,
    PARSED,
    RAN,
    READY,
    ROW,
    SUSPENDED,
    SYNC,
    TERMINATE,
    Slicing,
    Talk,
    bind,
    close,
    complete,
    copy_fail,
    describe,
    error,
    execute,
    function,
    message,
    notice,
    parse,
    query,
    ready,
    three_slicings,
    unnamed,
)

HUGE = 0x3FFFFF00
DONE = complete(b"SELECT 0")


def header(code: bytes, length: int) -> bytes:
    return code + length.to_bytes(4, "big")


@three_slicings
@pytest.mark.parametrize("size", [9, 10, 11, 12, 20, 2000])
def test_a_text_is_cut_at_the_limit_and_its_length_is_told(slicing: Slicing, size: int):
    text = (b"select " + b"x" * size)[:size]
    talk = Talk(slicing, limits=ScanLimits(text=10))
    talk.passes(query(text), DONE + READY)
    talk.passes(parse(text, b"named") + SYNC, PARSED + READY)
    talk.passes(unnamed(text) + SYNC, RAN + READY)
    assert [each.text for each in talk.sink.ended] == [text[:10]] * 3
    assert [each.text_length for each in talk.sink.ended] == [size] * 3
    talk.finish()


def test_a_text_is_sent_on_when_its_beginning_is_here():
    talk = Talk(limits=ScanLimits(text=10))
    sent = query(b"x" * 1000)
    assert talk.client(sent[:14]) == b""
    assert talk.client(sent[14:15]) == sent[:15]
    assert len(talk.sink.begun) == 1
    assert talk.client(sent[15:]) == sent[15:]


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        (header(b"Q", HUGE) + b"select 1 ", b"x"),
        (header(b"P", HUGE) + b"\0select 1 ", b"x"),
        (header(b"B", HUGE) + b"\0\0\0\0\0\1\x3f\0\0\0", b"\0"),
        (header(b"F", HUGE) + b"\0\0\0\1", b"\0"),
        (header(b"f", HUGE), b"x"),
        (header(b"d", HUGE), b"x"),
    ],
)
def test_a_huge_message_of_the_client_streams_in_little_memory(start: bytes, rest: bytes):
    scanner = PostgresScanner(AllowAll(), ScanLimits())
    block = rest * 65536
    sent = len(scanner.from_client(start, 0.0))
    given = len(start)
    tracemalloc.start()
    for _ in range(300):
        sent += len(scanner.from_client(block, 0.0))
        given += len(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sent == given
    assert peak < 2_000_000
    assert scanner.from_client(block, 0.0) is block


@pytest.mark.parametrize("code", [b"D", b"d", b"E", b"N", b"A", b"T", b"V", b"S"])
def test_a_huge_message_of_the_server_streams_in_little_memory(code: bytes):
    scanner = PostgresScanner(AllowAll(), ScanLimits())
    scanner.from_client(function(1) if code == b"V" else query(b"select 1"), 0.0)
    block = b"x\0" * 32768
    start = header(code, HUGE)
    sent = len(scanner.from_server(start, 0.0))
    tracemalloc.start()
    for _ in range(300):
        sent += len(scanner.from_server(block, 0.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sent == len(start) + 300 * len(block)
    assert peak < 2_000_000


@three_slicings
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("length", [0, 3, 0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_an_impossible_length_is_refused_by_its_header(slicing: Slicing, side: str, length: int):
    talk = Talk(slicing)
    talk.client(query(b"select 1"))
    say = talk.client if side == "client" else talk.server
    with pytest.raises(PeerViolation, match="invalid message length"):
        say(header(b"Q" if side == "client" else b"D", length) + b"x" * 10)


def test_a_message_above_the_sessions_limit_is_refused():
    talk = Talk(limits=ScanLimits(message=1000))
    talk.passes(query(b"x" * 995), DONE + READY)
    with pytest.raises(PeerViolation, match="invalid message length"):
        talk.client(query(b"x" * 996))


@pytest.mark.parametrize("code", [b"S", b"H", b"c", b"X"])
def test_messages_without_a_body_have_none(code: bytes):
    with pytest.raises(PeerViolation, match="invalid message length"):
        Talk().client(message(code, b"\0"))


@pytest.mark.parametrize(
    "sent",
    [
        message(b"Q"),
        message(b"Q", b"select 1"),
        message(b"Q", b"select\0 1\0"),
        message(b"P", b"name"),
        message(b"P", b"name\0text"),
        message(b"P", b"name\0text\0"),
        message(b"P", b"name\0text\0\0\1"),
        message(b"P", b"name\0text\0\0\0more"),
        message(b"B", b""),
        message(b"B", b"portal"),
        message(b"B", b"portal\0name"),
        message(b"E", b""),
        message(b"E", b"portal\0"),
        message(b"E", b"portal\0\0\0\0\0\0"),
        message(b"D", b""),
        message(b"D", b"S"),
        message(b"D", b"Sname"),
        message(b"D", b"Xname\0"),
        message(b"C", b"Sname\0more\0"),
        message(b"F", b"\0\0\0\1"),
    ],
)
@three_slicings
def test_a_malformed_message_is_refused(slicing: Slicing, sent: bytes):
    with pytest.raises(PeerViolation):
        Talk(slicing).client(sent)


@pytest.mark.parametrize("code", [*b"pRZ\0\xffWGkqs"])
@three_slicings
def test_an_unknown_message_is_refused_and_never_forwarded(slicing: Slicing, code: int):
    talk = Talk(slicing)
    with pytest.raises(PeerViolation, match="invalid frontend message type"):
        talk.client(message(bytes([code]), b"body\0"))


@pytest.mark.parametrize(
    "made",
    [
        lambda name: parse(b"select 1", name),
        lambda name: bind(name, b""),
        lambda name: bind(b"", name),
        execute,
        describe,
        close,
    ],
)
@three_slicings
def test_names_are_bounded(slicing: Slicing, made):
    talk = Talk(slicing)
    sent = made(b"n" * 1023)
    assert talk.client(sent) == sent
    for length in (1024, 5000):
        with pytest.raises(PeerViolation):
            Talk(slicing).client(made(b"n" * length))


@three_slicings
def test_a_long_name_and_a_long_text_go_together(slicing: Slicing):
    talk = Talk(slicing, limits=ScanLimits(text=50))
    for size in (48, 49, 50, 51, 52, 100):
        sent = parse(b"x" * size, b"n" * 1023)
        assert talk.client(sent) == sent
        assert talk.sink.begun[-1].text == b"x" * min(50, size)
        assert talk.sink.begun[-1].text_length == size


@three_slicings
def test_prepared_statements_are_bounded_by_count(slicing: Slicing):
    talk = Talk(slicing, limits=ScanLimits(prepared=3))
    for name in (b"1", b"2", b"3"):
        talk.passes(parse(b"select", name) + SYNC, PARSED + READY)
    sent = talk.client(parse(b"select 4", b"4") + SYNC)
    assert b"select 4" not in sent
    said = talk.server(error(), READY)
    assert b"C54000\0" in said
    assert talk.told[-1] == ("prepare", b"select 4", "refused")
    assert talk.last.code == "54000"
    # What has no name takes no room, and what is closed gives it back, also in one go.
    talk.passes(unnamed(b"select 5") + SYNC, RAN + READY)
    talk.passes(close(b"1") + parse(b"select 6", b"6") + SYNC, CLOSED + PARSED + READY)
    assert talk.told[-1] == ("prepare", b"select 6", "prepared")
    talk.finish()


@three_slicings
def test_prepared_statements_on_their_way_count_as_well(slicing: Slicing):
    talk = Talk(slicing, limits=ScanLimits(prepared=3))
    talk.client(*(parse(b"select", b"%d" % number) for number in range(5)), SYNC)
    talk.server(PARSED * 3, error(), READY)
    assert [outcome for _, _, outcome in talk.told] == ["prepared"] * 3 + ["refused", "skipped"]
    talk.finish()


@three_slicings
def test_prepared_statements_are_bounded_by_bytes(slicing: Slicing):
    talk = Talk(slicing, limits=ScanLimits(prepared_bytes=100))
    for name in (b"1", b"2"):
        talk.passes(parse(b"x" * 50, name) + SYNC, PARSED + READY)
    talk.client(parse(b"y", b"3") + SYNC)
    assert b"C54000\0" in talk.server(error(), READY)
    talk.passes(close(b"1") + SYNC, CLOSED + READY)
    talk.passes(parse(b"y" * 50, b"3") + SYNC, PARSED + READY)
    talk.finish()


@three_slicings
def test_portals_are_bounded_by_count(slicing: Slicing):
    talk = Talk(slicing, limits=ScanLimits(prepared=3))
    talk.passes(query(b"begin"), complete(b"BEGIN") + ready(b"T"))
    talk.passes(parse(b"select 1") + SYNC, PARSED + ready(b"T"))
    for name in (b"1", b"2", b"3"):
        talk.passes(bind(name) + SYNC, BOUND + ready(b"T"))
    sent = talk.client(bind(b"4") + execute(b"4") + SYNC)
    assert sent.startswith(b"P")
    assert b"C54000\0" in talk.server(error(), ready(b"E"))
    assert talk.told[-1] == ("execute", b"select 1", "refused")
    talk.passes(query(b"rollback"), complete(b"ROLLBACK") + READY)
    talk.passes(bind(b"4") + SYNC, BOUND + READY)
    talk.finish()


@three_slicings
def test_portals_are_bounded_by_the_text_they_keep(slicing: Slicing):
    talk = Talk(slicing, limits=ScanLimits(prepared_bytes=100))
    talk.passes(query(b"begin"), complete(b"BEGIN") + ready(b"T"))
    for number in range(3):
        talk.passes(
            parse(b"%050d" % number) + bind(b"p%d" % number) + SYNC, PARSED + BOUND + ready(b"T")
        )
    talk.client(parse(b"x" * 50) + bind(b"p3") + SYNC)
    assert b"C54000\0" in talk.server(PARSED, error(), ready(b"E"))
    talk.passes(query(b"rollback"), complete(b"ROLLBACK") + READY)
    talk.passes(parse(b"x" * 40, b"s") + bind(b"p", b"s") + SYNC, PARSED + BOUND + READY)
    talk.finish()


@three_slicings
def test_the_same_statement_in_many_portals_counts_once(slicing: Slicing):
    talk = Talk(slicing, limits=ScanLimits(prepared_bytes=100))
    talk.passes(query(b"begin"), complete(b"BEGIN") + ready(b"T"))
    talk.passes(parse(b"x" * 90, b"s") + SYNC, PARSED + ready(b"T"))
    for number in range(50):
        name = b"p%d" % number
        talk.passes(
            bind(name, b"s") + execute(name, 1) + SYNC, BOUND + ROW + SUSPENDED + ready(b"T")
        )
    talk.passes(query(b"commit"), complete(b"COMMIT") + READY)
    talk.passes(close(b"s") + SYNC, CLOSED + READY)
    talk.passes(parse(b"y" * 90, b"t") + SYNC, PARSED + READY)
    talk.finish()


def test_a_client_that_is_far_ahead_is_read_no_further():
    talk = Talk(limits=ScanLimits(outstanding=6))
    talk.client(unnamed(b"select 1"))
    assert not talk.is_crowded()
    sent = unnamed(b"select 2")
    # Its Sync will not be read, so the server is asked for its answers.
    assert talk.client(sent) == sent + FLUSH
    assert talk.is_crowded()
    talk.server(PARSED)
    assert not talk.is_crowded()
    talk.client(SYNC)
    talk.server(RAN[len(PARSED) :], RAN, READY)
    talk.finish()


def test_a_client_whose_texts_fill_memory_is_read_no_further():
    talk = Talk()
    text = b"x" * 60_000
    for _ in range(69):
        assert talk.client(unnamed(text)) == unnamed(text)
    assert not talk.is_crowded()
    assert talk.client(unnamed(text)) == unnamed(text) + FLUSH
    assert talk.is_crowded()
    talk.server(RAN)
    assert not talk.is_crowded()
    talk.client(SYNC)
    talk.server(RAN * 69, READY)
    talk.finish()


def test_one_text_that_runs_many_times_is_kept_once():
    talk = Talk()
    talk.passes(parse(b"x" * 60_000, b"s") + SYNC, PARSED + READY)
    again = bind(b"", b"s") + execute()
    for _ in range(1000):
        assert talk.client(again) == again
    assert not talk.is_crowded()
    talk.client(SYNC)
    talk.server((BOUND + DONE) * 1000, READY)
    talk.finish()


def test_a_message_is_always_read_to_its_end():
    talk = Talk(limits=ScanLimits(outstanding=1, text=10))
    sent = query(b"x" * 100)
    assert talk.client(sent[:50]) == sent[:50]
    assert not talk.is_crowded(), "the server waits for the rest of it"
    assert talk.client(sent[50:]) == sent[50:] + FLUSH
    assert talk.is_crowded()
    talk.server(DONE, READY)
    talk.finish()


def test_the_flush_stands_before_a_message_that_is_only_half_here():
    talk = Talk(limits=ScanLimits(outstanding=1))
    half = query(b"select 2")[:9]
    assert talk.client(query(b"select 1") + half) == query(b"select 1") + FLUSH
    talk.server(DONE, READY)
    assert talk.client(query(b"select 2")[9:]) == query(b"select 2") + FLUSH
    talk.server(DONE, READY)
    talk.finish()


def test_a_refused_message_may_crowd_as_well():
    talk = Talk(refused=b"secret", limits=ScanLimits(outstanding=2))
    sent = talk.client(query(b"select 1") + query(b"secret"))
    assert sent.startswith(query(b"select 1"))
    assert sent.endswith(FLUSH)
    talk.server(DONE, READY, error(), READY)
    talk.finish()


def test_what_is_skipped_keeps_nothing():
    talk = Talk()
    talk.passes(unnamed(b"fail") + FLUSH, PARSED + BOUND + error())
    tracemalloc.start()
    talk.sink.begun.clear()
    for number in range(200):
        text = b"%d" % number + b"x" * 60_000
        for name in (b"", b"%d" % number):
            talk.client(parse(text, name) + bind(name, name) + execute(name) + close(name))
        talk.sink.begun.clear()
        talk.sink.ended.clear()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000
    talk.client(SYNC)
    talk.server(READY)
    talk.finish()


def test_stray_ends_of_copies_keep_nothing():
    talk = Talk()
    talk.client(COPY_DONE * 1000, copy_fail() * 1000)
    assert talk.is_idle()
    talk.client(query(b"select 1"), COPY_DONE * 20_000)
    assert talk.is_crowded()
    talk.server(DONE, READY)
    talk.finish()


@three_slicings
def test_wide_results_pass(slicing: Slicing):
    talk = Talk(slicing)
    column = b"column\0" + b"\0" * 18
    description = message(b"T", (1600).to_bytes(2, "big") + column * 1600)
    row = message(b"D", (1600).to_bytes(2, "big") + b"\0\0\0\1x" * 1600)
    talk.passes(query(b"select"), description + row + DONE + READY)
    assert talk.last.rows == 1
    talk.finish()


def test_65535_parameters_pass():
    talk = Talk()
    types = parse(b"select", b"", 65535)
    values = message(
        b"B", b"\0\0\0\0" + (65535).to_bytes(2, "big") + b"\0\0\0\1x" * 65535 + b"\0\0"
    )
    talk.passes(types + values + execute() + SYNC, RAN + READY)
    assert talk.last.text_length == 6
    talk.finish()


def test_a_tag_as_long_as_no_servers_is_refused():
    for length in (1018, 1019, 5000, 5_000_000):
        talk = Talk()
        talk.client(query(b"select 1"))
        if length == 1018:
            talk.server(complete(b"x" * length))
        else:
            with pytest.raises(PeerViolation):
                talk.server(complete(b"x" * length))


def test_asides_of_the_server_keep_nothing():
    talk = Talk()
    tracemalloc.start()
    for number in range(2000):
        talk.server(notice(b"%d" % number * 100), message(b"S", b"name%d\0value\0" % number))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000
    assert talk.scanner.settings == {}


def test_outcomes_of_a_crowded_session_that_ends_are_all_told():
    talk = Talk(limits=ScanLimits(outstanding=10))
    talk.client(query(b"select 1") * 50, TERMINATE)
    talk.close()
    assert {each.outcome for each in talk.sink.ended} == {Outcome.INTERRUPTED}
    assert len(talk.sink.ended) == 50

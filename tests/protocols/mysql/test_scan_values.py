"""Bound values in the records, where they are asked for, and never where they may not be."""

from __future__ import annotations

import struct

from protocols.interface import ScanLimits
from protocols.values import BoundValue, BoundValues
from tests.protocols.mysql.conversation import (
    BINARY_ROW,
    CURSOR,
    FULL,
    LAST_ROW,
    PING,
    RESET_CONNECTION,
    Slicing,
    Talk,
    answer,
    close,
    command,
    err,
    execute,
    fetch,
    ok,
    prepare,
    prepared,
    reset,
    three_slicings,
)
from tests.protocols.mysql.test_bound import BLOB, TINY, VAR_STRING, Bound, body, lenenc

KEPT = ScanLimits(values=4096)
LAST_ID = 0xFFFFFFFF


def make(talk: Talk, text: bytes, number: int, parameters: int) -> None:
    bodies = [prepared(number, parameters, 0), *talk.definitions(parameters)]
    talk.passes(prepare(text), answer(*bodies))


def run(number: int, *values: Bound, has_types: bool = True, flags: int = 0) -> bytes:
    return execute(number, flags, body(list(values), has_types=has_types))


def long_data(number: int, parameter: int, data: bytes) -> bytes:
    return command(0x18, struct.pack("<IH", number, parameter) + data)


def text(value: bytes) -> Bound:
    return Bound(VAR_STRING, lenenc(value))


def values(talk: Talk) -> list[list[bytes | None] | None]:
    """Of each ended record but those of COM_STMT_PREPARE."""
    return [
        None if each.values is None else [value.data for value in each.values.shown]
        for each in talk.sink.ended
        if each.via == "execute"
    ]


@three_slicings
def test_a_record_has_the_values_of_its_run(slicing: Slicing):
    talk = Talk(slicing, limits=KEPT)
    make(talk, b"INSERT ?, ?", 1, 2)
    talk.passes(run(1, text(b"one"), Bound(TINY, b"\1")), answer(ok(1)))
    assert talk.last.values == BoundValues(
        (BoundValue(b"one", 3, False, VAR_STRING), BoundValue(b"1", 1, False, TINY)), 2
    )
    talk.passes(run(1, text(b"two"), Bound(TINY), has_types=False), answer(err()))
    talk.passes(run(1, Bound(TINY, b"\2"), text(b"three")), answer(ok()))
    assert values(talk) == [[b"one", b"1"], [b"two", None], [b"2", b"three"]]
    talk.finish()


@three_slicings
def test_by_default_no_value_is_kept(slicing: Slicing):
    talk = Talk(slicing)
    make(talk, b"INSERT ?", 1, 1)
    talk.passes(run(1, text(b"one")), answer(ok()))
    assert values(talk) == [None]
    talk.finish()


def test_by_default_no_more_of_an_execution_is_held_than_its_head():
    talk = Talk()
    make(talk, b"INSERT ?", 1, 1)
    sent = run(1, text(b"x" * 100))
    assert talk.client(sent[:14]) == sent[:14]
    talk.client(sent[14:])
    talk.server(answer(ok()))
    talk.finish()


def test_a_long_execution_is_held_no_further_than_its_values_are_looked_for():
    talk = Talk(limits=KEPT)
    make(talk, b"INSERT ?", 1, 1)
    sent = run(1, text(b"x" * 200_000))
    assert talk.client(sent[:20_000]) == sent[:20_000]
    talk.client(sent[20_000:])
    talk.server(answer(ok()))
    assert talk.last.values is not None
    assert talk.last.values.shown == (BoundValue(b"x" * 1024, 200_000, False, VAR_STRING),)
    # And one of several packets.
    sent = run(1, text(b"y" * FULL))
    talk.passes(sent, answer(ok(), sequence=2))
    assert talk.last.values is not None
    assert talk.last.values.shown[0].length == FULL
    talk.finish()


@three_slicings
def test_long_data_is_told_as_sent_separately_for_one_run(slicing: Slicing):
    talk = Talk(slicing, limits=KEPT)
    make(talk, b"INSERT ?, ?", 1, 2)
    talk.client(long_data(1, 0, b"x" * 50) + long_data(1, 0, b"y"))
    talk.passes(run(1, Bound(BLOB, is_long=True), text(b"a")), answer(ok()))
    assert talk.last.values == BoundValues(
        (
            BoundValue(None, 0, False, BLOB, is_separate=True),
            BoundValue(b"a", 1, False, VAR_STRING),
        ),
        2,
    )
    talk.passes(run(1, text(b"b"), text(b"c")), answer(ok()))
    # What COM_STMT_RESET takes back was sent for no run.
    talk.client(long_data(1, 1, b"z"))
    talk.passes(reset(1), answer(ok()))
    talk.passes(run(1, text(b"d"), text(b"e")), answer(ok()))
    assert values(talk) == [[None, b"a"], [b"b", b"c"], [b"d", b"e"]]
    talk.finish()


def test_long_data_of_parameters_that_are_not_shown_is_not_remembered():
    talk = Talk(limits=KEPT)
    make(talk, b"INSERT", 1, 1)
    for parameter in (64, 1000, 65_535):
        talk.client(long_data(1, parameter, b"x"))
    talk.passes(run(1, text(b"a")), answer(ok()))
    assert values(talk) == [[b"a"]]
    talk.finish()


@three_slicings
def test_a_cursors_fetches_have_no_values_of_their_own(slicing: Slicing):
    talk = Talk(slicing, limits=KEPT)
    bodies = [prepared(3, 1, 1), *talk.definitions(1), *talk.definitions(1)]
    talk.passes(prepare(b"SELECT ?"), answer(*bodies))
    opened = answer(b"\1", talk.rows()[1], talk.end(CURSOR))
    talk.passes(run(3, text(b"a"), flags=1), opened)
    talk.passes(fetch(3), answer(BINARY_ROW, talk.end(LAST_ROW)))
    assert values(talk) == [[b"a"], None]
    talk.finish()


def test_what_is_refused_brings_the_server_no_types_and_takes_no_long_data():
    talk = Talk(limits=KEPT)
    make(talk, b"INSERT ?, ?", 1, 2)
    talk.passes(run(1, text(b"a"), text(b"b")), answer(ok()))
    talk.client(long_data(1, 0, b"x"))
    talk.sink.refused = b"INSERT"
    assert talk.client(run(1, Bound(BLOB, is_long=True), Bound(TINY, b"\1"))) == PING
    talk.server(answer(ok()))
    talk.sink.refused = b""
    # The types are still those of the first run, and the first value is still that one.
    talk.passes(run(1, Bound(BLOB, is_long=True), text(b"c"), has_types=False), answer(ok()))
    # What was refused is told with its values.
    assert values(talk) == [[b"a", b"b"], [None, b"1"], [None, b"c"]]
    assert talk.last.values is not None
    assert talk.last.values.shown[0].is_separate
    talk.finish()


def test_a_cut_text_shows_no_values():
    talk = Talk(limits=ScanLimits(values=4096, text=8))
    make(talk, b"SELECT ? FROM a_long_name", 1, 1)
    talk.passes(run(1, text(b"a")), answer(ok()))
    assert values(talk) == [None]
    talk.finish()


def test_a_redacted_text_shows_no_values():
    talk = Talk(limits=KEPT)
    talk.sink.redacted = b"PASSWORD"
    make(talk, b"SET PASSWORD = ?", 1, 1)
    talk.passes(run(1, text(b"secret")), answer(ok()))
    assert (talk.last.text, values(talk)) == (b"(redacted)", [None])
    talk.finish()


def test_before_the_servers_answer_nobody_knows_how_many_values_there_are():
    talk = Talk(limits=KEPT, is_mariadb=True)
    sent = prepare(b"INSERT ?") + run(LAST_ID, text(b"a"))
    talk.passes(sent, answer(prepared(1, 1, 0), *talk.definitions(1)) + answer(ok()))
    talk.passes(run(LAST_ID, text(b"b")), answer(ok()))
    assert values(talk) == [None, [b"b"]]
    talk.finish()


def test_values_that_wait_for_an_answer_count_towards_what_a_session_may_keep():
    talk = Talk(limits=ScanLimits(values=16 * 1024))
    make(talk, b"INSERT ?", 1, 16)
    one = run(1, *[text(b"x" * 900)] * 16)
    for _ in range(300):
        talk.client(one)
    assert talk.is_crowded()
    talk.close()


def test_types_count_towards_what_prepared_statements_may_hold():
    talk = Talk(limits=ScanLimits(values=16 * 1024, prepared_bytes=1_000))
    for number in range(1, 5):
        make(talk, b"INSERT", number, 200)
        talk.passes(run(number, *[Bound(TINY, b"\1")] * 200), answer(ok()))
    # There is room for two statements' types; the others' next run without any shows none.
    for number in range(1, 5):
        talk.passes(run(number, *[Bound(TINY, b"\1")] * 200, has_types=False), answer(ok()))
    assert [len(each or ()) for each in values(talk)] == [200] * 4 + [200, 200, 0, 0]
    # Closing one makes room again.
    talk.client(close(1))
    talk.passes(run(3, *[Bound(TINY, b"\1")] * 200), answer(ok()))
    talk.passes(run(3, *[Bound(TINY, b"\1")] * 200, has_types=False), answer(ok()))
    assert len((values(talk)[-1]) or ()) == 200
    talk.passes(RESET_CONNECTION, answer(ok()))
    make(talk, b"x" * 990, 9, 0)
    talk.finish()

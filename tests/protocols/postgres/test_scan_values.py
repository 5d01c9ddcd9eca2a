"""Bound values in the records, where they are asked for, and never where they may not be."""

from __future__ import annotations

import struct

from protocols.errors import Refusal
from protocols.interface import ScanLimits
from protocols.postgres.scan import PostgresScanner
from protocols.statements import AllowAll, Statement
from protocols.values import BoundValue, BoundValues
from tests.protocols.postgres.conversation import (
    BOUND,
    PARSED,
    RAN,
    READY,
    SUSPENDED,
    SYNC,
    Slicing,
    Talk,
    bind,
    close,
    complete,
    error,
    execute,
    message,
    parse,
    ready,
    three_slicings,
    unnamed,
)
from tests.protocols.postgres.test_scan_postgres import Session
from tests.servers.postgres import PostgresServer

KEPT = ScanLimits(values=4096)
DONE = complete(b"SELECT 0")


def typed(text: bytes, name: bytes = b"") -> bytes:
    return message(b"P", name + b"\0" + text + b"\0" + struct.pack("!HI", 1, 25))


def values(talk: Talk) -> list[bytes | None]:
    """The first value of each ended record."""
    return [None if each.values is None else each.values.shown[0].data for each in talk.sink.ended]


@three_slicings
def test_a_record_has_the_values_of_its_portal(slicing: Slicing):
    talk = Talk(slicing, limits=KEPT)
    talk.passes(typed(b"select $1") + bind(values=b"one") + execute() + SYNC, RAN + READY)
    assert talk.last.values == BoundValues((BoundValue(b"one", 3, False, 25),), 1)
    # The same statement, bound again; and a portal that is run in two steps.
    step = bind(b"p", values=b"two") + execute(b"p", 1) + SYNC
    talk.passes(step, BOUND + SUSPENDED + ready(b"T"))
    talk.passes(execute(b"p") + SYNC, DONE + READY)
    assert values(talk) == [b"one", b"two", b"two"]
    talk.finish()


@three_slicings
def test_by_default_no_value_is_kept(slicing: Slicing):
    talk = Talk(slicing)
    talk.passes(parse(b"select $1") + bind(values=b"one") + execute() + SYNC, RAN + READY)
    assert talk.last.values is None
    talk.finish()


def test_a_long_bind_is_held_no_further_than_its_values_are_kept():
    talk = Talk(limits=KEPT)
    long = bind(values=b"x" * 100_000)
    talk.client(parse(b"select $1"))
    assert talk.client(long[:20_000]) == long[:20_000]
    assert talk.client(long[20_000:] + execute() + SYNC) == long[20_000:] + execute() + SYNC
    talk.server(RAN, READY)
    assert talk.last.values is not None
    assert talk.last.values.shown[0].length == 100_000
    talk.finish()


def test_a_cut_text_has_no_values():
    talk = Talk(limits=ScanLimits(text=10, values=4096))
    talk.passes(
        parse(b"select $1 -- behind the limit") + bind(values=b"one") + execute() + SYNC,
        RAN + READY,
    )
    assert talk.last.values is None
    talk.finish()


class Redacting(AllowAll):
    """Replaces texts as the recorder does that may hold a password."""

    def begin(self, statement: Statement) -> Refusal | None:
        if b"secret" in statement.text:
            statement.text = b"[redacted]"
        return super().begin(statement)


def test_a_redacted_text_has_no_values_whatever_its_name_meant_before():
    sink = Redacting()
    scanner = PostgresScanner(sink, KEPT)
    scanner.from_client(typed(b"select secret", b"s") + SYNC, 0.0)
    scanner.from_server(PARSED + READY, 0.0)
    scanner.from_client(bind(name=b"s", values=b"1") + execute() + SYNC, 0.0)
    scanner.from_server(BOUND + DONE + READY, 0.0)
    # A Parse that fails leaves the old statement under the name, and what is bound behind
    # its Sync is bound to that.
    scanner.from_client(typed(b"select $1", b"s") + SYNC, 0.0)
    scanner.from_client(bind(name=b"s", values=b"2") + execute() + SYNC, 0.0)
    scanner.from_server(error() + READY + BOUND + DONE + READY, 0.0)
    scanner.from_client(typed(b"select $1", b"s") + SYNC, 0.0)
    scanner.from_client(bind(name=b"s", values=b"3") + execute() + SYNC, 0.0)
    scanner.close(1.0)
    assert sink.ended
    assert all(each.values is None for each in sink.ended)


def test_a_record_tells_the_values_that_ran_not_those_that_were_hoped_for():
    talk = Talk(limits=KEPT)
    talk.passes(
        parse(b"select $1", b"s") + bind(b"p", b"s", b"ran") + SYNC,
        PARSED + BOUND + ready(b"T"),
    )
    # The portal exists already: this Bind fails, and its savepoint is rolled back to.
    talk.client(bind(b"p", b"s", b"hoped") + SYNC, execute(b"p") + SYNC)
    talk.server(error(b"42P03"), ready(b"T"), DONE, READY)
    assert values(talk) == [None, b"ran"]
    talk.finish()


def test_a_bind_that_fails_tells_its_values():
    talk = Talk(limits=KEPT)
    talk.passes(
        parse(b"select $1") + bind(values=b"x") + execute() + SYNC,
        PARSED + error(b"22P02") + READY,
    )
    assert (values(talk), talk.last.code) == ([b"x"], "22P02")
    talk.finish()


def test_values_are_given_back_with_their_portals():
    talk = Talk(limits=ScanLimits(values=4096, prepared_bytes=3000))
    for _ in range(50):
        talk.passes(unnamed(b"select 1") + SYNC, RAN + READY)
        talk.passes(
            bind(b"p", b"", b"x" * 1000) + execute(b"p") + close(b"p", b"P") + SYNC,
            BOUND + DONE + message(b"3") + READY,
        )
        talk.passes(bind(b"p", b"", b"x" * 1000) + execute(b"p") + SYNC, BOUND + DONE + READY)
    assert all(str(each.outcome) == "succeeded" for each in talk.sink.ended)
    talk.finish()


def test_values_of_portals_count_as_what_a_session_holds():
    talk = Talk(limits=ScanLimits(values=4096, prepared_bytes=3000))
    talk.passes(parse(b"select $1", b"s") + SYNC, PARSED + ready(b"T"))
    for name in b"123":
        talk.client(bind(b"%d" % name, b"s", b"x" * 1000) + SYNC)
        talk.server(BOUND + ready(b"T"))
    sent = talk.client(bind(b"4", b"s", b"x" * 1000) + SYNC)
    assert b"accode proxy refused" in sent
    talk.close()


def test_values_reach_the_log_from_a_real_session(postgres: PostgresServer):
    session = Session(postgres, limits=KEPT)
    try:
        session.say(typed(b"select length($1)") + bind(values=b"value") + execute() + SYNC)
        record = session.recorder.ended[-1]
        assert record.values == BoundValues((BoundValue(b"value", 5, False, 25),), 1)
        assert record.rows == 1
    finally:
        session.end()

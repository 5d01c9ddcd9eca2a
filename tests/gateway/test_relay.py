from __future__ import annotations

import asyncio
import itertools

import pytest

from protocols.errors import PeerViolation, Reason, Refusal
from proxy.gateway.relay import CANCELLING, CROWDED, SOURCE_FULL
from tests.gateway.fakes import Wire

CUT = Refusal(Reason.SESSION_ENDED, "cut")


async def test_bytes_pass_both_ways_and_are_counted():
    wire = Wire()
    wire.relay.client_side.data_received(b"question")
    wire.relay.source_side.data_received(b"answer")
    assert (wire.source.written, wire.client.written) == (b"question", b"answer")
    assert (wire.relay.bytes_from_client, wire.relay.bytes_from_source) == (8, 6)


async def test_the_source_is_not_read_before_the_client_is_here():
    wire = Wire(has_client=False)
    assert not wire.source.is_read
    wire.relay.source_side.data_received(b"early ")
    wire.relay.source_side.data_received(b"bytes")
    wire.relay.has_client(wire.client)
    assert wire.client.written == b"early bytes"
    assert wire.source.is_read


async def test_a_client_that_does_not_take_stops_the_reading_of_its_source():
    wire = Wire()
    wire.relay.client_side.pause_writing()
    assert (wire.source.is_read, wire.client.is_read) == (False, True)
    wire.relay.client_side.resume_writing()
    assert wire.source.is_read


@pytest.mark.parametrize("order", list(itertools.permutations((SOURCE_FULL, CROWDED, CANCELLING))))
async def test_a_client_is_read_again_when_no_cause_is_left(order: tuple[int, ...]):
    wire = Wire()
    for cause in (SOURCE_FULL, CROWDED, CANCELLING):
        wire.relay.hold(cause)
    for cause in order:
        assert not wire.client.is_read
        wire.relay.release(cause)
        wire.relay.release(cause)
    assert wire.client.is_read


async def test_a_crowded_session_is_read_again_when_the_server_has_answered():
    wire = Wire()
    wire.scanner.is_crowded = True
    wire.relay.from_client(b"many")
    assert not wire.client.is_read
    wire.relay.from_source(b"one")
    assert not wire.client.is_read
    wire.scanner.is_crowded = False
    wire.relay.from_source(b"more")
    assert wire.client.is_read


async def test_a_full_audit_queue_holds_the_client_until_it_has_drained():
    wire = Wire()
    wire.congestion.pending_bytes = 101
    wire.relay.from_client(b"one")
    wire.relay.from_client(b"two")
    assert not wire.client.is_read
    wire.congestion.drain()
    assert wire.client.is_read


async def test_a_cut_tells_the_client_and_closes_both():
    wire = Wire()
    wire.relay.cut(CUT)
    assert wire.client.written == b"<session_ended>"
    assert wire.client.closed
    assert wire.source.closed
    assert not wire.relay.finished.done()
    wire.client.lose()
    assert not wire.relay.finished.done()
    wire.source.lose()
    assert await wire.relay.finished == "session_ended"
    assert wire.scanner.closed == 1


async def test_a_second_cut_says_nothing_more():
    wire = Wire()
    wire.relay.cut(CUT)
    wire.relay.cut(Refusal(Reason.IDLE_TIMEOUT, "again"))
    wire.relay.drain(CUT)
    assert wire.client.written == b"<session_ended>"
    wire.lose_both()


@pytest.mark.parametrize("chunks", [[b"endNEXT"], [b"e", b"nd", b"NEXT"], [b"en", b"dNEXT"]])
async def test_a_cut_in_mid_message_lets_the_message_end_first(chunks: list[bytes]):
    wire = Wire()
    wire.scanner.client_message_remaining = 3
    wire.relay.cut(CUT)
    assert wire.client.written == b""
    for chunk in chunks:
        wire.relay.source_side.data_received(chunk)
    assert wire.client.written == b"end<session_ended>"
    wire.lose_both()
    assert await wire.relay.finished == "session_ended"


async def test_a_message_that_never_ends_is_cut_without_a_word():
    wire = Wire()
    wire.scanner.client_message_remaining = 3
    wire.relay.cut(CUT)
    async with asyncio.timeout(40):
        await wire.client.aborted.wait()
        assert await wire.relay.finished == "session_ended"
    assert wire.client.written == b""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PeerViolation("nonsense"), "protocol_violation"),
        (Refusal(Reason.AUDIT_UNAVAILABLE, "full"), "audit_unavailable"),
    ],
)
async def test_what_the_scanner_refuses_goes_nowhere(error: Exception, reason: str):
    wire = Wire()
    wire.scanner.error = error
    wire.relay.from_client(b"bad")
    assert wire.source.written == b""
    assert wire.client.written == f"<{reason}>".encode()
    wire.relay.from_client(b"more")
    assert wire.source.written == b""
    wire.lose_both()


@pytest.mark.parametrize("is_broken", [True, False])
async def test_what_a_client_says_after_its_cut_goes_nowhere_while_a_message_ends(is_broken: bool):
    # Behind a chunk that was refused nobody knows any more where the client's messages begin:
    # what the scanner takes for one statement could be another to the server.
    wire = Wire()
    wire.scanner.client_message_remaining = 3
    if is_broken:
        wire.scanner.error = PeerViolation("nonsense")
        wire.relay.from_client(b"bad")
        wire.scanner.error = None
    else:
        wire.relay.cut(CUT)
    assert wire.relay.is_closing
    wire.relay.from_client(b"more")
    assert wire.source.written == b""
    wire.relay.from_source(b"end")
    assert wire.client.closed
    wire.lose_both()


async def test_a_source_that_breaks_the_protocol_is_lost():
    wire = Wire()
    wire.scanner.error = PeerViolation("nonsense")
    wire.relay.from_source(b"bad")
    assert wire.client.written == b"<source_lost>"
    wire.lose_both()
    assert await wire.relay.finished == "source_lost"


async def test_a_source_that_leaves_without_a_word_is_explained():
    wire = Wire()
    wire.source.lose()
    assert wire.client.written == b"<source_lost>"
    assert wire.client.closed
    wire.client.lose()
    assert await wire.relay.finished == "the data source closed the connection"


async def test_what_waits_for_a_source_that_has_ended_is_given_up():
    wire = Wire()
    wire.relay.source_side.eof_received()
    assert wire.source.aborted.is_set()
    wire.relay.source_side.connection_lost(None)
    assert wire.client.is_closing()


async def test_a_source_that_has_said_why_is_not_explained_again():
    wire = Wire()
    wire.scanner.is_ended_by_server = True
    wire.source.lose()
    assert wire.client.written == b""
    wire.client.lose()
    assert wire.relay.reason is None


async def test_a_client_that_leaves_takes_its_source_with_it():
    wire = Wire()
    wire.client.lose()
    assert wire.source.closed
    wire.source.lose()
    assert await wire.relay.finished == "closed by the client"


async def test_a_draining_session_ends_at_its_next_idle_point():
    wire = Wire()
    wire.scanner.is_idle = False
    wire.relay.drain(Refusal(Reason.SHUTTING_DOWN, "stop"))
    wire.relay.from_source(b"still busy")
    assert wire.client.written == b"still busy"
    wire.scanner.is_idle = True
    wire.relay.from_source(b", done")
    assert wire.client.written == b"still busy, done<shutting_down>"
    wire.lose_both()


async def test_an_idle_session_drains_at_once():
    wire = Wire()
    wire.relay.drain(Refusal(Reason.SHUTTING_DOWN, "stop"))
    assert wire.client.written == b"<shutting_down>"
    wire.lose_both()


async def test_a_session_cut_before_its_client_was_handed_over_still_tells_it():
    wire = Wire(has_client=False)
    wire.relay.cut(CUT)
    wire.relay.has_client(wire.client)
    assert wire.client.written == b"<session_ended>"
    assert wire.client.closed
    wire.lose_both()


async def test_an_aborted_session_is_over_when_both_connections_are():
    wire = Wire()
    wire.relay.abort()
    assert await wire.relay.finished == "not started"
    assert wire.client.written == b""

"""A relay whose data source's connection is wanted back: when it is given, and when not."""

from __future__ import annotations

import pytest

from protocols.errors import PeerViolation, Reason, Refusal
from tests.gateway.fakes import Wire

CUT = Refusal(Reason.SESSION_ENDED, "cut")


class Keeping(Wire):
    """``kept`` is what the relay told of each connection it gave; ``stopped`` how often a
    statement was to be stopped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[bool] = []
        self.stopped = 0
        self.relay.keep = self.kept.append
        self.relay.on_broken = self._stop

    def _stop(self) -> None:
        self.stopped += 1


@pytest.fixture
async def wire() -> Keeping:
    return Keeping()


async def test_a_goodbye_is_not_sent_on_and_the_connection_is_kept(wire: Keeping):
    wire.relay.client_side.data_received(b"silent" + b"<bye>")
    assert wire.source.written == b"silent"
    assert wire.kept == [False]
    assert not wire.source.closed
    assert wire.client.closed


async def test_a_client_that_hangs_up_between_statements_leaves_the_connection(wire: Keeping):
    wire.client.lose()
    assert wire.kept == [False]
    assert not wire.source.closed
    assert await wire.relay.finished == "closed by the client"


async def test_it_is_told_whether_a_transaction_is_open(wire: Keeping):
    wire.scanner.is_in_transaction = True
    wire.client.lose()
    assert wire.kept == [True]


async def test_a_connection_that_is_not_reusable_is_closed(wire: Keeping):
    wire.scanner.is_reusable = False
    wire.client.lose()
    assert wire.kept == []
    assert wire.source.closed


@pytest.mark.parametrize("is_running", [True, False])
async def test_a_session_that_was_cut_takes_its_connection_with_it(wire: Keeping, is_running: bool):
    wire.scanner.has_outstanding = is_running
    wire.relay.cut(CUT)
    assert wire.kept == []
    assert wire.source.closed


async def test_a_server_that_breaks_the_protocol_is_not_kept(wire: Keeping):
    wire.scanner.error = PeerViolation("out of step")
    wire.relay.source_side.data_received(b"?")
    assert wire.kept == []
    assert wire.source.closed


async def test_a_statement_whose_client_hung_up_is_stopped_and_its_end_waited_for(wire: Keeping):
    wire.scanner.has_outstanding = True
    wire.client.lose()
    assert wire.stopped == 1
    assert not wire.source.closed
    wire.relay.source_side.data_received(b"still running")
    assert wire.kept == []
    wire.scanner.has_outstanding = False
    wire.relay.source_side.data_received(b"its end")
    assert wire.kept == [False]
    assert not wire.source.closed
    assert wire.relay.bytes_from_source == len(b"still running" + b"its end")


async def test_a_statement_in_front_of_a_goodbye_may_end_by_itself(wire: Keeping):
    wire.scanner.has_outstanding = True
    wire.relay.client_side.data_received(b"last statement<bye>")
    wire.client.lose()
    assert wire.stopped == 0
    wire.scanner.has_outstanding = False
    wire.relay.source_side.data_received(b"its end")
    assert wire.kept == [False]


async def test_a_statement_that_does_not_end_costs_the_connection(wire: Keeping):
    wire.scanner.has_outstanding = True
    wire.client.lose()
    wire.relay.cut(CUT)
    assert wire.kept == []
    assert wire.source.closed
    wire.source.lose()
    assert await wire.relay.finished == "session_ended"


async def test_a_source_that_goes_while_nobody_listens_ends_the_session(wire: Keeping):
    wire.scanner.has_outstanding = True
    wire.client.lose()
    wire.source.lose()
    assert await wire.relay.finished == "closed by the client"
    assert wire.kept == []
    assert wire.relay.reason is None


async def test_a_violation_while_nobody_listens_closes_the_connection(wire: Keeping):
    wire.scanner.has_outstanding = True
    wire.client.lose()
    wire.scanner.error = PeerViolation("out of step")
    wire.relay.source_side.data_received(b"?")
    assert wire.kept == []
    assert wire.source.closed


async def test_a_client_that_was_slow_does_not_leave_its_source_unread(wire: Keeping):
    wire.relay.client_side.pause_writing()
    wire.scanner.has_outstanding = True
    wire.client.lose()
    assert wire.source.is_read


async def test_a_goodbye_in_another_place_is_sent_on_and_nothing_is_kept(wire: Keeping):
    wire.relay.client_side.data_received(b"<bye>flush")
    assert wire.source.written == b"<bye>flush"
    assert wire.kept == []
    assert wire.source.closed


async def test_without_a_pool_a_statement_whose_client_hung_up_is_stopped_too():
    wire = Keeping()
    wire.relay.keep = None
    wire.scanner.has_outstanding = True
    wire.client.lose()
    assert wire.stopped == 1
    assert wire.source.closed

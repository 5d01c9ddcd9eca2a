"""A relay whose session waits for the data source's connection."""

from __future__ import annotations

from proxy.gateway.ends import Turns
from proxy.gateway.relay import Relay
from proxy.metrics import Metrics
from tests.gateway.fakes import FakeCongestion, FakeScanner, FakeTransport


class NoTurns(Turns):
    """None for now."""

    def __init__(self) -> None:
        super().__init__()
        self.given_up = 0

    def begin(self) -> bool:
        return False

    def give_up(self) -> None:
        self.given_up += 1


class Waiting:
    """A session whose client has said something, and a connection that comes later."""

    def __init__(self, data: bytes) -> None:
        self.turns = NoTurns()
        self.relay = Relay(FakeScanner(), FakeCongestion(), Metrics())
        self.relay.turns = self.turns
        self.client = FakeTransport(self.relay.client_side)
        self.relay.has_client(self.client)
        self.relay.from_client(data)

    def serve(self) -> bytes:
        source = FakeTransport(self.relay.source_side)
        self.relay.take_turn(source, None, b"")
        self.relay.go_on()
        return source.written


async def test_a_client_is_read_on_while_it_waits_until_it_says_more():
    session = Waiting(b"one")
    states = [(session.relay.is_waiting, session.client.is_read)]
    session.relay.from_client(b" two")
    states.append((session.relay.is_waiting, session.client.is_read))
    assert session.serve() == b"one two"
    states.append((session.relay.is_waiting, session.client.is_read))
    assert states == [(True, True), (True, False), (False, True)]


async def test_a_client_that_waits_is_held_once_for_all_that_it_says():
    session = Waiting(b"one")
    for _ in range(3):
        session.relay.from_client(b".")
    assert session.serve() == b"one..."
    assert session.client.is_read


async def test_a_client_that_hangs_up_while_it_waits_is_no_longer_waited_for():
    session = Waiting(b"one")
    session.client.close()
    session.client.lose()
    assert session.turns.given_up == 1
    assert await session.relay.finished == "closed by the client"


async def test_the_end_of_a_client_that_has_said_goodbye_is_not_read_before_its_statement():
    assert not Waiting(b"one<bye>").client.is_read

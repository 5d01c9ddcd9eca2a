"""The pool's decisions, with a clock that only the test moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.gateway.pool import QUEUE_LIMIT, Pool, QueueFull, Ticket
from proxy.metrics import PoolClose
from proxy.store import PoolSettings

SETTINGS = PoolSettings("session", maximum=2, idle_seconds=60.0)
LATE = 1e9


class Desk:
    """A pool of connections that are names, and what has become of them."""

    def __init__(self, settings: PoolSettings = SETTINGS) -> None:
        self.pool: Pool = Pool(settings, lambda one: one not in self.dead, self._close)
        self.closed: list[tuple[str, PoolClose]] = []
        self.dead: set[str] = set()
        self.woken: list[str] = []

    def _close(self, connection: str, cause: PoolClose) -> None:
        self.closed.append((connection, cause))

    def ask(self, key: str = "a", name: str = "") -> Ticket:
        return self.pool.ask(key, lambda: self.woken.append(name))

    def idle(self, name: str, key: str = "a", now: float = 0.0, expires: float = LATE) -> None:
        """A connection that a client has opened and given back."""
        assert self.ask(key).is_granted
        self.pool.put(key, name, expires, now)

    def found(self, ticket: Ticket) -> str | None:
        assert ticket.is_granted
        return None if ticket.found is None else ticket.found.connection


def test_an_empty_pool_lets_a_client_open_a_connection():
    desk = Desk()
    assert desk.found(desk.ask()) is None
    assert desk.pool.taken == 1


def test_the_connection_used_last_is_given_first():
    desk = Desk()
    first, second = desk.ask(), desk.ask()
    assert first.is_granted
    assert second.is_granted
    desk.pool.put("a", "old", LATE, 1.0)
    desk.pool.put("a", "new", LATE, 2.0)
    assert desk.found(desk.ask()) == "new"


def test_a_connection_is_never_given_to_another_key():
    desk = Desk()
    desk.idle("of a", "a")
    assert desk.found(desk.ask("b")) is None
    assert desk.pool.idle == 1


def test_a_connection_that_is_dead_is_closed_and_the_next_one_given():
    desk = Desk()
    desk.ask()
    desk.ask()
    desk.pool.put("a", "alive", LATE, 1.0)
    desk.pool.put("a", "dead", LATE, 2.0)
    desk.dead.add("dead")
    assert desk.found(desk.ask()) == "alive"
    assert desk.closed == [("dead", PoolClose.LOST)]


def test_where_all_stand_idle_for_another_key_the_oldest_makes_room():
    desk = Desk()
    desk.ask()
    desk.ask()
    desk.pool.put("a", "older", LATE, 1.0)
    desk.pool.put("a", "newer", LATE, 2.0)
    assert desk.found(desk.ask("b")) is None
    assert desk.closed == [("older", PoolClose.EVICTED)]
    assert desk.pool.taken + desk.pool.idle == 2


def test_clients_wait_in_the_order_in_which_they_came_whatever_their_keys():
    desk = Desk()
    desk.ask("a")
    desk.ask("a")
    tickets = {name: desk.ask(name[0], name) for name in ("b1", "a1", "a2")}
    assert not any(ticket.is_granted for ticket in tickets.values())
    # Of the second one's key; but the first one is the first.
    desk.pool.put("a", "one", LATE, 1.0)
    assert desk.woken == ["b1"]
    assert desk.found(tickets["b1"]) is None
    assert desk.closed == [("one", PoolClose.EVICTED)]
    desk.pool.put("a", "two", LATE, 2.0)
    assert desk.woken == ["b1", "a1"]
    assert desk.found(tickets["a1"]) == "two"


def test_who_comes_later_does_not_overtake_who_waits():
    desk = Desk(replace(SETTINGS, maximum=1))
    desk.ask("a")
    waiting = desk.ask("a", "first")
    late = desk.ask("a", "second")
    desk.pool.leave()
    assert waiting.is_granted
    assert not late.is_granted


def test_a_place_whose_connection_was_lost_goes_to_who_waits():
    desk = Desk(replace(SETTINGS, maximum=1))
    desk.ask()
    waiting = desk.ask("a", "waiting")
    desk.pool.leave()
    assert desk.woken == ["waiting"]
    assert desk.found(waiting) is None


def test_who_gives_up_waiting_is_passed_over():
    desk = Desk(replace(SETTINGS, maximum=1))
    desk.ask()
    gone, waiting = desk.ask("a", "gone"), desk.ask("a", "waiting")
    desk.pool.withdraw(gone, 1.0)
    desk.pool.leave()
    assert desk.woken == ["waiting"]
    assert waiting.is_granted


@pytest.mark.parametrize("has_connection", [True, False])
def test_what_was_granted_to_a_client_that_has_gone_goes_to_the_next(has_connection: bool):
    desk = Desk(replace(SETTINGS, maximum=1))
    desk.ask()
    gone, waiting = desk.ask("a", "gone"), desk.ask("a", "waiting")
    if has_connection:
        desk.pool.put("a", "one", LATE, 1.0)
    else:
        desk.pool.leave()
    assert gone.is_granted
    desk.pool.withdraw(gone, 2.0)
    assert desk.found(waiting) == ("one" if has_connection else None)
    assert desk.pool.taken == 1


def test_a_long_queue_of_those_who_give_back_at_once_is_served_one_after_the_other():
    desk = Desk()
    desk.ask()
    desk.ask()
    served = 0

    def give_back() -> None:
        nonlocal served
        served += 1
        desk.pool.put("a", "one", LATE, 1.0)

    for _ in range(QUEUE_LIMIT):
        desk.pool.ask("a", give_back)
    desk.pool.put("a", "one", LATE, 1.0)
    assert served == QUEUE_LIMIT
    assert (desk.pool.waiting, desk.pool.idle, desk.pool.taken) == (0, 1, 1)


def test_the_queue_has_an_end():
    desk = Desk(replace(SETTINGS, maximum=1))
    desk.ask()
    for _ in range(QUEUE_LIMIT):
        desk.ask()
    with pytest.raises(QueueFull):
        desk.ask()
    assert desk.pool.waiting == QUEUE_LIMIT


def test_what_is_idle_for_too_long_is_closed():
    desk = Desk()
    desk.idle("one", now=0.0)
    desk.pool.sweep(59.9)
    assert desk.closed == []
    desk.pool.sweep(60.0)
    assert desk.closed == [("one", PoolClose.IDLE)]
    assert desk.pool.is_unused


def test_the_minimum_stays_however_long_it_is_idle_and_it_is_the_newest():
    desk = Desk(replace(SETTINGS, maximum=5, minimum=2))
    for _ in range(4):
        desk.ask()
    for number in range(4):
        desk.pool.put("a", str(number), LATE, float(number))
    desk.pool.sweep(1000.0)
    assert desk.closed == [("0", PoolClose.IDLE), ("1", PoolClose.IDLE)]
    assert desk.pool.idle == 2


def test_what_has_lived_too_long_is_closed_though_it_is_of_the_minimum():
    desk = Desk(replace(SETTINGS, minimum=1))
    desk.idle("one", expires=10.0)
    desk.pool.sweep(9.9)
    assert desk.closed == []
    desk.pool.sweep(10.0)
    assert desk.closed == [("one", PoolClose.AGE)]


def test_a_closed_idle_connection_makes_room_for_who_waits():
    desk = Desk(replace(SETTINGS, maximum=1))
    desk.ask()
    waiting = desk.ask("b", "waiting")
    desk.pool.put("a", "one", LATE, 0.0)
    assert waiting.is_granted
    assert desk.closed == [("one", PoolClose.EVICTED)]


def test_a_change_closes_what_is_idle_and_leaves_what_is_in_use():
    desk = Desk()
    used = desk.ask()
    desk.ask()
    desk.pool.put("a", "idle", LATE, 0.0)
    desk.pool.clear(PoolClose.CHANGED)
    assert desk.closed == [("idle", PoolClose.CHANGED)]
    assert used.is_granted
    assert desk.pool.taken == 1


def test_only_an_idle_connection_can_be_removed():
    desk = Desk()
    desk.idle("one")
    assert not desk.pool.remove("another", PoolClose.LOST)
    assert desk.pool.remove("one", PoolClose.LOST)
    assert desk.closed == [("one", PoolClose.LOST)]
    assert desk.pool.is_unused


def test_a_lower_maximum_is_kept_from_the_next_client_on():
    desk = Desk()
    desk.ask()
    desk.ask()
    desk.pool.settings = replace(SETTINGS, maximum=1)
    waiting = desk.ask("a", "waiting")
    desk.pool.leave()
    assert not waiting.is_granted
    desk.pool.leave()
    assert waiting.is_granted


class Keeper(RuleBasedStateMachine):
    """Whatever clients do: no key gets another's, and there are never more than the maximum."""

    MAXIMUM = 3

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(replace(SETTINGS, maximum=self.MAXIMUM))
        self.tickets: list[Ticket] = []
        self.made = 0
        self.now = 0.0
        self.keys: dict[str, str] = {}

    @rule(key=st.sampled_from("ab"))
    def ask(self, key: str) -> None:
        self.tickets.append(self.desk.ask(key))

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), is_kept=st.booleans())
    def finish(self, data: st.DataObject, is_kept: bool) -> None:
        ticket = data.draw(st.sampled_from(self.granted))
        self.tickets.remove(ticket)
        if not is_kept:
            self.desk.pool.leave()
            return
        if ticket.found is None:
            self.made += 1
            name = f"c{self.made}"
            self.keys[name] = str(ticket.key)
        else:
            name = ticket.found.connection
        self.desk.pool.put(ticket.key, name, self.now + 100.0, self.now)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.tickets))
        self.tickets.remove(ticket)
        self.desk.pool.withdraw(ticket, self.now)

    @rule(seconds=st.floats(0.0, 90.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.desk.pool.sweep(self.now)

    @property
    def granted(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.is_granted]

    @invariant()
    def holds(self) -> None:
        pool, granted = self.desk.pool, self.granted
        assert pool.taken == len(granted)
        assert pool.taken + pool.idle <= self.MAXIMUM
        assert pool.waiting == len(self.tickets) - len(granted)
        # Nobody waits for nothing, and nobody who waits came before one who was served.
        assert pool.waiting == 0 or (pool.taken == self.MAXIMUM and pool.idle == 0)
        assert self.tickets[: len(granted)] == granted
        names = [ticket.found.connection for ticket in granted if ticket.found is not None]
        assert len(set(names)) == len(names)
        closed = {name for name, _ in self.desk.closed}
        for ticket in granted:
            if ticket.found is not None:
                assert self.keys[ticket.found.connection] == ticket.key
                assert ticket.found.connection not in closed


TestKeeper = Keeper.TestCase


def test_an_idle_connection_is_taken_without_a_ticket():
    desk = Desk()
    desk.idle("one")
    assert desk.pool.take("b") is None
    assert desk.pool.take("a") == "one"
    assert desk.pool.taken == 1
    assert desk.pool.take("a") is None


def test_a_dead_one_is_closed_instead():
    desk = Desk()
    desk.idle("one")
    desk.dead.add("one")
    assert desk.pool.take("a") is None
    assert desk.closed == [("one", PoolClose.LOST)]
    assert desk.pool.taken == 0


def test_nobody_is_served_before_those_who_wait():
    desk = Desk(replace(SETTINGS, maximum=1))
    desk.ask(name="first")
    desk.ask(name="second")
    assert desk.pool.take("a") is None

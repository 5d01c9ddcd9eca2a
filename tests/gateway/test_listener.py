from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.gateway.listener import PendingLogins


def test_an_address_has_its_share_and_the_others_theirs():
    pending = PendingLogins(total=3, per_address=2)
    assert pending.enter("a")
    assert pending.enter("a")
    assert not pending.enter("a")
    assert pending.enter("b")
    assert not pending.enter("c")
    pending.leave("a")
    assert pending.enter("c")


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=60))
def test_the_counts_are_those_of_a_plain_list(steps: list[tuple[bool, str]]):
    pending = PendingLogins(total=5, per_address=2)
    inside: list[str] = []
    for is_entering, address in steps:
        if is_entering:
            has_room = len(inside) < 5 and inside.count(address) < 2
            assert pending.enter(address) == has_room
            if has_room:
                inside.append(address)
        elif address in inside:
            inside.remove(address)
            pending.leave(address)
    for address in inside:
        pending.leave(address)
    assert [pending.enter(address) for address in "aabbc"] == [True] * 5

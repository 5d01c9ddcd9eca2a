"""Several workers are one proxy: what they serve, count, list and record together."""

from __future__ import annotations

from tests.conformance.office import Office
from tests.workers.spread import seat_of, sessions_at_both


def test_both_workers_serve_and_are_listed_as_one_proxy(office: Office):
    with sessions_at_both(office) as (first, second):
        assert [session.value("SELECT 'on'") for session in (first, second)] == ["on", "on"]
        listed = {one["number"] for one in office.sessions()}
        assert listed == {first.number, second.number}
        assert seat_of(first) != seat_of(second)

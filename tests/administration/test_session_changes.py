from __future__ import annotations

from typing import Any

import pytest

from proxy.administration.session_changes import Change, by_id, changes, watch


def session(name: str, **more: Any) -> dict[str, Any]:
    settings = {"id": name, "state": "idle", "host": "", "age_seconds": 1.0, "idle_seconds": 1.0}
    return settings | {"bytes_from_client": 1, "bytes_from_source": 2} | more


def test_what_closed_opened_and_changed_is_told_once_in_this_order():
    before = by_id([session("a"), session("b"), session("c")])
    now = by_id([session("b", state="active"), session("c"), session("d")])
    assert changes(before, now) == [
        Change("closed", session("a")),
        Change("opened", session("d")),
        Change("changed", session("b", state="active")),
    ]
    assert changes(now, now) == []


def test_ages_and_bytes_alone_are_no_change():
    before = by_id([session("a")])
    now = session("a", age_seconds=9, idle_seconds=0, bytes_from_client=7, bytes_from_source=8)
    assert changes(before, by_id([now])) == []


def test_a_watch_tells_of_all_there_are_and_then_of_changes_until_it_is_ended():
    looks = [[session("a")], [session("a"), session("b")], [session("b")]]
    waits = 0

    def wait() -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            raise KeyboardInterrupt

    told: list[tuple[str, str]] = []
    with pytest.raises(KeyboardInterrupt):
        told.extend((one.what, one.session["id"]) for one in watch(lambda: looks[waits], wait))
    assert told == [("opened", "a"), ("opened", "b"), ("closed", "a")]

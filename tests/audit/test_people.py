import json

import pytest

from proxy.audit import people
from proxy.audit.chain import GENESIS
from proxy.audit.encode import encode_event
from proxy.audit.ocsf import Event
from tests.audit.rig import NOON
from tests.audit.schema import problems

ADA = {"staff_id": "1", "name": "ada"}


def changed(change: str) -> Event:
    return people.staff_changed(change, actor="root", role="owner", **ADA)


EVENTS: list[tuple[int, int, Event]] = [
    (3001, 1, changed("create")),
    (3001, 2, changed("enable")),
    (3001, 3, changed("password")),
    (3001, 4, changed("reset")),
    (3001, 5, changed("disable")),
    (3001, 10, changed("enrol")),
    (3001, 10, changed("recovery codes")),
    (3001, 99, changed("role")),
    (3002, 1, people.staff_logged_in(ip="192.0.2.7", port=1, session_id="s", **ADA)),
    (3002, 1, people.staff_logged_in(ip="192.0.2.7", port=1, reason="wrong code", **ADA)),
    (3002, 2, people.staff_logged_out(session_id="s", reason="logged out", **ADA)),
]


@pytest.mark.parametrize(("class_uid", "activity", "event"), EVENTS)
def test_each_event_is_one_of_ocsf(class_uid: int, activity: int, event: Event):
    record = json.loads(encode_event(event, 5, GENESIS, NOON))
    assert problems(record) == []
    assert (record["class_uid"], record["activity_id"]) == (class_uid, activity)

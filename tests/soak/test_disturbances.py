from __future__ import annotations

import pytest

from tests.soak.disturbances import EXPECTED, GRACE, HUNG, LOST, Disturbances, Failure
from tests.soak.sources import KINDS, Place

ORDERS = Place("finance", KINDS[0])
KEPT = Place("finance", KINDS[1])
FOREIGN = Place("sales", KINDS[0])


def failure(
    kind: str, began: float, ended: float, *, client: str = "c1", place: Place = ORDERS
) -> Failure:
    return Failure(client, place, "simple", kind, began, ended, "it failed")


def killed(from_: float = 10.0, to: float | None = 12.0) -> Disturbances:
    found = Disturbances()
    found.begin("session kill", from_, workspace="finance", client="c1").ended = to
    return found


@pytest.mark.parametrize(
    ("began", "ended"), [(11.0, 11.5), (9.0, 10.5), (11.0, 99.0), (12.0 + GRACE, 18.0)]
)
def test_an_operation_that_overlaps_a_disturbance_or_follows_it_soon_is_excused(
    began: float, ended: float
):
    disturbances = killed()
    assert disturbances.judge(failure(LOST, began, ended)) == "session kill"
    assert disturbances.excused == {("session kill", LOST): 1}
    assert disturbances.unexpected == []


@pytest.mark.parametrize(("began", "ended"), [(8.0, 9.9), (12.1 + GRACE, 18.0)])
def test_one_before_or_long_after_is_not(began: float, ended: float):
    disturbances = killed()
    assert disturbances.judge(failure(LOST, began, ended)) == ""
    assert len(disturbances.unexpected) == 1


def test_a_disturbance_that_is_under_way_excuses_whatever_comes():
    assert killed(to=None).judge(failure(LOST, 500.0, 501.0)) == "session kill"


def test_another_kind_of_error_is_not_excused():
    assert killed().judge(failure("42P01", 11.0, 11.5)) == ""


def test_another_client_source_or_workspace_is_not_excused():
    assert killed().judge(failure(LOST, 11.0, 11.5, client="c2")) == ""
    disturbances = Disturbances()
    disturbances.begin("backend terminated", 10.0, workspace="finance", source="orders")
    assert disturbances.judge(failure(LOST, 11.0, 11.5, place=FOREIGN)) == ""
    assert disturbances.judge(failure(LOST, 11.0, 11.5, place=KEPT)) == ""
    assert disturbances.judge(failure(LOST, 11.0, 11.5, client="c2")) == "backend terminated"


@pytest.mark.parametrize("kind", ["credential rotated", "machine starved"])
def test_what_refuses_a_login_may_end_a_session_that_shares_its_connection_and_no_other(kind: str):
    (shared,) = (it for it in KINDS if it.is_shared)
    disturbances = Disturbances()
    disturbances.begin(kind, 10.0, workspace="").ended = 11.0
    assert disturbances.judge(failure(LOST, 10.0, 11.0)) == ""
    assert disturbances.judge(failure(LOST, 10.0, 11.0, place=Place("finance", shared))) == kind


def test_nothing_excuses_a_hanging_client():
    assert not any(HUNG in kinds for kinds in EXPECTED.values())

"""Support grants: asked for, decided on by the workspace alone, used on record, ended."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from proxy.administration.api_keys import create_api_key
from proxy.administration.support_expiry import ExpiryWatch, record_expired
from proxy.administration.trail import TrailError, event_to_json
from proxy.administration.workplace import Workplace
from proxy.audit.ocsf import Status
from proxy.store import ApiRole, PreApproval, parse_token
from proxy.store.people import GRANT_MINUTES
from proxy.store.queries.support import OPEN_LIMIT, TOKEN_LIMIT
from tests.admin.rig import Rig, problem
from tests.admin.town import a_request, a_source
from tests.servers.waiting import eventually

OWN = "/v1/support-grants"
OF = "/v1/workspaces/finance/support-grants"
ASK = {"workspace": "finance", "reason": "ticket 4711", "minutes": 60}
ADMIN, SUPPORT = ApiRole.WORKSPACE_ADMIN, ApiRole.SUPPORT


async def granted(rig: Rig, **more: Any) -> str:
    """Asked for and approved."""
    asked = await rig.ok("POST", OWN, ASK | more, role=SUPPORT)
    await rig.ok("POST", f"{OF}/{asked['id']}/approve", role=ADMIN)
    return str(asked["id"])


async def sees(rig: Rig) -> bool:
    answer = await rig.call("GET", "/v1/workspaces/finance/sources", role=SUPPORT)
    if answer.status_code == 200:
        return True
    problem(answer, 404, "not-found")
    return False


async def test_access_is_asked_for_approved_used_and_over_with_its_time(rig: Rig):
    await a_source(rig, "finance", "orders")
    asked = await rig.ok("POST", OWN, ASK, role=SUPPORT)
    assert (asked["state"], asked["workspace"], asked["staff"]) == (
        "pending",
        "finance",
        "the-support",
    )
    assert not await sees(rig)
    (listed,) = (await rig.ok("GET", OF, role=ADMIN))["items"]
    assert listed == asked
    approved = await rig.ok("POST", f"{OF}/{asked['id']}/approve", role=ADMIN)
    assert approved["state"] == "live"
    assert approved["decided_by"].startswith("API key ")
    assert await sees(rig)
    answer = await rig.call("GET", "/v1/workspaces/sales/sources", role=SUPPORT)
    problem(answer, 404, "not-found")
    rig.clock.advance(minutes=29)
    assert await sees(rig)
    rig.clock.advance(minutes=29)
    assert await sees(rig)
    rig.clock.advance(minutes=2)
    assert not await sees(rig)
    (own,) = (await rig.ok("GET", OWN, role=SUPPORT))["items"]
    assert own == approved | {"state": "expired"}


async def test_every_use_is_in_the_workspaces_own_log_with_the_grant(rig: Rig):
    grant = await granted(rig)
    rig.trail.events.clear()
    await sees(rig)
    await rig.call("DELETE", "/v1/workspaces/finance", role=SUPPORT)
    used, refused = rig.calls()
    finance = rig.workspaces["finance"].id
    assert used.workspace == finance
    assert rig.actors() == {"staff the-support"}
    assert used.extra["named"] == {"workspace": "finance", "support_grant": grant}
    assert used.extra["role"] == "support"
    assert refused.status_code == "403"


async def test_the_story_of_a_grant_is_in_the_workspaces_log(rig: Rig):
    rig.trail.events.clear()
    grant = await granted(rig, with_database=True)
    await rig.ok("POST", f"{OWN}/{grant}/tokens", role=SUPPORT)
    await rig.ok("POST", f"{OF}/{grant}/end", role=ADMIN)
    finance = rig.workspaces["finance"].id
    assert {event.workspace for event in rig.trail.events} == {finance}
    changes = rig.changes()
    assert [one["change"] for one in changes] == ["asked for", "approved", "ended"]
    assert {one["reason"] for one in changes} == {"ticket 4711"}


@pytest.mark.parametrize("by", ["workspace", "operator", "asker"])
async def test_who_may_end_a_grant_ends_it_at_once_with_its_tokens(rig: Rig, by: str):
    grant = await granted(rig, with_database=True)
    made = await rig.ok("POST", f"{OWN}/{grant}/tokens", role=SUPPORT)
    other = await rig.ok("POST", "/v1/workspaces/finance/tokens", {"label": "x"}, role=ADMIN)
    path, role = {
        "workspace": (f"{OF}/{grant}/end", ADMIN),
        "operator": (f"{OF}/{grant}/end", ApiRole.OPERATOR),
        "asker": (f"{OWN}/{grant}/end", SUPPORT),
    }[by]
    feed = rig.store.watch()
    await anext(feed)
    ended = await rig.ok("POST", path, role=role)
    # What makes every node cut the sessions of the token.
    change = await anext(feed)
    await feed.aclose()
    assert (change.kind, change.object_id) == ("token", made["id"])
    assert ended["state"] == "ended"
    assert not await sees(rig)
    tokens = {
        one["id"]: one for one in (await rig.ok("GET", "/v1/workspaces/finance/tokens"))["items"]
    }
    assert tokens[made["id"]]["state"] == "revoked"
    assert tokens[other["id"]]["state"] == "live"
    answer = await rig.call("POST", f"{OWN}/{grant}/tokens", role=SUPPORT)
    problem(answer, 409, "changed-meanwhile")


async def test_a_token_under_a_grant_ends_with_it_and_is_shown_once(rig: Rig):
    grant = await granted(rig, with_database=True)
    named = {"Idempotency-Key": "support-token-1"}
    path = f"{OWN}/{grant}/tokens"
    made = await rig.ok("POST", path, role=SUPPORT, headers=named)
    assert parse_token(made["secret"]) == made["id"]
    (live,) = (await rig.ok("GET", OWN, role=SUPPORT))["items"]
    assert made["expires_at"] == live["expires_at"]
    again = await rig.ok("POST", path, role=SUPPORT, headers=named)
    assert again == made | {"secret": None}
    assert made["secret"] not in repr(rig.trail.events)
    for _ in range(TOKEN_LIMIT - 1):
        await rig.ok("POST", path, role=SUPPORT)
    problem(await rig.call("POST", path, role=SUPPORT), 409, "limit-reached")
    rig.clock.advance(minutes=29)
    await sees(rig)
    rig.clock.advance(minutes=29)
    await sees(rig)
    rig.clock.advance(minutes=2)
    problem(await rig.call("POST", path, role=SUPPORT), 409, "changed-meanwhile")
    tokens = (await rig.ok("GET", "/v1/workspaces/finance/tokens"))["items"]
    assert {one["state"] for one in tokens} == {"expired"}


async def test_a_grant_without_the_database_gives_no_token(rig: Rig):
    grant = await granted(rig)
    answer = await rig.call("POST", f"{OWN}/{grant}/tokens", role=SUPPORT)
    problem(answer, 409, "changed-meanwhile")
    assert (await rig.ok("GET", "/v1/workspaces/finance/tokens"))["items"] == []


async def test_nobody_of_the_platform_approves(rig: Rig):
    asked = await rig.ok("POST", OWN, ASK, role=SUPPORT)
    for role in (ApiRole.OWNER, ApiRole.OPERATOR, ApiRole.AUDITOR, SUPPORT):
        answer = await rig.call("POST", f"{OF}/{asked['id']}/approve", role=role)
        problem(answer, 403, "forbidden")
        answer = await rig.call(
            "PUT", "/v1/workspaces/finance/support-pre-approval", {"minutes": 60}, role=role
        )
        problem(answer, 403, "forbidden")
    assert not await sees(rig)


async def test_nobody_approves_its_own_with_a_key_made_before(rig: Rig):
    """An operator makes itself a key of the workspace, and is of the support later."""
    asked = await a_request(rig, rig.workspaces["finance"])
    office = rig.office
    mine = Workplace(
        office.config, office.store, office.vault, office.trail, "staff the-support", print
    )
    first, _ = await create_api_key(
        mine, ADMIN, rig.workspaces["finance"], label="mine", expires_at=None
    )
    rig.trail.events.clear()
    answer = await rig.call("POST", f"{OF}/{asked.id}/approve", key=first)
    problem(answer, 403, "own-request")
    tried, refused = (one for one in rig.trail.events if one.event_class == 3004)
    assert refused.workspace == rig.workspaces["finance"].id
    assert event_to_json(refused)["extra"]["changes"]["change"] == "approved"
    assert (tried.status, refused.status) == (Status.UNKNOWN, Status.FAILURE)
    assert refused.status_detail == "OwnRequest"
    # Nor with a key that such a key has made.
    second = await rig.ok("POST", "/v1/workspaces/finance/keys", {"label": "x"}, key=first)
    answer = await rig.call("POST", f"{OF}/{asked.id}/approve", key=second["secret"])
    problem(answer, 403, "own-request")
    assert not await sees(rig)
    # It may say no to itself, and who is of the workspace says yes.
    await rig.ok("POST", f"{OF}/{asked.id}/approve", role=ADMIN)
    assert await sees(rig)


async def test_nobody_approves_its_own_beforehand(rig: Rig):
    """The same key says that nobody needs to be asked; then its maker asks."""
    office = rig.office
    mine = Workplace(
        office.config, office.store, office.vault, office.trail, "staff the-support", print
    )
    first, _ = await create_api_key(
        mine, ADMIN, rig.workspaces["finance"], label="mine", expires_at=None
    )
    second = await rig.ok("POST", "/v1/workspaces/finance/keys", {"label": "x"}, key=first)
    path = "/v1/workspaces/finance/support-pre-approval"
    for own in (first, second["secret"]):
        await rig.ok("PUT", path, {"minutes": 60, "with_database": True}, key=own)
        asked = await rig.ok("POST", OWN, ASK, role=SUPPORT)
        assert asked["state"] == "pending"
        assert not await sees(rig)
    # Who is of the workspace says the same, and it counts.
    await rig.ok("PUT", path, {"minutes": 60}, role=ADMIN)
    assert (await rig.ok("POST", OWN, ASK, role=SUPPORT))["state"] == "live"


async def test_a_pre_approval_of_nobody_who_is_known_does_not_count(rig: Rig):
    finance = rig.workspaces["finance"]
    for nobody in ("", "API key 0000000000"):
        await rig.store.support.set_pre_approval(finance.id, PreApproval(60, set_by=nobody))
        assert (await rig.ok("POST", OWN, ASK, role=SUPPORT))["state"] == "pending"


def expiries(rig: Rig) -> list[dict[str, Any]]:
    return [one for one in rig.changes() if one["change"] == "expired"]


async def test_the_end_of_a_grant_by_its_time_is_recorded_once_by_whoever_is_there(rig: Rig):
    grant = await granted(rig, with_database=True)
    (live,) = (await rig.ok("GET", OWN, role=SUPPORT))["items"]
    assert await record_expired(rig.store, rig.trail) == 0
    rig.clock.advance(minutes=60)
    # Nobody looks at the grant, and several nodes watch the store.
    found = await asyncio.gather(*(record_expired(rig.store, rig.trail) for _ in range(5)))
    assert sorted(found) == [0, 0, 0, 0, 1]
    rig.clock.advance(days=3)
    assert await record_expired(rig.store, rig.trail) == 0
    (told,) = expiries(rig)
    assert told["reason"] == "ticket 4711"
    assert datetime.fromisoformat(told["expires_at"]) == datetime.fromisoformat(live["expires_at"])
    event = rig.trail.events[-1]
    assert event.workspace == rig.workspaces["finance"].id
    attributes = event_to_json(event)["attributes"]
    assert attributes["entity"]["uid"] == grant
    assert attributes["actor"]["user"]["name"] == "Accode Proxy"


async def test_what_could_not_be_recorded_is_recorded_later(rig: Rig):
    await granted(rig)
    rig.clock.advance(minutes=60)
    rig.trail.is_broken = True
    with pytest.raises(TrailError):
        await record_expired(rig.store, rig.trail)
    rig.trail.is_broken = False
    assert await record_expired(rig.store, rig.trail) == 0
    rig.clock.advance(minutes=1)
    assert await record_expired(rig.store, rig.trail) == 1
    assert len(expiries(rig)) == 1


async def test_a_watch_goes_on_behind_a_failure_and_behind_a_bug(rig: Rig):
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: told.append(what))

    looked = asyncio.Event()

    async def looks() -> None:
        looked.set()

    async def breaks() -> None:
        raise RuntimeError("a bug")

    for _ in range(2):
        await granted(rig)
    rig.clock.advance(minutes=60)
    rig.trail.is_broken, rig.trail.meanwhile = True, looks
    watch = ExpiryWatch(rig.store, rig.trail, pace=0.001)
    watch.start()
    async with asyncio.timeout(40):
        await looked.wait()
    # Each time what was claimed is somebody's for a minute.
    rig.trail.is_broken, rig.trail.meanwhile = False, breaks
    rig.clock.advance(minutes=1)
    await eventually(lambda: bool(told), within=40)
    rig.clock.advance(minutes=1)
    await eventually(lambda: len(expiries(rig)) == 2, within=40)
    await watch.stop()
    assert [str(one["exception"]) for one in told] == ["a bug"]
    assert len(expiries(rig)) == 2


async def test_a_decision_is_for_once(rig: Rig):
    asked = await rig.ok("POST", OWN, ASK, role=SUPPORT)
    denied = await rig.ok("POST", f"{OF}/{asked['id']}/deny", role=ADMIN)
    assert denied["state"] == "denied"
    for what in ("approve", "deny"):
        answer = await rig.call("POST", f"{OF}/{asked['id']}/{what}", role=ADMIN)
        problem(answer, 409, "changed-meanwhile")
    late = await rig.ok("POST", OWN, ASK, role=SUPPORT)
    rig.clock.advance(hours=24)
    answer = await rig.call("POST", f"{OF}/{late['id']}/approve", role=ADMIN)
    problem(answer, 409, "changed-meanwhile")
    states = [one["state"] for one in (await rig.ok("GET", OF, role=ADMIN))["items"]]
    assert sorted(states) == ["denied", "lapsed"]


async def test_a_request_that_was_withdrawn_is_not_approved(rig: Rig):
    asked = await rig.ok("POST", OWN, ASK, role=SUPPORT)
    await rig.ok("POST", f"{OWN}/{asked['id']}/end", role=SUPPORT)
    answer = await rig.call("POST", f"{OF}/{asked['id']}/approve", role=ADMIN)
    problem(answer, 409, "changed-meanwhile")


async def test_what_is_approved_beforehand_is_live_at_once_and_on_record(rig: Rig):
    path = "/v1/workspaces/finance/support-pre-approval"
    assert (await rig.ok("GET", path, role=ADMIN))["minutes"] == 0
    await rig.ok("PUT", path, {"minutes": 30}, role=ADMIN)
    longer = await rig.ok("POST", OWN, ASK, role=SUPPORT)
    deeper = await rig.ok("POST", OWN, ASK | {"minutes": 30, "with_database": True}, role=SUPPORT)
    assert [longer["state"], deeper["state"]] == ["pending", "pending"]
    within = await rig.ok("POST", OWN, ASK | {"minutes": 30}, role=SUPPORT)
    assert (within["state"], within["decided_by"]) == ("live", "the workspace's pre-approval")
    assert await sees(rig)
    assert rig.changes()[-1]["change"] == "approved beforehand"
    await rig.ok("PUT", path, {"minutes": 30, "with_database": True}, role=ADMIN)
    both = await rig.ok("POST", OWN, ASK | {"minutes": 30, "with_database": True}, role=SUPPORT)
    assert both["state"] == "live"


@pytest.mark.parametrize("change", ["role", "reset", "disable"])
async def test_a_person_whose_account_changes_loses_what_was_granted(rig: Rig, change: str):
    grant = await granted(rig, with_database=True)
    made = await rig.ok("POST", f"{OWN}/{grant}/tokens", role=SUPPORT)
    pending = await rig.ok("POST", OWN, ASK, role=SUPPORT)
    person = rig.people[SUPPORT].account.id
    body = {"role": "support"} if change == "role" else None
    await rig.ok("POST", f"/v1/staff/{person}/{change}", body, role=ApiRole.OWNER)
    states = {one["id"]: one["state"] for one in (await rig.ok("GET", OF, role=ADMIN))["items"]}
    assert states == {grant: "ended", pending["id"]: "ended"}
    (token,) = (await rig.ok("GET", "/v1/workspaces/finance/tokens"))["items"]
    assert (token["id"], token["state"]) == (made["id"], "revoked")


async def test_requests_are_bounded(rig: Rig):
    for _ in range(OPEN_LIMIT):
        await rig.ok("POST", OWN, ASK, role=SUPPORT)
    problem(await rig.call("POST", OWN, ASK, role=SUPPORT), 409, "limit-reached")
    await rig.ok("POST", OWN, ASK | {"workspace": "sales"}, role=SUPPORT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"minutes": 0},
        {"minutes": GRANT_MINUTES + 1},
        {"minutes": True},
        {"reason": ""},
        {"reason": "x" * 501},
        {"reason": "a\nb"},
        {"with_database": "yes"},
        {"approved": True},
        {"workspace": "No Such"},
    ],
)
async def test_a_request_holds_what_it_may_and_no_more(rig: Rig, wrong: dict[str, Any]):
    problem(await rig.call("POST", OWN, ASK | wrong, role=SUPPORT), 422, "invalid")


async def test_a_workspace_that_is_not_there_cannot_be_asked(rig: Rig):
    answer = await rig.call("POST", OWN, ASK | {"workspace": "unknown"}, role=SUPPORT)
    problem(answer, 404, "not-found")

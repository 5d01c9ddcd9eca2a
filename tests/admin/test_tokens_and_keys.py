from __future__ import annotations

from datetime import timedelta

from proxy.store import ApiRole, parse_token
from proxy.store.api_keys import parse_api_key
from tests.admin.rig import Rig, problem

TOKENS = "/v1/workspaces/finance/tokens"
KEYS = "/v1/workspaces/finance/keys"


async def test_a_token_is_shown_once(rig: Rig):
    made = await rig.call("POST", TOKENS, {"label": "nightly"})
    assert made.status_code == 201
    value = made.json()
    assert parse_token(value["secret"]) == value["id"]
    listed = await rig.call("GET", TOKENS)
    assert [one["id"] for one in listed.json()["items"]] == [value["id"]]
    assert value["secret"][15:] not in listed.text
    assert value["secret"] not in repr(rig.trail.events)


async def test_a_token_is_revoked_and_stays_so(rig: Rig):
    value = await rig.ok("POST", TOKENS, {"label": "nightly"})
    for _ in range(2):
        ended = await rig.ok("POST", f"{TOKENS}/{value['id']}/revoke")
        assert ended["state"] == "revoked"
    assert (await rig.ok("GET", TOKENS))["items"] == [ended]


async def test_tokens_are_paged_the_newest_first(rig: Rig):
    made = []
    for number in range(5):
        rig.clock.advance(seconds=1 if number != 3 else 0)
        made.append((await rig.ok("POST", TOKENS, {"label": f"t{number}"}))["id"])
    seen, cursor = [], None
    for _ in range(3):
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = await rig.ok("GET", TOKENS, params=query)
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert sorted(seen) == sorted(made)
    assert seen[0] == made[4] or seen[1] == made[4]
    problem(await rig.call("GET", f"{KEYS}?cursor={'x' * 10}"), 400, "bad-cursor")


async def test_a_token_may_end_but_not_before_it_begins(rig: Rig):
    ahead = (rig.clock() + timedelta(days=1)).isoformat()
    assert (await rig.ok("POST", TOKENS, {"label": "x", "expires_at": ahead}))["expires_at"]
    past = (rig.clock() - timedelta(days=1)).isoformat()
    for wrong in (past, "2026-05-05T00:00:00", "tomorrow", 1_900_000_000, True):
        answer = await rig.call("POST", TOKENS, {"label": "x", "expires_at": wrong})
        found = problem(answer, 422, "invalid")
        assert found["errors"][0]["pointer"] == "/expires_at"


async def test_a_call_that_names_itself_is_done_once(rig: Rig):
    named = {"Idempotency-Key": "first-call-1"}
    first = await rig.call("POST", TOKENS, {"label": "x"}, headers=named)
    again = await rig.call("POST", TOKENS, {"label": "x"}, headers=named)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json() | {"secret": None}
    assert len((await rig.ok("GET", TOKENS))["items"]) == 1
    other = await rig.call("POST", TOKENS, {"label": "y"}, headers=named)
    problem(other, 422, "idempotency-key-reused")
    elsewhere = await rig.call("POST", "/v1/workspaces", {"name": "x"}, headers=named)
    problem(elsewhere, 422, "idempotency-key-reused")
    # Another key's name is another name.
    mine = await rig.call(
        "POST", TOKENS, {"label": "y"}, headers=named, role=ApiRole.WORKSPACE_ADMIN
    )
    assert mine.status_code == 201
    assert "idempotency-replayed" not in mine.headers


async def test_a_call_that_was_refused_may_be_made_anew(rig: Rig):
    named = {"Idempotency-Key": '"with-quotes"'}
    for name, status in (("sales", 409), ("Bad", 422), ("hr", 201)):
        answer = await rig.call("POST", "/v1/workspaces", {"name": name}, headers=named)
        assert answer.status_code == status
    again = await rig.call("POST", "/v1/workspaces", {"name": "hr"}, headers=named)
    assert again.headers["location"] == "/v1/workspaces/hr"
    assert again.headers["etag"] == answer.headers["etag"]


async def test_a_call_whose_end_is_not_known_is_not_made_again(rig: Rig):
    named = {"Idempotency-Key": "in-the-dark"}
    rig.trail.is_broken = True
    answer = await rig.call("POST", TOKENS, {"label": "x"}, headers=named)
    problem(answer, 503, "audit-unavailable")
    rig.trail.is_broken = False
    answer = await rig.call("POST", TOKENS, {"label": "x"}, headers=named)
    problem(answer, 409, "still-under-way")
    rig.clock.advance(hours=25)
    answer = await rig.call("POST", TOKENS, {"label": "x"}, headers=named)
    assert answer.status_code == 201


async def test_a_name_of_a_call_has_a_grammar(rig: Rig):
    for name in ("short", "x" * 65, "with space", "semi;colon1", ""):
        answer = await rig.call("POST", TOKENS, {"label": "x"}, headers={"Idempotency-Key": name})
        problem(answer, 400, "malformed")


async def test_an_owner_makes_and_revokes_keys_of_the_platform(rig: Rig):
    role = ApiRole.OWNER
    made = await rig.ok("POST", "/v1/keys", {"role": "auditor", "label": "x"}, role=role)
    assert parse_api_key(made["secret"]) == made["id"]
    assert (await rig.ok("GET", "/v1/me", key=made["secret"]))["role"] == "auditor"
    ended = await rig.ok("POST", f"/v1/keys/{made['id']}/revoke", role=role)
    assert ended["state"] == "revoked"
    problem(await rig.call("GET", "/v1/me", key=made["secret"]), 401, "unauthenticated")
    assert made["secret"] not in (await rig.call("GET", "/v1/keys", role=role)).text
    assert made["secret"] not in repr(rig.trail.events)


async def test_no_key_of_a_workspace_is_made_or_ended_as_one_of_the_platform(rig: Rig):
    answer = await rig.call(
        "POST", "/v1/keys", {"role": "workspace-admin", "label": "x"}, role=ApiRole.OWNER
    )
    problem(answer, 422, "invalid")
    made = await rig.ok("POST", KEYS, {"label": "x"}, role=ApiRole.WORKSPACE_ADMIN)
    assert made["role"] == "workspace-admin"
    answer = await rig.call("POST", f"/v1/keys/{made['id']}/revoke", role=ApiRole.OWNER)
    problem(answer, 404, "not-found")
    answer = await rig.call("POST", f"{KEYS}/{made['id']}/revoke", role=ApiRole.WORKSPACE_ADMIN)
    assert answer.json()["state"] == "revoked"
    # With the role in the body: no way up.
    answer = await rig.call(
        "POST", KEYS, {"label": "x", "role": "owner"}, role=ApiRole.WORKSPACE_ADMIN
    )
    problem(answer, 422, "invalid")

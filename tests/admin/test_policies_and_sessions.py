from __future__ import annotations

from proxy.store import ApiRole
from tests.admin.rig import Rig, problem
from tests.admin.town import a_session, a_source

POLICY = "/v1/workspaces/finance/policy"
SOURCE = "/v1/workspaces/finance/sources/orders/policy"
READ_ONLY = {"version": 1, "access": "read-only"}
FULL = {"version": 1, "access": "full"}


async def test_a_policy_is_put_compared_and_taken_away(rig: Rig):
    assert (await rig.ok("GET", POLICY))["policy"] is None
    for document in (READ_ONLY, FULL):
        tag = await rig.etag(POLICY)
        put = await rig.ok("PUT", POLICY, {"policy": document}, headers=tag)
        assert put["policy"] == document
        # With the tag that was read before: somebody else's change would be lost.
        stale = await rig.call("PUT", POLICY, {"policy": document}, headers=tag)
        problem(stale, 412, "changed-meanwhile")
    await rig.ok("DELETE", POLICY, headers=await rig.etag(POLICY))
    kept = (await rig.ok("GET", f"{POLICY}/history"))["items"]
    assert [one["policy"] for one in kept] == [None, FULL, READ_ONLY]
    assert kept[0]["put_by"].startswith("API key ")
    query = {"before": kept[2]["number"], "after": kept[1]["number"]}
    compared = await rig.ok("GET", f"{POLICY}/diff", params=query)
    assert compared["items"] == [{"path": ["access"], "before": "read-only", "after": "full"}]
    answer = await rig.call("GET", f"{POLICY}/diff", params={"before": 1, "after": 999})
    problem(answer, 404, "not-found")


async def test_a_policy_that_is_wrong_is_told_where(rig: Rig):
    tag = await rig.etag(POLICY)
    wrong = {"version": 1, "access": "sometimes", "tables": {"reed": []}, "limits": {"rows": -1}}
    answer = await rig.call("PUT", POLICY, {"policy": wrong}, headers=tag)
    found = problem(answer, 422, "invalid")
    pointers = {one["pointer"] for one in found["errors"]}
    assert {"/policy/access", "/policy/tables/reed"} <= pointers
    assert (await rig.ok("GET", POLICY))["policy"] is None


async def test_a_put_tells_which_sources_it_shuts_out(rig: Rig):
    await a_source(rig, "finance", "orders")
    narrow = {"version": 1, "upstream": {"hosts": ["other.example.com"]}}
    put = await rig.ok("PUT", POLICY, {"policy": narrow}, headers=await rig.etag(POLICY))
    assert ["orders" in warning for warning in put["warnings"]] == [True]


async def test_a_workspace_administrator_narrows_a_source_alone(rig: Rig):
    await a_source(rig, "finance", "orders")
    role = ApiRole.WORKSPACE_ADMIN
    tag = await rig.etag(SOURCE)
    put = await rig.ok("PUT", SOURCE, {"policy": READ_ONLY}, headers=tag, role=role)
    assert put["policy"] == READ_ONLY
    answer = await rig.call("PUT", POLICY, {"policy": FULL}, headers=tag, role=role)
    problem(answer, 403, "forbidden")


async def test_a_statement_is_tried_on_a_policy(rig: Rig):
    await a_source(rig, "finance", "orders")
    await rig.ok("PUT", SOURCE, {"policy": READ_ONLY}, headers=await rig.etag(SOURCE))
    for statement, allowed in (("SELECT 1", True), ("DELETE FROM t", False)):
        said = await rig.ok("POST", f"{SOURCE}/check", {"statement": statement})
        assert said["allowed"] is allowed
        assert said["is_judged"] is True
    draft = {"statement": "DELETE FROM t", "policy": FULL}
    assert (await rig.ok("POST", f"{SOURCE}/check", draft))["allowed"] is True
    wrong = {"statement": "SELECT 1", "policy": {"version": 2}}
    problem(await rig.call("POST", f"{SOURCE}/check", wrong), 422, "invalid")


async def test_sessions_are_seen_and_ended(rig: Rig):
    own = rig.workspaces["finance"]
    rig.proxy.sessions = [
        a_session("a" * 32, "finance", own.id, "orders"),
        # Of a workspace that had this name until a moment ago.
        a_session("b" * 32, "finance", rig.workspaces["sales"].id, "ledger"),
    ]
    path = "/v1/workspaces/finance/sessions"
    role = ApiRole.WORKSPACE_ADMIN
    listed = (await rig.ok("GET", path, role=role))["items"]
    assert [one["id"] for one in listed] == ["a" * 32]
    problem(await rig.call("POST", f"{path}/{'b' * 32}/kill", role=role), 404, "not-found")
    # By number too: the number is of all sessions, and another's may be guessed.
    problem(await rig.call("POST", f"{path}/7/kill", role=role), 404, "not-found")
    assert await rig.ok("POST", f"{path}/{'a' * 32}/kill", role=role) == {"killed": 1}
    killed = [call for call in rig.proxy.calls if call[0] == "session.kill"]
    assert killed == [("session.kill", {"id": "a" * 32})]
    assert [event.workspace for event in rig.trail.events if event.event_class == 3004] == [
        own.id,
        own.id,
    ]


async def test_without_a_proxy_there_is_a_clear_answer(rig: Rig):
    rig.proxy.is_running = False
    answer = await rig.call("GET", "/v1/workspaces/finance/sessions")
    problem(answer, 503, "proxy-not-running")
    assert answer.headers["retry-after"] == "1"

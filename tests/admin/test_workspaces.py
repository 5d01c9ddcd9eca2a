from __future__ import annotations

from dataclasses import replace

from proxy.admin.app import ENDPOINTS
from proxy.store import ApiRole
from tests.admin.rig import Rig, problem
from tests.admin.test_roles import may
from tests.admin.town import settled


async def test_a_workspace_is_created_and_listed(rig: Rig):
    made = await rig.call("POST", "/v1/workspaces", {"name": "hr"})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/workspaces/hr"
    assert made.json()["state"] == "active"
    shown = await rig.call("GET", "/v1/workspaces/hr")
    assert shown.json() == made.json()
    assert shown.headers["etag"] == made.headers["etag"]
    names = [one["name"] for one in (await rig.ok("GET", "/v1/workspaces"))["items"]]
    assert names == ["finance", "hr", "sales"]


async def test_a_creation_is_recorded_before_and_after_it_and_as_a_call(rig: Rig):
    made = await rig.ok("POST", "/v1/workspaces", {"name": "hr"})
    asked, done, called = rig.trail.events
    assert (asked.event_class, done.event_class, called.event_class) == (3004, 3004, 6003)
    assert (asked.status, done.status) == (0, 1)
    assert called.attributes["api"]["operation"] == "createWorkspace"  # type: ignore[index]
    assert called.attributes["src_endpoint"] == {"ip": "192.0.2.7", "port": 4711}
    assert str(called.attributes["actor"]).count("API key ") == 1
    assert done.attributes["entity"]["name"] == made["name"]  # type: ignore[index]


async def test_nothing_is_changed_where_nothing_can_be_recorded(rig: Rig):
    rig.trail.is_broken = True
    problem(await rig.call("POST", "/v1/workspaces", {"name": "hr"}), 503, "audit-unavailable")
    assert await rig.store.find_workspace("hr") is None


async def test_a_reading_that_cannot_be_recorded_is_withheld(rig: Rig):
    rig.trail.is_broken = True
    answer = await rig.call("GET", "/v1/workspaces/finance")
    problem(answer, 503, "audit-unavailable")
    assert "finance" not in answer.text


async def test_pages_hold_every_workspace_once(rig: Rig):
    for number in range(5):
        await rig.ok("POST", "/v1/workspaces", {"name": f"w{number}"})
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = await rig.ok("GET", "/v1/workspaces", params=query)
        assert len(page["items"]) <= 2
        seen += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["finance", "sales", "w0", "w1", "w2", "w3", "w4"]


async def test_a_cursor_that_is_not_ours_is_refused(rig: Rig):
    for cursor in ("x", "W10", "bm8", "WyJ3b3Jrc3BhY2VzIiwwLDBd", "%00"):
        answer = await rig.call("GET", f"/v1/workspaces?cursor={cursor}")
        problem(answer, 400, "bad-cursor")


async def test_a_rename_needs_the_etag_that_was_read(rig: Rig):
    path = "/v1/workspaces/finance"
    problem(await rig.call("PATCH", path, {"name": "money"}), 428, "if-match-needed")
    stale = {"If-Match": '"' + "0" * 32 + '"'}
    answer = await rig.call("PATCH", path, {"name": "money"}, headers=stale)
    problem(answer, 412, "changed-meanwhile")
    for odd in ("*", "W/" + stale["If-Match"], "nothing"):
        answer = await rig.call("PATCH", path, {"name": "money"}, headers={"If-Match": odd})
        problem(answer, 400, "malformed")
    tag = await rig.etag(path)
    assert (await rig.ok("PATCH", path, {"name": "money"}, headers=tag))["name"] == "money"
    problem(await rig.call("GET", path), 404, "not-found")
    problem(await rig.call("PATCH", path, {"name": "x"}, headers=tag), 404, "not-found")


async def test_a_taken_name_is_refused(rig: Rig):
    problem(await rig.call("POST", "/v1/workspaces", {"name": "sales"}), 409, "already-exists")
    tag = await rig.etag("/v1/workspaces/finance")
    answer = await rig.call("PATCH", "/v1/workspaces/finance", {"name": "sales"}, headers=tag)
    problem(answer, 409, "already-exists")


async def test_a_workspace_is_suspended_resumed_and_deleted(rig: Rig):
    path = "/v1/workspaces/finance"
    old = await rig.etag(path)
    assert (await rig.ok("POST", f"{path}/suspend"))["state"] == "suspended"
    problem(await rig.call("DELETE", path, headers=old), 412, "changed-meanwhile")
    assert (await rig.ok("POST", f"{path}/resume"))["state"] == "active"
    receipt = await rig.ok("DELETE", path, headers=await rig.etag(path))
    assert receipt["destroyed_root_key_versions"] == [1]
    problem(await rig.call("GET", path), 404, "not-found")


async def test_a_workspace_that_was_changed_in_the_same_moment_is_not_deleted(rig: Rig):
    path, workspace = "/v1/workspaces/finance", rig.workspaces["finance"]
    rig.trail.meanwhile = lambda: rig.store.suspend_workspace(workspace)
    answer = await rig.call("DELETE", path, headers=await rig.etag(path))
    problem(answer, 409, "changed-meanwhile")
    assert (await rig.ok("GET", path))["state"] == "suspended"
    rig.trail.meanwhile = lambda: rig.store.rename_workspace(
        replace(workspace, state="suspended"), name="money"
    )
    answer = await rig.call("DELETE", path, headers=await rig.etag(path))
    problem(answer, 409, "changed-meanwhile")
    path = "/v1/workspaces/money"
    await rig.ok("DELETE", path, headers=await rig.etag(path))


async def test_a_suspended_workspaces_key_may_do_nothing_until_it_is_resumed(rig: Rig):
    town = await settled(rig)
    role = ApiRole.WORKSPACE_ADMIN
    await rig.ok("POST", "/v1/workspaces/finance/suspend")
    said = []
    for endpoint in ENDPOINTS:
        if not may(role, endpoint.operation_id):
            continue
        for workspace in ("finance", "sales", "unknown"):
            ids = town.ids["finance"] | {"grant_id": "unknown"}
            path = endpoint.path.format(workspace=workspace, **ids)
            answer = await rig.call(endpoint.method, path, role=role)
            said.append(problem(answer, 403, "workspace-suspended")["detail"])
    assert len(said) > 90
    assert set(said) == {"The workspace of this key is suspended."}
    # The platform's keys work there as before, and its own once it is resumed.
    await rig.ok("GET", "/v1/workspaces/finance/sources")
    await rig.ok("POST", "/v1/workspaces/finance/resume")
    await rig.ok("GET", "/v1/workspaces/finance/sources", role=role)


async def test_a_workspace_administrator_sees_its_own_alone(rig: Rig):
    role = ApiRole.WORKSPACE_ADMIN
    listed = await rig.ok("GET", "/v1/workspaces", role=role)
    assert [one["name"] for one in listed["items"]] == ["finance"]
    assert (await rig.ok("GET", "/v1/workspaces/finance", role=role))["name"] == "finance"
    answers = []
    for name in ("sales", "unknown", "UPPER", "%2e%2e", "a" * 64):
        answer = await rig.call("GET", f"/v1/workspaces/{name}", role=role)
        value = problem(answer, 404, "not-found")
        answers.append({key: text for key, text in value.items() if key != "instance"})
    assert answers == [answers[0]] * len(answers)


async def test_a_deleted_workspaces_key_opens_nothing(rig: Rig):
    path = "/v1/workspaces/finance"
    await rig.ok("DELETE", path, headers=await rig.etag(path))
    answer = await rig.call("GET", "/v1/workspaces", role=ApiRole.WORKSPACE_ADMIN)
    problem(answer, 401, "unauthenticated")

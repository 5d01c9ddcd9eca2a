"""Administrators of a workspace who log in with its identity provider, and who may not."""

from __future__ import annotations

import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from proxy.administration.oidc_login import LOGIN_PREFIX
from proxy.administration.trail import event_to_json
from proxy.store import parse_token
from proxy.store.identity import LOGIN_LIFETIME
from proxy.store.records import SESSION_IDLE
from tests.admin.desk import BACK, OF, Desk, changed
from tests.admin.rig import problem
from tests.oidc.provider import SECRET, segment, signed

# --- who is let in -----------------------------------------------------------------


async def test_an_administrator_logs_in_works_and_logs_out(desk: Desk):
    rig = desk.rig
    made = await desk.log_in()
    assert (made["workspace"], made["name"]) == ("finance", "ada@example.com")
    me = await rig.ok("GET", "/v1/me", key=made["token"])
    assert (me["role"], me["workspace"], me["oidc"], me["staff"]) == (
        "workspace-admin",
        "finance",
        "ada@example.com",
        None,
    )
    await rig.ok("POST", "/v1/workspaces/finance/tokens", {"label": "x"}, key=made["token"])
    assert rig.actors() >= {"OIDC ada@example.com"}
    (listed,) = (await rig.ok("GET", f"{OF}/sessions", key=made["token"]))["items"]
    assert (listed["id"], listed["state"], listed["subject"]) == (
        made["session_id"],
        "live",
        "248289761001",
    )
    await rig.ok("POST", f"{OF}/sessions/{made['session_id']}/revoke", key=made["token"])
    assert await desk.is_over(made["token"])


async def test_it_reaches_its_own_workspace_and_no_other(desk: Desk):
    rig, token = desk.rig, (await desk.log_in())["token"]
    for path in ("", "/sources", "/tokens", "/keys", "/oidc", "/oidc/sessions", "/policy"):
        assert (await rig.call("GET", f"/v1/workspaces/finance{path}", key=token)).is_success
        answer = await rig.call("GET", f"/v1/workspaces/sales{path}", key=token)
        problem(answer, 404, "not-found")
    (own,) = (await rig.ok("GET", "/v1/workspaces", key=token))["items"]
    assert own["name"] == "finance"
    for method, path in (("GET", "/v1/keys"), ("GET", "/v1/staff"), ("DELETE", OF)):
        problem(await rig.call(method, path, key=token), 403, "forbidden")


async def test_a_session_is_no_key_and_no_key_is_a_session(desk: Desk):
    rig, made = desk.rig, await desk.log_in()
    keys = "/v1/workspaces/finance/keys"
    listed = {one["id"] for one in (await rig.ok("GET", keys))["items"]}
    assert made["session_id"] not in listed
    answer = await rig.call("POST", f"{keys}/{made['session_id']}/revoke")
    problem(answer, 404, "not-found")
    (key_id,) = listed
    problem(await rig.call("POST", f"{OF}/sessions/{key_id}/revoke"), 404, "not-found")
    assert not await desk.is_over(made["token"])


async def test_each_step_is_in_the_workspaces_log_and_no_secret_is(desk: Desk):
    rig = desk.rig
    begun, back = await desk.begun()
    made = (await desk.finish(begun["login"], back)).json()
    finance = rig.workspaces["finance"].id
    assert {event.workspace for event in rig.trail.events} == {finance}
    told = [
        (event.event_class, event.status, event.extra.get("role", "")) for event in rig.trail.events
    ]
    # The call to begin; back with a code; a session asked for, and begun; the call to finish.
    assert told == [(6003, 1, ""), (3002, 0, ""), (3002, 0, ""), (3002, 1, ""), (6003, 1, "")]
    user = event_to_json(rig.trail.events[3])["attributes"]["user"]
    assert user == {
        "name": "ada@example.com",
        "uid": "248289761001",
        "type": "workspace administrator",
    }
    assert rig.actors() == {"unknown", "OIDC ada@example.com"}
    await rig.call("GET", "/v1/workspaces/sales", key=made["token"])
    query = parse_qs(urlsplit(begun["authorization_url"]).query)
    text = repr(rig.trail.events) + json.dumps([event_to_json(one) for one in rig.trail.events])
    shown = [begun["login"], made["token"], made["device"], SECRET, desk.provider.last_token]
    shown += [back["code"], back["state"], query["nonce"][0], query["code_challenge"][0]]
    assert not [one for one in shown if one in text]
    assert "staff" not in text.replace("finance-admins", "")


async def test_a_session_ends_when_it_is_idle_and_in_any_case(desk: Desk):
    await desk.put(session_minutes=60)
    one, other = await desk.log_in(), await desk.log_in()
    for _ in range(2):
        desk.rig.clock.advance(minutes=25)
        assert not await desk.is_over(one["token"])
    assert await desk.is_over(other["token"])
    desk.rig.clock.advance(minutes=10)
    assert await desk.is_over(one["token"])
    assert timedelta(minutes=25) < SESSION_IDLE < timedelta(minutes=50)


async def test_an_address_that_is_verified_may_be_what_counts(desk: Desk):
    await desk.put(claim="email", allowed=["ada@example.com"])
    assert (await desk.log_in())["name"] == "ada@example.com"
    desk.provider.user["email_verified"] = False
    assert "verified" in await desk.refused()


async def test_who_is_in_another_group_is_not_let_in(desk: Desk):
    desk.provider.user["groups"] = ["staff"]
    assert "none of the values" in await desk.refused()
    (event,) = [one for one in desk.logins() if one.status == 2]
    user = event_to_json(event)["attributes"]["user"]
    assert (user["uid"], user["name"]) == ("248289761001", "ada@example.com")
    # Whom nobody has vouched for has no name.
    desk.provider.claim = changed(nonce="another")
    await desk.refused()
    assert event_to_json(desk.logins()[-1])["attributes"]["user"]["name"] == "unknown"


# --- what does not count as a login ------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nonce": "another"}, "claim nonce"),
        ({"aud": "another"}, "claim aud"),
        ({"iss": "https://evil.example"}, "claim iss"),
        ({"exp": 0}, "claim exp"),
        ({"iat": 4_000_000_000}, "claim iat"),
        ({"azp": "another"}, "claim azp"),
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(
    desk: Desk, changes: dict[str, Any], said: str
):
    desk.provider.claim = changed(**changes)
    assert said in await desk.refused()


async def test_a_token_without_a_signature_or_with_the_public_key_as_secret_is_refused(desk: Desk):
    public = desk.provider.keys[0].as_pem(private=False)

    def unsigned(claims: dict[str, Any]) -> str:
        return f"{segment({'alg': 'none'})}.{segment(claims)}."

    def by_mac(claims: dict[str, Any]) -> str:
        content = f"{segment({'alg': 'HS256', 'kid': 'first'})}.{segment(claims)}"
        return f"{content}.{segment(hmac.digest(public, content.encode(), 'sha256'))}"

    for forge in (unsigned, by_mac):
        desk.provider.sign = forge
        assert "algorithm" in await desk.refused()


async def test_another_ones_key_is_refused_and_a_rotated_one_is_found(desk: Desk):
    await desk.log_in()
    first = desk.provider.keys[0]
    desk.provider.rotate("second")
    second = desk.provider.keys[0]
    # Signed by whom the provider no longer, or does not yet, vouch for.
    desk.provider.sign = lambda claims: signed(claims, first, kid="nobodys")
    desk.rig.clock.advance(minutes=1)
    assert "a key that is not known" in await desk.refused()
    desk.provider.sign = lambda claims: signed(claims, first, kid="second")
    assert "not signed as it must be" in await desk.refused()
    desk.provider.sign = lambda claims: signed(claims, second)
    await desk.log_in()
    assert desk.provider.asked.count("/keys") == 2


async def test_a_state_that_is_wrong_spends_the_login(desk: Desk):
    begun, back = await desk.begun()
    other, _ = await desk.begun()
    foreign = parse_qs(urlsplit(other["authorization_url"]).query)["state"][0]
    said = await desk.not_accepted(begun["login"], back | {"state": foreign})
    assert said == "the state is not that of this login"
    before = len(desk.logins())
    problem(await desk.finish(begun["login"], back), 401, "wrong-login")
    # Of a login that is gone nobody knows whose it was.
    assert len(desk.logins()) == before
    assert desk.provider.asked.count("/token") == 0


async def test_a_login_is_finished_once(desk: Desk):
    begun, back = await desk.begun()
    assert (await desk.finish(begun["login"], back)).is_success
    problem(await desk.finish(begun["login"], back), 401, "wrong-login")
    assert desk.provider.asked.count("/token") == 1


async def test_a_code_of_one_login_is_none_of_another(desk: Desk):
    """A code that was stolen is turned in with another login's verifier (PKCE)."""
    _, stolen = await desk.begun()
    begun, back = await desk.begun()
    said = await desk.not_accepted(begun["login"], back | {"code": stolen["code"]})
    assert said == "the provider refused the code: invalid_grant"


async def test_a_code_is_turned_in_once(desk: Desk):
    begun, back = await desk.begun()
    assert (await desk.finish(begun["login"], back)).is_success
    again, fresh = await desk.begun()
    said = await desk.not_accepted(again["login"], fresh | {"code": back["code"]})
    assert said == "the provider refused the code: invalid_grant"


async def test_a_login_waits_only_so_long(desk: Desk):
    begun, back = await desk.begun()
    desk.rig.clock.advance(seconds=LOGIN_LIFETIME.total_seconds())
    assert await desk.not_accepted(begun["login"], back) == "the login took too long"


async def test_who_comes_back_from_elsewhere_has_no_code_turned_in(desk: Desk):
    begun, back = await desk.begun()
    said = await desk.not_accepted(begun["login"], back | {"iss": "https://evil.example"})
    assert said == "the user came back from another issuer"
    begun, back = await desk.begun()
    del back["iss"]
    assert "did not name itself" in await desk.not_accepted(begun["login"], back)
    assert "/token" not in desk.provider.asked


async def test_what_is_no_login_is_refused_as_one_that_is_gone(desk: Desk):
    _, back = await desk.begun()
    made = await desk.log_in()
    for login in ("x", "aco_", made["token"], LOGIN_PREFIX + "0" * 60, "é"):
        problem(await desk.finish(login, back), 401, "wrong-login")
    assert [event for event in desk.logins() if event.status == 2] == []


async def test_the_login_is_in_no_address_and_the_store_holds_no_secret(desk: Desk, tmp_path: Path):
    begun, back = await desk.begun()
    assert parse_token(begun["login"], prefix=LOGIN_PREFIX)
    assert begun["login"] not in begun["authorization_url"]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert BACK.encode() in stored
    nonce = desk.provider.codes[back["code"]].nonce
    for secret in (begun["login"], back["state"], nonce, SECRET):
        assert secret.encode() not in stored


# --- who tries ---------------------------------------------------------------------


async def test_no_workspace_no_provider_and_a_suspended_one_are_one_answer(desk: Desk):
    rig = desk.rig
    await rig.store.suspend_workspace(rig.workspaces["finance"])
    found = []
    for name in ("finance", "sales", "unknown", "No Such Name"):
        answer = problem(await desk.start(workspace=name), 404, "not-found")
        found.append({key: value for key, value in answer.items() if key != "instance"})
    assert found == found[:1] * 4
    assert desk.provider.asked == []


@pytest.mark.parametrize("uri", [BACK + "/", "https://evil.example", BACK + "?x=1", BACK.upper()])
async def test_nobody_is_taken_back_but_where_it_is_set(desk: Desk, uri: str):
    (wrong,) = problem(await desk.start(redirect_uri=uri), 422, "invalid")["errors"]
    assert wrong["pointer"] == "/redirect_uri"


async def test_who_begins_too_often_is_slowed_and_a_known_device_is_not(desk: Desk):
    made = await desk.log_in()
    statuses = [(await desk.start()).status_code for _ in range(20)]
    assert statuses.count(200) == 9
    answer = await desk.start()
    problem(answer, 429, "too-many-logins")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await desk.start(device=made["device"])).status_code == 200
    # Of another workspace it is no device.
    answer = await desk.start(device=made["device"], workspace="sales")
    problem(answer, 404, "not-found")


async def test_who_comes_back_too_often_is_slowed(desk: Desk):
    back = {"state": "x", "code": "x"}
    statuses = [(await desk.finish("x", back)).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2

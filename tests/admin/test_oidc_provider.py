"""Identity providers of workspaces: set up rightly and wrongly, hostile, changed, gone."""

from __future__ import annotations

import json
import ssl
from dataclasses import replace
from typing import Any

import pytest

from policies.egress import EgressRules
from proxy.administration.oidc import open_secret
from proxy.oidc.egress import EgressFetch
from proxy.store import ApiRole
from tests.admin.desk import OF, Desk, changed
from tests.admin.rig import problem
from tests.admin.town import a_request
from tests.oidc.provider import SECRET
from tests.servers.certificates import Certificates
from vault import UnsealError

SUPPORT = ApiRole.SUPPORT


# --- a provider that is not as it must be ------------------------------------------


async def test_a_description_that_is_large_moved_foreign_or_missing_is_not_used(desk: Desk):
    place, kind = "/.well-known/openid-configuration", {"Content-Type": "application/json"}
    moved = {"Location": f"{desk.provider.issuer}/elsewhere"}
    large = json.dumps({"x": "y" * 70_000}).encode()
    for answer, said in (
        ((200, kind, large), "more than 65536 bytes"),
        ((302, moved, b""), "leads elsewhere"),
        ((404, kind, b"{}"), "status 404"),
        ((200, {"Content-Type": "text/html"}, b"<html>"), "not sent as JSON"),
    ):
        desk.provider.answers[place] = answer
        assert said in await desk.unavailable()
    del desk.provider.answers[place]
    desk.provider.describe = changed(issuer="https://evil.example")
    assert "another issuer" in await desk.unavailable()
    assert set(desk.provider.asked) == {place}


async def test_a_provider_that_is_silent_is_not_waited_for(desk: Desk, certificates: Certificates):
    tls = ssl.create_default_context(cafile=str(certificates.ca))
    rules = EgressRules(allow_private=True)
    desk.rig.office.fetch_for = lambda _: EgressFetch(rules, None, tls, seconds=0.3)
    desk.provider.hold = True
    assert "within 0.3 seconds" in await desk.unavailable()


async def test_keys_and_tokens_at_a_private_address_are_not_fetched(
    desk: Desk, certificates: Certificates
):
    """A description may name any address; what may be dialled is decided for each of them."""
    tls = ssl.create_default_context(cafile=str(certificates.ca))
    port = desk.provider.port
    # Everything is closed but the provider's own place, by the name that it has here.
    rules = EgressRules(allow_private=True, forbidden=frozenset())
    opened = EgressFetch(rules, None, tls)
    closed = EgressFetch(EgressRules(), None, tls)

    async def fetch(request: Any) -> Any:
        is_own = request.url.startswith(f"https://localhost:{port}/")
        return await (opened if is_own else closed)(request)

    desk.rig.office.fetch_for = lambda _: fetch
    inside = f"https://127.0.0.1:{port}{desk.provider.path}"
    for name, last in (("jwks_uri", "keys"), ("token_endpoint", "token")):
        desk.provider.describe = changed(**{name: f"{inside}/{last}"})
        assert (await desk.put()).is_success
        desk.provider.asked.clear()
        begun, back = await desk.begun()
        answer = await desk.finish(begun["login"], back)
        problem(answer, 502, "provider-unavailable")
        assert desk.reason() == "the identity provider cannot be reached"
        assert f"/{last}" not in desk.provider.asked


async def test_a_test_says_what_is_wrong_to_who_may_set_it(desk: Desk):
    found = await desk.rig.ok("POST", f"{OF}/test")
    assert found["ok"]
    assert found["jwks_uri"] == f"{desk.provider.issuer}/keys"
    desk.provider.describe = changed(issuer="https://evil.example")
    found = await desk.rig.ok("POST", f"{OF}/test")
    assert (found["ok"], found["sentence"]) == (
        False,
        "The discovery document is of another issuer.",
    )
    assert "/token" not in desk.provider.asked


# --- how it is set up --------------------------------------------------------------


async def test_a_provider_is_set_shown_changed_and_removed(desk: Desk):
    rig = desk.rig
    answer = await rig.call("GET", OF)
    shown = answer.json()["provider"]
    assert (shown["issuer"], shown["session_minutes"]) == (desk.provider.issuer, 480)
    assert SECRET not in answer.text
    problem(await rig.call("PUT", OF, desk.settings()), 428, "if-match-needed")
    stale = await rig.etag(OF)
    assert (await desk.put(session_minutes=30, client_secret=None)).is_success
    answer = await rig.call("PUT", OF, desk.settings(), headers=stale)
    problem(answer, 412, "changed-meanwhile")
    problem(await rig.call("DELETE", OF, headers=stale), 412, "changed-meanwhile")
    removed = await rig.ok("DELETE", OF, headers=await rig.etag(OF))
    assert removed["issuer"] == desk.provider.issuer
    assert await rig.ok("GET", OF) == {"provider": None}
    problem(await rig.call("DELETE", OF, headers=stale), 404, "not-found")
    problem(await rig.call("POST", f"{OF}/test"), 404, "not-found")
    told = [one["secret"] for one in rig.changes() if "secret" in one]
    assert told == ["kept"]


async def test_of_two_at_once_one_is_told(desk: Desk):
    desk.rig.trail.meanwhile = lambda: desk.put(session_minutes=30)
    problem(await desk.put(session_minutes=60), 409, "changed-meanwhile")
    found = await desk.rig.ok("GET", OF)
    assert found["provider"]["session_minutes"] == 30


async def test_the_secret_stays_with_its_issuer_and_client(desk: Desk):
    """Who may change the issuer must not get the secret sent to a place of its own."""
    rig = desk.rig
    for change in (
        {"issuer": "https://evil.example"},
        {"issuer": f"{desk.provider.issuer}/"},
        {"client_id": "other"},
    ):
        problem(await desk.put(client_secret=None, **change), 400, "secret-needed")
    finance = rig.workspaces["finance"]
    stored = await rig.store.oidc.of_workspace(finance.id)
    assert stored is not None
    assert open_secret(rig.office.vault, finance, stored).reveal() == SECRET.encode()
    # Nor by the back door: a row that was edited opens nothing.
    for edited in (
        replace(stored, issuer="https://evil.example"),
        replace(stored, client_id="other"),
        replace(stored, secret_highest=stored.secret_highest + 1),
        replace(stored, id="0" * 32),
        replace(stored, workspace_id=rig.workspaces["sales"].id),
    ):
        with pytest.raises(UnsealError):
            open_secret(rig.office.vault, finance, edited)


async def test_a_secret_that_is_a_mask_is_refused(desk: Desk):
    for mask in ("********", "•••", "<redacted>", "with\nbreak"):
        answer = await desk.put(client_secret=mask)
        (wrong,) = problem(answer, 422, "invalid")["errors"]
        assert wrong["pointer"] == "/client_secret"
        assert mask not in answer.text


async def test_what_may_not_be_set_is_refused_by_its_place(desk: Desk):
    for change, pointer in (
        ({"issuer": "http://idp.example"}, "/issuer"),
        ({"redirect_uris": ["http://console.example"]}, "/redirect_uris"),
        ({"claim": "aud"}, "/claim"),
        ({"scopes": ["email"]}, "/scopes"),
        ({"session_minutes": 1}, "/session_minutes"),
        ({"unknown": 1}, "/unknown"),
    ):
        (wrong,) = problem(await desk.put(**change), 422, "invalid")["errors"]
        assert wrong["pointer"] == pointer


# --- what ends it ------------------------------------------------------------------


async def test_a_changed_provider_ends_sessions_and_logins_at_once(desk: Desk):
    made = await desk.log_in()
    begun, back = await desk.begun()
    assert (await desk.put(allowed=["finance-admins"])).is_success
    assert await desk.is_over(made["token"])
    problem(await desk.finish(begun["login"], back), 401, "wrong-login")


async def test_a_removed_provider_ends_sessions_and_logins_at_once(desk: Desk):
    rig, made = desk.rig, await desk.log_in()
    begun, back = await desk.begun()
    await rig.ok("DELETE", OF, headers=await rig.etag(OF))
    assert await desk.is_over(made["token"])
    problem(await desk.finish(begun["login"], back), 401, "wrong-login")
    problem(await desk.start(), 404, "not-found")


async def test_a_suspended_workspace_ends_them_for_good(desk: Desk):
    rig, made = desk.rig, await desk.log_in()
    begun, back = await desk.begun()
    await rig.ok("POST", "/v1/workspaces/finance/suspend")
    assert await desk.is_over(made["token"])
    problem(await desk.finish(begun["login"], back), 401, "wrong-login")
    problem(await desk.start(), 404, "not-found")
    await rig.ok("POST", "/v1/workspaces/finance/resume")
    assert await desk.is_over(made["token"])
    await desk.log_in()


async def test_a_deleted_workspace_ends_them(desk: Desk):
    rig, made = desk.rig, await desk.log_in()
    begun, back = await desk.begun()
    one = "/v1/workspaces/finance"
    await rig.ok("DELETE", one, headers=await rig.etag(one))
    assert await desk.is_over(made["token"])
    problem(await desk.finish(begun["login"], back), 401, "wrong-login")


async def test_what_changes_while_the_provider_is_asked_lets_nobody_in(desk: Desk):
    rig = desk.rig
    begun, back = await desk.begun()
    fetch_for = rig.office.fetch_for

    def meddling(workspace: Any) -> Any:
        fetch = fetch_for(workspace)

        async def ask(request: Any) -> Any:
            answer = await fetch(request)
            if request.form is not None:
                await rig.store.suspend_workspace(rig.workspaces["finance"])
            return answer

        return ask

    rig.office.fetch_for = meddling
    assert "changed meanwhile" in await desk.not_accepted(begun["login"], back)
    assert await rig.store.oidc.sessions(rig.workspaces["finance"].id) == []


async def test_an_operator_ends_a_session(desk: Desk):
    rig, made = desk.rig, await desk.log_in()
    ended = await rig.ok("POST", f"{OF}/sessions/{made['session_id']}/revoke")
    assert ended["state"] == "revoked"
    assert await desk.is_over(made["token"])
    out = [event for event in desk.logins() if event.activity == 2 and event.status == 1]
    assert [event.workspace for event in out] == [rig.workspaces["finance"].id]


# --- support grants ----------------------------------------------------------------


async def test_it_approves_a_support_grant_as_a_key_does(desk: Desk):
    rig, token = desk.rig, (await desk.log_in())["token"]
    grant = await a_request(rig, rig.workspaces["finance"])
    path = f"/v1/workspaces/finance/support-grants/{grant.id}/approve"
    approved = await rig.ok("POST", path, key=token)
    assert (approved["state"], approved["decided_by"]) == ("live", "OIDC ada@example.com")


async def test_who_set_the_provider_up_does_not_vouch_for_itself(desk: Desk):
    """An operator sets up a provider of its own, turns to the support, and asks."""
    rig = desk.rig
    person = rig.people[SUPPORT]
    before = await rig.store.oidc.of_workspace(rig.workspaces["finance"].id)
    assert before is not None
    await rig.store.oidc.put(replace(before, set_by=person.account.actor), before)
    token = (await desk.log_in())["token"]
    made = await rig.ok("POST", "/v1/workspaces/finance/keys", {"label": "x"}, key=token)
    grant = await a_request(rig, rig.workspaces["finance"])
    path = f"/v1/workspaces/finance/support-grants/{grant.id}/approve"
    for key in (token, made["secret"]):
        problem(await rig.call("POST", path, key=key), 403, "own-request")
    # Nor beforehand, which a request would not count.
    beforehand = "/v1/workspaces/finance/support-pre-approval"
    await rig.ok("PUT", beforehand, {"minutes": 60}, key=token)
    asked = {"workspace": "finance", "reason": "ticket 4711", "minutes": 60}
    grants = "/v1/support-grants"
    assert (await rig.ok("POST", grants, asked, role=SUPPORT))["state"] == "pending"
    # Also once there is another provider: the key is from before it.
    desk.rig.clock.advance(minutes=1)
    assert (await desk.put()).is_success
    problem(await rig.call("POST", path, key=made["secret"]), 403, "own-request")
    assert (await rig.ok("POST", grants, asked, role=SUPPORT))["state"] == "pending"
    assert (await rig.call("POST", path, key=(await desk.log_in())["token"])).is_success

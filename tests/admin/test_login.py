"""People: invited, enrolled, logged in, and kept out."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest

from proxy.administration.second_factor import step_at
from proxy.administration.trail import event_to_json
from proxy.store import ApiRole
from proxy.store.queries.staff import SESSION_LIMIT
from tests.admin.people import PASSWORD, Person
from tests.admin.rig import Rig, problem
from vault import Secret
from vault.totp import totp_code

OWNER = ApiRole.OWNER


async def log_in(rig: Rig, name: str, code: str, **more: Any) -> httpx.Response:
    """With the right password, where nothing else is said."""
    body = {"name": name, "password": PASSWORD, "code": code} | more
    return await rig.call("POST", "/v1/login", body, key="")


async def refused(rig: Rig, name: str, code: str, **more: Any) -> dict[str, Any]:
    found = problem(await log_in(rig, name, code, **more), 401, "wrong-login")
    return {key: value for key, value in found.items() if key != "instance"}


def owner_of(rig: Rig) -> Person:
    return rig.people[OWNER]


async def test_from_an_invitation_to_a_session_and_its_end(rig: Rig):
    made = await rig.ok("POST", "/v1/staff", {"name": "ada", "role": "auditor"}, role=OWNER)
    assert made["state"] == "invited"
    invitation = {"invitation": made["invitation"]}
    enrolled = await rig.ok("POST", "/v1/enrolment", invitation | {"password": PASSWORD}, key="")
    secret = Secret(base64.b32decode(enrolled["totp_secret"]))
    assert enrolled["totp_secret"] in enrolled["otpauth_uri"]
    code = totp_code(secret, step_at(rig.clock()))
    # Not before it is confirmed.
    assert await refused(rig, "ada", code)
    done = await rig.ok("POST", "/v1/enrolment/confirm", invitation | {"code": code}, key="")
    assert len(done["recovery_codes"]) == 10
    # The code that confirmed was used, and the invitation is gone.
    assert await refused(rig, "ada", code)
    for path, more in (("", {"password": PASSWORD}), ("/confirm", {"code": code})):
        answer = await rig.call("POST", f"/v1/enrolment{path}", invitation | more, key="")
        problem(answer, 401, "invalid-invitation")
    rig.clock.advance(seconds=30)
    code = totp_code(secret, step_at(rig.clock()))
    begun = (await log_in(rig, "ada", code, device=done["device"])).json()
    me = await rig.ok("GET", "/v1/me", key=begun["token"])
    assert (me["staff"], me["role"], me["workspace"]) == ("ada", "auditor", None)
    assert (await rig.ok("POST", "/v1/logout", key=begun["token"])) == {"ended": "session"}
    problem(await rig.call("GET", "/v1/me", key=begun["token"]), 401, "unauthenticated")
    told = repr(rig.trail.events)
    for shown in (
        made["invitation"],
        enrolled["totp_secret"],
        *done["recovery_codes"],
        done["device"],
        begun["token"],
        PASSWORD,
    ):
        assert shown not in told
    assert "staff ada" in told


async def test_a_code_works_once_and_an_earlier_one_not_after_it(rig: Rig):
    owner = owner_of(rig)
    code = owner.next_code(rig.clock)
    assert (await log_in(rig, owner.name, code)).status_code == 200
    assert await refused(rig, owner.name, code)
    earlier = totp_code(owner.totp, step_at(rig.clock()) - 1)
    assert await refused(rig, owner.name, earlier)
    assert (await log_in(rig, owner.name, owner.next_code(rig.clock))).status_code == 200


async def test_a_recovery_code_works_once(rig: Rig):
    owner = owner_of(rig)
    assert (await log_in(rig, owner.name, owner.codes[0].upper())).status_code == 200
    assert await refused(rig, owner.name, owner.codes[0])
    # Another account's code is none of this one's.
    assert await refused(rig, owner.name, rig.people[ApiRole.SUPPORT].codes[0])
    assert (await log_in(rig, owner.name, owner.codes[1])).status_code == 200


async def test_whatever_is_wrong_the_answer_is_one_and_no_second_factor_is_spent(rig: Rig):
    owner = owner_of(rig)
    invited = await rig.ok("POST", "/v1/staff", {"name": "eve", "role": "owner"}, role=OWNER)
    assert invited["state"] == "invited"
    code = owner.next_code(rig.clock)
    answers = [
        await refused(rig, "nobody", code),
        await refused(rig, "No Such Name", code),
        await refused(rig, "eve", code),
        await refused(rig, owner.name, code, password="seven green kite"),
        await refused(rig, owner.name, "000000" if code != "000000" else "111111"),
        await refused(rig, owner.name, "no-code-at-all"),
    ]
    assert answers == answers[:1] * len(answers)
    assert (await log_in(rig, owner.name, code)).status_code == 200


async def test_the_log_names_only_accounts_that_are(rig: Rig):
    await refused(rig, "my-password-by-mistake", "123456")
    await refused(rig, "the-owner", "123456", password="not the password")
    logins = [event for event in rig.trail.events if event.event_class == 3002]
    names = [event_to_json(event)["attributes"]["user"]["name"] for event in logins]
    assert names == ["unknown", "the-owner"]
    assert [event.status_detail for event in logins] == ["no such account", "wrong password"]
    assert "my-password-by-mistake" not in repr(rig.trail.events)


@pytest.mark.parametrize("name", ["nobody", "the-owner"])
async def test_a_refusal_takes_at_least_its_floor(rig: Rig, name: str):
    config = rig.office.config
    rig.office.config = replace(config, limits=replace(config.limits, failure_floor=0.2))
    began = time.monotonic()
    await refused(rig, name, "123456", password="not the password")
    assert time.monotonic() - began >= 0.2


async def test_a_code_that_is_none_takes_the_way_of_a_wrong_password(rig: Rig):
    """Else a right password would be told from a wrong one by how long the answer takes."""
    owner = owner_of(rig)
    used = owner.next_code(rig.clock)
    assert (await log_in(rig, owner.name, used)).status_code == 200
    rig.trail.events.clear()
    foreign = rig.people[ApiRole.SUPPORT].codes[0]
    for code in (used, foreign, "123456"):
        for password in (PASSWORD, "not the password"):
            await refused(rig, owner.name, code, password=password)
    kinds = [event.event_class for event in rig.trail.events]
    assert kinds == [3002, 6003] * 6
    reasons = [event.status_detail for event in rig.trail.events if event.event_class == 3002]
    assert reasons == ["wrong code", "wrong password"] * 3


async def test_who_guesses_is_slowed_and_who_is_guessed_at_logs_in(rig: Rig):
    owner = owner_of(rig)
    begun = (await log_in(rig, owner.name, owner.next_code(rig.clock))).json()
    statuses = [(await log_in(rig, owner.name, "123456")).status_code for _ in range(15)]
    assert set(statuses) == {401, 429}
    assert statuses == sorted(statuses)
    code = owner.next_code(rig.clock)
    for _ in range(3):
        await log_in(rig, owner.name, "123456")
    # Its owner, from the same address: as a stranger no, with its device yes.
    answer = await log_in(rig, owner.name, code)
    problem(answer, 429, "too-many-logins")
    assert int(answer.headers["retry-after"]) > 0
    answer = await log_in(rig, owner.name, code, device=begun["device"])
    assert answer.status_code == 200
    # A name that is nobody's is slowed alike.
    statuses = [(await log_in(rig, "nobody", "123456")).status_code for _ in range(15)]
    assert 429 in statuses


async def test_a_session_ends_when_it_is_idle_and_in_any_case(rig: Rig):
    token = owner_of(rig).token
    for _ in range(26):
        rig.clock.advance(minutes=27)
        await rig.ok("GET", "/v1/me", key=token)
    rig.clock.advance(minutes=27)
    problem(await rig.call("GET", "/v1/me", key=token), 401, "unauthenticated")
    other = rig.people[ApiRole.SUPPORT].token
    problem(await rig.call("GET", "/v1/me", key=other), 401, "unauthenticated")


async def test_sessions_are_bounded_and_the_oldest_gives_way(rig: Rig):
    owner = owner_of(rig)
    tokens = []
    for _ in range(SESSION_LIMIT):
        answer = await log_in(rig, owner.name, owner.next_code(rig.clock))
        tokens.append(answer.json()["token"])
    problem(await rig.call("GET", "/v1/me", key=owner.token), 401, "unauthenticated")
    found = await rig.ok("GET", "/v1/me/sessions", key=tokens[0])
    assert len(found["items"]) == SESSION_LIMIT
    assert [one["is_this_one"] for one in found["items"]] == [False] * (SESSION_LIMIT - 1) + [True]


async def test_a_new_password_ends_every_session(rig: Rig):
    owner = owner_of(rig)
    body = {"password": PASSWORD, "code": owner.next_code(rig.clock)}
    wrong = body | {"password": "not the password", "new_password": "nine blue boats"}
    answer = await rig.call("POST", "/v1/me/password", wrong, key=owner.token)
    problem(answer, 401, "wrong-login")
    short = body | {"new_password": "short"}
    answer = await rig.call("POST", "/v1/me/password", short, key=owner.token)
    assert "short" not in problem(answer, 422, "invalid")["detail"]
    new = body | {"new_password": "nine blue boats"}
    await rig.ok("POST", "/v1/me/password", new, key=owner.token)
    for token in (owner.token, owner.spare_token):
        problem(await rig.call("GET", "/v1/me", key=token), 401, "unauthenticated")
    assert await refused(rig, owner.name, owner.codes[0])
    answer = await log_in(rig, owner.name, owner.codes[0], password="nine blue boats")
    assert answer.status_code == 200


async def test_new_recovery_codes_void_the_earlier_ones(rig: Rig):
    owner = owner_of(rig)
    body = {"password": PASSWORD, "code": owner.next_code(rig.clock)}
    made = await rig.ok("POST", "/v1/me/recovery-codes", body, key=owner.token)
    assert await refused(rig, owner.name, owner.codes[0])
    assert (await log_in(rig, owner.name, made["recovery_codes"][0])).status_code == 200


@pytest.mark.parametrize("change", ["role", "reset", "disable"])
async def test_what_is_done_to_a_colleague_ends_its_sessions(rig: Rig, change: str):
    other = rig.people[ApiRole.OPERATOR]
    path, body = f"/v1/staff/{other.account.id}/{change}", None
    if change == "role":
        body = {"role": "support"}
    await rig.ok("POST", path, body, role=OWNER)
    for token in (other.token, other.spare_token):
        problem(await rig.call("GET", "/v1/me", key=token), 401, "unauthenticated")
    if change == "role":
        begun = (await log_in(rig, other.name, other.next_code(rig.clock))).json()
        assert begun["role"] == "support"
    else:
        assert await refused(rig, other.name, other.next_code(rig.clock))
        assert await refused(rig, other.name, other.codes[0])


async def test_a_reset_invites_anew_and_voids_what_was(rig: Rig):
    other = rig.people[ApiRole.OPERATOR]
    path = f"/v1/staff/{other.account.id}"
    await rig.ok("POST", f"{path}/disable", role=OWNER)
    first = await rig.ok("POST", f"{path}/reset", role=OWNER)
    second = await rig.ok("POST", f"{path}/reset", role=OWNER)
    for made, status in ((first, 401), (second, 200)):
        body = {"invitation": made["invitation"], "password": "nine blue boats"}
        answer = await rig.call("POST", "/v1/enrolment", body, key="")
        assert answer.status_code == status
    totp = Secret(base64.b32decode(answer.json()["totp_secret"]))
    body = {
        "invitation": second["invitation"],
        "code": totp_code(totp, step_at(rig.clock())),
    }
    await rig.ok("POST", "/v1/enrolment/confirm", body, key="")
    assert await refused(rig, other.name, other.next_code(rig.clock))
    rig.clock.advance(seconds=30)
    code = totp_code(totp, step_at(rig.clock()))
    answer = await log_in(rig, other.name, code, password="nine blue boats")
    assert answer.status_code == 200


async def test_an_invitation_has_an_end(rig: Rig):
    made = await rig.ok("POST", "/v1/staff", {"name": "ada", "role": "auditor"}, role=OWNER)
    rig.clock.advance(hours=72)
    body = {"invitation": made["invitation"], "password": PASSWORD}
    problem(await rig.call("POST", "/v1/enrolment", body, key=""), 401, "invalid-invitation")
    for text in ("aci_", "x", made["id"], rig.keys[OWNER]):
        body = {"invitation": text, "password": PASSWORD}
        problem(await rig.call("POST", "/v1/enrolment", body, key=""), 401, "invalid-invitation")


async def test_an_owner_does_nothing_to_itself(rig: Rig):
    owner = owner_of(rig)
    for change, body in (("role", {"role": "support"}), ("reset", None), ("disable", None)):
        path = f"/v1/staff/{owner.account.id}/{change}"
        answer = await rig.call("POST", path, body, key=owner.token)
        problem(answer, 409, "changed-meanwhile")
    await rig.ok("GET", "/v1/me", key=owner.token)


async def test_a_session_is_no_key_of_the_platform(rig: Rig):
    owner = owner_of(rig)
    listed = await rig.ok("GET", "/v1/keys", role=OWNER)
    assert owner.spare not in json.dumps(listed)
    answer = await rig.call("POST", f"/v1/keys/{owner.spare}/revoke", role=OWNER)
    problem(answer, 404, "not-found")
    answer = await rig.call("POST", "/v1/keys", {"role": "support", "label": "x"}, role=OWNER)
    problem(answer, 422, "invalid")


async def test_a_name_is_not_given_out_again(rig: Rig):
    answer = await rig.call("POST", "/v1/staff", {"name": "the-owner", "role": "owner"}, role=OWNER)
    problem(answer, 409, "already-exists")


async def test_an_account_is_shown_without_what_logs_in(rig: Rig):
    other = rig.people[ApiRole.OPERATOR]
    shown = await rig.ok("GET", f"/v1/staff/{other.account.id}", role=OWNER)
    assert shown["last_login_at"] is not None
    listed = await rig.ok("GET", "/v1/staff?limit=2", role=OWNER)
    assert len(listed["items"]) == 2
    rest = await rig.ok("GET", f"/v1/staff?cursor={listed['next_cursor']}", role=OWNER)
    assert shown in listed["items"] + rest["items"]
    for text in (repr(other.account.password), "argon2", "totp"):
        assert text not in json.dumps(listed) + json.dumps(rest)


async def test_a_person_is_named_in_the_log_by_name(rig: Rig):
    operator = rig.people[ApiRole.OPERATOR]
    await rig.ok("POST", "/v1/workspaces", {"name": "new"}, key=operator.token)
    named = {
        "Idempotency-Key": "a-persons-call",
    }
    for _ in range(2):
        answer = await rig.call(
            "POST", "/v1/workspaces", {"name": "hr"}, key=operator.token, headers=named
        )
        assert answer.status_code == 201
    assert rig.actors() == {"staff the-operator"}


async def test_without_the_record_nobody_logs_in(rig: Rig):
    owner = owner_of(rig)
    before = await rig.store.staff.sessions(owner.account.id)
    rig.trail.is_broken = True
    answer = await log_in(rig, owner.name, owner.next_code(rig.clock))
    problem(answer, 503, "audit-unavailable")
    assert await rig.store.staff.sessions(owner.account.id) == before


async def test_a_key_that_comes_with_an_open_call_is_not_looked_at(rig: Rig):
    body = {"name": "nobody", "password": PASSWORD, "code": "123456"}
    answer = await rig.call("POST", "/v1/login", body, role=OWNER)
    problem(answer, 401, "wrong-login")
    assert rig.actors() == {"unknown"}
    for method, path in (("GET", "/v1/login"), ("POST", "/v1/login/"), ("DELETE", "/v1/enrolment")):
        problem(await rig.call(method, path, key=""), 401, "unauthenticated")

"""What every call passes: key, rates, host, headers, and the record of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from proxy.admin.app import bare_app, build_app
from proxy.admin.endpoints import workspaces
from proxy.admin.threshold import COST_OF_A_WRONG_KEY, MOST_AT_ONCE, Threshold
from proxy.administration.api_keys import recognise, revoke_api_key
from proxy.store import ApiRole, new_token
from proxy.store.api_keys import new_api_key
from tests.admin.rig import Rig, problem


def altered(key: str, place: int) -> str:
    return key[:place] + ("A" if key[place] != "A" else "B") + key[place + 1 :]


async def test_only_the_whole_key_opens(rig: Rig):
    key = rig.keys[ApiRole.OPERATOR]
    wrong = [altered(key, place) for place in (0, 4, 20, 63)]
    for text in [*wrong, key[:-1], key + "0", new_api_key(), new_token(), "x" * 128, "é"]:
        sent = text.encode()
        headers = {b"Authorization": b"Bearer " + sent}
        answer = await rig.http.get("/v1/me", headers=headers)
        problem(answer, 401, "unauthenticated")
        assert text not in answer.text


async def test_only_a_bearer_token_is_a_key(rig: Rig):
    for form in ("Basic {}", "{}", "Bearer  {}", "Bearer {} x", "bearer\t{}"):
        headers = {"Authorization": form.format(rig.keys[ApiRole.OWNER])}
        problem(await rig.http.get("/v1/me", headers=headers), 401, "unauthenticated")


async def test_two_authorizations_are_none(rig: Rig):
    value = f"Bearer {rig.keys[ApiRole.OWNER]}".encode()
    headers = [(b"Authorization", value), (b"Authorization", value)]
    problem(await rig.http.get("/v1/me", headers=headers), 401, "unauthenticated")


async def test_a_revoked_and_an_expired_key_open_nothing(rig: Rig):
    text, key = await rig.key(ApiRole.OWNER, expires_at=rig.clock() + timedelta(hours=1))
    assert (await rig.ok("GET", "/v1/me", key=text))["id"] == key.id
    rig.clock.advance(hours=2)
    problem(await rig.call("GET", "/v1/me", key=text), 401, "unauthenticated")
    text, key = await rig.key(ApiRole.OWNER)
    await revoke_api_key(rig.place, None, key.id)
    problem(await rig.call("GET", "/v1/me", key=text), 401, "unauthenticated")


async def test_a_keys_use_is_noted_once_a_minute(rig: Rig):
    text, key = await rig.key(ApiRole.OWNER)
    for minutes, noted in ((0.0, True), (0.5, False), (1.0, True)):
        rig.clock.advance(minutes=minutes)
        await recognise(rig.store, text, rig.clock())
        found = await rig.store.api_keys.find(key.id)
        assert found is not None
        assert (found.last_used_at == rig.clock()) is noted


HOSTS = [
    ("localhost", True),
    ("localhost:8432", True),
    ("127.0.0.1:8432", True),
    ("[::1]:8432", True),
    ("LOCALHOST", True),
    ("attacker.example", False),
    ("attacker.example:8432", False),
    ("localhost.attacker.example", False),
    ("localhost:99999999", False),
    ("", False),
    ("localhost@attacker.example", False),
]


async def test_a_name_that_is_not_ours_gets_no_answer(rig: Rig):
    for host, is_ours in HOSTS:
        answer = await rig.call("GET", "/v1/me", headers={"Host": host})
        if is_ours:
            assert answer.status_code == 200
        else:
            problem(answer, 421, "misdirected")


async def test_every_answer_forbids_to_keep_or_frame_it(rig: Rig):
    for path, key in (("/v1/me", None), ("/v1/me", ""), ("/nowhere", None)):
        headers = (await rig.call("GET", path, key=key)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


async def test_every_call_is_recorded_with_who_and_what(rig: Rig):
    await rig.call("GET", "/v1/workspaces/finance", role=ApiRole.WORKSPACE_ADMIN)
    await rig.call("GET", "/v1/workspaces/sales", role=ApiRole.WORKSPACE_ADMIN)
    await rig.call("POST", "/v1/workspaces", {"name": "x"}, role=ApiRole.AUDITOR)
    await rig.call("GET", "/v1/workspaces", key="")
    await rig.call("GET", "/nowhere")
    await rig.call("PUT", "/v1/workspaces")
    told = [
        (
            event.attributes["api"]["operation"],  # type: ignore[index]
            event.status_code,
            event.action.name,
            event.workspace == rig.workspaces["finance"].id,
        )
        for event in rig.calls()
    ]
    assert told == [
        ("getWorkspace", "200", "ALLOWED", True),
        # A key of finance that asked for another: finance's own log tells of it.
        ("getWorkspace", "404", "DENIED", True),
        ("createWorkspace", "403", "DENIED", False),
        ("unknown", "401", "DENIED", False),
        ("unknown", "404", "DENIED", False),
        ("unknown", "405", "DENIED", False),
    ]


async def test_a_secret_in_the_path_is_not_recorded(rig: Rig):
    token = new_token()
    await rig.call("POST", f"/v1/workspaces/finance/tokens/{token}/revoke")
    await rig.call("GET", f"/v1/workspaces/{rig.keys[ApiRole.OWNER]}")
    assert len(rig.calls()) == 2
    assert token not in repr(rig.trail.events)
    assert rig.keys[ApiRole.OWNER] not in repr(rig.trail.events)


async def test_what_is_not_there_and_not_allowed_are_problems(rig: Rig):
    problem(await rig.call("GET", "/nowhere"), 404, "not-found")
    answer = await rig.call("DELETE", "/v1/workspaces")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]


async def test_a_key_that_calls_too_often_waits(rig: Rig):
    async with _client(rig, calls_per_key=60) as http:
        headers = {"Authorization": f"Bearer {rig.keys[ApiRole.OWNER]}"}
        for _ in range(10):
            assert (await http.get("/v1/me", headers=headers)).status_code == 200
        rig.trail.events.clear()
        for _ in range(3):
            answer = await http.get("/v1/me", headers=headers)
            problem(answer, 429, "too-many-calls")
            assert answer.headers["retry-after"] == "1"
        # One record tells of all three.
        assert [event.status_code for event in rig.calls()] == ["429"]
        other = {"Authorization": f"Bearer {rig.keys[ApiRole.AUDITOR]}"}
        assert (await http.get("/v1/me", headers=other)).status_code == 200
        rig.clock.advance(seconds=1)
        assert (await http.get("/v1/me", headers=headers)).status_code == 200


async def test_wrong_keys_cost_their_address_more(rig: Rig):
    async with _client(rig, calls_per_address=600) as http:
        burst = 60
        for _ in range(int(burst / (COST_OF_A_WRONG_KEY + 1)) + 1):
            problem(await http.get("/v1/me"), 401, "unauthenticated")
        problem(await http.get("/v1/me"), 429, "too-many-calls")


async def test_a_bug_is_told_as_one_and_nothing_of_it(rig: Rig, capsys: pytest.CaptureFixture[str]):
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("the password is hunter22")

    app = Threshold(broken, rig.office, lambda: 0.0)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        headers = {"Authorization": f"Bearer {rig.keys[ApiRole.OWNER]}"}
        problem(await http.get("/v1/me", headers=headers), 500, "internal")
    assert "hunter22" not in capsys.readouterr().out
    assert [event.status_code for event in rig.calls()] == ["500"]


async def test_a_bug_of_an_endpoint_is_told_as_one_too(
    rig: Rig, capsys: pytest.CaptureFixture[str]
):
    rig.proxy.bug = RuntimeError("the password is hunter22")
    answer = await rig.call("GET", "/v1/workspaces/finance/sessions")
    problem(answer, 500, "internal")
    told = capsys.readouterr()
    assert "hunter22" not in answer.text + told.out + told.err
    assert [event.status_code for event in rig.calls()] == ["500"]


async def test_no_more_calls_are_under_way_than_there_is_room_for(rig: Rig):
    inside, go_on = asyncio.Barrier(MOST_AT_ONCE + 1), asyncio.Event()

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        if not go_on.is_set():
            await inside.wait()
            await go_on.wait()
        await Response(status_code=204)(scope, receive, send)

    app = Threshold(waiting, rig.office, lambda: 0.0)
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {rig.keys[ApiRole.OWNER]}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        calls = [asyncio.create_task(http.get("/", headers=headers)) for _ in range(MOST_AT_ONCE)]
        await inside.wait()
        problem(await http.get("/", headers=headers), 503, "busy")
        go_on.set()
        assert {(await call).status_code for call in calls} == {204}
        assert (await http.get("/", headers=headers)).status_code == 204


def test_an_endpoint_that_no_role_is_named_for_does_not_start():
    endpoint = workspaces.ENDPOINTS[0]
    app = bare_app()
    with pytest.raises(KeyError):
        type(endpoint)("GET", "/v1/new", "newThing", endpoint.function, "New").add_to(app)


def _client(rig: Rig, **admin: Any) -> httpx.AsyncClient:
    """A client of the same office under other rates."""
    config = rig.office.config
    rig.office.config = replace(config, admin=replace(config.admin, **admin))
    app = build_app(rig.office, lambda: rig.clock().timestamp())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost")

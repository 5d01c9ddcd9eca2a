from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from proxy.store import PoolSettings, SealedCredential, open_credential, seal_credential
from proxy.store.pooling import PoolMode
from tests.admin.rig import Rig, problem
from tests.admin.town import a_source
from vault import Secret

ALL = "/v1/workspaces/finance/sources"
ONE = f"{ALL}/orders"
PASSWORD = "correct horse battery"
NEW: dict[str, Any] = {
    "name": "orders",
    "engine": "postgresql",
    "host": "db.example.com",
    "port": 5432,
    "database": "orders",
    "username": "app",
    "password": PASSWORD,
}


async def opened(rig: Rig, name: str = "orders") -> bytes:
    """The stored password, opened for where the source points now."""
    workspace = rig.workspaces["finance"]
    source = await rig.store.source(workspace, name)
    return open_credential(rig.office.vault, workspace, source).reveal()


async def test_a_source_is_added_and_its_password_never_shown(rig: Rig):
    made = await rig.call("POST", ALL, NEW)
    assert made.status_code == 201
    assert made.headers["location"] == ONE
    assert made.json()["has_password"] is True
    assert await opened(rig) == PASSWORD.encode()
    shown = await rig.call("GET", ONE)
    assert shown.json() == made.json()
    (stored,) = [
        event
        for event in rig.trail.events
        if event.message == "Credential stored" and event.status == 1
    ]
    assert stored.attributes["src_endpoint"] == {"ip": "192.0.2.7"}
    texts = [made.text, shown.text, (await rig.call("GET", ALL)).text, repr(rig.trail.events)]
    assert not [text for text in texts if PASSWORD in text or "correct" in text]
    assert not [key for key in json.loads(shown.text) if key in ("password", "client_key")]


async def test_what_was_read_can_be_written_back_only_without_what_is_not_the_callers(rig: Rig):
    await rig.ok("POST", ALL, NEW)
    shown = (await rig.call("GET", ONE)).json()
    tag = await rig.etag(ONE)
    problem(await rig.call("PATCH", ONE, shown, headers=tag), 422, "invalid")
    for field in ("id", "version", "engine", "workspace_id", "has_password", "policy"):
        answer = await rig.call("PATCH", ONE, {field: shown.get(field, "x")}, headers=tag)
        problem(answer, 422, "invalid")
    kept = {name: shown[name] for name in ("host", "port", "tls", "pooling", "auth_methods")}
    assert (await rig.ok("PATCH", ONE, kept, headers=tag))["version"] == 2
    assert await opened(rig) == PASSWORD.encode()


async def test_every_routing_field_needs_the_secret_again(rig: Rig):
    await rig.ok("POST", ALL, NEW)
    elsewhere: dict[str, Any] = {
        "host": "evil.example.com",
        "port": 5433,
        "database": "other",
        "username": "root",
        "tls": {"mode": "require"},
    }
    for field, value in elsewhere.items():
        tag = await rig.etag(ONE)
        problem(await rig.call("PATCH", ONE, {field: value}, headers=tag), 400, "secret-needed")
        assert await opened(rig) == PASSWORD.encode()
    for field, value in elsewhere.items():
        change = {field: value, "password": f"new for {field}"}
        await rig.ok("PATCH", ONE, change, headers=await rig.etag(ONE))
        assert await opened(rig) == f"new for {field}".encode()


async def test_a_mask_is_no_password(rig: Rig):
    for mask in ("*", "********", "\u2022" * 8, "[redacted]", "<hidden>", "REDACTED"):
        problem(await rig.call("POST", ALL, NEW | {"password": mask}), 422, "invalid")
    await rig.ok("POST", ALL, NEW)
    problem(await rig.call("POST", f"{ONE}/rotate", {"password": "********"}), 422, "invalid")
    answer = await rig.call("PATCH", ONE, {"password": "***"}, headers=await rig.etag(ONE))
    problem(answer, 422, "invalid")
    assert await opened(rig) == PASSWORD.encode()


async def test_a_secret_is_removed_by_null_and_only_where_none_is_needed(rig: Rig):
    await rig.ok("POST", ALL, NEW)
    tag = await rig.etag(ONE)
    problem(await rig.call("PATCH", ONE, {"password": None}, headers=tag), 422, "invalid")
    change = {"password": None, "auth_methods": ["trust"]}
    assert (await rig.ok("PATCH", ONE, change, headers=tag))["has_password"] is False


async def test_a_password_is_rotated(rig: Rig):
    await rig.ok("POST", ALL, NEW)
    tag = await rig.etag(ONE)
    await rig.ok("POST", f"{ONE}/rotate", {"password": "battery staple"})
    assert await opened(rig) == b"battery staple"
    # What was read before is no longer what is there.
    answer = await rig.call("PATCH", ONE, {"compression": ""}, headers=tag)
    problem(answer, 412, "changed-meanwhile")
    problem(await rig.call("POST", f"{ONE}/rotate", {}), 422, "invalid")


async def test_a_key_without_its_certificate_is_refused(rig: Rig):
    answer = await rig.call("POST", ALL, NEW | {"client_key": "-----BEGIN PRIVATE KEY-----"})
    found = problem(answer, 422, "invalid")
    assert found["errors"] == [
        {"pointer": "/tls/client_cert", "detail": "these are no certificates in PEM"}
    ]


async def test_a_place_that_is_not_allowed_is_refused(rig: Rig):
    for host in ("169.254.169.254", "a b", "db.example.com,evil.example", "http://x", "0x7f.1"):
        problem(await rig.call("POST", ALL, NEW | {"host": host}), 422, "invalid")
    problem(await rig.call("POST", ALL, NEW | {"port": 22}), 422, "invalid")


SEVERAL: dict[str, Any] = {
    "other_hosts": [
        {"host": "db2.example.com", "port": 5433},
        {"host": "2001:db8::2", "port": 5432},
    ],
    "target_session_attrs": "read-write",
    "load_balance_hosts": "random",
}


async def test_a_source_of_several_hosts_is_added_shown_and_changed(rig: Rig):
    made = await rig.ok("POST", ALL, NEW | SEVERAL)
    assert {name: made[name] for name in SEVERAL} == SEVERAL
    stored = await rig.store.source(rig.workspaces["finance"], "orders")
    assert [str(one) for one in stored.endpoints] == [
        "db.example.com:5432",
        "db2.example.com:5433",
        "[2001:db8::2]:5432",
    ]
    # Which of them a session gets is no other place.
    change = {"target_session_attrs": "prefer-standby", "load_balance_hosts": "disable"}
    changed = await rig.ok("PATCH", ONE, change, headers=await rig.etag(ONE))
    assert changed["other_hosts"] == SEVERAL["other_hosts"]
    assert {name: changed[name] for name in change} == change
    assert await opened(rig) == PASSWORD.encode()
    # What is not given stays, the hosts too.
    kept = await rig.ok("PATCH", ONE, {"compression": ""}, headers=await rig.etag(ONE))
    assert {name: kept[name] for name in SEVERAL} == {name: changed[name] for name in SEVERAL}
    told = [str(event.extra) for event in rig.trail.events if event.event_class == 3004]
    assert [("db2.example.com:5433" in one) for one in told] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    "others",
    [
        [],
        SEVERAL["other_hosts"][:1],
        SEVERAL["other_hosts"][::-1],
        [*SEVERAL["other_hosts"], {"host": "evil.example.com", "port": 5432}],
        [{"host": "db2.example.com", "port": 5434}, SEVERAL["other_hosts"][1]],
    ],
)
async def test_other_hosts_need_the_secret_again(rig: Rig, others: list[dict[str, Any]]):
    await rig.ok("POST", ALL, NEW | SEVERAL)
    tag = await rig.etag(ONE)
    change = {"other_hosts": others}
    problem(await rig.call("PATCH", ONE, change, headers=tag), 400, "secret-needed")
    assert await opened(rig) == PASSWORD.encode()
    changed = await rig.ok("PATCH", ONE, change | {"password": "given again"}, headers=tag)
    assert changed["other_hosts"] == others
    assert await opened(rig) == b"given again"


@pytest.mark.parametrize(
    "wrong",
    [
        {"other_hosts": [{"host": "169.254.169.254", "port": 5432}]},
        {"other_hosts": [{"host": "a,b", "port": 5432}]},
        {"other_hosts": [{"host": "db2.example.com", "port": 22}]},
        {"other_hosts": [{"host": "db2.example.com", "port": 0}]},
        {"other_hosts": [{"host": "DB.example.com", "port": 5432}]},
        {"other_hosts": [{"host": f"db{n}.example.com", "port": 5432} for n in range(8)]},
        {"other_hosts": [{"host": "db2.example.com", "port": 5432, "user": "x"}]},
        {"other_hosts": ["db2.example.com"]},
        {"target_session_attrs": "primaryish"},
        {"load_balance_hosts": "yes"},
    ],
)
async def test_hosts_that_cannot_be_are_refused(rig: Rig, wrong: dict[str, Any]):
    problem(await rig.call("POST", ALL, NEW | wrong), 422, "invalid")
    await rig.ok("POST", ALL, NEW)
    answer = await rig.call("PATCH", ONE, wrong | {"password": "x"}, headers=await rig.etag(ONE))
    problem(answer, 422, "invalid")


async def test_every_mode_of_pooling_is_shown(rig: Rig):
    for mode in get_args(PoolMode):
        pooling = PoolSettings(mode=mode)
        await a_source(rig, "finance", f"pooled-{mode}", pooling=pooling)
        shown = await rig.ok("GET", f"{ALL}/pooled-{mode}")
        assert shown["pooling"]["mode"] == mode
        kept = {"pooling": shown["pooling"]}
        tag = await rig.etag(f"{ALL}/pooled-{mode}")
        assert (await rig.ok("PATCH", f"{ALL}/pooled-{mode}", kept, headers=tag))["version"] == 2


async def test_a_source_is_tested_by_the_running_proxy(rig: Rig):
    source = await a_source(rig, "finance", "orders")
    told = await rig.ok("POST", f"{ONE}/test")
    assert told["ok"] is True
    expected = {"workspace": "finance", "source": "orders", "source_id": source.id}
    assert rig.proxy.calls == [("source.test", expected)]
    rig.proxy.is_running = False
    found = problem(await rig.call("POST", f"{ONE}/test"), 503, "proxy-not-running")
    assert found["detail"] == "No proxy is running here."


async def test_a_source_is_removed(rig: Rig):
    await a_source(rig, "finance", "orders")
    problem(await rig.call("DELETE", ONE), 428, "if-match-needed")
    await rig.ok("DELETE", ONE, headers=await rig.etag(ONE))
    problem(await rig.call("GET", ONE), 404, "not-found")


async def test_a_source_that_was_changed_in_the_same_moment_is_not_removed(rig: Rig):
    source = await a_source(rig, "finance", "orders")
    workspace = rig.workspaces["finance"]
    sealed = seal_credential(rig.office.vault, workspace, source, Secret(b"battery staple"))

    async def rotate() -> None:
        await rig.store.rotate_credential(source, SealedCredential(password=sealed))

    async def edit() -> None:
        await rig.store.edit_source(await rig.store.source(workspace, "orders"))

    for change in (rotate, edit):
        tag = await rig.etag(ONE)
        rig.trail.meanwhile = change
        problem(await rig.call("DELETE", ONE, headers=tag), 409, "changed-meanwhile")
        assert rig.trail.meanwhile is None
    assert await opened(rig) == b"battery staple"
    await rig.ok("DELETE", ONE, headers=await rig.etag(ONE))


async def test_sources_are_paged_by_name(rig: Rig):
    for name in ("c", "a", "b"):
        await a_source(rig, "finance", name)
    first = await rig.ok("GET", ALL, params={"limit": "2"})
    assert [one["name"] for one in first["items"]] == ["a", "b"]
    rest = await rig.ok("GET", ALL, params={"limit": "2", "cursor": first["next_cursor"]})
    assert ([one["name"] for one in rest["items"]], rest["next_cursor"]) == (["c"], None)

"""A whole workspace out and in: equal, without secrets, and whole or not at all."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from policies.document import policy_from
from proxy.administration.policies import set_policy
from proxy.cli import cli
from proxy.content.archive import MAX_ARCHIVE, Archive, archive_text, export_workspace
from proxy.content.restoring import import_workspace
from proxy.store import (
    AlreadyExists,
    Endpoint,
    Failover,
    PoolSettings,
    SealedCredential,
    TlsSettings,
    draft_source,
    open_credential,
    seal_credential,
)
from tests.admin.rig import Rig, problem
from tests.admin.town import a_source, settled
from tests.canary.forms import Canary
from vault import Secret

PASSWORD = "correct horse"
SECRETS = {"orders": {"password": PASSWORD}}


async def filled(rig: Rig) -> dict[str, Any]:
    """The finance workspace with something of all kinds; its archive."""
    await settled(rig)
    finance = rig.workspaces["finance"]
    draft = draft_source(
        finance,
        "shop",
        engine="postgresql",
        host="one.example.com",
        port=5432,
        database="shop",
        username="app",
        tls=TlsSettings(
            pins=tuple(f"sha256/{a * 43}=" for a in "AE"), server_name="db.example.com"
        ),
        pooling=PoolSettings("session", 1, 5),
        failover=Failover((Endpoint("two.example.com", 5433),), "read-write", "random"),
    )
    sealed = seal_credential(rig.office.vault, finance, draft, Secret(b"hunter2-canary-Zq"))
    await rig.store.add_source(draft, SealedCredential(password=sealed))
    shop = await rig.store.source(finance, "shop")
    await set_policy(rig.place, finance, shop, policy_from({"version": 1, "access": "read-only"}))
    value: dict[str, Any] = await rig.ok("GET", "/v1/workspaces/finance/archive")
    return value


async def put(rig: Rig, archive: Any, secrets: Any = None, **more: Any) -> Any:
    given = SECRETS | {"shop": {"password": "hunter2"}} if secrets is None else secrets
    body = {"name": "restored", "archive": archive, "secrets": given} | more
    return await rig.call("POST", "/v1/workspaces/import", body)


async def test_what_goes_out_comes_back_equal(rig: Rig):
    archive = await filled(rig)
    answer = await put(rig, archive)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "name": "restored",
        "is_dry_run": False,
        "sources": ["orders", "shop"],
        "workflows": ["nightly"],
        "dashboards": ["figures"],
        "needed": [],
    }
    again = await rig.ok("GET", "/v1/workspaces/restored/archive")
    assert again == archive | {"name": "restored"}
    # Deterministic, to the byte.
    place = rig.place
    first, second = [await export_workspace(place, "restored") for _ in range(2)]
    assert archive_text(first) == archive_text(second)
    assert Archive.read(archive_text(first)) == first


async def test_secrets_are_sealed_to_the_new_workspace(rig: Rig):
    await put(rig, await filled(rig))
    made = await rig.store.workspace("restored")
    old = await rig.store.source(rig.workspaces["finance"], "orders")
    orders = await rig.store.source(made, "orders")
    assert open_credential(rig.office.vault, made, orders).reveal() == PASSWORD.encode()
    assert (orders.id, orders.workspace_id) != (old.id, old.workspace_id)
    assert made.root_key != rig.workspaces["finance"].root_key
    assert made.scram_salt != rig.workspaces["finance"].scram_salt


async def test_no_secret_is_in_an_archive_an_answer_or_a_record(rig: Rig):
    archive = await filled(rig)
    canaries = [
        Canary("orders' password", PASSWORD.encode(), users=("app",)),
        Canary("the shop's password", b"hunter2-canary-Zq", users=("app",)),
        *(Canary(f"the {role} key", text.encode()) for role, text in rig.keys.items()),
    ]
    answers = [await put(rig, archive, {"orders": {"password": "hunter2-canary-Zq"}})]
    secrets = {"orders": {"password": PASSWORD}, "shop": {"password": "hunter2-canary-Zq"}}
    answers += [await put(rig, archive, secrets), await put(rig, archive, secrets)]
    assert [one.status_code for one in answers] == [422, 200, 422]
    seen = json.dumps(archive).encode() + b"".join(one.content for one in answers)
    seen += repr(rig.trail.events).encode()
    for canary in canaries:
        for form, secret in canary.forms().items():
            assert secret not in seen, f"{canary.name} as {form}"


async def test_what_is_wrong_is_told_before_anything_is_stored(rig: Rig):
    archive = await filled(rig)
    before = [one.name for one in await rig.store.list_workspaces()]
    wrong = copy.deepcopy(archive)
    del wrong["sources"]["shop"]
    wrong["dashboards"]["figures"]["panels"][0]["query"]["source"] = "shop"
    wrong["workflows"]["nightly"]["surprise"] = 1
    wrong["policy"]["access"] = "some"
    wrong["sources"]["orders"]["port"] = 0
    told = problem(await put(rig, wrong, {}, name="sales"), 422, "invalid")["errors"]
    assert {one["pointer"] for one in told} == {
        "/archive",
        "/archive/policy/access",
        "/archive/sources/orders",
        "/archive/workflows/nightly/surprise",
        "/archive/dashboards/figures/panels/0/query/source",
    }
    assert "A workspace of that name already exists." in [one["detail"] for one in told]
    assert [one.name for one in await rig.store.list_workspaces()] == before


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("sources", "orders", "tls", "surprise"), 1),
        (("sources", "orders", "surprise"), 1),
        (("surprise",), 1),
        (("sources", "orders", "tls", "mode"), 5),
        (("sources", "orders", "pooling"), {"mode": "some"}),
        (("sources", "orders", "secrets"), ["root_key"]),
        (("sources", "orders", "engine"), "oracle"),
        (("version",), 2),
        (("format",), "accode.content"),
        (("sources", "orders", "secrets"), []),
        (("sources", "Or ders"), {}),
        (("scram_iterations",), 0),
    ],
)
async def test_an_archive_that_is_not_exactly_one_is_refused(rig: Rig, place: Any, value: Any):
    archive = await filled(rig)
    inner = archive
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    problem(await put(rig, archive), 422, "invalid")
    assert await rig.store.find_workspace("restored") is None


async def test_a_dry_run_tells_which_secrets_are_needed(rig: Rig):
    archive = await filled(rig)
    dry = (await put(rig, archive, {}, dry_run=True)).json()
    assert dry["needed"] == [
        {"source": "orders", "field": "password"},
        {"source": "shop", "field": "password"},
    ]
    assert await rig.store.find_workspace("restored") is None
    told = problem(await put(rig, archive, SECRETS), 422, "invalid")["errors"]
    assert told == [{"detail": "Its password must be given.", "pointer": "/archive/sources/shop"}]
    for odd in (SECRETS | {"nowhere": {"password": "x"}}, SECRETS | {"shop": {"password": "***"}}):
        problem(await put(rig, archive, odd), 422, "invalid")


async def test_it_is_stored_whole_or_not_at_all(rig: Rig):
    archive = await filled(rig)
    rig.trail.is_broken = True
    problem(await put(rig, archive), 503, "audit-unavailable")
    rig.trail.is_broken = False
    assert await rig.store.find_workspace("restored") is None
    text = json.dumps(archive)
    secrets: Any = SECRETS | {"shop": {"password": "hunter2"}}
    await import_workspace(rig.place, "restored", text, secrets)
    # Somebody takes the name between the check and the change.
    with pytest.raises(AlreadyExists):
        await _raced(rig, text, secrets)
    names = [one.name for one in await rig.store.list_workspaces()]
    assert names == ["finance", "late", "restored", "sales"]
    assert await rig.store.list_sources(await rig.store.workspace("late")) == []


async def _raced(rig: Rig, text: str, secrets: Any) -> None:
    class Racing(type(rig.trail)):  # type: ignore[misc]
        async def record(self, event: Any) -> None:
            """The first record comes when all has been checked."""
            if await rig.store.find_workspace("late") is None:
                key = rig.office.vault.new_root_key("f" * 32)
                await rig.store.create_workspace("late", key)
            await super().record(event)

    rig.office.trail = Racing()
    await import_workspace(rig.place, "late", text, secrets)


def test_the_largest_archive_has_its_limit():
    with pytest.raises(Exception, match="more than 8388608 bytes"):
        Archive.read(b" " * (MAX_ARCHIVE + 1))


async def test_the_command_line_does_the_same(rig: Rig, tmp_path: Path):
    await a_source(rig, "finance", "orders")
    config = tmp_path / "accode.toml"
    config.write_text(
        f'[store]\nurl = "sqlite:///{tmp_path}/store.db"\n[keys]\nfile = "{tmp_path}/key"\n'
        f'[control]\nsocket = "{tmp_path}/none.sock"\n[audit]\nfolder = "{tmp_path}/audit"\n'
    )

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, ["--config", str(config), "workspace", *arguments])
        assert done.exit_code == code, done.output
        return done.output

    file, secrets = tmp_path / "finance.json", tmp_path / "secrets.json"
    secrets.write_text(json.dumps(SECRETS))

    def work() -> None:
        run("export", "finance", str(file))
        assert "correct horse" not in file.read_text()
        dry = run("import", str(file), "--as", "moved", "--dry-run")
        assert "To be given: the password of orders." in dry
        assert "password must be given" in run("import", str(file), "--as", "moved", code=1)
        run("import", str(file), "--as", "moved", "--secrets", str(secrets))
        moved = run("export", "moved", "-")
        assert json.loads(moved) == json.loads(file.read_text()) | {"name": "moved"}

    await asyncio.to_thread(work)

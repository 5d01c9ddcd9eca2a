import asyncio
from dataclasses import replace
from typing import Any

import pytest

from proxy.store import (
    AlreadyExists,
    Conflict,
    Endpoint,
    Failover,
    InvalidName,
    InvalidSetting,
    LimitReached,
    NotFound,
    RoutingChangeNeedsSecret,
    SealedCredential,
    Source,
    Store,
    StoreCorrupt,
    TlsSettings,
    Workspace,
    draft_source,
    new_id,
    open_credential,
    seal_credential,
)
from proxy.store.queries import sources as queries
from tests.store.stores import a_workspace, run_sql
from vault import Secret, UnsealError, Vault

PASSWORD = Secret(b"a password of the database")
NEW_PASSWORD = Secret(b"another password")


def a_draft(workspace: Workspace, name: str = "orders", **changes: Any) -> Source:
    draft = draft_source(
        workspace,
        name,
        engine="postgresql",
        host="db.example",
        port=5432,
        database="orders",
        username="app",
    )
    return replace(draft, **changes)


def sealed_for(
    vault: Vault, workspace: Workspace, source: Source, secret: Secret = PASSWORD
) -> SealedCredential:
    return SealedCredential(password=seal_credential(vault, workspace, source, secret))


async def a_source(
    store: Store, vault: Vault, workspace: Workspace, name: str = "orders", **changes: Any
) -> Source:
    draft = a_draft(workspace, name, **changes)
    return await store.add_source(draft, sealed_for(vault, workspace, draft))


async def test_a_source_is_found_as_it_was_added(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    added = await a_source(store, vault, workspace)
    found = await store.source(workspace, "orders")
    assert found == added
    assert found.version == found.password_version == 1
    assert await store.list_sources(workspace) == [added]
    assert open_credential(vault, workspace, found) == PASSWORD


SEVERAL = Failover(
    (Endpoint("standby.example", 5432), Endpoint("2001:db8::1", 5433)), "read-write", "random"
)


async def test_several_hosts_are_found_as_they_were_added(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    added = await a_source(store, vault, workspace, failover=SEVERAL)
    found = await store.source(workspace, "orders")
    assert found == added
    assert found.failover == SEVERAL
    assert [str(one) for one in found.endpoints] == [
        "db.example:5432",
        "standby.example:5432",
        "[2001:db8::1]:5433",
    ]
    assert open_credential(vault, workspace, found) == PASSWORD


@pytest.mark.parametrize(
    "others",
    [
        (),
        SEVERAL.others[:1],
        SEVERAL.others[::-1],
        (*SEVERAL.others, Endpoint("evil.example", 5432)),
        (Endpoint("evil.example", 5432), SEVERAL.others[1]),
        (Endpoint("standby.example", 5433), SEVERAL.others[1]),
    ],
)
async def test_other_hosts_need_the_secret_again(
    store: Store, vault: Vault, others: tuple[Endpoint, ...]
):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace, failover=SEVERAL)
    moved = replace(source, failover=replace(SEVERAL, others=others))
    with pytest.raises(RoutingChangeNeedsSecret, match="give the password again"):
        await store.edit_source(moved)
    # And who edits the store past all this has a secret that does not open.
    with pytest.raises(UnsealError):
        open_credential(vault, workspace, moved)
    edited = await store.edit_source(moved, sealed_for(vault, workspace, moved))
    assert open_credential(vault, workspace, edited) == PASSWORD


async def test_which_of_the_hosts_a_session_gets_is_no_routing_change(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace, failover=SEVERAL)
    edited = await store.edit_source(
        replace(source, failover=Failover(SEVERAL.others, "standby", "disable"))
    )
    assert open_credential(vault, workspace, edited) == PASSWORD


async def test_hosts_that_cannot_be_read_are_not_guessed(store: Store, vault: Vault, url: str):
    workspace = await a_workspace(store, vault)
    await a_source(store, vault, workspace, failover=SEVERAL)
    for text in ("[]", "{}", '{"others": [["a", "x"]]}', '{"others": [["a b", 1]]}', "nonsense"):
        await run_sql(url, f"UPDATE sources SET failover = '{text}'")
        with pytest.raises(StoreCorrupt):
            await store.source(workspace, "orders")


async def test_a_name_is_taken_once_in_a_workspace_and_free_in_another(store: Store, vault: Vault):
    one, two = await a_workspace(store, vault, "a"), await a_workspace(store, vault, "b")
    await a_source(store, vault, one)
    with pytest.raises(AlreadyExists, match="already has a source named orders"):
        await a_source(store, vault, one)
    await a_source(store, vault, two)


async def test_a_source_of_another_workspace_is_not_found(store: Store, vault: Vault):
    mine, theirs = await a_workspace(store, vault, "a"), await a_workspace(store, vault, "b")
    source = await a_source(store, vault, theirs)
    stolen = replace(source, workspace_id=mine.id)
    with pytest.raises(NotFound):
        await store.source(mine, "orders")
    for call in (
        store.edit_source(stolen),
        store.rotate_credential(stolen, sealed_for(vault, mine, stolen)),
        store.remove_source(stolen),
    ):
        with pytest.raises(NotFound, match=r"^the workspace has no such source$"):
            await call
    assert await store.source(theirs, "orders") == source


async def test_a_source_without_a_password_needs_a_method_that_takes_none(
    store: Store, vault: Vault
):
    workspace = await a_workspace(store, vault)
    with pytest.raises(InvalidSetting, match=r"^password: "):
        await store.add_source(a_draft(workspace), None)
    trusted = a_draft(workspace, auth_methods=frozenset({"trust"}))
    with pytest.raises(InvalidSetting, match=r"^password: no authentication method"):
        await store.add_source(trusted, sealed_for(vault, workspace, trusted))
    assert (await store.add_source(trusted, None)).credential is None


async def test_a_source_that_breaks_a_rule_is_refused(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    with pytest.raises(InvalidName):
        await a_source(store, vault, workspace, "Orders")
    with pytest.raises(InvalidSetting, match=r"^host: "):
        await a_source(store, vault, workspace, host="db.example,evil.example")


async def test_a_source_of_no_workspace_is_not_added(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    ghost = replace(workspace, id=new_id())
    trusted = a_draft(ghost, auth_methods=frozenset({"trust"}))
    with pytest.raises(NotFound):
        await store.add_source(trusted, None)


async def test_sources_have_a_limit(store: Store, vault: Vault, url: str):
    workspace = await a_workspace(store, vault)
    first = await a_source(store, vault, workspace)
    columns = "engine, host, port, database, username, tls, auth_methods, version"
    await run_sql(
        url,
        f"INSERT INTO sources (id, workspace_id, name, {columns})"
        " WITH RECURSIVE n(i) AS"
        f" (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {queries.LIMIT})"
        f" SELECT 'copy' || i, workspace_id, 'copy' || i, {columns} FROM n, sources"
        f" WHERE id = '{first.id}'",
    )
    with pytest.raises(LimitReached, match="1000 sources"):
        await a_source(store, vault, workspace, "one-more")


async def test_rotation_replaces_the_secret_and_raises_its_version(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace)
    rotated = await store.rotate_credential(
        source, sealed_for(vault, workspace, source, NEW_PASSWORD)
    )
    assert rotated.password_version == 2
    assert await store.source(workspace, "orders") == rotated
    assert open_credential(vault, workspace, rotated) == NEW_PASSWORD


async def test_of_rotations_at_once_one_wins(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace)
    results = await asyncio.gather(
        *(store.rotate_credential(source, sealed_for(vault, workspace, source)) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Conflict) for result in results) == 4
    assert (await store.source(workspace, "orders")).password_version == 2


async def test_an_older_secret_put_back_into_the_store_is_refused(
    store: Store, vault: Vault, url: str
):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace)
    await run_sql(url, "CREATE TABLE stolen AS SELECT * FROM credentials")
    await store.rotate_credential(source, sealed_for(vault, workspace, source, NEW_PASSWORD))
    await run_sql(
        url,
        "UPDATE credentials SET version = 1, sealed = (SELECT sealed FROM stolen)",
    )
    with pytest.raises(UnsealError, match="older than the newest one seen"):
        open_credential(vault, workspace, await store.source(workspace, "orders"))


async def test_a_secret_moved_to_another_source_does_not_open(store: Store, vault: Vault, url: str):
    workspace = await a_workspace(store, vault)
    await a_source(store, vault, workspace, "a")
    b = await a_source(store, vault, workspace, "b")
    await run_sql(
        url,
        "UPDATE credentials SET sealed = (SELECT sealed FROM credentials"
        f" WHERE source_id <> '{b.id}') WHERE source_id = '{b.id}'",
    )
    with pytest.raises(UnsealError):
        open_credential(vault, workspace, await store.source(workspace, "b"))


@pytest.mark.parametrize(
    "change",
    [
        {"host": "other.example"},
        {"port": 5433},
        {"username": "root"},
        {"tls": TlsSettings(server_name="other.example")},
        {"tls": TlsSettings(mode="require")},
        {"tls": TlsSettings(mode="disable")},
        {"tls": TlsSettings(pins=("sha256/" + "A" * 43 + "=", "sha256/" + "E" * 43 + "="))},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_routing_change_needs_the_secret_again(
    store: Store, vault: Vault, url: str, change: dict[str, Any]
):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace)
    edited = replace(source, **change)
    with pytest.raises(RoutingChangeNeedsSecret, match="give the password again"):
        await store.edit_source(edited)
    assert await store.source(workspace, "orders") == source
    # And the old secret could not be opened there whatever the store says.
    with pytest.raises(UnsealError):
        open_credential(vault, workspace, edited)
    done = await store.edit_source(edited, sealed_for(vault, workspace, edited, NEW_PASSWORD))
    assert done == await store.source(workspace, "orders")
    assert open_credential(vault, workspace, done) == NEW_PASSWORD


async def test_a_destination_changed_behind_the_store_does_not_get_the_secret(
    store: Store, vault: Vault, url: str
):
    workspace = await a_workspace(store, vault)
    await a_source(store, vault, workspace)
    await run_sql(url, "UPDATE sources SET host = 'evil.example'")
    with pytest.raises(UnsealError):
        open_credential(vault, workspace, await store.source(workspace, "orders"))


async def test_what_is_no_routing_needs_no_secret(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace)
    edited = await store.edit_source(
        replace(
            source,
            name="sales",
            database="sales",
            tls=TlsSettings(profile="modern"),
            auth_methods=frozenset({"scram-sha-256-plus"}),
        )
    )
    assert edited.version == 2
    assert await store.source(workspace, "sales") == edited
    assert open_credential(vault, workspace, edited) == PASSWORD
    with pytest.raises(NotFound):
        await store.source(workspace, "orders")


async def test_an_edit_of_what_was_changed_meanwhile_is_a_conflict(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace)
    await store.edit_source(replace(source, database="a"))
    with pytest.raises(Conflict):
        await store.edit_source(replace(source, database="b"))


async def test_renaming_to_a_taken_name_is_refused(store: Store, vault: Vault):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace, "a")
    await a_source(store, vault, workspace, "b")
    with pytest.raises(AlreadyExists):
        await store.edit_source(replace(source, name="b"))


async def test_a_forgotten_secret_is_gone_and_its_version_is_not_used_again(
    store: Store, vault: Vault
):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace)
    trusted = await store.edit_source(
        replace(source, host="other.example", auth_methods=frozenset({"trust"})),
        forget=["password"],
    )
    assert trusted.credential is None
    assert trusted == await store.source(workspace, "orders")
    back = replace(trusted, auth_methods=source.auth_methods)
    again = await store.edit_source(back, sealed_for(vault, workspace, back))
    assert again.password_version == 2


async def test_a_secret_sealed_for_the_old_destination_is_not_stored_for_the_new_one(
    store: Store, vault: Vault
):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace)
    await store.edit_source(replace(source, database="other"))
    moved = await store.source(workspace, "orders")
    moved = replace(moved, host="other.example")
    await store.edit_source(moved, sealed_for(vault, workspace, moved))
    with pytest.raises(Conflict):
        await store.rotate_credential(source, sealed_for(vault, workspace, source))


async def test_a_removed_source_is_gone_with_its_secret(store: Store, vault: Vault, url: str):
    workspace = await a_workspace(store, vault)
    source = await a_source(store, vault, workspace)
    await store.remove_source(source)
    with pytest.raises(NotFound, match="workspace finance has no source named orders"):
        await store.source(workspace, "orders")
    assert await run_sql(url, "SELECT count(*) FROM credentials") == [(0,)]
    with pytest.raises(NotFound):
        await store.remove_source(source)


async def test_tls_settings_that_cannot_be_read_refuse_the_source(
    store: Store, vault: Vault, url: str
):
    workspace = await a_workspace(store, vault)
    await a_source(store, vault, workspace)
    await run_sql(url, """UPDATE sources SET tls = '{"mode": "disable", "surprise": 1}'""")
    with pytest.raises(Exception, match="TLS settings that cannot be read"):
        await store.source(workspace, "orders")

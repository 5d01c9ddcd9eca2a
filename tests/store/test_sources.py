from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.store.records import SealedCredential, Source, TlsSettings, Workspace
from proxy.store.sources import draft_source, new_id, open_credential, seal_credential
from tests.store.stores import make_vault
from vault import Secret, UnsealError, Vault

SECRET = Secret(b"a password of the database")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make_vault(tmp_path)


@pytest.fixture
def workspace(vault: Vault) -> Workspace:
    return Workspace(
        id=(workspace_id := new_id()),
        name="finance",
        state="active",
        scram_salt=bytes(16),
        scram_iterations=1,
        root_keys=(vault.new_root_key(workspace_id),),
        created_at=datetime(2026, 5, 4, tzinfo=UTC),
    )


@pytest.fixture
def source(vault: Vault, workspace: Workspace) -> Source:
    draft = draft_source(
        workspace,
        "orders",
        engine="postgresql",
        host="db.example",
        port=5432,
        database="orders",
        username="app",
    )
    sealed = seal_credential(vault, workspace, draft, SECRET)
    return replace(
        draft, credential=SealedCredential(password=sealed), password_version=sealed.version
    )


def test_ids_are_128_random_bits():
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(bytes.fromhex(each)) == 16 for each in ids)


def test_a_secret_opens_where_it_was_sealed_for(vault: Vault, workspace: Workspace, source: Source):
    assert open_credential(vault, workspace, source) == SECRET


def test_a_secret_opens_after_a_change_that_is_no_routing(
    vault: Vault, workspace: Workspace, source: Source
):
    renamed = replace(source, name="sales", database="sales", tls=TlsSettings(profile="modern"))
    assert open_credential(vault, workspace, renamed) == SECRET


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": "mysql"},
        {"host": "db.example.evil.example"},
        {"host": "DB.example"},
        {"port": 5433},
        {"username": "root"},
        {"tls": TlsSettings(mode="require")},
        {"id": "0" * 32},
        {"password_version": 2},
    ],
)
def test_a_secret_opens_nowhere_else(
    vault: Vault, workspace: Workspace, source: Source, changes: dict[str, object]
):
    with pytest.raises(UnsealError):
        open_credential(vault, workspace, replace(source, **changes))  # type: ignore[arg-type]


def test_a_secret_does_not_open_as_another_field(
    vault: Vault, workspace: Workspace, source: Source
):
    assert source.credential is not None
    swapped = replace(
        source,
        credential=SealedCredential(client_key=source.credential.password),
        client_key_version=1,
    )
    with pytest.raises(UnsealError):
        open_credential(vault, workspace, swapped, "client_key")


def test_a_missing_secret_says_so(vault: Vault, workspace: Workspace, source: Source):
    with pytest.raises(UnsealError, match="no secret of that kind"):
        open_credential(vault, workspace, source, "client_key")
    with pytest.raises(UnsealError, match="no secret of that kind"):
        open_credential(vault, workspace, replace(source, credential=None))


def test_a_secret_opens_under_the_root_key_it_was_sealed_with(
    vault: Vault, workspace: Workspace, source: Source
):
    newer = vault.new_root_key(workspace.id, version=2)
    both = replace(workspace, root_keys=(newer, *workspace.root_keys))
    assert open_credential(vault, both, source) == SECRET
    with pytest.raises(UnsealError, match="a root key that is not there"):
        open_credential(vault, replace(workspace, root_keys=(newer,)), source)


def test_the_next_secret_has_the_next_version(vault: Vault, workspace: Workspace, source: Source):
    assert seal_credential(vault, workspace, source, SECRET).version == 2
    assert seal_credential(vault, workspace, source, SECRET, "client_key").version == 1


def test_nothing_sealed_is_shown_by_repr(source: Source):
    assert source.credential is not None
    assert source.credential.password is not None
    assert repr(source.credential.password.sealed) not in repr(source)

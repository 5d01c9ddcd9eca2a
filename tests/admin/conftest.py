"""The application over a SQLite store of each test's own, copied from one that was migrated."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.store import Store
from tests.admin.rig import Rig, rigged
from tests.store.stores import SettableClock, make_vault, opened
from vault import Vault


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")

    async def make() -> None:
        store = await Store.open(f"sqlite:///{folder}/store.db")
        await store.close()

    asyncio.run(make())
    return folder / "store.db"


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make_vault(tmp_path)


@pytest.fixture
async def rig(
    tmp_path: Path, migrated: Path, vault: Vault, clock: SettableClock
) -> AsyncIterator[Rig]:
    file = tmp_path / "store.db"
    shutil.copyfile(migrated, file)
    file.chmod(0o600)
    async with (
        opened(f"sqlite:///{file}", clock=clock) as store,
        rigged(tmp_path, store, vault, clock) as rig,
    ):
        yield rig

"""Every test that asks for ``store`` or ``url`` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.store import Store
from tests.store.stores import KINDS, SettableClock, make_vault, new_url, opened
from vault import Vault


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make_vault(tmp_path)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_url(request.param, request, tmp_path)


@pytest.fixture
async def store(url: str, clock: SettableClock) -> AsyncIterator[Store]:
    async with opened(url, clock=clock) as store:
        yield store

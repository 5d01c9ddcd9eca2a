"""The application over a SQLite store of each test's own, copied from one that was prepared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.admin.desk import Desk, opened_desk
from tests.admin.rig import Prepared, Rig, rigged
from tests.oidc.provider import Provider, providing
from tests.servers.certificates import Certificates
from tests.servers.loops import run_to_end


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return run_to_end(Prepared.make(tmp_path_factory.mktemp("prepared")))


@pytest.fixture
async def rig(tmp_path: Path, prepared: Prepared) -> AsyncIterator[Rig]:
    async with rigged(tmp_path, prepared) as rig:
        yield rig


@pytest.fixture
def provider(certificates: Certificates) -> Iterator[Provider]:
    with providing(certificates) as provider:
        yield provider


@pytest.fixture
async def desk(rig: Rig, provider: Provider, certificates: Certificates) -> Desk:
    return await opened_desk(rig, provider, certificates)

from __future__ import annotations

from pathlib import Path

import pytest

from vault.keyfile import LocalKeyFile
from vault.vault import Vault


@pytest.fixture
def key_file(tmp_path: Path) -> LocalKeyFile:
    return LocalKeyFile.create(tmp_path / "accode.key")


@pytest.fixture
def vault(key_file: LocalKeyFile) -> Vault:
    return Vault(key_file)

"""The store's password from a file, as compose and the chart give it, at a real PostgreSQL."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import cli
from tests.deploy.files import DEPLOY, LEAST_VALUES, accode_proxy, manifests
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.roles import ADMIN
from vault import LocalKeyFile


def of_compose() -> str:
    return (DEPLOY / "compose" / "accode.toml").read_text()


def of_the_chart() -> str:
    text: str = manifests(LEAST_VALUES)["ConfigMap"]["data"]["accode.toml"]
    return text


@pytest.mark.parametrize("configuration", [of_compose, of_the_chart])
def test_the_password_is_read_from_its_file(
    configuration: Callable[[], str],
    own_postgres: PostgresServer,
    certificates: Certificates,
    tmp_path: Path,
):
    (written,) = re.findall(r'^url = "(postgresql://\S+)"', configuration(), re.M)
    passfile = tmp_path / "store.pgpass"
    server, port = "localhost", own_postgres.port
    passfile.write_text(f"{server}:{port}:{own_postgres.database}:{ADMIN.name}:{ADMIN.password}\n")
    passfile.chmod(0o600)
    url = re.sub(r"//\S+?\?", f"//{ADMIN.name}@{server}:{port}/{own_postgres.database}?", written)
    url = re.sub(r"/run/secrets/[a-z/-]*store\.pgpass", str(passfile), url)
    url = re.sub(r"/run/secrets/[a-z/-]*store-ca\.crt", str(certificates.ca), url)
    LocalKeyFile.create(tmp_path / "local.key")
    file = tmp_path / "accode.toml"
    file.write_text(f'[store]\nurl = "{url}"\n[keys]\nfile = "local.key"\n')
    accode_proxy("--config", str(file), "workspace", "create", "finance")
    assert "finance" in accode_proxy("--config", str(file), "workspace", "list")

    # Others may read the file: it is not used, and there is no other password.
    passfile.chmod(0o644)
    with pytest.warns(UserWarning, match="permissions"):
        refused = CliRunner().invoke(cli, ["--config", str(file), "workspace", "list"])
    assert refused.exit_code == 1
    assert ADMIN.password not in refused.output
    assert os.fspath(passfile) not in refused.output

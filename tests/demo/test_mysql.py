"""Which server the demo finds on PATH."""

from __future__ import annotations

from pathlib import Path

from proxy.demo.mysql import MysqlPrograms, find_mysql


def program(folder: Path, name: str, says: str = "") -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return str(path)


def test_an_empty_path_has_none(tmp_path: Path):
    assert find_mysql("") is None
    assert find_mysql(f"{tmp_path}:{tmp_path / 'missing'}") is None


def test_mariadb_needs_its_installer(tmp_path: Path):
    server = program(tmp_path, "mariadbd")
    assert find_mysql(str(tmp_path)) is None
    installer = program(tmp_path, "mariadb-install-db")
    found = find_mysql(str(tmp_path))
    assert found == MysqlPrograms(server, installer)
    assert found.name == "MariaDB"


def test_mysqld_is_mysql_unless_it_says_that_it_is_mariadb(tmp_path: Path):
    server = program(tmp_path, "mysqld", "mysqld  Ver 8.4.6 for Linux on x86_64")
    found = find_mysql(str(tmp_path))
    assert found == MysqlPrograms(server, None)
    assert found.name == "MySQL"
    program(tmp_path, "mysqld", "mysqld  Ver 10.3.39-MariaDB for debian-linux-gnu")
    assert find_mysql(str(tmp_path)) is None
    installer = program(tmp_path, "mariadb-install-db")
    assert find_mysql(str(tmp_path)) == MysqlPrograms(server, installer)


def test_sbin_beside_a_bin_counts(tmp_path: Path):
    server = program(tmp_path / "sbin", "mariadbd")
    installer = program(tmp_path / "bin", "mariadb-install-db")
    assert find_mysql(str(tmp_path / "bin")) == MysqlPrograms(server, installer)

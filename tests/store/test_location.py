import os
from pathlib import Path

import pytest

from proxy.store.errors import StoreUnusable
from proxy.store.location import PostgresqlLocation, SqliteLocation, locate


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_a_sqlite_url_is_a_path(scheme: str):
    assert locate(f"{scheme}:///store.db") == SqliteLocation(Path("store.db"))
    assert locate(f"{scheme}:////var/lib/store.db") == SqliteLocation(Path("/var/lib/store.db"))
    assert locate(f"{scheme}:////a%20b/c.db") == SqliteLocation(Path("/a b/c.db"))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_a_postgresql_url_keeps_everything_behind_its_scheme(scheme: str):
    location = locate(f"{scheme}://u:p@h:5433/d?sslmode=verify-full")
    assert location == PostgresqlLocation("postgresql://u:p@h:5433/d?sslmode=verify-full")


@pytest.mark.parametrize(
    "url",
    [
        *("", "store.db", "/var/lib/store.db", "mysql://u:p@h/d", "sqlite:store.db"),
        *("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://store.db"),
        *("sqlite:///store.db?mode=memory", "postgresql://u:hunter2@h:port/d"),
    ],
)
def test_any_other_url_is_refused_without_being_repeated(url: str):
    with pytest.raises(StoreUnusable) as caught:
        locate(url)
    assert "hunter2" not in str(caught.value)
    assert "u:p" not in str(caught.value)


def test_a_password_is_not_shown_by_repr():
    assert "hunter2" not in repr(locate("postgresql://u:hunter2@h/d"))


def test_a_new_file_is_closed_to_others_whatever_the_umask(tmp_path: Path):
    before = os.umask(0)
    try:
        SqliteLocation(tmp_path / "store.db").prepare()
    finally:
        os.umask(before)
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_open_is_refused(tmp_path: Path, mode: int):
    path = tmp_path / "store.db"
    path.touch()
    path.chmod(mode)
    with pytest.raises(StoreUnusable, match="set its mode to 0600"):
        SqliteLocation(path).prepare()


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(StoreUnusable, match=r"nowhere/store\.db cannot be opened: No such file"):
        SqliteLocation(tmp_path / "nowhere" / "store.db").prepare()


def test_what_is_no_file_is_refused():
    with pytest.raises(StoreUnusable, match="not a regular file"):
        SqliteLocation(Path(os.devnull)).prepare()

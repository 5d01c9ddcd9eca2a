"""Where a store is: its URL, taken apart and checked. Opens nothing but the file's mode.

A URL may hold a password: it is never repeated in an error.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from proxy.store.errors import StoreUnusable

_SQLITE = ("sqlite", "sqlite+aiosqlite")
_POSTGRESQL = ("postgresql", "postgres", "postgresql+asyncpg")


@dataclass(frozen=True, slots=True)
class SqliteLocation:
    """A database file on a local disk."""

    path: Path

    def prepare(self) -> None:
        """Create the file with mode 0600, or refuse one that others can read.

        SQLite gives its -wal and -shm files the mode of the database (os_unix.c,
        findCreateFileMode). Raises StoreUnusable.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnusable(
                f"the store file {self.path} cannot be opened: {error.strerror}"
            ) from None
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreUnusable(f"the store file {self.path} is not a regular file")
        if status.st_mode & 0o077:
            raise StoreUnusable(
                f"the store file {self.path} is open to other users; set its mode to 0600"
            )


@dataclass(frozen=True, slots=True)
class PostgresqlLocation:
    """A PostgreSQL database. ``dsn`` is as libpq writes it and may hold a password."""

    dsn: str = field(repr=False)


def locate(url: str) -> SqliteLocation | PostgresqlLocation:
    """Read a store's URL: ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``.

    SQLAlchemy's spelling with the driver is taken too. An absolute SQLite path has four
    slashes. Raises StoreUnusable.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme in _SQLITE:
        parts = urlsplit(f"sqlite://{rest}")
        path = unquote(parts.path).removeprefix("/")
        if parts.netloc or parts.query or parts.fragment or path in ("", ":memory:"):
            raise StoreUnusable("a SQLite store is a file: give its URL as sqlite:///PATH")
        return SqliteLocation(Path(path))
    if separator and scheme in _POSTGRESQL:
        try:
            urlsplit(f"postgresql://{rest}").port  # noqa: B018  (parsed where it is read)
        except ValueError:
            raise StoreUnusable("the store's URL is malformed: its port is not one") from None
        return PostgresqlLocation(f"postgresql://{rest}")
    raise StoreUnusable("a store's URL begins with sqlite:/// or postgresql://")

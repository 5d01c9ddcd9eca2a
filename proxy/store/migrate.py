"""Brings a store's schema to the newest version. Knows Alembic; knows no record.

Alembic is imported only where there is something to do: most starts find the schema
as it should be and save a third of a second.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from proxy.store.errors import StoreUnusable
from proxy.store.schema import HEAD, meta

_LOCK_ID = 0x6163636F6465
"""Any number, the same in every process: it keeps two proxies from migrating at once."""


def migrate(connection: Connection) -> str:
    """Migrate within the caller's transaction and return the store's instance id.

    Raises StoreUnusable for a schema that a newer version of the proxy made.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
    if _version(connection) != HEAD:
        _upgrade(connection)
    instance_id = connection.scalar(select(meta.c.value).where(meta.c.key == "instance_id"))
    if instance_id is None:
        instance_id = secrets.token_hex(16)
        connection.execute(meta.insert().values(key="instance_id", value=instance_id))
    return str(instance_id)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise StoreUnusable(
            "the store was made by a newer version of the proxy, or is no store of ours"
        ) from None

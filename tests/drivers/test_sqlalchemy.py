"""SQLAlchemy over psycopg and over asyncpg: reflection, statements, isolation, rollback."""

from __future__ import annotations

import datetime as dt
import ssl
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.drivers.routes import SCHEMA, Leg, Route, url


def script_for(connection: sa.Connection) -> list[Any]:
    out: list[Any] = []
    metadata = sa.MetaData(schema=SCHEMA)
    parent = sa.Table(
        "parent",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(20), nullable=False, unique=True),
        sa.Column("made", sa.DateTime(timezone=True)),
        sa.Column("price", sa.Numeric(12, 4)),
        sa.Column("more", postgresql.JSONB),
        sa.Column("tags", sa.ARRAY(sa.Text)),
    )
    sa.Table(
        "child",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("parent_id", sa.ForeignKey(parent.c.id, ondelete="CASCADE"), index=True),
        sa.CheckConstraint("id > 0", name="positive"),
    )
    metadata.create_all(connection)
    connection.commit()

    moment = dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
    rows = [
        {
            "id": n,
            "name": f"name {n}",
            "made": moment,
            "price": Decimal("1.2345") * n,
            "more": {"n": [n]},
            "tags": ["a", str(n)],
        }
        for n in range(500)
    ]
    connection.execute(parent.insert(), rows)
    returned = connection.execute(
        parent.insert().values(id=1000, name="last").returning(parent.c.id, parent.c.made)
    )
    out += [tuple(row) for row in returned]
    out += [tuple(row) for row in connection.execute(sa.select(parent).order_by(parent.c.id))]
    connection.rollback()
    out.append(connection.scalar(sa.select(sa.func.count()).select_from(parent)))
    connection.rollback()

    connection.execute(parent.insert(), rows[:3])
    with connection.begin_nested() as savepoint:
        connection.execute(parent.delete())
        savepoint.rollback()
    connection.commit()
    out.append(connection.scalar(sa.select(sa.func.count()).select_from(parent)))
    try:
        connection.execute(parent.insert(), rows[0])
    except sa.exc.IntegrityError as error:
        original: Any = error.orig
        out += [type(error).__name__, original.sqlstate]
        out.append(str(original))
    connection.rollback()

    found = sa.inspect(connection)
    out += [
        sorted(found.get_table_names(SCHEMA)),
        [{k: str(v) for k, v in c.items()} for c in found.get_columns("parent", SCHEMA)],
        found.get_pk_constraint("parent", SCHEMA),
        found.get_foreign_keys("child", SCHEMA),
        found.get_indexes("child", SCHEMA),
        found.get_unique_constraints("parent", SCHEMA),
        found.get_check_constraints("child", SCHEMA),
    ]
    reflected = sa.MetaData(schema=SCHEMA)
    reflected.reflect(connection)
    out.append(sorted(reflected.tables))
    connection.rollback()
    for level in ("SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED", "AUTOCOMMIT"):
        connection.execution_options(isolation_level=level)
        out.append(connection.get_isolation_level())
        out.append(connection.scalar(sa.text("SHOW transaction_isolation")))
        connection.rollback()
    return out


def test_psycopg_under_sqlalchemy_is_equal(route: Route) -> None:
    def script(leg: Leg) -> list[Any]:
        engine = sa.create_engine(
            url(leg, "postgresql+psycopg", sslmode=leg.sslmode), poolclass=NullPool
        )
        with engine.connect() as connection:
            return script_for(connection)

    route.same(script)


async def test_asyncpg_under_sqlalchemy_is_equal(route: Route) -> None:
    async def script(leg: Leg) -> list[Any]:
        tls: ssl.SSLContext | bool = False
        if leg.sslmode != "disable":
            tls = ssl.create_default_context()
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        engine = create_async_engine(
            url(leg, "postgresql+asyncpg"), poolclass=NullPool, connect_args={"ssl": tls}
        )
        async with engine.connect() as connection:
            return await connection.run_sync(script_for)

    await route.same_async(script)


def test_a_pool_reuses_its_sessions(route: Route) -> None:
    engine = sa.create_engine(
        url(route.through, "postgresql+psycopg", sslmode=route.through.sslmode),
        pool_size=5,
        pool_pre_ping=True,
    )
    try:
        pids = set()
        for _ in range(20):
            with engine.connect() as connection:
                pids.add(connection.scalar(sa.text("SELECT pg_backend_pid()")))
        assert len(pids) == 1
    finally:
        engine.dispose()

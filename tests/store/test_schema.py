from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.dialects import sqlite

from proxy.store import SealedCredential, Store, draft_source, seal_credential
from proxy.store.schema import Instant
from proxy.store.threads import SqliteThreads
from tests.store.stores import a_token, a_workspace, opened
from vault import Secret, Vault


class Statements:
    """What a store has sent to its database, with its parameters."""

    def __init__(self, store: Store) -> None:
        self.sent: list[tuple[str, Any]] = []
        threads = store._database._engine
        assert isinstance(threads, SqliteThreads)
        event.listen(threads.engine, "before_cursor_execute", self._remember)

    def _remember(
        self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any
    ) -> None:
        self.sent.append((statement, parameters))


@pytest.fixture
async def filled(vault: Vault, tmp_path: Path) -> AsyncIterator[Store]:
    """A SQLite store with a busy workspace and a quiet one."""
    async with opened(f"sqlite:///{tmp_path}/store.db") as store:
        for name, count in (("busy", 30), ("quiet", 1)):
            workspace = await a_workspace(store, vault, name)
            for number in range(count):
                await a_token(store, workspace)
                draft = draft_source(
                    workspace,
                    f"source-{number}",
                    engine="postgresql",
                    host="db.example",
                    port=5432,
                    database="orders",
                    username="app",
                )
                sealed = seal_credential(vault, workspace, draft, Secret(b"secret"))
                await store.add_source(draft, SealedCredential(password=sealed))
        yield store


async def test_a_login_takes_the_same_statements_however_much_a_workspace_holds(filled: Store):
    statements = Statements(filled)
    taken = []
    for name in ("busy", "quiet"):
        login = await filled.find_login(name)
        assert login is not None
        assert await filled.find_source(login.workspace.id, "source-0") is not None
        taken.append([statement for statement, _ in statements.sent])
        statements.sent.clear()
    assert taken[0] == taken[1]
    assert len(taken[0]) <= 8


async def test_an_unknown_name_takes_the_statements_of_a_known_one(filled: Store):
    statements = Statements(filled)
    assert await filled.find_login("quiet") is not None
    known = [statement for statement, _ in statements.sent]
    statements.sent.clear()
    assert await filled.find_login("nobody") is None
    assert [statement for statement, _ in statements.sent] == known


async def test_a_login_scans_no_table(filled: Store):
    statements = Statements(filled)
    login = await filled.find_login("busy")
    assert login is not None
    await filled.find_source(login.workspace.id, "source-0")
    selects = [(sql, values) for sql, values in statements.sent if sql.startswith("SELECT")]
    assert len(selects) == 6

    plans = []
    for sql, values in selects:
        rows = await filled._database.read(
            lambda connection, sql=sql, values=values: connection.exec_driver_sql(  # type: ignore[misc]
                f"EXPLAIN QUERY PLAN {sql}", tuple(values)
            )
        )
        plans.append(" ".join(str(row) for row in rows))
    assert not [plan for plan in plans if "SCAN" in plan], plans


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 5, 4, 12, 30, 15, 123456, tzinfo=UTC),
        datetime(2026, 5, 4, 12, 30, 15, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
def test_a_moment_is_stored_to_the_microsecond_in_utc(moment: datetime):
    dialect = sqlite.dialect()
    stored = Instant().process_bind_param(moment, dialect)
    assert isinstance(stored, int)
    assert Instant().process_result_value(stored, dialect) == moment


def test_no_moment_is_stored_as_none():
    dialect = sqlite.dialect()
    assert Instant().process_bind_param(None, dialect) is None
    assert Instant().process_result_value(None, dialect) is None


def test_a_moment_without_a_time_zone_is_a_bug():
    with pytest.raises(TypeError):
        Instant().process_bind_param(datetime(2026, 5, 4), sqlite.dialect())  # noqa: DTZ001

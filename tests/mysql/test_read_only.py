"""Read-only on real servers, for an account with every right: hundreds of attempts are vain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from hypothesis import given, settings
from pymysql.constants import CLIENT

from policies.document import Policy, policy_from
from policies.facts import Feature
from proxy.store import Store
from tests.mysql.conftest import ROUTES, WORKSPACE, Enter, Route
from tests.policies.mutations import EXAMPLES, mysql_mutations
from tests.policies.mysql.harmless import HARMLESS
from tests.policies.mysql.hostile import HOSTILE, HOSTILE_BYTES
from tests.servers.sql import SqlServer
from tests.servers.waiting import wait_until

_RESET_CONNECTION = 0x1F  # a command that PyMySQL has no name for
# MySQL 8 renamed it, MariaDB 11.1 did.
READ_ONLY = {"mariadb": "@@session.tx_read_only", "mysql": "@@session.transaction_read_only"}
_SYSTEM = "('information_schema', 'performance_schema', 'sys')"
_STATE = f"""
SELECT 'table', table_schema, table_name, create_time, table_rows IS NULL, table_comment, engine
FROM information_schema.tables WHERE table_schema NOT IN {_SYSTEM}
UNION ALL SELECT 'column', table_schema, table_name, column_name, column_type, column_default, extra
FROM information_schema.columns WHERE table_schema NOT IN {_SYSTEM}
UNION ALL SELECT 'routine', routine_schema, routine_name, routine_definition, '', '', ''
FROM information_schema.routines WHERE routine_schema <> 'sys'
UNION ALL SELECT 'event', event_schema, event_name, '', '', '', '' FROM information_schema.events
UNION ALL SELECT 'trigger', trigger_schema, trigger_name, '', '', '', ''
FROM information_schema.triggers
UNION ALL SELECT 'plugin', plugin_name, plugin_status, '', '', '', ''
FROM information_schema.plugins
UNION ALL SELECT 'row', id, name, '', '', '', '' FROM shop.policy_items
UNION ALL SELECT 'customer', id, name, '', '', '', '' FROM shop.customers
UNION ALL SELECT 'order', id, customer_id, total, created, '', '' FROM shop.orders
"""
_MARIADB_STATE = """
SELECT 'user', user, host, priv FROM mysql.global_priv
UNION ALL SELECT 'variable', variable_name, variable_value, ''
FROM information_schema.global_variables WHERE variable_name NOT IN (
 'GTID_BINLOG_POS', 'GTID_CURRENT_POS', 'GTID_BINLOG_STATE', 'GTID_POS_AUTO_ENGINES', 'TIMESTAMP')
UNION ALL SELECT 'server', server_name, host, '' FROM mysql.servers
UNION ALL SELECT 'sequence', next_not_cached_value, cycle_count, '' FROM shop.s
"""
_MYSQL_STATE = """
SELECT 'variable', variable_name, variable_value, '', '', ''
FROM performance_schema.global_variables WHERE variable_name <> 'timestamp'
UNION ALL SELECT 'persisted', variable_name, variable_value, '', '', ''
FROM performance_schema.persisted_variables
UNION ALL SELECT 'server', server_name, host, '', '', '' FROM mysql.servers
UNION ALL SELECT 'component', component_urn, '', '', '', '' FROM mysql.component
UNION ALL SELECT 'role', from_user, to_user, '', '', '' FROM mysql.role_edges
UNION ALL SELECT 'user', user, host, CAST(authentication_string AS CHAR), account_locked,
 CONCAT_WS(' ', plugin, select_priv, super_priv, file_priv, password_expired, user_attributes)
FROM mysql.user
"""
# What the hostile statements name, so that they fail for no other reason than the policy.
_OBJECTS = (
    "DROP TABLE IF EXISTS policy_items, customers, orders, policy_numbers",
    "DROP PROCEDURE IF EXISTS p",
    "DROP FUNCTION IF EXISTS myfunction",
    "CREATE TABLE policy_items (id int PRIMARY KEY, name text)",
    "INSERT INTO policy_items VALUES (1, 'a'), (2, 'b')",
    "CREATE TABLE customers (id int AUTO_INCREMENT PRIMARY KEY, name text)",
    "INSERT INTO customers (name) VALUES ('a'), ('b')",
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total int, created datetime)",
    "INSERT INTO orders VALUES (1, 1, 10, '2026-01-01'), (2, 2, 20, '2026-01-02')",
    "CREATE TABLE policy_numbers (n int PRIMARY KEY)",
    "INSERT INTO policy_numbers WITH RECURSIVE i (n) AS"
    " (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 1000) SELECT n FROM i",
    "CREATE PROCEDURE p() INSERT INTO customers (name) VALUES ('called')",
    "CREATE FUNCTION myfunction(a int) RETURNS int DETERMINISTIC"
    " BEGIN INSERT INTO customers (name) VALUES ('called'); RETURN 1; END",
)
_MARIADB_OBJECTS = ("DROP SEQUENCE IF EXISTS s", "CREATE SEQUENCE s")
_NEEDLESS = ("EXECUTE s", "DEALLOCATE PREPARE s")
_TEXTS: tuple[str | bytes, ...] = (*(sql for _, sql in HOSTILE), *HOSTILE_BYTES)
_FILES = ("/tmp/x", "/tmp/x.sdi")


# As everywhere, and the newest MariaDB too.
_ROUTES = ROUTES | {"new-mariadb-ed25519": ("new_mariadb", "ed25519", False)}
_ROUTES.pop("mariadb-ed25519")


@pytest.fixture(params=list(_ROUTES))
def route(request: pytest.FixtureRequest, enter: Enter) -> Route:
    """Each server, encrypted on both legs or in the clear."""
    name, account, is_encrypted = _ROUTES[request.param]
    return enter(name).route(account, is_encrypted=is_encrypted)


def state_of(server: SqlServer) -> set[tuple[Any, ...]]:
    """Everything of the server that a statement could change."""
    with closing(direct(server)) as connection, connection.cursor() as cursor:
        found = set()
        for query in (_STATE, _MARIADB_STATE if server.is_mariadb else _MYSQL_STATE):
            cursor.execute(query)
            found |= {tuple(map(str, row)) for row in cursor.fetchall()}
        return found


def direct(server: SqlServer) -> pymysql.Connection[Any]:
    return pymysql.connect(
        host=server.host,
        port=server.port,
        user=server.accounts[0].name,
        password=server.accounts[0].password,
    )


def put(route: Route, policy: Policy | None, *, of_source: bool = False) -> None:
    """Give the workspace, or the route's source, another policy."""

    async def work(store: Store) -> None:
        workspace = await store.workspace(WORKSPACE)
        if of_source:
            await store.policies.set_of_source(await store.source(workspace, route.source), policy)
        else:
            await store.policies.set_of_workspace(workspace, policy)

    route.proxy.with_store(work)


def govern(route: Route, policy: Policy | None, *, of_source: bool = False) -> None:
    """The same, and wait until it holds: no policy of these tests allows ``DO``."""
    put(route, policy, of_source=of_source)

    def holds() -> bool:
        # The change ends sessions of before, and a login that it overtakes.
        try:
            with closing(connect(route)) as session, session.cursor() as cursor:
                cursor.execute("DO 1")
        except pymysql.MySQLError as error:
            return policy is not None and "refused by policy" in str(error)
        return policy is None

    wait_until(holds, what="the proxy to have read the change")


@pytest.fixture
def ungoverned(route: Route) -> Iterator[Route]:
    """The workspace has no policy after the test."""
    with closing(direct(route.server)) as connection, connection.cursor() as cursor:
        cursor.execute("USE shop")
        extra = _MARIADB_OBJECTS if route.server.is_mariadb else ()
        for statement in (*_OBJECTS, *extra):
            cursor.execute(statement)
        connection.commit()
    yield route
    govern(route, None)


def connect(route: Route, **changes: Any) -> pymysql.Connection[Any]:
    tls = {"ssl": {"ca": route.ca}} if route.is_encrypted else {}
    return pymysql.connect(**route.through(**(tls | changes)))


@pytest.mark.parametrize(
    "policy",
    [Policy(version=1), Policy(version=1, features=frozenset(Feature))],
    ids=["nothing named", "every feature"],
)
def test_hostile_statements_change_nothing(ungoverned: Route, policy: Policy) -> None:
    govern(ungoverned, policy)
    before = state_of(ungoverned.server)
    let_through, read_only = [], READ_ONLY[ungoverned.kind]
    with closing(direct(ungoverned.server)) as other:
        with closing(connect(ungoverned, client_flag=CLIENT.MULTI_STATEMENTS)) as session:
            for text in _TEXTS:
                sql = text if isinstance(text, str) else text[:80].decode("latin-1")
                try:
                    with session.cursor() as cursor:
                        cursor.execute(text)
                        while cursor.nextset():
                            pass
                    let_through.append(sql)
                except pymysql.MySQLError as error:
                    if "refused by policy" not in str(error):
                        let_through.append(f"{sql}: {error}")
                session.rollback()
                with session.cursor() as cursor:
                    cursor.execute(f"SELECT {read_only}, @@session.sql_mode")
                    row = cursor.fetchone()
                    assert row is not None
                    assert row[0] == 1, sql
                    assert "ANSI" not in row[1], sql
                    assert "BACKSLASH" not in row[1], sql
        other.ping(reconnect=False)
    assert state_of(ungoverned.server) == before
    if policy.features:
        # Its server says that it has no such statement: none could be prepared.
        let_through = [sql for sql in let_through if not sql.startswith(_NEEDLESS)]
    assert let_through == []
    assert not any(Path(file).exists() for file in _FILES)


def test_no_mutation_of_a_hostile_statement_changes_anything(ungoverned: Route) -> None:
    govern(ungoverned, Policy(version=1, features=frozenset(Feature)))
    before, read_only = state_of(ungoverned.server), READ_ONLY[ungoverned.kind]
    with closing(direct(ungoverned.server)) as other:
        with closing(connect(ungoverned, client_flag=CLIENT.MULTI_STATEMENTS)) as session:

            @settings(max_examples=EXAMPLES // 2, deadline=None, database=None)
            @given(mysql_mutations([sql for _, sql in HOSTILE]))
            def attack(text: bytes) -> None:
                with suppress(pymysql.MySQLError), session.cursor() as cursor:
                    cursor.execute(text)
                    while cursor.nextset():
                        pass
                session.rollback()
                with session.cursor() as cursor:
                    cursor.execute(f"SELECT {read_only}, @@session.sql_mode")
                    row = cursor.fetchone()
                assert row is not None
                assert row[0] == 1
                assert "ANSI" not in row[1]
                assert "BACKSLASH" not in row[1]

            attack()
        other.ping(reconnect=False)
    assert state_of(ungoverned.server) == before
    assert not any(Path(file).exists() for file in _FILES)


def test_the_session_only_reads_and_says_so(ungoverned: Route) -> None:
    govern(ungoverned, Policy(version=1))
    with closing(connect(ungoverned)) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM policy_items")
        assert cursor.fetchone() == (2,)
        with pytest.raises(pymysql.MySQLError, match="refused by policy: read-only access"):
            cursor.execute("DELETE FROM policy_items")
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_harmless_statements_are_understood_and_run(ungoverned: Route) -> None:
    govern(ungoverned, Policy(version=1))
    refused = []
    with closing(connect(ungoverned)) as session:
        for _, sql in HARMLESS:
            try:
                with session.cursor() as cursor:
                    cursor.execute(sql)
                    cursor.fetchall()
            except pymysql.MySQLError as error:
                if "refused by policy" in str(error):
                    refused.append(sql)
            session.rollback()
    assert refused == []


def test_what_is_named_beside_read_write_runs(ungoverned: Route) -> None:
    document = {
        "version": 1,
        "access": "read-write",
        "features": ["locks", "maintenance", "ddl", "procedures"],
        "functions": {"allow": ["p"]},
    }
    govern(ungoverned, policy_from(document))
    with closing(connect(ungoverned)) as session, session.cursor() as cursor:
        cursor.execute("LOCK TABLES customers WRITE")
        cursor.execute("INSERT INTO customers (name) VALUES ('locked')")
        cursor.execute("UNLOCK TABLES")
        cursor.execute("CALL p()")
        cursor.execute("ANALYZE TABLE customers")
        cursor.execute("SELECT name FROM customers ORDER BY id")
        assert [name for (name,) in cursor.fetchall()] == ["a", "b", "locked", "called"]
        cursor.execute("TRUNCATE TABLE customers")
        cursor.execute("SELECT count(*) FROM customers")
        assert cursor.fetchone() == (0,)
        cursor.execute("DROP TABLE policy_items")
        with pytest.raises(pymysql.MySQLError, match="not fully understood"):
            cursor.execute("CREATE USER eve")


_MIGRATION = (
    "CREATE TABLE policy_made (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,"
    " name VARCHAR(40) CHARACTER SET utf8mb4 NOT NULL DEFAULT '' COMMENT 'x',"
    " price DECIMAL(8, 2) DEFAULT -1.5 CHECK (price < 100), item_id INT,"
    " made DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),"
    " twice DECIMAL(9, 2) AS (price * 2) STORED, UNIQUE KEY u (name(10) DESC),"
    " CONSTRAINT k FOREIGN KEY (item_id) REFERENCES policy_items (id) ON DELETE SET NULL)"
    " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='made'",
    "CREATE INDEX policy_index ON policy_made (made, item_id)",
    "ALTER TABLE policy_made ADD COLUMN note TEXT AFTER name, MODIFY name VARCHAR(50),"
    " ADD KEY n (note(5)), CHANGE made changed DATETIME, DROP FOREIGN KEY k",
    "ALTER TABLE policy_made RENAME COLUMN note TO remark, ALTER COLUMN name SET DEFAULT 'y'",
    "ALTER TABLE policy_made CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "CREATE OR REPLACE VIEW policy_view (a) AS SELECT name FROM policy_made WHERE price > 1",
    "CREATE TABLE policy_copy LIKE policy_made",
    "CREATE TABLE policy_sum AS SELECT count(*) AS n FROM policy_items",
    "CREATE TEMPORARY TABLE policy_temporary (a INT)",
    "PREPARE policy_insert FROM 'INSERT INTO policy_made (name, price) VALUES (@who, ?)'",
    "SET @price = 5, @who = 'a'",
    "EXECUTE policy_insert USING @price",
    "DEALLOCATE PREPARE policy_insert",
    "INSERT INTO policy_made (name) VALUES ('b'); UPDATE policy_made SET price = 7",
    "DROP TEMPORARY TABLE policy_temporary",
    "RENAME TABLE policy_copy TO policy_renamed",
    "DROP INDEX policy_index ON policy_made",
)


def test_a_migration_of_what_is_named_runs_as_it_is_written(ungoverned: Route) -> None:
    features = ["ddl", "temporary", "prepared", "multi_statements"]
    govern(ungoverned, policy_from({"version": 1, "access": "read-write", "features": features}))
    session = connect(ungoverned, client_flag=CLIENT.MULTI_STATEMENTS)
    with closing(session), session.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS policy_made, policy_copy, policy_sum, policy_renamed")
        for sql in _MIGRATION:
            cursor.execute(sql)
            while cursor.nextset():
                pass
        cursor.execute("SELECT name, price, twice FROM policy_made ORDER BY id")
        assert [(name, int(price), int(twice)) for name, price, twice in cursor] == [
            ("a", 7, 14),
            ("b", 7, 14),
        ]
        cursor.execute("SELECT a FROM policy_view")
        assert len(cursor.fetchall()) == 2
        for sql, rule in (
            ("PREPARE p FROM 'SELECT SLEEP(1)'", "functions.allow"),
            ("PREPARE p FROM 'UPDATE mysql.user SET account_locked = 1'", "access"),
            ("PREPARE p FROM @price", "access"),
            ("CREATE TABLE x (a INT) ENGINE=CONNECT", "access"),
        ):
            with pytest.raises(pymysql.MySQLError, match=rf"\({rule}\)"):
                cursor.execute(sql)
        cursor.execute("DROP VIEW policy_view")
        cursor.execute("DROP TABLE policy_made, policy_sum, policy_renamed")


def test_another_database_is_not_chosen_where_tables_are_named(ungoverned: Route) -> None:
    govern(ungoverned, policy_from({"version": 1, "tables": {"read": ["shop.*"]}}))
    with closing(connect(ungoverned)) as session:
        with session.cursor() as cursor:
            cursor.execute("SELECT id FROM policy_items ORDER BY id")
            assert cursor.fetchall() == ((1,), (2,))
            with pytest.raises(pymysql.MySQLError, match=r"tables\.read"):
                cursor.execute("SELECT db FROM mysql.db")
            with pytest.raises(pymysql.MySQLError, match=r"tables\.schema"):
                cursor.execute("USE information_schema")
        with pytest.raises(pymysql.MySQLError, match=r"tables\.schema"):
            session.select_db("information_schema")


def test_a_lock_hides_no_table(ungoverned: Route) -> None:
    tables = {"read": ["shop.customers"], "write": ["shop.customers"]}
    govern(ungoverned, policy_from({"version": 1, "access": "read-write", "tables": tables}))
    with closing(connect(ungoverned)) as session, session.cursor() as cursor:
        cursor.execute("SELECT name FROM customers ORDER BY id FOR UPDATE")
        assert cursor.fetchall() == (("a",), ("b",))
        for lock in ("FOR UPDATE", "LOCK IN SHARE MODE"):
            with pytest.raises(pymysql.MySQLError, match=r"tables\.read"):
                cursor.execute(f"SELECT total FROM orders {lock}")


def test_a_character_set_with_two_readings_is_refused(ungoverned: Route) -> None:
    govern(ungoverned, Policy(version=1))
    with pytest.raises(pymysql.MySQLError, match="the character set must be utf8mb4"):
        connect(ungoverned, charset="gbk")


def test_modes_that_change_no_reading_stay_as_the_server_has_them(ungoverned: Route) -> None:
    with closing(connect(ungoverned)) as session, session.cursor() as cursor:
        cursor.execute("SELECT @@sql_mode")
        usual = cursor.fetchone()
    govern(ungoverned, Policy(version=1))
    with closing(connect(ungoverned)) as session, session.cursor() as cursor:
        cursor.execute("SELECT @@sql_mode")
        assert cursor.fetchone() == usual


def test_what_was_set_before_the_welcome_is_not_reset(ungoverned: Route) -> None:
    govern(ungoverned, Policy(version=1))
    with closing(connect(ungoverned)) as session, session.cursor() as cursor:
        session._execute_command(_RESET_CONNECTION, b"")
        with pytest.raises(pymysql.MySQLError, match="COM_RESET_CONNECTION is not allowed"):
            session._read_ok_packet()
        cursor.execute(f"SELECT {READ_ONLY[ungoverned.kind]}")
        assert cursor.fetchone() == (1,)

"""What a client leaves in its session stays its own: the connection is its own from then on.

Two clients and one connection: what the first did must not be seen by the second, which gets
a turn only when the first has gone; and where nothing was left, it gets one at once.
"""

from __future__ import annotations

from itertools import count

import psycopg
import pytest

from proxy.store import PoolSettings
from tests.hostile.raw import bind, execute, first_column, message, parse, query
from tests.pool.pooled import PooledSource
from tests.pool.test_transactions import pins, raw, value
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM

ONE = PoolSettings("transaction", maximum=1, queue_seconds=30.0)
_NUMBERS = count()


@pytest.fixture(scope="module")
def one(pool_proxy: ProxyServer, postgres: PostgresServer) -> PooledSource:
    """A source with a single connection."""
    pooled = PooledSource(pool_proxy, postgres, "pins", pooling=ONE)
    postgres.execute("CREATE ROLE pin_other")
    postgres.execute(f"GRANT pin_other TO {SCRAM.name}")
    with pooled.session() as session:
        session.execute(
            "CREATE FUNCTION pin_hidden() RETURNS text LANGUAGE sql"
            " AS $$ SELECT set_config('work_mem', '4712kB', false) $$"
        )
    return pooled


# What a client does, a question whose answer shows it, and the cause under which it is counted.
LEFT = {
    "a setting in a transaction": (
        ["BEGIN", "SET work_mem = '4711kB'", "COMMIT"], "SHOW work_mem", "setting",
    ),
    "a setting by a function": (
        ["SELECT set_config('work_mem', '4711kB', false)"], "SHOW work_mem", "setting",
    ),
    "a setting that is reported": (
        ["BEGIN; SET TimeZone = 'Asia/Kathmandu'; COMMIT"], "SHOW TimeZone", "setting",
    ),
    "a role": (["SET ROLE pin_other"], "SELECT current_user", "setting"),
    "a read-only default": (
        ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"],
        "SHOW default_transaction_read_only", "setting",
    ),
    "a setting behind a comment": (
        ["/* SELECT */ SET -- x\n work_mem = '4711kB'"], "SHOW work_mem", "setting",
    ),
    "a setting behind another statement": (
        ["SELECT 1; SET work_mem = '4711kB'"], "SHOW work_mem", "setting",
    ),
    "a setting in an unknown function": (["SELECT pin_hidden()"], "SHOW work_mem", "function"),
    "a setting in code": (
        ["DO $$ BEGIN PERFORM set_config('work_mem', '4711kB', false); END $$"],
        "SHOW work_mem", "code",
    ),
    "a channel": (["LISTEN pinned"], "SELECT count(*) FROM pg_listening_channels()", "listen"),
    "a cursor that outlives its transaction": (
        ["BEGIN", "DECLARE pinned CURSOR WITH HOLD FOR SELECT 1", "COMMIT"],
        "SELECT count(*) FROM pg_cursors", "cursor",
    ),
    "a temporary table": (
        ["CREATE TEMP TABLE pinned (n int)"],
        "SELECT count(*) FROM pg_class WHERE relname = 'pinned'", "temporary",
    ),
    "a temporary table of a query": (
        ["SELECT 1 AS n INTO TEMPORARY pinned"],
        "SELECT count(*) FROM pg_class WHERE relname = 'pinned'", "temporary",
    ),
    "a table in the temporary schema": (
        ["CREATE TABLE pg_temp.pinned (n int)"],
        "SELECT count(*) FROM pg_class WHERE relname = 'pinned'", "temporary",
    ),
    "an advisory lock": (
        ["SELECT pg_advisory_lock(4711)"],
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "lock",
    ),
    "a lock that was tried": (
        ["SELECT pg_try_advisory_lock_shared(4711)"],
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "lock",
    ),
    "a statement longer than is looked at": (
        [f"SELECT '{'x' * 100_000}'; SET work_mem = '4711kB'"], "SHOW work_mem", "unseen",
    ),
    "a name in escapes": (
        [r"""SELECT U&"set\005fconfig"('work_mem', '4711kB', false)"""], "SHOW work_mem", "unknown",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_behind_is_the_clients_own(one: PooledSource, what: str):
    statements, question, cause = LEFT[what]
    before = pins(one)[cause]
    with raw(one) as first, raw(one) as second:
        clean = value(second, question)
        for statement in statements:
            first.send(query(statement))
            first.until(b"Z")
        dirty = value(first, question)
        mine = value(first, "SELECT pg_backend_pid()")
        assert dirty != clean
        second.send(query(question))
        # Still the first one's, transaction after transaction.
        assert value(first, "SELECT pg_backend_pid()") == mine
        assert value(first, question) == dirty
        first.close()
        assert first_column(second.until(b"Z")) == [clean]
    assert pins(one)[cause] == before + 1


def test_a_statement_prepared_in_sql_is_the_clients_own(one: PooledSource):
    before = pins(one)["prepared"]
    with raw(one) as first, raw(one) as second:
        first.send(query("PREPARE pinned AS SELECT 'first'"))
        first.until(b"Z")
        second.send(query("PREPARE pinned AS SELECT 'second'; EXECUTE pinned"))
        assert value(first, "EXECUTE pinned") == "first"
        # And by the protocol, as a server knows both by one name.
        first.send(bind("", "pinned") + execute() + message(b"S"))
        assert first_column(first.until(b"Z")) == ["first"]
        first.close()
        assert first_column(second.until(b"Z")) == ["second"]
    assert pins(one)["prepared"] == before + 2


@pytest.mark.parametrize(
    "statement",
    [
        "BEGIN; SET LOCAL work_mem = '4711kB'; COMMIT",
        "SELECT set_config('work_mem', '4711kB', true)",
        "BEGIN; SET TRANSACTION READ ONLY; COMMIT",
        "SELECT pg_advisory_xact_lock(4711)",
        "CREATE TEMP TABLE gone ON COMMIT DROP AS SELECT 1",
        "BEGIN; DECLARE gone CURSOR FOR SELECT 1; FETCH gone; COMMIT",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL",
        "NOTIFY somebody",
        "DISCARD ALL",
        "DEALLOCATE ALL",
        "SELECT 1/0",
        "BEGIN; SELECT 1/0; ROLLBACK",
    ],
)
def test_what_leaves_nothing_behind_keeps_no_connection(one: PooledSource, statement: str):
    before = pins(one)
    with raw(one) as first, raw(one) as second:
        first.send(query(statement))
        first.until(b"Z")
        if statement.startswith("BEGIN; SELECT 1/0"):
            first.send(query("ROLLBACK"))
            first.until(b"Z")
        assert value(second, "SHOW work_mem") == "4MB"
        assert value(first, "SELECT pg_backend_pid()") == value(second, "SELECT pg_backend_pid()")
    assert pins(one) == before


def test_a_client_that_discards_all_gives_its_connection_back(one: PooledSource):
    before = pins(one)["setting"]
    with raw(one) as first, raw(one) as second:
        clean = value(second, "SHOW work_mem")
        first.send(query("BEGIN; SET work_mem = '4711kB'; COMMIT"))
        first.until(b"Z")
        first.send(query("SET SESSION AUTHORIZATION DEFAULT"))
        first.until(b"Z")
        second.send(query("SHOW work_mem"))
        assert value(first, "SHOW work_mem") == "4711kB"
        first.send(query("DISCARD ALL"))
        first.until(b"Z")
        assert first_column(second.until(b"Z")) == [clean]
        assert value(first, "SHOW work_mem") == clean
        # Both in turn, and pinned anew.
        assert value(second, "SHOW work_mem") == clean
        first.send(query("BEGIN; SET work_mem = '4712kB'; COMMIT"))
        first.until(b"Z")
        assert value(first, "SHOW work_mem") == "4712kB"
    assert pins(one)["setting"] == before + 2


def test_a_driver_that_resets_before_its_next_statement_shares_again(one: PooledSource):
    # As Npgsql does with a connection from its pool: DISCARD ALL goes out in front of whatever
    # comes next, in one packet.
    with raw(one) as first, raw(one) as second:
        first.send(query("BEGIN; SET work_mem = '4711kB'; COMMIT"))
        first.until(b"Z")
        first.send(query("DISCARD ALL") + query("SHOW work_mem"))
        first.until(b"Z")
        assert first_column(first.until(b"Z")) == ["4MB"]
        assert value(second, "SHOW work_mem") == "4MB"


def test_a_statement_in_the_extended_protocol_is_looked_at_too(one: PooledSource):
    with one.session() as first, raw(one) as second:
        clean = value(second, "SHOW work_mem")
        first.execute("SELECT set_config('work_mem', %s, %s)", ("4711kB", False))
        second.send(query("SHOW work_mem"))
        assert first.execute("SHOW work_mem").fetchone() == ("4711kB",)
        first.close()
        assert first_column(second.until(b"Z")) == [clean]


def test_notifications_reach_who_listens(one: PooledSource):
    with one.session() as session:
        session.execute("LISTEN turn_news")
        one.server.execute("SELECT pg_notify('turn_news', 'here')")
        (news,) = session.notifies(timeout=20, stop_after=1)
        assert news.payload == "here"


def test_lastval_is_never_another_clients(one: PooledSource):
    with one.session() as first, one.session() as second:
        first.execute("CREATE TABLE turn_serial (id serial, n int)")
        first.execute("INSERT INTO turn_serial (n) VALUES (1), (2), (3)")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            second.execute("SELECT lastval()")
        second.close()
        with first.transaction():
            first.execute("INSERT INTO turn_serial (n) VALUES (4)")
            assert first.execute("SELECT lastval()").fetchone() == (4,)
        assert first.execute("SELECT lastval()").fetchone() == (4,)
        first.execute("DROP TABLE turn_serial")


def test_a_pinned_connection_has_no_statement_of_others(one: PooledSource):
    with raw(one) as first, one.session() as second:
        first.send(parse("s", "SELECT 'secret'") + message(b"S"))
        first.until(b"Z")
        second.execute("SET work_mem = '8MB'")
        assert second.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)

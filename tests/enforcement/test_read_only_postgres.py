"""Read-only, for a superuser: after hundreds of attempts nothing of the server has changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.pq import ExecStatus

from policies.document import Policy
from policies.facts import Feature
from tests.conftest import PostgresFactory
from tests.enforcement.conftest import Bureau, with_objects
from tests.faults.office import Office, fatal
from tests.hostile.raw import fields_of, message, query
from tests.policies.mutations import EXAMPLES, postgres_mutations
from tests.policies.postgres.corpus import HARMLESS, HOSTILE, HOSTILE_BYTES
from tests.servers.postgres import PostgresServer

POLICIES = {
    "nothing named": Policy(version=1),
    # Everything that can be named, so that the second line of defence is tried too.
    "every feature": Policy(version=1, features=frozenset(Feature)),
}

_STATE = """
SELECT 'relation', c.oid::text, c.relname, c.relkind::text, c.relowner::text, c.relacl::text,
       c.reloptions::text, c.relnatts::text, c.relhastriggers::text, c.relrowsecurity::text,
       c.relpersistence::text
FROM pg_class c WHERE c.relkind <> 't' AND c.relnamespace NOT IN (
    SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp')
UNION ALL SELECT 'column', attrelid::text, attname, atttypid::text, attnotnull::text, attacl::text,
       attstattarget::text, attisdropped::text, '', '', '' FROM pg_attribute
       WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
UNION ALL SELECT 'function', oid::text, proname, proowner::text, prosrc, proacl::text, '', '', '',
       '', '' FROM pg_proc
UNION ALL SELECT 'type', oid::text, typname, typowner::text, '', '', '', '', '', '', '' FROM pg_type
       WHERE typnamespace = 'public'::regnamespace
UNION ALL SELECT 'enum', oid::text, enumlabel, '', '', '', '', '', '', '', '' FROM pg_enum
UNION ALL SELECT 'role', oid::text, rolname, rolpassword, rolsuper::text, '', '', '', '', '', ''
       FROM pg_authid
UNION ALL SELECT 'member', roleid::text, member::text, '', '', '', '', '', '', '', ''
       FROM pg_auth_members
UNION ALL SELECT 'setting', setdatabase::text, setrole::text, setconfig::text, '', '', '', '', '',
       '', '' FROM pg_db_role_setting
UNION ALL SELECT 'file setting', name, setting, '', '', '', '', '', '', '', ''
       FROM pg_file_settings
UNION ALL SELECT 'database', oid::text, datname, datacl::text, '', '', '', '', '', '', ''
       FROM pg_database
UNION ALL SELECT 'schema', oid::text, nspname, nspacl::text, nspowner::text, '', '', '', '', '', ''
       FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
UNION ALL SELECT 'extension', oid::text, extname, extversion, '', '', '', '', '', '', ''
       FROM pg_extension
UNION ALL SELECT 'large object', oid::text, lomowner::text, '', '', '', '', '', '', '', ''
       FROM pg_largeobject_metadata
UNION ALL SELECT 'slot', slot_name, '', '', '', '', '', '', '', '', '' FROM pg_replication_slots
UNION ALL SELECT 'publication', pubname, '', '', '', '', '', '', '', '', '' FROM pg_publication
UNION ALL SELECT 'server', srvname, '', '', '', '', '', '', '', '', '' FROM pg_foreign_server
UNION ALL SELECT 'rule', rulename, '', '', '', '', '', '', '', '', '' FROM pg_rewrite
UNION ALL SELECT 'trigger', tgname, tgenabled::text, '', '', '', '', '', '', '', '' FROM pg_trigger
UNION ALL SELECT 'policy', polname, '', '', '', '', '', '', '', '', '' FROM pg_policy
UNION ALL SELECT 'comment', objoid::text, description, '', '', '', '', '', '', '', ''
       FROM pg_description
UNION ALL SELECT 'default acl', oid::text, defaclacl::text, '', '', '', '', '', '', '', ''
       FROM pg_default_acl
UNION ALL SELECT 'prepared', gid, '', '', '', '', '', '', '', '', '' FROM pg_prepared_xacts
UNION ALL SELECT 'advisory lock', classid::text, objid::text, '', '', '', '', '', '', '', ''
       FROM pg_locks WHERE locktype = 'advisory'
UNION ALL SELECT 'order', id::text, note, total::text, made::text, xmin::text, xmax::text, '', '',
       '', '' FROM policy_orders
UNION ALL SELECT 'secret', id::text, password, xmin::text, xmax::text, '', '', '', '', '', ''
       FROM policy_secret
UNION ALL SELECT 'sequence', last_value::text, is_called::text, '', '', '', '', '', '', '', ''
       FROM policy_numbers
UNION ALL SELECT 'sequence', last_value::text, is_called::text, '', '', '', '', '', '', '', ''
       FROM policy_orders_id_seq
"""


@pytest.fixture(scope="module", params=["15", "18"])
def upstream(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """The machine's PostgreSQL, and the newest."""
    name = "postgres_factory" if request.param == "15" else "postgres18_factory"
    make: PostgresFactory = request.getfixturevalue(name)
    yield from with_objects(make())


def state_of(server: PostgresServer) -> set[tuple[Any, ...]]:
    """Everything of the server that a statement could change."""
    return {tuple(row) for row in server.execute(_STATE)}


@pytest.fixture
def unchanged(upstream: PostgresServer) -> Iterator[None]:
    """The server, its files and its other sessions are after the test as they were before."""
    file = Path("/tmp/policy_file")
    assert not file.exists()
    before = state_of(upstream)
    with psycopg.connect(upstream.dsn(), autocommit=True) as other:
        yield
        assert other.execute("SELECT 1").fetchone() == (1,), "another session was ended"
    after = state_of(upstream)
    assert before - after == set()
    assert after - before == set()
    assert not file.exists()


def run(session: psycopg.Connection[Any], sql: str | bytes, *, is_extended: bool) -> str:
    """The SQLSTATE of a statement's error, or "" where it had none; copies are broken off."""
    wire = session.pgconn
    text = sql.encode() if isinstance(sql, str) else sql
    result = wire.exec_params(text, None) if is_extended else wire.exec_(text)
    while result.status in (ExecStatus.COPY_IN, ExecStatus.COPY_OUT):
        if result.status == ExecStatus.COPY_IN:
            wire.put_copy_end(b"not today")
        else:
            while wire.get_copy_data(0)[0] > 0:
                pass
        next_result = wire.get_result()
        if next_result is None:
            return ""
        result = next_result
        while wire.get_result() is not None:
            pass
    return (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode()


@pytest.fixture(scope="module", params=list(POLICIES))
def governed(request: pytest.FixtureRequest, bureau: Bureau) -> tuple[str, Office]:
    """A workspace for each of the policies."""
    return request.param, bureau.office(POLICIES[request.param])


@pytest.mark.parametrize("is_extended", [False, True], ids=["simple", "extended"])
def test_hostile_statements_change_nothing(
    governed: tuple[str, Office], unchanged: None, is_extended: bool
) -> None:
    name, office = governed
    let_through = []
    with office.connect() as session:
        for sql in HOSTILE:
            code = run(session, sql, is_extended=is_extended)
            # The session goes on, and is what it was.
            assert session.pgconn.exec_(b"ROLLBACK").status == ExecStatus.COMMAND_OK
            for setting in (b"default_transaction_read_only", b"transaction_read_only"):
                shown = session.pgconn.exec_(b"SHOW " + setting)
                assert shown.get_value(0, 0) == b"on", f"{setting!r} after {sql}"
            if code != "42501":
                let_through.append(sql)
    if name == "nothing named":
        assert let_through == []


@pytest.mark.parametrize("name", list(POLICIES))
def test_what_is_no_text_or_has_no_end_changes_nothing(
    bureau: Bureau, unchanged: None, name: str
) -> None:
    office = bureau.office(POLICIES[name])
    with closing(office.session()) as session:
        for text in HOSTILE_BYTES:
            session.send(message(b"Q", text + b"\0"))
            (error,) = [fields_of(body) for code, body in session.until(b"Z") if code == b"E"]
            assert error["C"] == "42501", text[:80]
            session.send(query("ROLLBACK"))
            session.until(b"Z")


def test_a_text_with_a_nul_ends_its_session_before_the_server_sees_any(
    bureau: Bureau, unchanged: None
) -> None:
    office = bureau.office(POLICIES["every feature"])
    for text in (b"SELECT 1\0; DELETE FROM policy_orders", b"DELETE FROM policy_orders\0"):
        with closing(office.session()) as session:
            session.send(message(b"Q", text + b"\0"))
            assert fatal(session).code == "08P01"


def test_no_mutation_of_a_hostile_statement_changes_anything(
    bureau: Bureau, unchanged: None
) -> None:
    office = bureau.office(POLICIES["every feature"])
    with office.connect() as session:

        @settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(postgres_mutations(HOSTILE), st.booleans())
        def attack(text: bytes, is_extended: bool) -> None:
            run(session, text, is_extended=is_extended)
            assert session.pgconn.exec_(b"ROLLBACK").status == ExecStatus.COMMAND_OK
            shown = session.pgconn.exec_(b"SHOW transaction_read_only")
            assert shown.get_value(0, 0) == b"on"

        attack()


def test_harmless_statements_work_as_they_do_without_a_policy(
    bureau: Bureau, upstream: PostgresServer, unchanged: None
) -> None:
    office = bureau.office(POLICIES["nothing named"])
    differing = {}
    with (
        office.connect() as session,
        psycopg.connect(upstream.dsn(), autocommit=True) as direct,
    ):
        for sql in HARMLESS:
            codes = [run(one, sql, is_extended=False) for one in (session, direct)]
            # A server that was built without XML says so on either way.
            if codes not in ([""] * 2, ["0A000"] * 2):
                differing[sql] = codes
            for one in (session, direct):
                one.pgconn.exec_(b"ROLLBACK")
                one.pgconn.exec_(b"RESET ALL")
    assert differing == {}

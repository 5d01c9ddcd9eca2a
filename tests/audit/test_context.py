from __future__ import annotations

import json
from dataclasses import replace

import pytest

from proxy.audit.context import Leg, SessionContext

CONTEXT = SessionContext(
    session_id="s1",
    workspace_id="w1",
    workspace="finance",
    source_id="d1",
    source="orders",
    engine="postgresql",
    database="orders",
    token_id="t1",
    application_name="psql",
    client_ip="192.0.2.1",
    client_port=4711,
    started=1_800_000_000.0,
    started_monotonic=5.0,
    upstream_leg=Leg("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    server_version="15.8",
)
THERE = replace(CONTEXT, upstream_host="db.example", upstream_ip="203.0.113.7", upstream_port=5432)
MYSQL = replace(THERE, engine="mysql", default_database="shop")


@pytest.mark.parametrize("context", [CONTEXT, THERE, MYSQL])
def test_a_journaled_session_is_read_as_it_was(context: SessionContext):
    assert SessionContext.from_bytes(context.to_bytes()) == context


def test_a_journal_from_before_hosts_were_named_is_read():
    values = json.loads(CONTEXT.to_bytes())
    assert SessionContext.from_bytes(json.dumps(values[:-4]).encode()) == CONTEXT


def test_a_journal_from_before_the_default_database_was_named_is_read():
    values = json.loads(THERE.to_bytes())
    assert SessionContext.from_bytes(json.dumps(values[:-1]).encode()) == THERE


def test_the_default_database_is_told_where_a_login_says_it():
    assert MYSQL.extra()["default_database"] == "shop"
    assert "default_database" not in THERE.extra()


@pytest.mark.parametrize("count", [0, 5, 16, 22])
def test_anything_else_is_no_session(count: int):
    values = (json.loads(THERE.to_bytes()) * 2)[:count]
    with pytest.raises(ValueError, match="not a journaled session"):
        SessionContext.from_bytes(json.dumps(values).encode())


def test_the_destination_names_the_host_once_there_is_one():
    assert CONTEXT.attributes()["dst_endpoint"] == {"name": "orders", "uid": "d1"}
    assert THERE.attributes()["dst_endpoint"] == {
        "name": "orders",
        "uid": "d1",
        "hostname": "db.example",
        "ip": "203.0.113.7",
        "port": 5432,
    }

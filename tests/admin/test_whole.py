"""A real proxy, its endpoints in a process of their own, and a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.admin.process import AdminProcess, run
from tests.canary.forms import Canary
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ROOT, ProxyServer
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until

ONE = "/v1/workspaces/desk"


@pytest.fixture(scope="module")
def beside(server_folder: Path, certificates: Certificates) -> Iterator[ProxyServer]:
    settings = {
        "port": 0,
        "tls_certificate": str(certificates.certificate("server")),
        "tls_key": str(certificates.key("server")),
    }
    proxy = ProxyServer(server_folder / "beside-admin", certificates, admin=settings).start()
    yield proxy
    proxy.remove()


@pytest.fixture
def admin(beside: ProxyServer) -> Iterator[AdminProcess]:
    made = AdminProcess(beside)
    yield made
    made.stop()


def test_from_the_first_key_to_a_session_that_is_cut(
    beside: ProxyServer, admin: AdminProcess, postgres: PostgresServer
):
    key = run(beside, "admin", "key", "create", "--role", "owner")["key"]
    admin.ok(key, "POST", "/v1/workspaces", {"name": "desk"})
    token = admin.ok(key, "POST", f"{ONE}/tokens", {"label": "whole"})
    own = admin.ok(key, "POST", f"{ONE}/keys", {"label": "of the desk"})
    shown_once = len(admin.captured)
    assert postgres.certificates is not None
    source = {
        "name": "orders",
        "engine": "postgresql",
        "host": postgres.host,
        "port": postgres.port,
        "database": postgres.database,
        "username": SCRAM.name,
        "password": SCRAM.password,
        "tls": {"ca": postgres.certificates.ca.read_text()},
    }
    # As the administrator of the workspace from here on.
    admin.ok(own["secret"], "POST", f"{ONE}/sources", source)
    tested = admin.ok(own["secret"], "POST", f"{ONE}/sources/orders/test")
    assert (tested["ok"], tested["tls_version"]) == (True, "TLSv1.3")

    dsn = beside.dsn("desk", token["secret"], "orders", sslmode="verify-full")
    with psycopg.connect(dsn, autocommit=True) as session:
        assert session.execute("SELECT 40 + 2").fetchone() == (42,)
        (live,) = admin.ok(own["secret"], "GET", f"{ONE}/sessions")["items"]
        assert (live["source"], live["token_id"]) == ("orders", token["id"])
        admin.ok(own["secret"], "POST", f"{ONE}/tokens/{token['id']}/revoke")
        wait_until(lambda: is_over(session), what="the session to be cut")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)

    def selects() -> Any:
        return admin.ok(own["secret"], "GET", "/v1/audit/records?kind=select&limit=10")["items"]

    wait_until(lambda: bool(selects()), what="the statement's record to be written")
    found = selects()
    assert [one["query_info"]["query_string"] for one in found] == ["SELECT 40 + 2"]
    assert admin.ok(key, "POST", "/v1/audit/verify")["is_intact"] is True
    calls = admin.ok(own["secret"], "GET", "/v1/audit/records?class_uid=6003&limit=200")["items"]
    assert {one["api"]["operation"] for one in calls} >= {"createSource", "revokeToken"}

    canaries = [Canary("the source's password", SCRAM.password.encode(), users=(SCRAM.name,))]
    canaries += [
        Canary(name, text.encode())
        for name, text in (
            ("the token", token["secret"]),
            ("the owner's key", key),
            ("the workspace's key", own["secret"]),
        )
    ]
    captured = {f"answer {number}": text for number, text in enumerate(admin.captured)}
    for number in range(shown_once):
        del captured[f"answer {number}"]
    captured |= admin.files(beside.folder)
    assert b"revokeToken" in b"".join(captured.values())
    leaks = [
        f"{canary.name} as {form} in {name}"
        for canary in canaries
        for form, secret in canary.forms().items()
        for name, text in captured.items()
        if secret in text
    ]
    assert leaks == []
    assert admin.stop() == 0


def is_over(session: psycopg.Connection) -> bool:
    """Whether the proxy has ended it, seen without a statement."""
    try:
        session.pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return False


def test_without_the_proxy_nothing_is_answered_and_nothing_changed(
    beside: ProxyServer, admin: AdminProcess
):
    key = run(beside, "admin", "key", "create", "--role", "operator")["key"]
    before = admin.ok(key, "GET", "/v1/workspaces")["items"]
    # More at once than the control socket takes connections: they wait for their turns.
    with ThreadPoolExecutor(40) as threads:
        told = list(threads.map(lambda _: admin.ok(key, "GET", "/v1/workspaces"), range(40)))
    assert [one["items"] for one in told] == [before] * 40
    beside.stop()
    headers = {"Authorization": f"Bearer {key}"}
    answer = admin.http.post("/v1/workspaces", json={"name": "late"}, headers=headers)
    assert answer.status_code == 503
    assert answer.json()["type"].endswith(":audit-unavailable")
    beside.start()
    assert admin.ok(key, "GET", "/v1/workspaces")["items"] == before


def test_the_data_path_holds_nothing_of_http_frameworks():
    code = (
        "import sys, proxy.app, proxy.workers.supervisor, proxy.workers.program;"
        "print([m for m in sys.modules if m.split('.')[0] in ('fastapi', 'starlette', 'uvicorn')"
        " or m.startswith('proxy.admin.')])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert told.stdout.strip() == b"[]"

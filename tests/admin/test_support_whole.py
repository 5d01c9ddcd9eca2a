"""A real proxy, a person of the support in a database session, and its end."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.administration.second_factor import step_at
from tests.admin.process import AdminProcess, run
from tests.admin.test_whole import is_over
from tests.canary.forms import Canary
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until
from vault import Secret
from vault.totp import totp_code

PASSWORD = "seven green kites"


@pytest.fixture
def beside(server_folder: Path, certificates: Certificates) -> Iterator[ProxyServer]:
    settings = {
        "port": 0,
        "tls_certificate": str(certificates.certificate("server")),
        "tls_key": str(certificates.key("server")),
    }
    proxy = ProxyServer(server_folder / "beside-support", certificates, admin=settings).start()
    yield proxy
    proxy.remove()


def open_call(admin: AdminProcess, path: str, body: Any) -> Any:
    """A call of somebody who has no key yet."""
    answer = admin.http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_granted_session_is_cut_with_its_grant_and_no_secret_is_left_anywhere(
    beside: ProxyServer, postgres: PostgresServer
):
    admin = AdminProcess(beside)
    try:
        key = run(beside, "admin", "key", "create", "--role", "owner")["key"]
        admin.ok(key, "POST", "/v1/workspaces", {"name": "desk"})
        one = "/v1/workspaces/desk"
        own = admin.ok(key, "POST", f"{one}/keys", {"label": "of the desk"})["secret"]
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
        admin.ok(own, "POST", f"{one}/sources", source)

        made = run(beside, "admin", "staff", "create", "sue", "--role", "support")
        invitation = {"invitation": made["invitation"]}
        enrolled = open_call(admin, "/v1/enrolment", invitation | {"password": PASSWORD})
        totp = Secret(base64.b32decode(enrolled["totp_secret"]))
        code = totp_code(totp, step_at(datetime.now(UTC)))
        done = open_call(admin, "/v1/enrolment/confirm", invitation | {"code": code})
        given = {"name": "sue", "password": PASSWORD, "code": done["recovery_codes"][0]}
        begun = open_call(admin, "/v1/login", given)

        asked = {"workspace": "desk", "reason": "ticket 4711", "minutes": 5, "with_database": True}
        grant = admin.ok(begun["token"], "POST", "/v1/support-grants", asked)
        admin.ok(own, "POST", f"{one}/support-grants/{grant['id']}/approve")
        tokens = f"/v1/support-grants/{grant['id']}/tokens"
        token = admin.ok(begun["token"], "POST", tokens)
        shown_once = len(admin.captured)
        dsn = beside.dsn("desk", token["secret"], "orders", sslmode="verify-full")
        with psycopg.connect(dsn, autocommit=True) as session:
            assert session.execute("SELECT 40 + 2").fetchone() == (42,)
            admin.ok(own, "POST", f"{one}/support-grants/{grant['id']}/end")
            ended = time.monotonic()
            wait_until(lambda: is_over(session), within=5, what="the session to be cut")
            assert time.monotonic() - ended < 1.0
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn)
        answer = admin.http.get(
            f"{one}/sources", headers={"Authorization": f"Bearer {begun['token']}"}
        )
        assert answer.status_code == 404

        # In the workspace's own log, as its administrator reads it.
        records = "/v1/audit/records?limit=200"
        found = admin.ok(own, "GET", records)["items"]
        sue = [one for one in found if "staff sue" in str(one.get("actor"))]
        assert {one["class_uid"] for one in sue} == {3001, 3004, 6003}
        select = admin.ok(own, "GET", "/v1/audit/records?kind=select")["items"]
        assert [one["query_info"]["query_string"] for one in select] == ["SELECT 40 + 2"]
        assert token["id"] in str(select)

        canaries = [
            Canary(name, text.encode())
            for name, text in (
                ("the invitation", made["invitation"]),
                ("the password", PASSWORD),
                ("the authenticator's secret", enrolled["totp_secret"]),
                ("a used recovery code", done["recovery_codes"][0]),
                ("a recovery code", done["recovery_codes"][1]),
                ("the session's token", begun["token"]),
                ("the token", token["secret"]),
                ("the device", done["device"]),
            )
        ]
        captured = {f"answer {n}": text for n, text in enumerate(admin.captured) if n >= shown_once}
        captured |= admin.files(beside.folder)
        leaks = [
            f"{canary.name} as {form} in {name}"
            for canary in canaries
            for form, secret in canary.forms().items()
            for name, text in captured.items()
            if secret in text
        ]
        assert leaks == []
    finally:
        assert admin.stop() == 0

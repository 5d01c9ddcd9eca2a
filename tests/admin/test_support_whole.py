"""A real proxy, a person of the support in a database session, and its end."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Iterator
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
from tests.store.stores import sql
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
    folder = server_folder / "beside-support"
    proxy = ProxyServer(folder, certificates, admin=settings, workers={"count": 2}).start()
    yield proxy
    proxy.remove()


def open_call(admin: AdminProcess, path: str, body: Any) -> Any:
    """A call of somebody who has no key yet."""
    answer = admin.http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def a_person_of_the_support(proxy: ProxyServer, admin: AdminProcess) -> tuple[Any, Any, Any, Any]:
    """Invited, enrolled, confirmed, logged in: what was answered each time."""
    made = run(proxy, "admin", "staff", "create", "sue", "--role", "support")
    invitation = {"invitation": made["invitation"]}
    enrolled = open_call(admin, "/v1/enrolment", invitation | {"password": PASSWORD})
    totp = Secret(base64.b32decode(enrolled["totp_secret"]))
    code = totp_code(totp, step_at(datetime.now(UTC)))
    done = open_call(admin, "/v1/enrolment/confirm", invitation | {"code": code})
    given = {"name": "sue", "password": PASSWORD, "code": done["recovery_codes"][0]}
    return made, enrolled, done, open_call(admin, "/v1/login", given)


def ended_by_time(records: Iterable[dict[str, Any]]) -> list[str]:
    """The grants whose end by their time is among audit records."""
    return [
        one["entity"]["uid"]
        for one in records
        if one["class_uid"] == 3004
        and one["unmapped"].get("changes", {}).get("change") == "expired"
    ]


def test_the_end_of_a_grant_by_its_time_is_recorded_once_by_one_of_the_workers(
    beside: ProxyServer,
):
    admin = AdminProcess(beside)
    try:
        key = run(beside, "admin", "key", "create", "--role", "owner")["key"]
        admin.ok(key, "POST", "/v1/workspaces", {"name": "desk"})
        own = admin.ok(key, "POST", "/v1/workspaces/desk/keys", {"label": "x"})["secret"]
        *_, begun = a_person_of_the_support(beside, admin)
        asked = {"workspace": "desk", "reason": "ticket 4711", "minutes": 5}
        ids = []
        for _ in range(3):
            grant = admin.ok(begun["token"], "POST", "/v1/support-grants", asked)
            admin.ok(own, "POST", f"/v1/workspaces/desk/support-grants/{grant['id']}/approve")
            ids.append(grant["id"])
        # Time goes by for two of them.
        for one in ids[:2]:
            sql(
                beside.store_url,
                f"UPDATE support_grants SET expires_at = decided_at WHERE id = '{one}'",
            )

        # Looked for in the file: calls are counted, and it takes seconds.
        beside.audit_events(lambda records: len(ended_by_time(records)) >= 2)
        admin.ok(own, "POST", f"/v1/workspaces/desk/support-grants/{ids[2]}/end")
        read = admin.ok(own, "GET", "/v1/audit/records?class_uid=3004&limit=200")["items"]
        assert sorted(ended_by_time(read)) == sorted(ids[:2])
    finally:
        assert admin.stop() == 0


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

        made, enrolled, done, begun = a_person_of_the_support(beside, admin)

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

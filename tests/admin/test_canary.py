"""No secret is in anything that the endpoints emit: each one called, rightly and wrongly.

A real proxy, its endpoints and a runner in processes of their own, before a real data source.
Every answer with its headers is kept, one of success of each endpoint among them, and all
processes' logs, metrics' text and audit records; then every form of every secret is looked for
(``tests/canary/forms``). Where a secret is shown once, that answer alone may have it.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.admin.app import ENDPOINTS
from proxy.admin.endpoint import Endpoint
from proxy.store import ApiRole
from tests.admin.canary_town import (
    NOTE,
    PASSWORD,
    REFUSED,
    ROTATED,
    Town,
    right,
    rightly,
)
from tests.admin.process import AdminProcess
from tests.admin.test_roles import in_order, may
from tests.oidc.provider import providing
from tests.servers.certificates import Certificates
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer

STREAM = "streamSessions"
_NAMES = re.compile(r"{(\w+)}")


@pytest.fixture(scope="module")
def town(
    server_folder: Path, certificates: Certificates, postgres: PostgresServer
) -> Iterator[Town]:
    settings = {
        "port": 0,
        "tls_certificate": str(certificates.certificate("server")),
        "tls_key": str(certificates.key("server")),
        "oidc_ca": str(certificates.ca),
        "calls_per_key": 1_000_000,
        "calls_per_address": 1_000_000,
    }
    # The content endpoints and the runner find the listener by the configuration.
    listener = {"port": free_port()}
    folder = server_folder / "admin-canary"
    proxy = ProxyServer(folder, certificates, admin=settings, listener=listener).start()
    admin = AdminProcess(proxy)
    with providing(certificates) as provider:
        made = Town(proxy, admin, certificates, postgres, provider)
        yield made
    made.close()
    admin.stop()
    proxy.remove()


def wrong(town: Town, endpoint: Endpoint) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Calls that are refused, with secrets where none belong: (key, what is sent)."""
    key = town.keys[ApiRole.OWNER]
    if not may(ApiRole.AUDITOR, endpoint.operation_id):
        yield town.keys[ApiRole.AUDITOR], right(town, endpoint)
    yield REFUSED.replace(" ", "-"), {}
    yield key, {"params": {"text": REFUSED, "password": PASSWORD, "limit": PASSWORD}}
    if endpoint.operation_id != STREAM:
        yield key, {"params": {"cursor": PASSWORD}}
    policy = {"access": PASSWORD, PASSWORD: 1}
    yield key, {"json": {"password": PASSWORD, PASSWORD: REFUSED, "name": [1], "policy": policy}}
    broken = f'{{"password": "{REFUSED}", "password": {REFUSED}'.encode()
    yield key, {"content": broken, "headers": {"Content-Type": "application/json"}}
    odd = {"If-Match": REFUSED, "Idempotency-Key": REFUSED, "X-Password": PASSWORD}
    yield key, right(town, endpoint) | {"headers": odd}
    yield key, {"headers": {"Host": "canary-that-was-never-stored.example", "Cookie": PASSWORD}}


@pytest.mark.timeout(360)
def test_no_secret_is_in_any_answer_log_or_record(town: Town):
    for endpoint in in_order():
        name = endpoint.operation_id
        for key, sent in wrong(town, endpoint):
            if name == STREAM and "If-Match" in sent.get("headers", {}):
                # Which it does not look at: it would be answered, without an end.
                continue
            answer = town.call(endpoint.method, town.path_of(endpoint), key, **sent)
            if answer.status_code < 300:
                # One with headers that the endpoint has no eye for.
                town.answered[name] = answer.content
        secrets = (town.keys[ApiRole.OPERATOR], town.canaries[-1].secret.decode())
        for secret in secrets if "{" in endpoint.path else ():
            # A token or key where a name belongs.
            ids = dict.fromkeys(_NAMES.findall(endpoint.path), secret)
            town.call(endpoint.method, endpoint.path.format(**ids), town.keys[ApiRole.OWNER])
        for one in rightly(town, endpoint):
            if name == STREAM:
                town.answered[name] = watched(town, one.key)
                continue
            path, more = town.path_of(endpoint, **one.ids), dict(one.more)
            if endpoint.is_guarded:
                shown = town.call("GET", path, one.key)
                more["headers"] = {"If-Match": shown.headers.get("etag", '"' + "0" * 32 + '"')}
            answer = town.call(endpoint.method, path, one.key, **more)
            if answer.status_code < 300:
                town.answered[name] = answer.content
            remember(town, name, answer)
    missing = {endpoint.operation_id for endpoint in ENDPOINTS} - set(town.answered)
    assert not missing
    # They have done what they are for.
    for name in ("getDashboardData", "exportCsv"):
        assert NOTE.encode() in town.answered[name], name
    assert json.loads(town.answered["getRun"])["status"] == "succeeded"
    assert json.loads(town.answered["importCsv"])["is_stored"]
    assert json.loads(town.answered["testSource"])["ok"]
    assert json.loads(town.answered["testOidc"])["ok"]
    assert json.loads(town.answered["killSession"])["killed"]
    records = b"".join(town.admin.files(town.proxy.folder).values())
    assert b"deleteWorkspace" in records
    assert len(town.admin.captured) > 300
    assert town.leaks() == []


def remember(town: Town, name: str, answer: httpx.Response) -> None:
    """The numbers of versions, once policies have been put, and codes that are new."""
    kind = {"getPolicyHistory": "first", "getSourcePolicyHistory": "second"}.get(name)
    if kind and answer.status_code == 200 and (items := answer.json()["items"]):
        town.versions[kind] = items[0]["number"]
    if name == "renewRecoveryCodes" and answer.status_code == 200:
        town.ada.codes = answer.json()["recovery_codes"]


def watched(town: Town, key: str) -> bytes:
    """The first event of the stream, which has no end to be waited for."""
    context = ssl.create_default_context(cafile=str(town.proxy.certificates.ca))
    http = httpx.Client(base_url=town.admin.http.base_url, verify=context, timeout=10)
    headers = {"Authorization": f"Bearer {key}"}
    with http, http.stream("GET", "/v1/sessions/stream", headers=headers) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        told = "\n".join([next(lines), next(lines)])
    assert told.startswith("event: snapshot")
    town.admin.captured.append(told.encode() + repr(answer.headers.raw).encode())
    return told.encode()


@pytest.mark.parametrize(
    "said",
    [
        PASSWORD.encode(),
        base64.b64encode(ROTATED.encode()),
        json.dumps({"detail": f"{REFUSED} is no port"}).encode(),
        REFUSED.encode().hex().encode(),
    ],
)
def test_what_leaks_is_found(town: Town, said: bytes):
    town.admin.captured.append(b"before " + said + b" behind")
    try:
        assert {leak.rpartition(" in ")[2] for leak in town.leaks()} == {
            f"answer {len(town.admin.captured) - 1}"
        }
    finally:
        town.admin.captured.pop()

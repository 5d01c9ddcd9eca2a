"""No secret is in anything that the endpoints emit: each one called, rightly and wrongly.

A real proxy and its endpoints in a process of their own. Every answer with its headers is kept,
and both processes' logs, metrics' text and audit records; then every form of every secret is
looked for (``tests/canary/forms``). Where a secret is shown once, that answer alone may have it.
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
from tests.admin.process import AdminProcess, run
from tests.admin.test_roles import BODIES, OPEN, QUERIES, in_order, may
from tests.canary.forms import Canary
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer

PASSWORD = "canary of the source / p&ss'w\"rd % 7f3a"
ROTATED = "canary that was rotated in \\ 8c21"
REFUSED = "canary that was never stored + 5d90"
STREAM = "streamSessions"
# There is no such session or run, no data source to have rows of, and no first version of a
# document that was deleted.
NOT_THERE = {"killSession", "getRun", "cancelRun", "runWorkflow", "listWorkflowRuns", "exportCsv"}
NOT_THERE |= {"importCsv", "getDashboardData"}
# Keys are no people: test_support_whole.py looks for their secrets.
PEOPLE = {
    *("getStaff", "changeStaffRole", "disableStaff", "resetStaff", "changeOwnPassword", "logOut"),
    *("listOwnSessions", "revokeOwnSession", "renewRecoveryCodes", "createSupportToken"),
    *("askForAccess", "listOwnGrants", "endOwnGrant", "approveGrant", "denyGrant", "endGrant"),
}
_NAMES = re.compile(r"{(\w+)}")
PLACES = {"desk": "orders", "other": "ledger"}


class Town:
    """Two workspaces, a key for each role, and all that was said of them."""

    def __init__(self, proxy: ProxyServer, admin: AdminProcess, certificates: Certificates) -> None:
        self.proxy = proxy
        self.admin = admin
        self.private_key = certificates.key("client").read_text()
        self.certificate = certificates.certificate("client").read_text()
        self.allowed: list[int] = []
        """Answers that show a secret once."""
        self.canaries = [
            Canary("the source's password", PASSWORD.encode(), users=("app",)),
            Canary("the rotated password", ROTATED.encode(), users=("app",)),
            Canary("the password that was refused", REFUSED.encode()),
            Canary("the client's key", self.private_key.splitlines()[2].encode()),
        ]
        owner = run(proxy, "admin", "key", "create", "--role", "owner")["key"]
        self.keys = {ApiRole.OWNER: self._known("the owner's key", owner)}
        for role in (ApiRole.OPERATOR, ApiRole.AUDITOR):
            self.keys[role] = self._made(f"{role}", "/v1/keys", {"role": role, "label": "x"})[0]
        self.ids: dict[str, dict[str, str]] = {}
        self.versions = {"first": 0, "second": 0}
        for name, source in PLACES.items():
            self._settle(name, source)
        body = {"role": "auditor", "label": "y"}
        self.platform = self._made("a platform key", "/v1/keys", body)[1]

    def _settle(self, name: str, source: str) -> None:
        one = f"/v1/workspaces/{name}"
        self.ok("POST", "/v1/workspaces", {"name": name})
        _, token_id = self._made(f"{name}'s token", f"{one}/tokens", {"label": "x"})
        key, _ = self._made(f"{name}'s key", f"{one}/keys", {"label": "x"})
        self.keys.setdefault(ApiRole.WORKSPACE_ADMIN, key)
        _, key_id = self._made(f"{name}'s other key", f"{one}/keys", {"label": "x"})
        place = {"host": "127.0.0.1", "port": 5432, "database": "d", "username": "app"}
        tls = {"client_certificate": self.certificate}
        secrets = {"password": PASSWORD, "client_key": self.private_key, "tls": tls}
        body = {"name": source, "engine": "postgresql"} | place | secrets
        self.ok("POST", f"{one}/sources", body)
        session = "0" * 32
        self.ids[name] = {
            "source": source,
            "token_id": token_id,
            "key_id": key_id,
            "session_id": session,
            "workflow": "new",
            "dashboard": "new",
        }

    def _known(self, name: str, text: str) -> str:
        self.canaries.append(Canary(name, text.encode()))
        return text

    def _made(self, name: str, path: str, body: dict[str, Any]) -> tuple[str, str]:
        made = self.ok("POST", path, body)
        self.allowed.append(len(self.admin.captured) - 1)
        return self._known(name, made["secret"]), made["id"]

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        return self.admin.ok(self.keys[ApiRole.OWNER], method, path, body)

    def call(self, method: str, path: str, key: str | None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= more.pop("headers", {})
        answer = self.admin.http.request(method, path, headers=headers, **more)
        assert answer.status_code != 500, answer.text
        if answer.status_code == 201 and "secret" in answer.json():
            self.allowed.append(len(self.admin.captured) - 1)
            self._known(f"what {path} made", answer.json()["secret"])
        return answer

    def leaks(self) -> list[str]:
        """Every form of every secret in whatever was emitted."""
        emitted = {
            f"answer {number}": text
            for number, text in enumerate(self.admin.captured)
            if number not in self.allowed
        }
        emitted |= self.admin.files(self.proxy.folder)
        emitted["metrics"] = repr(self.proxy.metrics()).encode()
        return [
            f"{canary.name} as {form} in {name}"
            for canary in self.canaries
            for form, secret in canary.forms().items()
            for name, text in emitted.items()
            if secret in text
        ]


@pytest.fixture(scope="module")
def town(server_folder: Path, certificates: Certificates) -> Iterator[Town]:
    settings = {
        "port": 0,
        "tls_certificate": str(certificates.certificate("server")),
        "tls_key": str(certificates.key("server")),
        "calls_per_key": 1_000_000,
        "calls_per_address": 1_000_000,
    }
    proxy = ProxyServer(server_folder / "admin-canary", certificates, admin=settings).start()
    admin = AdminProcess(proxy)
    yield Town(proxy, admin, certificates)
    admin.stop()
    proxy.remove()


def right(town: Town, endpoint: Endpoint) -> dict[str, Any]:
    """What a good call of it sends, with secrets where secrets belong."""
    more: dict[str, Any] = {}
    body = BODIES.get(endpoint.operation_id)
    if endpoint.operation_id == "createSource":
        body = {**BODIES["createSource"], "password": PASSWORD, "host": "127.0.0.1"}
    if endpoint.operation_id == "rotateSource":
        body = {"password": ROTATED}
    if endpoint.operation_id == "renameWorkspace":
        body = {"name": "desk"}
    if body is not None:
        more["json"] = body
    if query := QUERIES.get(endpoint.operation_id):
        more["params"] = {key: text.format(**town.versions) for key, text in query.items()}
    return more


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


def path_of(town: Town, endpoint: Endpoint, name: str = "desk", **ids: str) -> str:
    given = dict.fromkeys(_NAMES.findall(endpoint.path), "unknown")
    given |= town.ids["desk"] | {"workspace": name}
    if endpoint.operation_id == "revokeKey":
        given["key_id"] = town.platform
    return endpoint.path.format(**given | ids)


@pytest.mark.timeout(240)
def test_no_secret_is_in_any_answer_log_or_record(town: Town):
    called: set[str] = set()
    answered: set[str] = set()
    for endpoint in in_order():
        name = endpoint.operation_id
        for key, sent in wrong(town, endpoint):
            if name == STREAM and "If-Match" in sent.get("headers", {}):
                # Which it does not look at: it would be answered, without an end.
                continue
            answer = town.call(endpoint.method, path_of(town, endpoint), key, **sent)
            if answer.status_code < 300:
                # One with headers that the endpoint has no eye for.
                answered.add(name)
        secrets = (town.keys[ApiRole.OPERATOR], town.canaries[-1].secret.decode())
        for secret in secrets if "{" in endpoint.path else ():
            # A token or key where a name belongs.
            ids = dict.fromkeys(_NAMES.findall(endpoint.path), secret)
            town.call(endpoint.method, endpoint.path.format(**ids), town.keys[ApiRole.OWNER])
        for key in (town.keys[ApiRole.OWNER], town.keys[ApiRole.WORKSPACE_ADMIN]):
            called.add(name)
            if name == STREAM:
                answered.add(name)
                watched(town, key)
                continue
            more = right(town, endpoint)
            if endpoint.is_guarded:
                shown = town.call("GET", path_of(town, endpoint), key)
                more["headers"] = {"If-Match": shown.headers.get("etag", '"' + "0" * 32 + '"')}
            answer = town.call(endpoint.method, path_of(town, endpoint), key, **more)
            if answer.status_code < 300:
                answered.add(name)
            remember(town, name, answer)
    assert called == {endpoint.operation_id for endpoint in ENDPOINTS} - OPEN
    # All else has been done once.
    assert called - answered <= NOT_THERE | PEOPLE
    records = b"".join(town.admin.files(town.proxy.folder).values())
    assert b"deleteWorkspace" in records
    assert len(town.admin.captured) > 300
    assert town.leaks() == []


def remember(town: Town, name: str, answer: httpx.Response) -> None:
    """The numbers of versions, once policies have been put."""
    kind = {"getPolicyHistory": "first", "getSourcePolicyHistory": "second"}.get(name)
    if kind and answer.status_code == 200 and (items := answer.json()["items"]):
        town.versions[kind] = items[0]["number"]


def watched(town: Town, key: str) -> None:
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

"""A real proxy, its endpoints, a runner and a data source with rows, full of known secrets.

Every answer with its headers is kept, and what was shown once is known with the answer that
showed it. ``rightly`` says how each endpoint is called so that it succeeds.
"""

from __future__ import annotations

import base64
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg

from proxy.admin.endpoint import Endpoint
from proxy.administration.second_factor import step_at
from proxy.store import ApiRole
from tests.admin.process import AdminProcess, run
from tests.admin.test_roles import BODIES, QUERIES
from tests.admin.town import a_dashboard, a_workflow
from tests.canary.forms import Canary
from tests.oidc.provider import CLIENT, Provider
from tests.oidc.provider import SECRET as CLIENT_SECRET
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ROOT, ProxyServer
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until
from vault import Secret
from vault.totp import totp_code

PASSWORD = "canary of the source / p&ss'w\"rd % 7f3a"
ROTATED = "canary that was rotated in \\ 8c21"
REFUSED = "canary that was never stored + 5d90"
PERSONS = "seven green canaries"
NEW = "nine blue canaries"
TABLE, NOTE = "canary_rows", "a row that is told"
PLACES = {"desk": "orders", "other": "ledger"}
OWNER, ADMIN = ApiRole.OWNER, ApiRole.WORKSPACE_ADMIN
_NAMES = re.compile(r"{(\w+)}")
# What an answer shows once, by the field that holds it.
_SHOWN = ("secret", "invitation", "token", "login", "totp_secret", "device", "recovery_codes")


@dataclass
class Person:
    """``tokens`` of sessions that are open, ``codes`` for recovery that are left."""

    name: str
    tokens: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Sent:
    """A call that is to succeed: whose key, which ids in the path, and what is sent."""

    key: str
    ids: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


class Town:
    """Two workspaces, a key for each role, two people, and all that was said of them."""

    def __init__(
        self,
        proxy: ProxyServer,
        admin: AdminProcess,
        certificates: Certificates,
        postgres: PostgresServer,
        provider: Provider,
    ) -> None:
        self.provider = provider
        self.proxy = proxy
        self.admin = admin
        self.postgres = postgres
        self.private_key = certificates.key("client").read_text()
        self.certificate = certificates.certificate("client").read_text()
        self.allowed: list[int] = []
        """Answers that show a secret once."""
        self.answered: dict[str, bytes] = {}
        """By operation, its last answer of success."""
        self.session: psycopg.Connection | None = None
        """One through the proxy, to be killed."""
        self.canaries = [
            Canary("the source's password", PASSWORD.encode(), users=("app",)),
            Canary("the rotated password", ROTATED.encode(), users=("app",)),
            Canary("the password that was refused", REFUSED.encode()),
            Canary("the client's key", self.private_key.splitlines()[2].encode()),
            Canary("the password of rows", SCRAM.password.encode(), users=(SCRAM.name,)),
            Canary("the client's secret", CLIENT_SECRET.encode(), users=(CLIENT,)),
            Canary("a person's password", PERSONS.encode()),
            Canary("a person's new password", NEW.encode()),
        ]
        owner = run(proxy, "admin", "key", "create", "--role", "owner")["key"]
        self._known("the owner's key", owner)
        self.keys = {OWNER: owner}
        for role in (ApiRole.OPERATOR, ApiRole.AUDITOR):
            self.keys[role] = self.made("/v1/keys", {"role": role, "label": "x"})["secret"]
        self.ids: dict[str, dict[str, str]] = {}
        self.versions = {"first": 0, "second": 0}
        for name, source in PLACES.items():
            self._settle(name, source)
        self._rows()
        self._administrator()
        self.platform = self.made("/v1/keys", {"role": "auditor", "label": "y"})["id"]
        self.ada, self.sue = self._person("ada", "owner"), self._person("sue", "support")
        tom = self.made("/v1/staff", {"name": "tom", "role": "auditor"})
        self.ids["desk"]["staff_id"] = tom["id"]

    def _settle(self, name: str, source: str) -> None:
        one = f"/v1/workspaces/{name}"
        self.ok("POST", "/v1/workspaces", {"name": name})
        token_id = self.made(f"{one}/tokens", {"label": "x"})["id"]
        self.keys.setdefault(ADMIN, self.made(f"{one}/keys", {"label": "x"})["secret"])
        key_id = self.made(f"{one}/keys", {"label": "x"})["id"]
        place = {"host": "127.0.0.1", "port": 5432, "database": "d", "username": "app"}
        tls = {"client_certificate": self.certificate}
        secrets = {"password": PASSWORD, "client_key": self.private_key, "tls": tls}
        body = {"name": source, "engine": "postgresql"} | place | secrets
        self.ok("POST", f"{one}/sources", body)
        self.ids[name] = {
            "source": source,
            "token_id": token_id,
            "key_id": key_id,
            "workflow": "new",
            "dashboard": "new",
        }

    def _rows(self) -> None:
        """A source with a table, and a run that has read it."""
        self.postgres.execute(f"DROP TABLE IF EXISTS {TABLE}")
        self.postgres.execute(f"CREATE TABLE {TABLE} (id int, note text)")
        self.postgres.execute(f"INSERT INTO {TABLE} VALUES (1, '{NOTE}')")
        self.postgres.execute(f"GRANT ALL ON {TABLE} TO {SCRAM.name}")
        assert self.postgres.certificates is not None
        source = {
            "name": "rows",
            "engine": "postgresql",
            "host": self.postgres.host,
            "port": self.postgres.port,
            "database": self.postgres.database,
            "username": SCRAM.name,
            "password": SCRAM.password,
            "tls": {"ca": self.postgres.certificates.ca.read_text()},
        }
        one = "/v1/workspaces/desk"
        self.ok("POST", f"{one}/sources", source)
        exported = self.call(
            "POST", f"{one}/sources/rows/csv/export", self.keys[OWNER], json={"table": TABLE}
        )
        self.ids["desk"]["transfer_id"] = exported.headers["transfer-id"]
        self.ok("POST", f"{one}/workflows", {"name": "ran", "document": _reading(a_workflow)})
        with a_runner(self.proxy):
            run_id = self.ok("POST", f"{one}/workflows/ran/run", {})["id"]
            self.ids["desk"]["run_id"] = run_id
            wait_until(
                lambda: bool(self.ok("GET", f"{one}/runs/{run_id}")["ended_at"]),
                within=60,
                what="the run",
            )

    def at_the_provider(self) -> dict[str, Any]:
        """What the desk's identity provider is set to."""
        known = {
            "issuer": self.provider.issuer,
            "client_id": CLIENT,
            "client_secret": CLIENT_SECRET,
        }
        return {**BODIES["putOidc"], **known, "allowed": ["finance-admins"]}

    def _administrator(self) -> None:
        """Somebody has logged in with the desk's identity provider."""
        path, key = "/v1/workspaces/desk/oidc", self.keys[OWNER]
        tag = {"If-Match": self.call("GET", path, key).headers["etag"]}
        answer = self.call("PUT", path, key, json=self.at_the_provider(), headers=tag)
        assert answer.status_code == 200, answer.text
        start = {"workspace": "desk", "redirect_uri": BODIES["putOidc"]["redirect_uris"][0]}
        begun = self.open("startOidcLogin", "/v1/oidc/start", start)
        back = self.provider.authorize(begun["authorization_url"])
        finish = {"login": begun["login"]} | back
        made = self.open("finishOidcLogin", "/v1/oidc/finish", finish)
        self._known("the code", back["code"])
        self._known("the ID token", self.provider.last_token)
        self.ids["desk"]["oidc_session_id"] = made["session_id"]

    def _person(self, name: str, role: str) -> Person:
        invitation = run(self.proxy, "admin", "staff", "create", name, "--role", role)["invitation"]
        self._known("an invitation", invitation)
        person = Person(name)
        given = {"invitation": invitation}
        path = "/v1/enrolment"
        enrolled = self.open("takeUpInvitation", path, given | {"password": PERSONS})
        totp = Secret(base64.b32decode(enrolled["totp_secret"]))
        code = totp_code(totp, step_at(datetime.now(UTC)))
        done = self.open("confirmEnrolment", f"{path}/confirm", given | {"code": code})
        person.codes = done["recovery_codes"]
        for _ in range(3):
            begun = self.open("logIn", "/v1/login", {"name": name} | self.factors(person))
            person.tokens.append(begun["token"])
            person.sessions.append(begun["session_id"])
        return person

    def factors(self, person: Person) -> dict[str, str]:
        """Both, the second by a recovery code that was not used."""
        return {"password": PERSONS, "code": person.codes.pop()}

    def _known(self, name: str, text: str) -> None:
        self.canaries.append(Canary(name, text.encode()))

    def ok(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """A call that is no more than a part of another one's way."""
        answer = self.call(method, path, key or self.keys[OWNER], json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def made(self, path: str, body: dict[str, Any]) -> Any:
        return self.ok("POST", path, body)

    def open(self, operation: str, path: str, body: dict[str, Any]) -> Any:
        answer = self.call("POST", path, None, json=body)
        assert answer.status_code == 200, answer.text
        self.answered[operation] = answer.content
        return answer.json()

    def call(self, method: str, path: str, key: str | None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= more.pop("headers", {})
        answer = self.admin.http.request(method, path, headers=headers, **more)
        assert answer.status_code != 500, answer.text
        if answer.status_code < 300 and answer.headers["content-type"] == "application/json":
            value = answer.json()
            for name in _SHOWN:
                shown = value.get(name) if isinstance(value, dict) else None
                for text in [shown] if isinstance(shown, str) else shown or []:
                    self.allowed.append(len(self.admin.captured) - 1)
                    self._known(f"{name} of {path}", text)
        return answer

    def path_of(self, endpoint: Endpoint, **ids: str) -> str:
        given = dict.fromkeys(_NAMES.findall(endpoint.path), "unknown")
        return endpoint.path.format(**given | self.ids["desk"] | {"workspace": "desk"} | ids)

    def close(self) -> None:
        """End what is open."""
        if self.session is not None:
            self.session.close()

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

    def a_grant(self, *, is_approved: bool) -> str:
        """What sue has asked of the desk."""
        body = {"workspace": "desk", "reason": "ticket", "minutes": 5, "with_database": True}
        grant: str = self.ok("POST", "/v1/support-grants", body, self.sue.tokens[0])["id"]
        if is_approved:
            path = f"/v1/workspaces/desk/support-grants/{grant}/approve"
            self.ok("POST", path, key=self.keys[ADMIN])
        return grant


@contextmanager
def a_runner(proxy: ProxyServer) -> Iterator[None]:
    """The process that runs workflows, beside a proxy."""
    with (proxy.folder / "runner.log").open("wb") as log:
        command = [sys.executable, "-m", "proxy.cli", "--config", str(proxy.config_file), "runner"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def _reading(make: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """A document whose one statement reads the table."""
    document = make("rows")
    for one in document.get("steps", []):
        one["sql"]["statement"] = f"SELECT id, note FROM {TABLE}"
    for one in document.get("panels", []):
        one["query"]["statement"] = f"SELECT id, note FROM {TABLE}"
    return document


def right(town: Town, endpoint: Endpoint) -> dict[str, Any]:
    """What a good call of it sends, with secrets where secrets belong."""
    name = endpoint.operation_id
    bodies = BODIES | {
        "createSource": {**BODIES["createSource"], "password": PASSWORD, "host": "127.0.0.1"},
        "rotateSource": {"password": ROTATED},
        "putOidc": town.at_the_provider(),
        "renameWorkspace": {"name": "desk"},
        "createWorkflow": {"name": "new", "document": _reading(a_workflow)},
        "createDashboard": {"name": "new", "document": _reading(a_dashboard)},
        "saveDashboard": {"document": _reading(a_dashboard)},
        "askForAccess": BODIES["askForAccess"] | {"workspace": "desk"},
        "exportCsv": {"table": TABLE},
    }
    more: dict[str, Any] = {}
    if (body := bodies.get(name)) is not None:
        more["json"] = body
    if query := QUERIES.get(name):
        more["params"] = {key: text.format(**town.versions) for key, text in query.items()}
    if endpoint.upload:
        more |= {"content": f"id,note\n2,{NOTE}\n", "headers": {"Content-Type": endpoint.upload}}
        more["params"] = {"table": TABLE}
    return more


def rightly(town: Town, endpoint: Endpoint) -> list[Sent]:
    """Calls of which one succeeds, made when the time for it has come."""
    make = _OF_THEIR_OWN.get(endpoint.operation_id)
    if make is not None:
        return [make(town, right(town, endpoint))]
    return [Sent(town.keys[role], {}, right(town, endpoint)) for role in (OWNER, ADMIN)]


def _by_ada(town: Town, more: dict[str, Any]) -> Sent:
    return Sent(town.ada.tokens[0], {}, more)


def _by_sue(town: Town, more: dict[str, Any]) -> Sent:
    return Sent(town.sue.tokens[0], {}, more)


def _with_factors(town: Town, more: dict[str, Any]) -> Sent:
    new = {"new_password": NEW} if "new_password" in more["json"] else {}
    return Sent(town.ada.tokens[0], {}, {"json": town.factors(town.ada) | new})


def _of_the_source(town: Town, more: dict[str, Any]) -> Sent:
    return Sent(town.keys[ADMIN], {"source": "rows"}, more)


def _deciding(town: Town, more: dict[str, Any]) -> Sent:
    return Sent(town.keys[ADMIN], {"grant_id": town.a_grant(is_approved=False)}, more)


def _killing(town: Town, more: dict[str, Any]) -> Sent:
    token = town.made("/v1/workspaces/desk/tokens", {"label": "to be killed"})["secret"]
    dsn = town.proxy.dsn("desk", token, "rows", sslmode="verify-full")
    town.session = psycopg.connect(dsn)
    found = town.ok("GET", "/v1/workspaces/desk/sessions")["items"]
    (session_id,) = (one["id"] for one in found if one["source"] == "rows")
    return Sent(town.keys[OWNER], {"session_id": session_id}, more)


def _restoring(town: Town, more: dict[str, Any]) -> Sent:
    archive = town.ok("GET", "/v1/workspaces/desk/archive")
    secrets = {
        "orders": {"password": PASSWORD, "client_key": town.private_key},
        "rows": {"password": SCRAM.password},
        "new": {"password": PASSWORD},
    }
    body = {"name": "restored", "archive": archive, "secrets": secrets}
    return Sent(town.keys[OWNER], {}, {"json": body})


_OF_THEIR_OWN: dict[str, Callable[[Town, dict[str, Any]], Sent]] = {
    "revokeKey": lambda town, more: Sent(town.keys[OWNER], {"key_id": town.platform}, more),
    "logOut": lambda town, more: Sent(town.ada.tokens[2], {}, more),
    "listOwnSessions": _by_ada,
    "revokeOwnSession": lambda town, more: Sent(
        town.ada.tokens[0], {"login_id": town.ada.sessions[1]}, more
    ),
    "changeOwnPassword": _with_factors,
    "renewRecoveryCodes": _with_factors,
    "askForAccess": _by_sue,
    "listOwnGrants": _by_sue,
    "endOwnGrant": lambda town, more: Sent(
        town.sue.tokens[0], {"grant_id": town.a_grant(is_approved=False)}, more
    ),
    "createSupportToken": lambda town, more: Sent(
        town.sue.tokens[0], {"grant_id": town.a_grant(is_approved=True)}, more
    ),
    "approveGrant": _deciding,
    "denyGrant": _deciding,
    "endGrant": _deciding,
    "testSource": _of_the_source,
    "exportCsv": _of_the_source,
    "importCsv": _of_the_source,
    "killSession": _killing,
    "importWorkspace": _restoring,
}

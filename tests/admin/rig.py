"""The whole application in this process, over a store of its own; only the proxy is a fake."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from proxy.admin.app import build_app
from proxy.admin.call import Office
from proxy.admin.streams import Streams
from proxy.administration.api_keys import create_api_key
from proxy.administration.trail import MemoryTrail, TrailError, event_to_json
from proxy.administration.workplace import Workplace
from proxy.audit.ocsf import Event
from proxy.config import Config, parse_config
from proxy.control import NotRunningError
from proxy.store import STAFF_ROLES, ApiKey, ApiRole, Store, Workspace, new_id
from tests.admin.fakesource import FakeSource
from tests.admin.people import Person, a_person, cheap_passwords
from tests.store.stores import SettableClock, make_vault, opened
from vault import LocalKeyFile, Vault


class FakeProxy:
    """A ControlClient that answers from tables; ``is_running`` False: nobody is there."""

    def __init__(self) -> None:
        self.is_running = True
        self.bug: Exception | None = None
        self.sessions: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.probe: dict[str, Any] = {"ok": True, "sentence": "the data source accepted it"}

    def call(self, verb: str, arguments: dict[str, Any]) -> Any:
        if self.bug is not None:
            raise self.bug
        if not self.is_running:
            raise NotRunningError("No proxy is running here (nothing listens on a socket).")
        self.calls.append((verb, arguments))
        match verb:
            case "session.list":
                name = arguments.get("workspace")
                return [one for one in self.sessions if name in (None, one["workspace"])]
            case "session.kill":
                return {"killed": 1}
            case _:
                return self.probe


class Trail(MemoryTrail):
    """A trail that can be broken in the middle of a test."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = False
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        """What another administrator does, once, while the next change is about to be made."""

    async def record(self, event: Event) -> None:
        if self.meanwhile is not None and event.event_class == 3004:
            act, self.meanwhile = self.meanwhile, None
            await act()
        if self.is_broken:
            raise TrailError("The audit log cannot be written.")
        await super().record(event)


@dataclass
class Rig:
    """``keys``: by role, the text of a live key; ``finance`` and ``sales`` are workspaces."""

    office: Office
    trail: Trail
    proxy: FakeProxy
    clock: SettableClock
    http: httpx.AsyncClient
    keys: dict[ApiRole, str]
    workspaces: dict[str, Workspace]
    source: FakeSource
    people: dict[ApiRole, Person]

    @property
    def store(self) -> Store:
        return self.office.store

    @property
    def place(self) -> Workplace:
        office = self.office
        return Workplace(office.config, office.store, office.vault, office.trail, "root", print)

    async def key(
        self, role: ApiRole, workspace: Workspace | None = None, **more: Any
    ) -> tuple[str, ApiKey]:
        settings = {"label": "test", "expires_at": None} | more
        return await create_api_key(self.place, role, workspace, **settings)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: ApiRole = ApiRole.OPERATOR,
        key: str | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Call with the key of a role, or with this key ("": with none)."""
        text = self.keys[role] if key is None else key
        headers = {"Authorization": f"Bearer {text}"} if text else {}
        headers |= more.pop("headers", {})
        if body is not None:
            more["json"] = body
        return await self.http.request(method, path, headers=headers, **more)

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Call, and take the answer's value."""
        answer = await self.call(method, path, body, **more)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def etag(self, path: str) -> dict[str, str]:
        """The If-Match for what is there now."""
        answer = await self.call("GET", path)
        return {"If-Match": answer.headers["etag"]}

    def actors(self) -> set[str]:
        """Who has called, as the records name them."""
        return {
            event_to_json(event)["attributes"]["actor"]["user"]["name"] for event in self.calls()
        }

    def changes(self) -> list[dict[str, Any]]:
        """What the records of changes that have ended say, where they tell more."""
        found = [event_to_json(event) for event in self.trail.events]
        return [
            one["extra"]["changes"]
            for one in found
            if one["event_class"] == 3004 and one["status"] == 1 and "changes" in one["extra"]
        ]

    def calls(self) -> list[Event]:
        """The records of calls."""
        return [event for event in self.trail.events if event.event_class == 6003]


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """A refusal as it must be, whatever it is about."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    value: dict[str, Any] = json.loads(answer.text)
    assert value["status"] == status
    assert value["type"] == f"urn:accode-proxy:problem:{slug}"
    assert value["detail"].endswith(".")
    assert value["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    return value


@dataclass(frozen=True)
class Prepared:
    """A store with two workspaces and a key for every role, made once and copied."""

    folder: Path
    keys: dict[ApiRole, str]
    workspaces: dict[str, Workspace]
    people: dict[ApiRole, Person]

    @classmethod
    async def make(cls, folder: Path) -> Prepared:
        """The workspace administrator's key is of ``finance``."""
        vault = make_vault(folder)
        clock, passwords = SettableClock(), cheap_passwords()
        async with opened(f"sqlite:///{folder}/store.db", clock=clock) as store:
            workspaces = {
                name: await store.create_workspace(
                    name, vault.new_root_key(new_id()), scram_iterations=1
                )
                for name in ("finance", "sales")
            }
            place = Workplace(_config(folder), store, vault, Trail(), "root", print)
            people = {
                role: await a_person(place, f"the-{role}", role, clock, passwords)
                for role in STAFF_ROLES
            }
            # Nobody has a key of support.
            keys = {ApiRole.SUPPORT: people[ApiRole.SUPPORT].token}
            for role in set(ApiRole) - {ApiRole.SUPPORT}:
                own = workspaces["finance"] if role is ApiRole.WORKSPACE_ADMIN else None
                keys[role], _ = await create_api_key(
                    place, role, own, label="test", expires_at=None
                )
        return cls(folder, keys, workspaces, people)

    def copy_to(self, folder: Path) -> None:
        """The store's file and the key file."""
        for name in ("store.db", "key"):
            shutil.copyfile(self.folder / name, folder / name)
            (folder / name).chmod(0o600)


def _config(folder: Path, **admin: Any) -> Config:
    settings = {
        "store": {"url": f"sqlite:///{folder / 'store.db'}"},
        "keys": {"file": str(folder / "key")},
        "audit": {"folder": str(folder / "audit")},
        "egress": {"allow_private": True},
        "limits": {"failure_floor": 0},
        "admin": {"calls_per_key": 1_000_000, "calls_per_address": 1_000_000} | admin,
    }
    return parse_config(settings, {}, folder=folder)


@asynccontextmanager
async def rigged(folder: Path, prepared: Prepared) -> AsyncIterator[Rig]:
    """A rig of its own in ``folder``."""
    prepared.copy_to(folder)
    clock, trail, proxy, source = SettableClock(), Trail(), FakeProxy(), FakeSource()
    vault = Vault(LocalKeyFile.load(folder / "key"))
    async with opened(f"sqlite:///{folder}/store.db", clock=clock) as store:
        # A stream that a test does not end itself is over soon.
        office = Office(
            _config(folder),
            store,
            vault,
            trail,
            proxy,
            clock,
            monotonic=lambda: clock().timestamp(),
            passwords=cheap_passwords(),
            streams=Streams(life=0.2, pace=0.05),
            openers={"postgresql": source.open},
        )
        app = build_app(office, lambda: clock().timestamp())
        transport = httpx.ASGITransport(app=app, client=("192.0.2.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield Rig(
                office,
                trail,
                proxy,
                clock,
                http,
                prepared.keys,
                dict(prepared.workspaces),
                source,
                prepared.people,
            )

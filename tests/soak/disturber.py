"""Disturbs the load: one thing after another, in an order that the seed decides.

What an administrator does goes through ``accode-proxy``, as a process of its own. Each is
told to ``disturbances`` before it begins, with whom it is for.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from proxy.store import parse_token
from tests.soak.client import Client
from tests.soak.disturbances import Disturbance, Disturbances
from tests.soak.setting import Setting
from tests.soak.sources import WORKSPACES

_POLICIES = {
    "read-only": 'version = 1\naccess = "read-only"\n',
    # It judges nothing of a text, and stops no statement: clients' own are shorter.
    "full": 'version = 1\naccess = "full"\n\n[limits]\nstatement_seconds = 60\n',
}


class CommandFailed(Exception):
    """A command of an administrator's was refused."""


class Disturber:
    """``pause``: seconds between two disturbances. ``last_reload``: seconds from now until which
    workers are replaced; later, what they hold is to be seen to stay as it is.
    """

    def __init__(
        self,
        setting: Setting,
        clients: Sequence[Client],
        disturbances: Disturbances,
        *,
        seed: int,
        pause: float,
        last_reload: float,
    ) -> None:
        self._setting = setting
        self._clients = clients
        self._disturbances = disturbances
        self._random = random.Random(f"{seed}/disturber")
        self._pause = pause
        self._last_reload = time.monotonic() + last_reload
        self._read_only: dict[str, Disturbance] = {}
        self.done: Counter[str] = Counter()
        self.has_done_all = asyncio.Event()

    async def work(self, stop: asyncio.Event) -> None:
        """Until ``stop``, and each way at least once. Raises CommandFailed."""
        ways: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self.kill_session,
            self.kill_session,
            self.terminate_backend,
            self.terminate_backend,
            self.rotate_credential,
            self.edit_policy,
            self.edit_policy,
            self.revoke_token,
            *([self.reload] if self._setting.proxy.workers > 1 else []),
        ]
        try:
            while not stop.is_set():
                for way in self._random.sample(ways, len(ways)):
                    await way()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), self._pause)
                    if stop.is_set() and self.has_done_all.is_set():
                        break
                self.has_done_all.set()
        finally:
            self.has_done_all.set()
        for workspace in list(self._read_only):
            await self._set_policy(workspace, "full")

    # --- the disturbances ---------------------------------------------------------------

    async def kill_session(self) -> None:
        """``session kill`` of somebody's session."""
        client, session = self._victim()
        if session is None:
            return
        with _lasting(self._begin("session kill", client.place.workspace, client=client.name)):
            await self._command("session", "kill", str(session.number), "--yes", may_be_gone=True)

    async def terminate_backend(self) -> None:
        """The server ends a connection; where it is pooled, it may be another's by now."""
        client, session = self._victim()
        if session is None or not session.backend:
            return
        place = client.place
        with _lasting(self._begin("backend terminated", place.workspace, place.source)):
            await asyncio.to_thread(self._setting.terminate, place, session.backend)

    async def rotate_credential(self) -> None:
        """A new password at the server, then ``source rotate``."""
        place = self._random.choice(self._setting.places)
        password = self._setting.new_password(place)
        with _lasting(self._begin("credential rotated", place.workspace, place.source)):
            await asyncio.to_thread(self._setting.change_password, place, password)
            await self._command(
                *("source", "rotate", place.workspace, place.source, "--password-stdin"),
                stdin=password + "\n",
            )

    async def edit_policy(self) -> None:
        """Another policy for a workspace: it may only read, or may do everything again."""
        workspace = self._random.choice(list(self._read_only) or WORKSPACES)
        await self._set_policy(workspace, "full" if workspace in self._read_only else "read-only")

    async def _set_policy(self, workspace: str, policy: str) -> None:
        with _lasting(self._begin("policy set", workspace)):
            if policy == "read-only":
                self._read_only[workspace] = self._begin("read-only policy", workspace)
            await self._command("policy", "set", workspace, "-", stdin=_POLICIES[policy])
        if policy == "full":
            self._read_only.pop(workspace).ended = time.monotonic()

    async def revoke_token(self) -> None:
        """A new token for a workspace, then the end of the old one and of its sessions."""
        workspace = self._random.choice(WORKSPACES)
        tokens = self._setting.access.tokens
        old = tokens[workspace]
        with _lasting(self._begin("token revoked", workspace)):
            answer = await self._command("token", "create", workspace, "--json")
            new = json.loads(answer)["token"]
            self._setting.secrets.append((f"a token of {workspace}", new))
            tokens[workspace] = new
            await self._command("token", "revoke", workspace, parse_token(old), "--yes")

    async def reload(self) -> None:
        """SIGHUP: every worker is replaced, and the old ones drain."""
        if self.done["reload"] and time.monotonic() > self._last_reload:
            return
        with _lasting(self._begin("reload", "")):
            await asyncio.to_thread(self._setting.proxy.reload)

    # --- how ------------------------------------------------------------------------------

    def _begin(self, kind: str, workspace: str, source: str = "", client: str = "") -> Disturbance:
        self.done[kind] += 1
        return self._disturbances.begin(
            kind, time.monotonic(), workspace=workspace, source=source, client=client
        )

    def _victim(self) -> tuple[Client, Any]:
        found = [client for client in self._clients if client.session is not None]
        client = self._random.choice(found or list(self._clients))
        return client, client.session

    async def _command(self, *words: str, stdin: str = "", may_be_gone: bool = False) -> str:
        done = await asyncio.to_thread(self._setting.administrator.run, *words, stdin=stdin)
        if done.status != 0 and not (may_be_gone and "There is no session" in done.error):
            raise CommandFailed(f"accode-proxy {' '.join(words)}: {done.error.strip()}")
        return done.output


@contextmanager
def _lasting(disturbance: Disturbance) -> Iterator[None]:
    """It ends where the block does, whatever happens in it."""
    try:
        yield
    finally:
        disturbance.ended = time.monotonic()

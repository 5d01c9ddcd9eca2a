"""A workspace of a running proxy, whatever protocol its sources speak, and what may change it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from proxy.control import SocketClient
from proxy.store import Store, Workspace, new_token, verifiers_for
from tests.servers.loops import run_to_end
from tests.servers.proxy import ProxyServer, Record

T = TypeVar("T")


class Tenant:
    """A workspace and a token of it."""

    def __init__(self, proxy: ProxyServer, name: str) -> None:
        self.proxy = proxy
        self.name = name
        self.token = proxy.create_workspace(name)

    # --- the running proxy ----------------------------------------------------------

    def control(self, verb: str, **arguments: Any) -> Any:
        """Ask the running proxy over its control socket."""
        return SocketClient(self.proxy.folder / "control.sock").call(verb, arguments)

    def sessions(self) -> list[dict[str, Any]]:
        """``session list`` of this workspace."""
        found: list[dict[str, Any]] = self.control("session.list", workspace=self.name)
        return found

    # --- changes --------------------------------------------------------------------

    def change(self, work: Callable[[Store, Workspace], Coroutine[Any, Any, T]]) -> T:
        """Change the store behind the running proxy."""

        async def run() -> T:
            store = await Store.open(self.proxy.store_url)
            try:
                return await work(store, await store.workspace(self.name))
            finally:
                await store.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: run_to_end(run())).result(60)

    def token_until(self, moment: datetime) -> str:
        """One more token, which expires."""

        async def work(store: Store, found: Workspace) -> str:
            text = new_token()
            verifier = verifiers_for(text, found.scram_salt, found.scram_iterations)
            await store.create_token(found, "short", moment, verifier)
            return text

        return self.change(work)

    # --- the audit log --------------------------------------------------------------

    def record_of(self, text: str) -> Record:
        """The record of the one statement whose text contains ``text``, when it is there."""

        def matching(records: list[Record]) -> list[Record]:
            return [r for r in records if text in r.get("query_info", {}).get("query_string", "")]

        (record,) = matching(self.proxy.audit_events(lambda records: bool(matching(records))))
        return record

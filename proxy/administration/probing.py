"""``source test``: by the running proxy where there is one, else by this process.

The running proxy is asked first: it owns the audit log, in which the use of the
credential is recorded, and its network position and rules are those of the sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Protocol

from proxy.audit.log import AuditLog
from proxy.config import Config
from proxy.control import ControlClient, ControlError, Handler, NotRunningError, SocketClient
from proxy.parts import open_audit, open_store, open_vault
from proxy.probed import ProbeResult
from proxy.store import Source, Store, StoreError, Workspace
from vault import Vault

PROBE_VERB = "source.test"

Probe = Callable[[Workspace, Source], Awaitable[ProbeResult]]
"""Opens a source once, as a session does, and closes it again."""


class ProbeHere(Protocol):
    """``proxy.app.probe_source``, with its store, vault and log."""

    async def __call__(
        self,
        config: Config,
        store: Store,
        vault: Vault,
        audit: AuditLog,
        workspace: Workspace,
        source: Source,
    ) -> ProbeResult:
        """Probe from this process."""
        ...


async def probe_source(
    config: Config, workspace: str, source: str, probe_here: ProbeHere
) -> ProbeResult:
    """Test a stored source. Raises NotFound, ControlError, AuditFolderError and the like."""
    try:
        return await ask_running(SocketClient(config.control.socket), workspace, source)
    except NotRunningError:
        pass
    vault = open_vault(config)
    store = await open_store(config)
    try:
        found = await store.workspace(workspace)
        stored = await store.source(found, source)
        async with open_audit(config, vault) as audit:
            return await probe_here(config, store, vault, audit, found, stored)
    finally:
        await store.close()


async def ask_running(
    client: ControlClient, workspace: str, source: str, *, source_id: str = ""
) -> ProbeResult:
    """Have the running proxy test a stored source. Raises NotRunningError, ControlError.

    ``source_id``: and no other one, should another have come by these names meanwhile.
    """
    arguments = {"workspace": workspace, "source": source, "source_id": source_id}
    answer = await asyncio.to_thread(client.call, PROBE_VERB, arguments)
    return ProbeResult.from_fields(answer)


def probe_handlers(store: Store, probe: Probe) -> dict[str, Handler]:
    """The running proxy's side."""

    async def test(arguments: dict[str, Any]) -> object:
        try:
            found = await store.workspace(str(arguments.get("workspace", "")))
            source = await store.source(found, str(arguments.get("source", "")))
        except StoreError as error:
            raise ControlError(str(error)) from None
        if arguments.get("source_id") not in (None, "", source.id):
            raise ControlError("The data source was changed meanwhile.")
        return asdict(await probe(found, source))

    return {PROBE_VERB: test}

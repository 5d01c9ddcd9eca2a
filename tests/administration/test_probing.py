from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.administration.probing import probe_handlers, probe_source
from proxy.config import Config, parse_config
from proxy.control import ControlError, SocketClient, serve_control
from proxy.probed import ProbeResult
from proxy.store import Source, Store, Workspace, draft_source, new_id
from vault import LocalKeyFile, Vault


@dataclass(frozen=True, slots=True)
class Place:
    config: Config
    store: Store
    vault: Vault


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory(prefix="acc") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        (folder / "keys").mkdir()
        config = parse_config({}, {}, folder=folder)
        vault = Vault(LocalKeyFile.create(config.keys.file))
        store = await Store.open(config.store.url)
        workspace = await store.create_workspace("finance", vault.new_root_key(new_id()))
        source = draft_source(
            workspace, "orders", engine="postgresql", host="db.example.com", port=5432,
            database="orders", username="app", auth_methods=frozenset({"trust"}),
        )  # fmt: skip
        await store.add_source(source, None)
        yield Place(config, store, vault)
        await store.close()


async def probed_there(workspace: Workspace, source: Source) -> ProbeResult:
    return ProbeResult(True, f"{workspace.name}/{source.name} by the running proxy")


async def probed_here(
    config: Config, store: Store, vault: Any, audit: Any, workspace: Workspace, source: Source
) -> ProbeResult:
    assert not audit.is_failed
    return ProbeResult(True, f"{workspace.name}/{source.name} by this process")


async def test_a_running_proxy_does_it(place: Place):
    server = await serve_control(
        place.config.control.socket, probe_handlers(place.store, probed_there)
    )
    try:
        result = await probe_source(place.config, "finance", "orders", probed_here)
    finally:
        await server.close()
    assert result.sentence == "finance/orders by the running proxy"


async def test_without_one_this_process_does_it_with_the_log_open(place: Place):
    result = await probe_source(place.config, "finance", "orders", probed_here)
    assert result.sentence == "finance/orders by this process"


async def test_what_does_not_exist_is_refused_by_the_running_proxy_too(place: Place):
    server = await serve_control(
        place.config.control.socket, probe_handlers(place.store, probed_there)
    )
    client = SocketClient(place.config.control.socket)
    try:
        for arguments in ({"workspace": "finance", "source": "none"}, {"workspace": "x"}, {}):
            with pytest.raises(ControlError):
                await asyncio.to_thread(client.call, "source.test", arguments)
    finally:
        await server.close()

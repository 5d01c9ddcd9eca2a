"""How far a CSV file is, asked while it is on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from proxy.content.transfers import SILENCE, Progress, carrying, transfer_value
from proxy.store import ApiRole
from tests.admin.rig import Rig, problem
from tests.admin.town import a_source

ALL = "/v1/workspaces/finance/csv/transfers"
CSV = "/v1/workspaces/finance/sources/orders/csv"


@pytest.fixture(autouse=True)
async def orders(rig: Rig) -> None:
    await a_source(rig, "finance", "orders")


async def newest(rig: Rig) -> dict[str, Any]:
    found: dict[str, Any] = (await rig.ok("GET", ALL))["items"][0]
    return found


async def test_an_import_is_seen_while_its_body_comes(rig: Rig):
    seen: list[dict[str, Any]] = []
    first = b"id,note\nx,bad\n" + b"1,one\n" * 1_000

    async def pieces() -> AsyncIterator[bytes]:
        yield first
        # As another call, which need not come to the same node.
        while not seen or not seen[-1]["bytes"]:
            seen.append(await newest(rig))
        yield b"2,two\n"

    answer = await rig.call(
        "POST",
        f"{CSV}/import",
        content=pieces(),
        headers={"Content-Type": "text/csv"},
        params={"table": "orders", "skip_bad_lines": True},
    )
    assert answer.status_code == 200
    begun, far = seen[0], seen[-1]
    assert (begun["direction"], begun["source"], begun["table"]) == ("import", "orders", "orders")
    assert (far["status"], far["bytes"], far["bad_lines"]) == ("running", len(first), 1)
    done = await rig.ok("GET", f"{ALL}/{far['id']}")
    assert (done["status"], done["rows"], done["bytes"]) == ("succeeded", 1_001, len(first) + 6)


async def test_an_export_names_its_transfer_and_how_it_ended(rig: Rig):
    answer = await rig.call("POST", f"{CSV}/export", {"query": "SELECT 1"})
    done = await rig.ok("GET", f"{ALL}/{answer.headers['transfer-id']}")
    assert (done["direction"], done["table"], done["status"]) == ("export", None, "succeeded")
    assert (done["rows"], done["bytes"]) == (2, len(answer.content))
    rig.source.fails = asyncpg.ConnectionDoesNotExistError("gone")
    await rig.call("POST", f"{CSV}/export", {"table": "orders"})
    # Both of the same moment: the rig's clock stands still.
    both = (await rig.ok("GET", ALL))["items"]
    assert {one["table"]: one["status"] for one in both} == {None: "succeeded", "orders": "failed"}


async def test_it_is_its_workspaces_alone(rig: Rig):
    await rig.call("POST", f"{CSV}/export", {"table": "orders"})
    found = await newest(rig)
    path = f"/v1/workspaces/sales/csv/transfers/{found['id']}"
    problem(await rig.call("GET", path), 404, "not-found")
    problem(await rig.call("GET", f"{ALL}/unknown"), 404, "not-found")
    problem(await rig.call("GET", ALL, role=ApiRole.SUPPORT), 403, "forbidden")


async def test_one_that_nobody_tells_of_any_more_is_lost(rig: Rig):
    async with carrying(rig.place, rig.workspaces["finance"], "import", "orders", "t") as telling:
        telling(Progress(rows=1, bytes=10))
        begun = telling.transfer
    assert transfer_value(begun, begun.told_at + SILENCE)["status"] == "running"
    assert transfer_value(begun, begun.told_at + 2 * SILENCE)["status"] == "lost"

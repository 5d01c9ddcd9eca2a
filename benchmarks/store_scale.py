"""What a login costs in a large store, beside a store with ten workspaces.

    python -m benchmarks.store_scale [--workspaces 10000] [--url postgresql://...]

Fills two stores, opens each in a process of its own, in turns and several times, and prints JSON:
what the logins of the large one cost to those of the small one in each round, and of each store's
median round the time to open
(store, and directory until current), a login's look-ups (workspace with its tokens,
then source) from the store and from the cache in microseconds, and resident memory
before opening, after opening, and with the cache as full as the logins made it. The
cold numbers go through SQLAlchemy and, for SQLite, through a thread.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from proxy.directory import Directory
from proxy.store import Store, TlsSettings, new_id, schema
from proxy.store.database import Database
from proxy.store.location import locate
from proxy.store.records import ChangeKind
from proxy.store.tls import to_json
from vault import LocalKeyFile, Vault

TOKENS_EACH = 10
SOURCES_EACH = 5
SMALL = 10
ROUNDS = 5
BATCH = 500
Rows = dict[str, list[dict[str, Any]]]
"""Rows to insert, by table."""

SEALED_BYTES = 180
"""About the size of a sealed password."""


def _rows(vault: Vault, numbers: range) -> Rows:
    """Rows for the workspaces of these numbers; the verifiers are random, which costs nothing."""
    now = datetime.now(UTC)
    rows: Rows = {table.name: [] for table in schema.metadata.sorted_tables}
    for number in numbers:
        root = vault.new_root_key(new_id())
        workspace_id = root.workspace_id
        rows["workspaces"].append(
            {
                "id": workspace_id,
                "name": f"workspace-{number}",
                "state": "active",
                "scram_salt": os.urandom(16),
                "scram_iterations": 4096,
                "created_at": now,
            }
        )
        rows["root_keys"].append(
            {"workspace_id": workspace_id, "version": 1, "wrapped": root.to_bytes()}
        )
        for _ in range(TOKENS_EACH):
            rows["tokens"].append(
                {
                    "id": new_id()[:10],
                    "workspace_id": workspace_id,
                    "label": "runtime",
                    "stored_key": os.urandom(32),
                    "server_key": os.urandom(32),
                    "sha256_sha256": os.urandom(32),
                    "sha1_sha1": os.urandom(20),
                    "created_at": now,
                }
            )
        for source in range(SOURCES_EACH):
            source_id = new_id()
            rows["sources"].append(
                {
                    "id": source_id,
                    "workspace_id": workspace_id,
                    "name": f"source-{source}",
                    "engine": "postgresql",
                    "host": f"db{source}.customer-{number}.example",
                    "port": 5432,
                    "database": "orders",
                    "username": "app",
                    "tls": to_json(TlsSettings()),
                    "auth_methods": "scram-sha-256,scram-sha-256-plus",
                    "version": 1,
                }
            )
            rows["credentials"].append(
                {
                    "source_id": source_id,
                    "field": "password",
                    "version": 1,
                    "sealed": os.urandom(SEALED_BYTES),
                }
            )
            rows["credential_versions"].append(
                {"source_id": source_id, "field": "password", "highest": 1}
            )
        rows["changes"].append(
            {
                "kind": ChangeKind.WORKSPACE.value,
                "workspace_id": workspace_id,
                "object_id": workspace_id,
                "at": now,
            }
        )
    return rows


async def _insert(rows: Rows, connection: AsyncConnection) -> None:
    for table in schema.metadata.sorted_tables:
        if rows[table.name]:
            await connection.execute(table.insert(), rows[table.name])


async def fill(url: str, vault: Vault, count: int) -> float:
    """Put ``count`` workspaces into a new store; the seconds that took."""
    started = time.perf_counter()
    await (await Store.open(url)).close()
    database = Database(locate(url), 600)
    try:
        for first in range(0, count, BATCH):
            rows = _rows(vault, range(first, min(first + BATCH, count)))

            await database.write(partial(_insert, rows))
    finally:
        await database.close()
    return time.perf_counter() - started


def _resident_kb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


async def _timed(work: Callable[[str], Awaitable[object]], names: list[str]) -> dict[str, float]:
    spent = []
    for name in names:
        started = time.perf_counter()
        await work(name)
        spent.append((time.perf_counter() - started) * 1e6)
    spent.sort()
    return {
        "count": len(spent),
        "p50_us": round(spent[len(spent) // 2], 1),
        "p99_us": round(spent[int(len(spent) * 0.99)], 1),
    }


async def measure(url: str, workspaces: int, logins: int) -> dict[str, Any]:
    """Open a filled store and log in ``logins`` times."""
    before = _resident_kb()
    started = time.perf_counter()
    store = await Store.open(url)
    opened = time.perf_counter()
    directory = Directory(store)
    await directory.start()
    current = time.perf_counter()
    resident = _resident_kb()

    async def cold(name: str) -> None:
        login = await store.find_login(name)
        assert login is not None
        assert await store.find_source(login.workspace.id, "source-0") is not None

    async def through(name: str) -> None:
        entry = await directory.workspace(name)
        assert entry is not None
        assert await directory.source(entry.workspace.id, "source-0") is not None

    chosen = random.Random(7)
    names = [f"workspace-{chosen.randrange(workspaces)}" for _ in range(logins)]
    distinct = [f"workspace-{number}" for number in range(min(workspaces, 4_096))]
    try:
        await cold(names[0])
        result = {
            "workspaces": workspaces,
            "open_store_s": round(opened - started, 4),
            "directory_current_s": round(current - opened, 4),
            "login_from_store": await _timed(cold, names),
        }
        unfilled = _resident_kb()
        await _timed(through, distinct)
        result["login_from_cache"] = await _timed(through, distinct)
        result["login_unknown"] = await _timed(
            lambda name: directory.workspace(f"no-{name}"), distinct[:500]
        )
        result["rss_kb"] = {
            "before_opening": before,
            "current": resident,
            "after_logins_uncached": unfilled,
            f"with_{len(distinct)}_cached": _resident_kb(),
        }
    finally:
        await directory.stop()
        await store.close()
    return result


def _in_own_process(url: str, workspaces: int, logins: int) -> Any:
    command = [sys.executable, "-m", "benchmarks.store_scale", "--measure", "--url", url]
    command += ["--workspaces", str(workspaces), "--logins", str(logins)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _login_us(measured: Any) -> float:
    return float(measured["login_from_store"]["p50_us"])


def main() -> None:
    """Run the benchmark and print its result as JSON."""
    parser = argparse.ArgumentParser(description="What a login costs in a large store.")
    parser.add_argument("--workspaces", type=int, default=10_000)
    parser.add_argument("--logins", type=int, default=2_000)
    parser.add_argument(
        "--url", help="an empty PostgreSQL database for the large store; default: SQLite"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--json", action="store_true", help="print JSON, which it always does")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    workspaces, logins = arguments.workspaces, arguments.logins
    if arguments.quick:
        workspaces, logins = workspaces // 10, logins // 10
    if arguments.measure:
        print(json.dumps(asyncio.run(measure(arguments.url, workspaces, logins))))
        return
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        LocalKeyFile.create(Path(folder) / "key")
        vault = Vault(LocalKeyFile.load(Path(folder) / "key"))
        stores = (
            ("small", f"sqlite:///{folder}/small.db", SMALL),
            ("large", arguments.url or f"sqlite:///{folder}/large.db", workspaces),
        )
        for name, url, count in stores:
            print(f"store-scale: filling {count:,} workspaces", file=sys.stderr, flush=True)
            seconds = asyncio.run(fill(url, vault, count))
            print(f"store-scale: filled in {seconds:.1f} s", file=sys.stderr, flush=True)
            report[name] = {
                "store": "sqlite" if url.startswith("sqlite") else "postgresql",
                "tokens": count * TOKENS_EACH,
                "sources": count * SOURCES_EACH,
                "fill_s": round(seconds, 2),
            }
        rounds: dict[str, list[Any]] = {name: [] for name, _, _ in stores}
        for number in range(ROUNDS):
            print(
                f"store-scale: logging in, round {number + 1}/{ROUNDS}", file=sys.stderr, flush=True
            )
            for name, url, count in stores if number % 2 == 0 else reversed(stores):
                rounds[name].append(_in_own_process(url, count, logins))
    for name, measured in rounds.items():
        report[name] |= sorted(measured, key=_login_us)[ROUNDS // 2]
    report["login_large_to_small"] = [
        round(_login_us(large) / _login_us(small), 3)
        for small, large in zip(rounds["small"], rounds["large"], strict=True)
    ]
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

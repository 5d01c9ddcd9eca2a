"""Sources and sessions of a real PostgreSQL, through a serving proxy."""

from __future__ import annotations

# A command runs an event loop of its own, so beside one it runs in a thread.
import json
import signal
import sys
from asyncio import create_subprocess_exec, to_thread
from asyncio.subprocess import PIPE, Process
from typing import Any

import asyncpg
import pytest

from tests.cli.conftest import CommandLine
from tests.cli.serving import serving
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ROOT
from tests.servers.roles import SCRAM
from tests.servers.waiting import eventually, wait_until


def add_source(line: CommandLine, server: PostgresServer, password: str = SCRAM.password) -> None:
    assert server.certificates is not None
    line.ok(
        "source", "add", "finance", "orders",
        f"postgresql://{server.host}:{server.port}/{server.database}",
        "--username", SCRAM.name, "--password-stdin", "--ca", str(server.certificates.ca),
        stdin=password + "\n",
    )  # fmt: skip


def test_a_stored_source_is_tested_without_a_running_proxy(
    finance: CommandLine, postgres: PostgresServer
):
    add_source(finance, postgres)
    value = finance.value("source", "test", "finance", "orders")
    assert value["ok"] is True
    assert value["method"].startswith("scram-sha-256")
    assert value["tls_version"] == "TLSv1.3"
    assert "accepted the stored credential" in finance.ok("source", "test", "finance", "orders")
    uses = [r for r in finance.records() if (r["class_uid"], r["activity_id"]) == (6005, 10)]
    assert len(uses) == 2


def test_a_wrong_password_is_one_sentence_without_the_password(
    finance: CommandLine, postgres: PostgresServer
):
    add_source(finance, postgres, "wrong-horse-battery")
    sentence = finance.refused("source", "test", "finance", "orders")
    assert "wrong-horse" not in sentence
    assert "wrong-horse" not in finance.ok("audit", "search", "--json")


# With several the number of workers is the option's, and not that of the configuration's text,
# which is what a worker reads: a pooled source's connections could not be shared out then.
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_live_session_is_listed_and_killed(
    finance: CommandLine, postgres: PostgresServer, workers: str
):
    await to_thread(add_source, finance, postgres)
    token = (await to_thread(finance.value, "token", "create", "finance"))["token"]
    with serving(finance, "--workers", workers) as served:
        connection = await asyncpg.connect(
            f"postgresql://finance:{token}@127.0.0.1:{served.port}/orders?sslmode=require"
        )
        (session,) = await to_thread(finance.value, "session", "list")
        assert (session["workspace"], session["source"]) == ("finance", "orders")
        assert token not in str(session)
        assert await to_thread(finance.value, "session", "list", "--workspace", "other") == []
        shown = await to_thread(finance.ok, "session", "list")
        assert "finance" in shown
        watcher = await watching(finance)
        assert (await told_by(watcher))["event"] == "opened"
        await to_thread(finance.ok, "session", "kill", str(session["number"]), "--yes")
        await eventually(connection.is_closed)
        told = await told_by(watcher)
        assert (told["event"], told["session"]["number"]) == ("closed", session["number"])
        watcher.send_signal(signal.SIGINT)
        assert await watcher.wait() == 0
        await to_thread(
            wait_until,
            lambda: finance.value("session", "list") == [],
            what="the session to be gone",
        )
        records = await to_thread(finance.records)
    killed = [r for r in records if r.get("entity", {}).get("type") == "session"]
    assert [r["status"] for r in killed] == ["Unknown", "Success"]


async def test_revoking_a_token_from_the_command_line_cuts_its_session(
    finance: CommandLine, postgres: PostgresServer
):
    await to_thread(add_source, finance, postgres)
    token = await to_thread(finance.value, "token", "create", "finance")
    with serving(finance) as served:
        connection = await asyncpg.connect(
            f"postgresql://finance:{token['token']}@127.0.0.1:{served.port}/orders?sslmode=require"
        )
        await to_thread(finance.ok, "token", "revoke", "finance", token["id"], "--yes")
        await eventually(connection.is_closed)


async def watching(line: CommandLine) -> Process:
    command = [sys.executable, "-m", "proxy.cli", "--config", str(line.file)]
    return await create_subprocess_exec(
        *(*command, "session", "list", "--watch", "--json"), cwd=ROOT, stdout=PIPE
    )


async def told_by(watcher: Process) -> dict[str, Any]:
    """The next event that is no change: a session may become busy or idle in between."""
    assert watcher.stdout is not None
    async for line in watcher.stdout:
        told: dict[str, Any] = json.loads(line)
        if told["event"] != "changed":
            return told
    raise AssertionError("the watch ended")

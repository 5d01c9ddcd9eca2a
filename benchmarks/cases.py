"""The lists of cases, in the order in which they are run and reported."""

from __future__ import annotations

from benchmarks.bench import Audience, Case
from benchmarks.beside import beside
from benchmarks.crowd import crowd
from benchmarks.memory import IdleCase, StalledCase
from benchmarks.pgbench import PgbenchCase
from benchmarks.rows import RowsCase
from benchmarks.sysbench import POINT_SELECT, SysbenchCase

_CLIENTS = (1, 8, 32)


def _words(clients: int, *, tls: bool) -> str:
    plural = "" if clients == 1 else "s"
    return f"{clients} client{plural}" + (", TLS to the client" if tls else "")


def _pgbench(clients: int, mode: str, *, tls: bool = False) -> PgbenchCase:
    return PgbenchCase(
        name=f"{mode}{'-tls' if tls else ''}-{clients}",
        title=f"pgbench -S -M {mode}, {_words(clients, tls=tls)}",
        script="select",
        clients=clients,
        mode=mode,
        tls=tls,
    )


def _connect(iterations: int, *, tls: bool) -> PgbenchCase:
    return PgbenchCase(
        name=f"connect{'-tls' if tls else ''}-scram{iterations}",
        title=f"pgbench -C, 8 clients, {'TLS' if tls else 'plain'}, SCRAM with {iterations:,} "
        "iterations",
        script="connect",
        clients=8,
        tls=tls,
        iterations=iterations,
        group="connects",
    )


def _sysbench(script: str, clients: int, mode: str, *, tls: bool = False) -> SysbenchCase:
    is_select = script == POINT_SELECT
    return SysbenchCase(
        name=f"{'select' if is_select else 'read'}-{mode}{'-tls' if tls else ''}-{clients}",
        title=f"sysbench {script}, {mode}, {_words(clients, tls=tls)}",
        script=script,
        clients=clients,
        is_prepared=mode == "prepared",
        tls=tls,
        # Sixteen statements repeat themselves more than one does.
        rounds=None if is_select else 3,
    )


_POLICIES = (
    ("repeated", "one text again and again"),
    ("literals", "a new text each time"),
)
_MEMORY = (
    IdleCase("idle", "idle sessions, plain"),
    IdleCase("idle-tls", "idle sessions, TLS to the client", tls=True),
    StalledCase("stalled", "a reader that stops, plain"),
    StalledCase("stalled-tls", "a reader that stops, TLS to the client", tls=True),
)

POSTGRES_CASES: tuple[Case, ...] = (
    *(_pgbench(clients, mode) for mode in ("simple", "prepared") for clients in _CLIENTS),
    *(_pgbench(8, mode, tls=True) for mode in ("simple", "prepared")),
    PgbenchCase("tpcb-8", "pgbench TPC-B, 8 clients", "tpcb", 8),
    *(
        PgbenchCase(
            f"policy-{script}", f"pgbench, simple, 8 clients, {words}", script, 8,
            group="policies", audience=Audience.POLICIES,
        )
        for script, words in _POLICIES
    ),
    *(
        PgbenchCase(
            f"shared-{mode}-32", f"pgbench -S -M {mode}, 32 clients on 20 connections", "select",
            32, mode=mode, group="sharing", audience=Audience.SHARING, rounds=3,
        )
        for mode in ("simple", "prepared")
    ),
    crowd(8),
    beside(1),
    *(_connect(iterations, tls=tls) for iterations in (4096, 1) for tls in (False, True)),
    RowsCase("select-rows", "SELECT", "select"),
    RowsCase("copy-out", "COPY to the client", "copy-out"),
    RowsCase("copy-in", "COPY to the server", "copy-in"),
    *_MEMORY,
)  # fmt: skip

MYSQL_CASES: tuple[Case, ...] = (
    *(
        _sysbench(script, clients, mode)
        for script in (POINT_SELECT, "oltp_read_only")
        for mode in ("prepared", "text")
        for clients in _CLIENTS
    ),
    *(_sysbench(POINT_SELECT, 8, mode, tls=True) for mode in ("prepared", "text")),
    *(
        SysbenchCase(
            f"policy-{script}", f"sysbench, text, 8 clients, {words}", f"{script}.lua", 8,
            is_prepared=False, group="policies", audience=Audience.POLICIES,
        )
        for script, words in _POLICIES
    ),
    *(
        SysbenchCase(
            f"connect{'-tls' if tls else ''}", f"sysbench, {_words(8, tls=tls)}", "connect.lua", 8,
            tls=tls, group="connects",
        )
        for tls in (False, True)
    ),
    RowsCase("select-rows", "SELECT", "select"),
    *_MEMORY,
)  # fmt: skip

"""The list of cases, in the order in which they are run and reported."""

from __future__ import annotations

from benchmarks.bench import Case
from benchmarks.memory import IdleCase, StalledCase
from benchmarks.pgbench import PgbenchCase
from benchmarks.rows import RowsCase


def _select(clients: int, mode: str, *, tls: bool = False) -> PgbenchCase:
    leg = "-tls" if tls else ""
    words = ", TLS to the client" if tls else ""
    plural = "" if clients == 1 else "s"
    return PgbenchCase(
        name=f"{mode}{leg}-{clients}",
        title=f"pgbench -S -M {mode}, {clients} client{plural}{words}",
        script="select",
        clients=clients,
        mode=mode,
        tls=tls,
    )


def _connect(iterations: int, *, tls: bool) -> PgbenchCase:
    leg = "-tls" if tls else ""
    words = "TLS" if tls else "plain"
    return PgbenchCase(
        name=f"connect{leg}-scram{iterations}",
        title=f"pgbench -C, 8 clients, {words}, SCRAM with {iterations:,} iterations",
        script="connect",
        clients=8,
        tls=tls,
        iterations=iterations,
        group="connects",
    )


CASES: tuple[Case, ...] = (
    *(_select(clients, mode) for mode in ("simple", "prepared") for clients in (1, 8, 32)),
    *(_select(8, mode, tls=True) for mode in ("simple", "prepared")),
    PgbenchCase("tpcb-8", "pgbench TPC-B, 8 clients", "tpcb", 8),
    *(_connect(iterations, tls=tls) for iterations in (4096, 1) for tls in (False, True)),
    RowsCase("select-rows", "SELECT", "select"),
    RowsCase("copy-out", "COPY to the client", "copy-out"),
    RowsCase("copy-in", "COPY to the server", "copy-in"),
    IdleCase("idle", "idle sessions, plain"),
    IdleCase("idle-tls", "idle sessions, TLS to the client", tls=True),
    StalledCase("stalled", "a reader that stops, plain"),
    StalledCase("stalled-tls", "a reader that stops, TLS to the client", tls=True),
)

"""How a run was measured, in words, for the end of its report. Pure."""

from __future__ import annotations

from benchmarks.record import Run

_POSTGRES = (
    "pgbench figures come from a window inside of each run, after a warm-up: transactions by "
    "their time stamps in pgbench's log, CPU read at both ends. Logins are outside of it, except "
    "in the connect cases, where they are what is measured. CPU is for each statement; TPC-B has "
    "seven in a transaction.",
    "Clients log in with SCRAM verifiers of 4,096 iterations (1 where the case says so; Accode "
    "Proxy still logs in upstream with 4,096, and refuses fewer without TLS). Every certificate "
    "is the same ECDSA P-256 one; clients use sslmode=require. Upstream of the proxies is "
    "plaintext. PgBouncer and Accode Proxy keep upstream sessions for the next client (the latter "
    "for 2 s here); HAProxy opens a new one for each, which the connect cases include.",
)
_MYSQL = (
    "sysbench figures come from a window inside of each run, after a warm-up: statements and "
    "connects by the server's own count (QUESTIONS, CONNECTIONS), CPU read at both ends; a "
    "read-only transaction has sixteen statements, and CPU is for each. p50 and p99 are of the "
    "whole run, by sysbench's histogram. The time of a connect is sysbench's mean of the login, "
    "the statement and the end.",
    "MariaDB's account has mysql_native_password; a client uses what its library and the greeting "
    "agree on. Every certificate is the same ECDSA P-256 one, which clients do not verify. "
    "Upstream of the proxies is plaintext. Accode Proxy keeps sessions there for the next client "
    "(for 2 s here); the others open one for each, which the connect cases include.",
)


def describe_method(run: Run) -> str:
    """A list, as Markdown."""
    of_protocol = _MYSQL if run.protocol == "mysql" else _POSTGRES
    settings = ", ".join(f"{key}={value}" for key, value in run.server.items() if value)
    lines = (
        f"One {run.database} server, every program on this one machine, the load generator "
        "included, over the loopback interface: they share its cores, as their figures show.",
        "All subjects run all the time; each case goes through all of them before the next case; "
        "each round starts with another subject. Figures are medians over the rounds, "
        "(smallest..largest) in parentheses; ratios and differences are taken within each round "
        "before the median.",
        of_protocol[0],
        "CPU is the proxy's whole process tree, by the kernel's CPU-time clocks; user and kernel "
        "shares from /proc/PID/stat. Time the kernel spends in interrupts on behalf of others is "
        "not in it, for any subject.",
        "Bulk cases: a minimal client on a raw socket that reads a megabyte at a time and throws "
        f"it away (median of {run.sizes.bulk_repeats} statements a round), so that the client is "
        "not the limit.",
        "Memory: from /proc/PID/smaps_rollup, in a freshly started and warmed-up proxy. Socket "
        "buffers in the kernel are not in it.",
        of_protocol[1],
        f"Scale {run.sizes.scale}, {run.sizes.rows:,} rows. {run.database}'s settings: {settings}.",
    )
    return "\n".join(f"- {line}" for line in lines)

"""A soak from its begin to its verdicts: warm up, load and disturb, be quiet, compare.

Wires the parts; ``__main__`` has the terminal.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks import machine
from benchmarks.meters import process_tree
from proxy.audit.chains import chain_folders
from proxy.audit.files import audit_files
from proxy.audit.read import Filters, search
from tests.soak import census, ledger, secrets_search
from tests.soak.census import Sample
from tests.soak.client import Book, Client
from tests.soak.disturbances import Disturbances
from tests.soak.disturber import Disturber
from tests.soak.mysql_aiomysql import AiomysqlClient
from tests.soak.mysql_connector import ConnectorClient
from tests.soak.options import Options
from tests.soak.pace import rest
from tests.soak.postgres_asyncpg import AsyncpgClient
from tests.soak.postgres_psycopg import PsycopgClient
from tests.soak.progress import Progress
from tests.soak.report import Report, Verdict
from tests.soak.setting import Setting
from tests.soak.sources import MYSQL, POSTGRES
from tests.soak.starvation import StarvationWatch

_DRIVERS: dict[str, tuple[type[Client], ...]] = {
    POSTGRES: (AsyncpgClient, PsycopgClient),
    MYSQL: (AiomysqlClient, ConnectorClient),
}
_QUIET = 30.0
"""Seconds in which everything has to be given back after the load: twice the longest time-out
that is waited for, and some for a machine with other work."""
MEMORY_AT_REST = 24 * 2**20
"""Bytes that each worker may hold more after the load than after the warming up: arenas that the
allocator keeps, and caches that fill up to their bounds, 16 MiB of verdicts the largest."""
MEMORY_A_MINUTE = 2 * 2**20
"""Bytes a minute by which memory may grow in the second half of the load, by its regression."""
_MOST_DISTURBING = 60.0
"""Seconds that the first round of disturbances may take beyond the load's own time."""
_RELOADED = 0.4
"""The part of the load in which workers are replaced: a new one fills its memory anew, which is not
to be taken for growth in the second half."""
_PINS = re.compile(r'^accode_proxy_pool_pins_total\{cause="(\w+)"\} ([0-9.]+)$', re.MULTILINE)
_SLOPE_SECONDS = 120.0
"""In less a slope is noise, and is not judged."""


class Soak:
    """One run on a setting that is up. ``report`` has what is known so far."""

    def __init__(self, options: Options, setting: Setting, progress: Progress) -> None:
        self.options = options
        self.setting = setting
        self.progress = progress
        self.book = Book(Disturbances())
        self.report = Report(options)
        self.begin = time.monotonic()
        self._crashes: list[str] = []
        self._checkpoints: list[str] = []
        self._done: Counter[str] = Counter()
        self._made_on = _made_on()

    async def run(self) -> None:
        """All of it."""
        asyncio.get_running_loop().set_exception_handler(self._note_stray)
        warm = min(30.0, max(3.0, self.options.seconds / 10))
        # Disturbed, too: the first policy loads grammars, and every way through the code caches.
        self.progress.say(f"Warming up for {warm:.0f} s with {self.options.clients} clients.")
        with StarvationWatch(self.book.disturbances, self._processes):
            await self._load(warm, "w")
        before = await self._quiet(None)
        self.begin = time.monotonic()
        self.report.samples.clear()
        self.progress.say(f"Loading for {self.options.seconds:.0f} s, with disturbances.")
        with StarvationWatch(self.book.disturbances, self._processes) as starvation:
            await self._load(self.options.seconds, "c")
        self.progress.say(f"Waiting, at most {_QUIET:.0f} s, until everything is given back.")
        after = await self._quiet(before)
        self.report.samples.append(after)
        self._judge_clients()
        self._judge_resources(before, after)
        metrics = await asyncio.to_thread(self.setting.proxy._get, "/metrics")
        status = await asyncio.to_thread(self.setting.proxy.stop)
        self.progress.say("Comparing the audit log with the servers' logs.")
        await asyncio.to_thread(self._judge_audit, status)
        await asyncio.to_thread(self._judge_secrets, metrics)
        excused: Counter[str] = Counter()
        for (_, kind), count in sorted(self.book.disturbances.excused.items()):
            excused[kind] += count
        self.report.facts |= {
            "made on": self._made_on,
            "disturbances": dict(self._done),
            "errors excused": dict(excused),
            "pins": _pins(metrics),
            "sessions": self.book.sessions,
            "light sessions": self.book.light_sessions,
            "machine starved": {"times": starvation.times, "longest": starvation.longest},
            "load of the machine": os.getloadavg(),
            "sources": [str(place) for place in self.setting.places],
        }

    def _processes(self) -> list[int]:
        return process_tree(self.setting.proxy.pid)

    # --- the load -------------------------------------------------------------------------

    def _clients(self, prefix: str) -> list[Client]:
        """As many as asked for, at every source by turns, each driver in its turn."""
        places = self.setting.places
        found: list[Client] = []
        for number in range(self.options.clients):
            place = places[number % len(places)]
            drivers = _DRIVERS[place.kind.engine]
            driver = drivers[number // len(places) % len(drivers)]
            name = f"{prefix}{number}"
            seed = self.options.seed
            found.append(driver(name, place, self.setting.access, self.book, seed))
        return found

    async def _load(self, seconds: float, prefix: str) -> None:
        stop = asyncio.Event()
        clients = self._clients(prefix)
        disturber = Disturber(
            self.setting,
            clients,
            self.book.disturbances,
            seed=self.options.seed,
            pause=min(2.0, seconds / 40),
            last_reload=seconds * _RELOADED,
        )
        self._done = disturber.done
        tasks = [
            asyncio.create_task(client.live(stop), name=f"client {client.name}")
            for client in clients
        ]
        disturbing = asyncio.create_task(disturber.work(stop), name="the disturber")
        tasks += [
            disturbing,
            asyncio.create_task(self._note_checkpoint(seconds / 2), name="the checkpoint"),
            asyncio.create_task(self._watch(stop, seconds), name="the census"),
        ]
        try:
            await rest(seconds)
            # A short load on a busy machine is as long as it takes to do everything once.
            await asyncio.wait_for(disturber.has_done_all.wait(), _MOST_DISTURBING)
        finally:
            stop.set()
            for task in tasks:
                try:
                    await asyncio.wait_for(task, 90)
                except Exception as error:  # noqa: BLE001 - every one of them fails the soak
                    self._crashes.append(f"{task.get_name()}: {type(error).__name__}: {error}")

    async def _watch(self, stop: asyncio.Event, seconds: float) -> None:
        while not stop.is_set():
            sample = await asyncio.to_thread(census.take, self.setting, self.begin)
            self.report.samples.append(sample)
            self.progress.show(sample, self.book, seconds=seconds)
            await rest(1)

    async def _note_checkpoint(self, seconds: float) -> None:
        """In the middle of the load: what the end has to have before it."""
        await rest(seconds)
        self._checkpoints = _checkpoints(await asyncio.to_thread(self._verify))

    async def _quiet(self, before: Sample | None) -> Sample:
        """Until nothing is held any more, or no more than before; the last sample in any case."""
        deadline = time.monotonic() + _QUIET
        settled = None
        while True:
            sample = await asyncio.to_thread(census.take, self.setting, self.begin)
            is_idle = not (sample.sessions or sample.pooled or sample.server_connections)
            # Without a comparison: until descriptors and tasks are the same twice.
            is_done = settled == _held(sample) if before is None else not sample.more_than(before)
            if (is_idle and is_done) or time.monotonic() > deadline:
                return sample
            settled = _held(sample) if is_idle else None
            await rest(1)

    def _note_stray(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody waits for. A driver's word that its connection is gone has been told."""
        error = context.get("exception")
        drivers = tuple(kind for it in _DRIVERS.values() for client in it for kind in client.errors)
        if not isinstance(error, drivers):
            self._crashes.append(f"{context['message']}: {error!r}")

    # --- the verdicts -----------------------------------------------------------------------

    def _add(self, title: str, figure: str, wrong: Sequence[str] = ()) -> None:
        self.report.verdicts.append(Verdict(title, figure, tuple(wrong)))

    def _judge_clients(self) -> None:
        book, disturbances = self.book, self.book.disturbances
        self._add(
            "every error a client saw was expected",
            f"{disturbances.excused.total()} errors after {len(disturbances.made)} disturbances,"
            f" {len(disturbances.unexpected)} unexpected",
            [*map(str, disturbances.unexpected), *self._crashes],
        )
        self._add("no client saw what was another's", f"{book.sessions:,} sessions", book.mixed)

    def _judge_resources(self, before: Sample, after: Sample) -> None:
        self._add(
            "everything is given back",
            f"{after.descriptors} descriptors, {after.tasks} tasks, {after.sessions} sessions,"
            f" {after.pooled} pooled and {after.server_connections} server connections",
            after.more_than(before),
        )
        more = after.memory - before.memory
        most = MEMORY_AT_REST * self.options.workers
        self._add(
            "memory at rest",
            f"{after.memory / 2**20:.0f} MiB, {more / 2**20:+.1f} MiB since the warming up",
            [f"more than {most / 2**20:.0f} MiB more"] if more > most else [],
        )
        half = [it for it in self.report.samples if it.at >= self.options.seconds / 2]
        slope = census.growth(half[:-1])
        is_judged = self.options.seconds >= _SLOPE_SECONDS
        self._add(
            "memory under load",
            f"{slope / 2**20:+.2f} MiB a minute in the second half"
            + ("" if is_judged else ", too short to judge"),
            [f"more than {MEMORY_A_MINUTE / 2**20:g} MiB a minute"]
            if is_judged and slope > MEMORY_A_MINUTE
            else [],
        )

    def _judge_audit(self, status: int | None) -> None:
        self._add("the proxy stopped in order", f"status {status}", ["not 0"] if status else [])
        expected = [word for it in self._checkpoints for word in ("--expect", it)]
        done = self.setting.administrator.run("audit", "verify", *expected)
        self._add(
            "the audit log verifies",
            f"with {len(self._checkpoints)} checkpoints from the middle of the load",
            [done.error.strip()]
            if done.status
            else []
            if self._checkpoints
            else ["there is no checkpoint to hold it to"],
        )
        accounts = self.setting.accounts
        records = search(self.setting.proxy.audit_folder, Filters())
        found = ledger.compare(
            self.book.sent, self.setting.statements(), ledger.recorded(records, accounts)
        )
        self.report.facts["statements"] = found.figures
        self._add(
            "every statement is in the audit log exactly once",
            ", ".join(f"{count:,} {name}" for name, count in found.figures.items()),
            found.mistakes,
        )

    def _judge_secrets(self, metrics: str) -> None:
        proxy = self.setting.proxy
        files = [proxy.log]
        for folder in chain_folders(proxy.audit_folder).values():
            files += audit_files(folder)
        self._add(
            "no password and no token was written",
            f"{len(self.setting.secrets)} looked for in the log, the audit log and the metrics",
            secrets_search.leaks(self.setting.secrets, files, {"metrics": metrics}),
        )

    def _verify(self) -> dict[str, Any]:
        # While the proxy writes there are statements without a record: their status says so.
        done = self.setting.administrator.run("audit", "verify", "--json")
        value: dict[str, Any] = json.loads(done.output)
        return value


def _checkpoints(verified: dict[str, Any]) -> list[str]:
    """What ``--expect`` takes, for each chain."""
    chains = {"main": verified} | verified["chains"]
    return [f"{name}/{it['last_sequence']}:{it['last_hash']}" for name, it in chains.items()]


def _made_on() -> str:
    """When, which revision, and the machine."""
    revision, is_modified = machine.revision()
    it = machine.describe_machine()
    return (
        f"Revision {revision}{', with uncommitted changes' if is_modified else ''},"
        f" {datetime.now(UTC).isoformat(timespec='seconds')}. {it['processor']},"
        f" {it['cores']} cores, {it['memory']}, {it['kernel']}, {it['system']}."
    )


def _pins(metrics: str) -> dict[str, int]:
    """Why sessions kept a connection that is had for one transaction at a time."""
    found = re.findall(
        r'^accode_proxy_pool_pins_total\{cause="(\w+)"\} (\d+)', metrics, re.MULTILINE
    )
    return {cause: int(count) for cause, count in found if count != "0"}


def _held(sample: Sample) -> tuple[int, int]:
    return sample.descriptors, sample.tasks

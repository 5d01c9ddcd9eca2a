"""Counts of what a proxy holds: memory, descriptors, tasks, sessions, connections.

Taken while it works, for the picture, and before and after, for the verdict.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.meters import process_tree
from tests.soak.setting import Setting


@dataclass(frozen=True, slots=True)
class Sample:
    """``at``: seconds since the soak's begin. ``sessions``: client connections in any state.
    ``pooled``: connections of pools.

    ``memory``: resident anonymous bytes of all processes, RssAnon of proc(5). Not what is
    mapped from files: the audit log's journal is, whose pages come in until all 64 MiB are.
    ``descriptors``: without the store's files, of which each connection of its bounded pool
    has some, opened when first needed.
    """

    at: float
    memory: int
    descriptors: int
    tasks: int
    sessions: int
    pooled: int
    server_connections: int

    def more_than(self, before: Sample) -> list[str]:
        """What there is more of than there was; memory is another question."""
        now, then = asdict(self), asdict(before)
        return [
            f"{now[name]} {name.replace('_', ' ')}, before {then[name]}"
            for name in now
            if name not in ("at", "memory") and now[name] > then[name]
        ]


def take(setting: Setting, begin: float) -> Sample:
    """A sample of now. ``begin``: of the monotonic clock."""
    proxy = setting.proxy
    metrics = proxy.metrics()
    pids = process_tree(proxy.pid)
    return Sample(
        at=time.monotonic() - begin,
        memory=sum(_anonymous_bytes(pid) for pid in pids),
        descriptors=sum(_descriptors(pid, proxy.store_url) for pid in pids),
        tasks=int(metrics["tasks"]),
        sessions=_sum(metrics, "sessions{"),
        pooled=_sum(metrics, "pool_connections{"),
        server_connections=setting.server_connections(),
    )


def growth(samples: Sequence[Sample]) -> float:
    """Bytes of memory in a minute: the slope of the straight line with the least squares."""
    count = len(samples)
    if count < 2:
        return 0.0
    middle = sum(sample.at for sample in samples) / count
    level = sum(sample.memory for sample in samples) / count
    spread = sum((sample.at - middle) ** 2 for sample in samples)
    shared = sum((sample.at - middle) * (sample.memory - level) for sample in samples)
    return 60 * shared / spread if spread else 0.0


def _anonymous_bytes(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def _descriptors(pid: int, store_url: str) -> int:
    store = store_url.removeprefix("sqlite:///")
    count = 0
    # A worker that a reload has replaced may end meanwhile.
    with suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                count += not os.readlink(entry).startswith(store)
    return count


def _sum(metrics: dict[str, float], prefix: str) -> int:
    return int(sum(value for name, value in metrics.items() if name.startswith(prefix)))

"""The whole of one run as a value, and as the JSON file that is kept. Pure but for the file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench import Sizes
from benchmarks.requirements import Verdict
from benchmarks.schedule import Failure
from benchmarks.summary import Results, Round

# 2: MySQL in the same shape; CPU of TPC-B for each statement.
FORMAT = 2


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """What the report says about a subject."""

    name: str
    title: str
    version: str
    notes: str
    tls: str
    ends_tls: bool


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What the report says about a case."""

    name: str
    title: str
    group: str
    tls: bool


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that was measured, and on what.

    ``protocol``: as in the file's name; ``database``: the server's title; ``peer``: the name of
    the subject that ours is compared with.
    """

    protocol: str
    database: str
    peer: str
    # UTC, ISO 8601.
    started: str
    minutes: float
    revision: str
    is_modified: bool
    machine: dict[str, str]
    python: dict[str, str]
    # Share of the machine in use before the first load, with every server started.
    busy_at_rest: float
    sizes: Sizes
    server: dict[str, str]
    subjects: tuple[SubjectFacts, ...]
    cases: tuple[CaseFacts, ...]
    rounds: tuple[Round, ...]
    failures: tuple[Failure, ...]
    # What benchmarks.store_scale wrote, if it was run.
    store_scale: dict[str, Any] | None = None

    @property
    def results(self) -> Results:
        """The rounds, to be asked by case and subject."""
        return Results(self.rounds)


def to_json(run: Run, verdicts: list[Verdict]) -> str:
    """Every raw round, what it was made on, and the medians for readers without a program."""
    results = run.results
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in run.rounds:
        figures = summary.setdefault(entry.case, {}).setdefault(entry.subject, {})
        for metric in entry.metrics:
            found = results.value(entry.case, entry.subject, metric)
            if found is not None:
                figures[metric] = dataclasses.asdict(found)
    content = {
        "format": FORMAT,
        **dataclasses.asdict(run),
        "summary": summary,
        "requirements": [dataclasses.asdict(verdict) for verdict in verdicts],
    }
    return json.dumps(content, indent=1) + "\n"


def file_name(run: Run) -> str:
    """``<date>-<revision>``, MySQL's with the protocol before it; without an ending."""
    return f"{prefix(run.protocol)}{run.started[:10]}-{run.revision}"


def prefix(protocol: str) -> str:
    """What the names of a protocol's files begin with: PostgreSQL's with nothing."""
    return "" if protocol == "postgres" else f"{protocol}-"


def write_json(run: Run, verdicts: list[Verdict], folder: Path) -> Path:
    """Write the run into the folder; returns the file."""
    path = folder / f"{file_name(run)}.json"
    path.write_text(to_json(run, verdicts))
    return path

"""The command line of ``./run bench``: what may be said, and what was. Starts nothing."""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import QUICK, Case, Sizes
from benchmarks.builds import OURS
from benchmarks.engines import MYSQL, POSTGRES, Engine
from benchmarks.machine import ROOT

STORE_SCALE = "store-scale"
RESULTS = ROOT / "benchmarks" / "results"
# What is nobody's record: tiny runs and comparisons of two builds.
UNRECORDED = ROOT / "build" / "benchmarks"

_EXAMPLES = {
    "postgres": """\
A full run takes about half an hour and wants a quiet machine; --quick under 3 minutes, and its
figures count for nothing.

examples:
  ./run bench                                   everything of PostgreSQL
  ./run bench --quick                           everything, tiny: does it work?
  ./run bench --cases 'simple-*' --rounds 6     some cases; patterns as in a shell
  ./run bench --cases idle,idle-tls,stalled --subjects accode,pgbouncer
  ./run bench --against ../before --cases 'simple-*' --subjects accode
                                                two builds, as ratios within each round
  ./run bench --seconds 10 --rounds 8 --output /tmp/results
  ./run bench --list                            the cases
  source <(./run bench --completion)            complete --cases in bash
  ./run bench mysql --help                      the same for MySQL: sysbench
""",
    "mysql": """\
A full run takes about half an hour and wants a quiet machine; --quick under 3 minutes, and its
figures count for nothing.

examples:
  ./run bench mysql                             everything of MySQL
  ./run bench mysql --quick                     everything, tiny: does it work?
  ./run bench mysql --cases 'select-*' --rounds 6
  ./run bench mysql --cases select-rows,idle --subjects direct,haproxy,accode
  ./run bench mysql --against ../before --cases 'select-text-*' --subjects accode
                                                two builds, as ratios within each round
  ./run bench mysql --list                      the cases
""",
}
_PROXIES = {
    "postgres": "Measure pgbench and bulk loads direct, through Accode Proxy, PgBouncer and "
    "HAProxy.",
    "mysql": "Measure sysbench and bulk loads on MariaDB direct, through Accode Proxy, HAProxy "
    "and MySQL Router.",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. ``against``: another checkout."""

    engine: Engine
    cases: tuple[Case, ...]
    has_store_scale: bool
    subjects: tuple[str, ...]
    sizes: Sizes
    is_quick: bool
    against: Path | None
    output: Path
    is_list: bool
    is_completion: bool


def parse(words: Sequence[str]) -> Options:
    """Read the words. Raises SystemExit with one sentence when they cannot be followed."""
    is_mysql = words[:1] == ["mysql"]
    engine = MYSQL if is_mysql else POSTGRES
    parser = _parser(engine)
    found = parser.parse_args(words[1:] if is_mysql else words)
    if found.rounds is not None and not 1 <= found.rounds <= 100:
        parser.error("--rounds must be from 1 to 100.")
    if found.seconds is not None and not 0.5 <= found.seconds <= 300:
        parser.error("--seconds must be from 0.5 to 300.")
    subjects = tuple(found.subjects.split(","))
    for name in subjects:
        if name not in engine.subjects:
            parser.error(f"there is no subject {name!r}; there are {', '.join(engine.subjects)}.")
    if found.against is not None and OURS not in subjects:
        parser.error("--against compares with the subject accode, which --subjects leaves out.")
    patterns = found.cases.split(",")
    for pattern in patterns:
        if not fnmatch.filter(case_names(engine), pattern):
            parser.error(f"no case is named {pattern!r}; --list names them.")
    is_recorded = not found.quick and found.against is None
    return Options(
        engine=engine,
        cases=chosen_cases(engine, patterns),
        has_store_scale=engine.has_store_scale and _is_chosen(STORE_SCALE, patterns),
        subjects=subjects,
        sizes=_sizes(found),
        is_quick=found.quick,
        against=found.against,
        output=found.output or (RESULTS if is_recorded else UNRECORDED),
        is_list=found.list,
        is_completion=found.completion,
    )


def case_names(engine: Engine) -> list[str]:
    """Everything that ``--cases`` knows."""
    return [
        *(case.name for case in engine.cases),
        *([STORE_SCALE] if engine.has_store_scale else []),
    ]


def option_names(engine: Engine) -> list[str]:
    """Every long option, for completion."""
    return re.findall(r"--[a-z]+", _parser(engine).format_usage())


def chosen_cases(engine: Engine, patterns: Sequence[str]) -> tuple[Case, ...]:
    """The cases that one of the patterns names, in their own order."""
    return tuple(case for case in engine.cases if _is_chosen(case.name, patterns))


def _is_chosen(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _sizes(found: argparse.Namespace) -> Sizes:
    sizes = QUICK if found.quick else Sizes()
    if found.rounds is not None:
        sizes = dataclasses.replace(sizes, rounds=found.rounds)
    if found.seconds is not None:
        sizes = dataclasses.replace(sizes, seconds=found.seconds)
    return sizes


def _parser(engine: Engine) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run bench" + (" mysql" if engine is MYSQL else ""),
        description=_PROXIES[engine.protocol],
        epilog=_EXAMPLES[engine.protocol],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cases", default="*", help="names or patterns, separated by commas")
    parser.add_argument(
        "--subjects",
        default=",".join(engine.subjects),
        help=f"some of {','.join(engine.subjects)}",
    )
    parser.add_argument("--rounds", type=int, help=f"rounds (default {Sizes().rounds})")
    parser.add_argument(
        "--seconds", type=float, help=f"measured window of a run (default {Sizes().seconds:g})"
    )
    parser.add_argument("--quick", action="store_true", help="one round of tiny sizes")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="another checkout, built with ./run build there: both builds in one run",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for the results (default benchmarks/results; build/benchmarks for what is "
        "nobody's record: --quick and --against)",
    )
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument(
        "--completion", action="store_true", help="print what completes all this in bash, and stop"
    )
    return parser

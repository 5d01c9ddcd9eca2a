"""The command line of ``./run soak``: what may be said, and what was. Starts nothing."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.soak.sources import MYSQL, POSTGRES

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "soak"
ENGINES = (POSTGRES, MYSQL)
_RANGES = {"minutes": (0.05, 24 * 60), "clients": (4, 200), "workers": (1, 16)}

_EXAMPLES = """\
It starts a PostgreSQL, a MariaDB where there is one, and a proxy of its own on loopback, and stops
them again, also on Ctrl-C. Its verdicts, the samples and a picture are written to --output.

examples:
  ./run soak                               ten minutes
  ./run soak --minutes 0.2                 the short form: does it work?
  ./run soak --minutes 60 --clients 40     longer, and with more clients
  ./run soak --workers 2                   two worker processes
  ./run soak --seed 7 --only postgresql    the same choices again, of one protocol
  source <(./run soak --completion)        complete the options in bash (after that of ./run bench)

exit status: 0 everything held, 1 something did not, 2 it could not run, 130 interrupted
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. ``only``: an engine's name, or "" for all that are to be had."""

    seconds: float = 600.0
    seed: int = 1
    clients: int = 24
    workers: int = 1
    only: str = ""
    output: Path = RESULTS
    is_completion: bool = False


def parse(words: Sequence[str]) -> Options:
    """Read the words. Raises SystemExit with one sentence when they cannot be followed."""
    parser = _parser()
    found = parser.parse_args(words)
    for name, (low, high) in _RANGES.items():
        if not low <= getattr(found, name) <= high:
            parser.error(f"--{name} must be from {low:g} to {high:g}.")
    return Options(
        seconds=found.minutes * 60,
        seed=found.seed,
        clients=found.clients,
        workers=found.workers,
        only=found.only,
        output=found.output,
        is_completion=found.completion,
    )


def option_names() -> list[str]:
    """Every long option, for completion."""
    return re.findall(r"--[a-z]+", _parser().format_usage())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run soak",
        description="Run a mixed load with disturbances through a proxy, and prove that nothing"
        " leaks, that every statement is recorded once, and that every error has a cause.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of load (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of every choice (default 1)")
    parser.add_argument("--clients", type=int, default=24, help="at a time (default 24)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--only", choices=ENGINES, default="", help="one protocol")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, metavar="DIR", help="default build/soak"
    )
    parser.add_argument(
        "--completion", action="store_true", help="print what completes all this in bash, and stop"
    )
    return parser

"""``python -m benchmarks``: run the cases, print progress, write the results.

Wires the parts together; everything it starts is stopped when it ends, also on Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime as dt
import fnmatch
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import comparison, machine, mysql, plot
from benchmarks.accode import AccodeProxy
from benchmarks.bench import QUICK, Bench, Case, Sizes
from benchmarks.builds import AGAINST, other_build, this_build
from benchmarks.cases import CASES
from benchmarks.peers import find_haproxy, find_pgbouncer
from benchmarks.processes import Account, BenchmarkError, scratch_folder, server_account
from benchmarks.record import CaseFacts, Run, SubjectFacts, write_json
from benchmarks.report import to_markdown
from benchmarks.requirements import judge, judge_store
from benchmarks.schedule import run_rounds
from benchmarks.servers import SETTINGS, Certificate, PostgresServer, make_certificate
from benchmarks.store_case import find_store_scale, run_store_scale
from benchmarks.subjects import (
    MAX_SESSIONS,
    Direct,
    HaProxy,
    PgBouncer,
    Subject,
    require_answer,
    started,
)

SUBJECTS = ("direct", "pgbouncer", "haproxy", "accode")
# Some 25,000 statements a second, and generously much about each.
_AUDIT_BYTES_A_SECOND = 25e6
STORE_SCALE = "store-scale"
RESULTS = machine.ROOT / "benchmarks" / "results"
# What is nobody's record: tiny runs and comparisons of two builds.
UNRECORDED = machine.ROOT / "build" / "benchmarks"

_EXAMPLES = """\
examples:
  ./run bench                                  everything, about 20 minutes; keep the machine quiet
  ./run bench --quick                          everything, tiny: does it work? about 3 minutes
  ./run bench --cases 'simple-*' --rounds 6    some cases; patterns as in a shell
  ./run bench --cases idle,idle-tls,stalled --subjects accode,pgbouncer
  ./run bench --seconds 10 --rounds 8 --output /tmp/results
  ./run bench --against ../before --cases 'simple-*' --subjects accode
  ./run bench --list
  ./run bench mysql --help                     MySQL: sysbench beside HAProxy
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 with failed measurements, 2 when it could not run."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["mysql"]:
        return _guarded(lambda: mysql.main(words[1:]))
    options = _parse(words)
    if options.list:
        for case in CASES:
            print(f"{case.name:<22} {case.title}")
        print(f"{STORE_SCALE:<22} logins and start with a store of 100,000 tokens")
        print("The cases of MySQL: mysql --list")
        return 0
    return _guarded(lambda: _run(options))


def _guarded(work: Callable[[], int]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        return work()
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("benchmarks: interrupted; everything it started is stopped.", file=sys.stderr)
        return 130


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the same loads direct, through Accode Proxy, PgBouncer and HAProxy.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cases", default="*", help="names or patterns, separated by commas")
    parser.add_argument(
        "--subjects", default=",".join(SUBJECTS), help=f"some of {','.join(SUBJECTS)}"
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
        help="folder for the results (default benchmarks/results; build/benchmarks for what is "
        "nobody's record: --quick and --against)",
    )
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    options = parser.parse_args(arguments)
    if options.rounds is not None and not 1 <= options.rounds <= 100:
        parser.error("--rounds must be from 1 to 100.")
    if options.seconds is not None and not 0.5 <= options.seconds <= 300:
        parser.error("--seconds must be from 0.5 to 300.")
    options.subjects = options.subjects.split(",")
    for name in options.subjects:
        if name not in SUBJECTS:
            parser.error(f"there is no subject {name!r}; there are {', '.join(SUBJECTS)}.")
    if options.against is not None and "accode" not in options.subjects:
        parser.error("--against compares with the subject accode, which --subjects leaves out.")
    if options.output is None:
        is_recorded = not options.quick and options.against is None
        options.output = RESULTS if is_recorded else UNRECORDED
    options.patterns = options.cases.split(",")
    names = [*(case.name for case in CASES), STORE_SCALE]
    for pattern in options.patterns:
        if not fnmatch.filter(names, pattern):
            parser.error(f"no case is named {pattern!r}; --list names them.")
    return options


def chosen_cases(patterns: Sequence[str]) -> list[Case]:
    """The cases that one of the patterns names, in their own order."""
    return [case for case in CASES if is_chosen(case.name, patterns)]


def is_chosen(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns names it."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _interrupt(_number: int, _frame: object) -> None:
    # A second one must not cut the stopping of the servers short; that is bounded in time.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _announce(words: str) -> None:
    print(words, flush=True)


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = QUICK if options.quick else Sizes()
    if options.rounds is not None:
        sizes = dataclasses.replace(sizes, rounds=options.rounds)
    if options.seconds is not None:
        sizes = dataclasses.replace(sizes, seconds=options.seconds)
    return sizes


def _run(options: argparse.Namespace) -> int:
    begin = time.monotonic()
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    sizes = _sizes(options)
    cases = chosen_cases(options.patterns)
    _raise_file_limit()
    options.output.mkdir(parents=True, exist_ok=True)
    account = server_account()
    certificate = make_certificate()
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(scratch_folder())
        _require_space(scratch, sizes)
        server = PostgresServer(scratch, certificate, account)
        stack.callback(server.stop)
        _announce(f"Starting PostgreSQL, scale {sizes.scale}, {sizes.rows:,} rows")
        server.start()
        server.fill(sizes.scale, sizes.rows)
        subjects = _subjects(options, server, certificate, scratch, account)
        stack.enter_context(started(subjects))
        ciphers = {subject.name: require_answer(subject) for subject in subjects}
        for subject in subjects:
            _announce(f"{subject.title}: {subject.version}; TLS {ciphers[subject.name]}")
        busy = machine.busy_at_rest()
        if busy > 0.05:
            _announce(f"The machine is not quiet: {busy:.0%} of it is in use.")
        rounds, failures = run_rounds(Bench(server, sizes), cases, subjects, _announce)
        for subject in subjects:
            if isinstance(subject, AccodeProxy):
                subject.require_audit()
        facts = tuple(
            SubjectFacts(s.name, s.title, s.version, s.notes, ciphers[s.name], s.ends_tls)
            for s in subjects
        )
    store = None
    if is_chosen(STORE_SCALE, options.patterns) and find_store_scale() is not None:
        _announce("Measuring a large store")
        store = run_store_scale(options.quick)
    revision, is_modified = machine.revision()
    run = Run(
        started=now,
        minutes=(time.monotonic() - begin) / 60,
        revision=revision,
        is_modified=is_modified,
        machine=machine.describe_machine(),
        python=machine.describe_python(),
        busy_at_rest=busy,
        sizes=sizes,
        server=dict(SETTINGS),
        subjects=facts,
        cases=tuple(CaseFacts(case.name, case.title, case.group, case.tls) for case in cases),
        rounds=tuple(rounds),
        failures=tuple(failures),
        store_scale=store,
    )
    return _write(run, options.output)


def _write(run: Run, folder: Path) -> int:
    verdicts = [*judge(run.results), *judge_store(run.store_scale)]
    raw = write_json(run, verdicts, folder)
    report = folder / "latest.md"
    report.write_text(to_markdown(run, verdicts, plot.draw(run, folder)))
    for verdict in verdicts:
        if verdict.is_reached is not None:
            words = "reached    " if verdict.is_reached else "NOT REACHED"
            _announce(f"{words}  {verdict.text}: {verdict.figure}, asked {verdict.limit}")
    for line in comparison.rows(comparison.compare(run.results, [c.name for c in run.cases])):
        _announce("  ".join(line))
    _announce(f"{run.minutes:.1f} minutes. Raw rounds: {raw}. Report: {report}.")
    return 1 if run.failures else 0


def _subjects(
    options: argparse.Namespace,
    server: PostgresServer,
    certificate: Certificate,
    scratch: Path,
    account: Account | None,
) -> list[Subject]:
    makers: dict[str, Callable[[], Subject]] = {
        "direct": lambda: Direct(server),
        "pgbouncer": lambda: PgBouncer(
            find_pgbouncer(_announce), server, certificate, scratch, account
        ),
        "haproxy": lambda: HaProxy(find_haproxy(), server, scratch),
        "accode": lambda: AccodeProxy(this_build(), server, certificate, scratch),
        AGAINST: lambda: AccodeProxy(other_build(options.against), server, certificate, scratch),
    }
    subjects = []
    for name in [*options.subjects, *([AGAINST] if options.against else [])]:
        try:
            subjects.append(makers[name]())
        except BenchmarkError as error:
            # A peer that is not installed is left out; the product itself is not.
            if name not in ("pgbouncer", "haproxy"):
                raise
            _announce(f"Without {name}: {error}")
    return subjects


def _require_space(folder: Path, sizes: Sizes) -> None:
    """Tables, results that spill and, most of it, an audit record of every statement."""
    wanted = 2e9 + _AUDIT_BYTES_A_SECOND * sizes.seconds * sizes.rounds * len(CASES)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise BenchmarkError(
            f"{wanted / 1e9:.0f} GB of free space are needed in {folder.parent}, "
            f"and there are {free / 1e9:.1f} (TMPDIR names another place)."
        )


def _raise_file_limit() -> None:
    """Two descriptors for each session of the proxies, one for each of ours."""
    wanted = 3 * MAX_SESSIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchmarkError(
            f"{wanted} open files are needed, and the limit is {hard} (ulimit -n)."
        )
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())

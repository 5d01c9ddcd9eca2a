"""``python -m benchmarks``: run the cases, print progress, write the results.

Wires the parts together; everything it starts is stopped when it ends, also on Ctrl-C.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import comparison, machine, plot
from benchmarks.accode import AccodeProgram
from benchmarks.bench import Bench
from benchmarks.builds import Build, describe_compiled, other_build, this_build
from benchmarks.completion import bash_script
from benchmarks.engines import Engine, make_subjects
from benchmarks.options import STORE_SCALE, Options, parse
from benchmarks.processes import BenchmarkError, scratch_folder
from benchmarks.record import CaseFacts, Run, SubjectFacts, prefix, write_json
from benchmarks.report import to_markdown
from benchmarks.requirements import judge, judge_store
from benchmarks.schedule import run_rounds
from benchmarks.servers import make_certificate
from benchmarks.store_case import run_store_scale
from benchmarks.subjects import MAX_SESSIONS, started

# Some 25,000 statements a second, and generously much about each.
_AUDIT_BYTES_A_SECOND = 25e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 with failed measurements, 2 when it could not run."""
    options = parse(list(sys.argv[1:] if arguments is None else arguments))
    if options.is_completion:
        print(bash_script(), end="")
        return 0
    if options.is_list:
        _list(options.engine)
        return 0
    return _guarded(lambda: _run(options))


def _list(engine: Engine) -> None:
    for case in engine.cases:
        print(f"{case.name:<22} {case.title}")
    if engine.has_store_scale:
        print(f"{STORE_SCALE:<22} logins and start with a store of 100,000 tokens")
        print("The cases of MySQL: ./run bench mysql --list")


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


def _interrupt(_number: int, _frame: object) -> None:
    # A second one must not cut the stopping of the servers short; that is bounded in time.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _announce(words: str) -> None:
    print(words, flush=True)


def _builds(options: Options) -> list[Build]:
    return [this_build(), *([other_build(options.against)] if options.against else [])]


def _run(options: Options) -> int:
    begin = time.monotonic()
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    engine, sizes, cases = options.engine, options.sizes, options.cases
    builds = _builds(options)
    _raise_file_limit()
    options.output.mkdir(parents=True, exist_ok=True)
    certificate = make_certificate()
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(scratch_folder())
        _require_space(scratch, options)
        setting = engine.setting(scratch, certificate, _announce)
        server = setting.server
        stack.callback(server.stop)
        _announce(f"Starting {server.title}, scale {sizes.scale}, {sizes.rows:,} rows")
        server.start()
        server.fill(sizes)
        subjects = make_subjects(setting, options.subjects, builds, cases, _announce)
        ciphers = stack.enter_context(started(server, subjects))
        for subject in subjects:
            _announce(f"{subject.title}: {subject.version}; TLS {ciphers[subject.name]}")
        busy = machine.busy_at_rest()
        if busy > 0.05:
            _announce(f"The machine is not quiet: {busy:.0%} of it is in use.")
        rounds, failures = run_rounds(Bench(server, sizes, scratch), cases, subjects, _announce)
        for subject in subjects:
            if isinstance(subject, AccodeProgram):
                subject.require_audit()
        facts = tuple(
            SubjectFacts(s.name, s.title, s.version, s.notes, ciphers[s.name], s.ends_tls)
            for s in subjects
        )
    store = None
    if options.has_store_scale:
        _announce("Measuring a large store: its filling takes most of a minute or two")
        store = run_store_scale(options.is_quick)
    revision, is_modified = machine.revision()
    run = Run(
        protocol=engine.protocol,
        database=server.title,
        peer=engine.peer,
        started=now,
        minutes=(time.monotonic() - begin) / 60,
        revision=revision,
        is_modified=is_modified,
        machine=machine.describe_machine(),
        python={**machine.describe_python(), "compiled modules": describe_compiled()},
        busy_at_rest=busy,
        sizes=sizes,
        server=dict(server.settings),
        subjects=facts,
        cases=tuple(CaseFacts(case.name, case.title, case.group, case.tls) for case in cases),
        rounds=tuple(rounds),
        failures=tuple(failures),
        store_scale=store,
    )
    return _write(run, options)


def _write(run: Run, options: Options) -> int:
    verdicts = judge(run.results, options.engine.requirements)
    if options.engine.has_store_scale:
        verdicts += judge_store(run.store_scale)
    folder = options.output
    raw = write_json(run, verdicts, folder)
    report = folder / f"{prefix(run.protocol)}latest.md"
    report.write_text(to_markdown(run, verdicts, plot.draw(run, folder)))
    for verdict in verdicts:
        if verdict.is_reached is not None:
            words = "reached    " if verdict.is_reached else "NOT REACHED"
            _announce(f"{words}  {verdict.text}: {verdict.figure}, asked {verdict.limit}")
    for line in comparison.rows(comparison.compare(run.results, [c.name for c in run.cases])):
        _announce("  ".join(line))
    _announce(f"{run.minutes:.1f} minutes. Raw rounds: {raw}. Report: {report}.")
    return 1 if run.failures else 0


def _require_space(folder: Path, options: Options) -> None:
    """Tables, results that spill and, most of it, an audit record of every statement."""
    sizes = options.sizes
    seconds = sizes.seconds * sizes.rounds * len(options.cases)
    wanted = 2e9 + _AUDIT_BYTES_A_SECOND * seconds
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

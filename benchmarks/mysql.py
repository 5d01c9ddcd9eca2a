"""``./run bench mysql``: sysbench against MariaDB direct, through HAProxy and Accode Proxy.

Wires the parts together; everything it starts is stopped when it ends, also on Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine
from benchmarks.builds import other_build, this_build
from benchmarks.comparison import compare
from benchmarks.comparison import rows as comparison_rows
from benchmarks.meters import CpuMeter
from benchmarks.mysql_report import to_markdown
from benchmarks.mysql_subjects import (
    MariaDb,
    MysqlAccode,
    MysqlHaProxy,
    MysqlSubject,
    require_program,
)
from benchmarks.peers import find_haproxy
from benchmarks.processes import BenchmarkError, run, scratch_folder
from benchmarks.schedule import in_turn
from benchmarks.servers import make_certificate
from benchmarks.summary import Metrics, Results, Round
from benchmarks.sysbench import Load, arguments, parse_report

SUBJECTS = ("direct", "haproxy", "accode")
_ADVICE = "Debian: apt-get install sysbench"
_EXAMPLES = """\
examples:
  ./run bench mysql                              everything; keep the machine quiet
  ./run bench mysql --quick                      everything, tiny: does it work?
  ./run bench mysql --cases 'select-*' --rounds 6
  ./run bench mysql --subjects direct,accode --seconds 10
  ./run bench mysql --against ../before --cases 'select-*' --subjects accode
  ./run bench mysql --list
"""


def _loads() -> tuple[Load, ...]:
    found = []
    for suffix, words, tls in (("", "", False), ("-tls", ", TLS", True)):
        for clients in (1, 8, 32):
            who = f"{clients} client{'s' if clients > 1 else ''}{words}"
            found += [
                Load(
                    f"select-{clients}{suffix}",
                    f"point select, {who}",
                    "oltp_point_select",
                    clients,
                    tls,
                ),
                Load(
                    f"read-{clients}{suffix}", f"read only, {who}", "oltp_read_only", clients, tls
                ),
            ]
        found.append(
            Load(
                f"connect-8{suffix}",
                f"connect and select, 8 clients{words}",
                str(machine.ROOT / "benchmarks" / "connect.lua"),
                8,
                tls,
            )
        )
    return tuple(found)


LOADS = _loads()


def main(words: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 with failed measurements. Raises BenchmarkError."""
    options = _parse(words)
    if options.list:
        for load in LOADS:
            print(f"{load.name:<22} {load.title}")
        return 0
    return _run(options)


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks mysql",
        description="Measure sysbench against MariaDB direct, through HAProxy and Accode Proxy.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cases", default="*", help="names or patterns, separated by commas")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help="some of them")
    parser.add_argument("--rounds", type=int, default=4, help="rounds (default 4)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a run (default 5)")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, built")
    parser.add_argument("--output", type=Path, help="folder for the results")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    options = parser.parse_args(words)
    if not 1 <= options.rounds <= 100:
        parser.error("--rounds must be from 1 to 100.")
    if not 1 <= options.seconds <= 300:
        parser.error("--seconds must be from 1 to 300.")
    if options.output is None:
        is_recorded = not options.quick and options.against is None
        folder = "benchmarks/results" if is_recorded else "build/benchmarks"
        options.output = machine.ROOT / folder
    options.subjects = options.subjects.split(",")
    for name in options.subjects:
        if name not in SUBJECTS:
            parser.error(f"there is no subject {name!r}; there are {', '.join(SUBJECTS)}.")
    patterns = options.cases.split(",")
    options.loads = [
        load for load in LOADS if any(fnmatch.fnmatchcase(load.name, p) for p in patterns)
    ]
    if not options.loads:
        parser.error("no case has such a name; --list names them.")
    if options.quick:
        options.rounds, options.seconds = 1, 1
    return options


def _run(options: argparse.Namespace) -> int:
    program = require_program("sysbench", _ADVICE)
    rows = 1_000 if options.quick else 100_000
    certificate = make_certificate()
    options.output.mkdir(parents=True, exist_ok=True)
    rounds: list[Round] = []
    failures: list[str] = []
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(scratch_folder())
        # sysbench takes these names from its working directory.
        (scratch / "cacert.pem").write_bytes(certificate.certificate)
        (scratch / "client-cert.pem").write_bytes(certificate.certificate)
        (scratch / "client-key.pem").touch(mode=0o600)
        (scratch / "client-key.pem").write_bytes(certificate.key)
        server = MariaDb(scratch, certificate)
        stack.callback(server.stop)
        print(f"Starting MariaDB, {rows:,} rows", flush=True)
        server.start()
        prepare = arguments(LOADS[0], server.target(), options.seconds, rows)
        run([program, *prepare, "prepare"], cwd=scratch, seconds=300)
        subjects: list[MysqlSubject] = []
        for name in options.subjects:
            if name == "direct":
                subjects.append(server)
            elif name == "haproxy":
                try:
                    subjects.append(MysqlHaProxy(find_haproxy(), server, scratch))
                except BenchmarkError as error:
                    print(f"Without haproxy: {error}", flush=True)
            else:
                subjects.append(MysqlAccode(this_build(), server, certificate, scratch))
        if options.against is not None:
            other = other_build(options.against)
            subjects.append(MysqlAccode(other, server, certificate, scratch))
        for subject in subjects:
            stack.callback(subject.stop)
            subject.start()
            print(f"{subject.title}: {subject.version}", flush=True)
        for number in range(options.rounds):
            for load in options.loads:
                for position, subject in enumerate(in_turn(subjects, number)):
                    where = f"round {number + 1}, {load.name}, {subject.name}"
                    try:
                        metrics = _measure(program, load, subject, options.seconds, rows, scratch)
                    except BenchmarkError as error:
                        failures.append(f"{where}: {error}")
                        print(f"FAILED {failures[-1]}", flush=True)
                        continue
                    print(where, flush=True)
                    rounds.append(Round(load.name, subject.name, number, position, metrics))
        for subject in subjects:
            if isinstance(subject, MysqlAccode):
                subject.require_audit()
        facts = [(s.name, s.title, s.version, s.notes) for s in subjects]
    about = {**machine.describe_machine(), **machine.describe_python()}
    about["sysbench"] = run([program, "--version"]).strip()
    about["revision"] = machine.revision()[0]
    about["sizes"] = f"{options.rounds} rounds of {options.seconds} s, {rows:,} rows"
    raw = {"about": about, "rounds": [asdict(entry) for entry in rounds], "failures": failures}
    (options.output / "mysql-latest.json").write_text(json.dumps(raw, indent=1) + "\n")
    report = options.output / "mysql-latest.md"
    report.write_text(to_markdown(about, facts, options.loads, Results(rounds), failures))
    for line in comparison_rows(compare(Results(rounds), [load.name for load in options.loads])):
        print("  ".join(line))
    print(f"Report: {report}.", flush=True)
    return 1 if failures else 0


def _measure(
    program: str, load: Load, subject: MysqlSubject, seconds: int, rows: int, folder: Path
) -> Metrics:
    meter = CpuMeter(subject.pid) if subject.pid is not None else None
    before = meter.read() if meter else None
    words = arguments(load, subject.target(), seconds, rows)
    metrics = parse_report(run([program, *words, "run"], cwd=folder, seconds=seconds + 60))
    if meter is not None and before is not None:
        used = CpuMeter.between(before, meter.read())
        metrics["cpu_us"] = used.total / metrics["queries"]
    return metrics

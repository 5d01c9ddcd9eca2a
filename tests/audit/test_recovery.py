import subprocess
import sys
from pathlib import Path

import pytest

from proxy.audit.chain import MAXIMUM_UNSIGNED
from proxy.audit.files import is_locked
from proxy.audit.journal import Journal, JournalContents
from proxy.audit.read import Filters, search
from proxy.audit.recovery import attribute
from proxy.audit.verify import verify
from tests.audit.rig import PUBLIC, context, opened, run_statement, statement
from tests.audit.schema import problems

ROOT = Path(__file__).resolve().parents[2]


def child(what, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.audit.dying_proxy", what, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_after(folder, lines):
    """Kill -9 after so many verdicts; the number of the last one it told of."""
    with child("for_ever", folder) as process:
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.kill()
        told = [line for line in process.stdout if line.endswith("\n")]
    return lines + len(told)


def queries(folder):
    return {
        r["unmapped"]["statement"]: (r["query_info"]["query_string"], r["unmapped"]["outcome"])
        for r in search(folder, Filters())
        if "query_info" in r
    }


@pytest.mark.parametrize("lines", [1, 50, 3000])
def test_after_kill_9_every_statement_let_through_is_on_record_or_named(tmp_path, lines):
    allowed = kill_after(tmp_path, lines)
    assert not is_locked(tmp_path)
    report = verify(tmp_path, PUBLIC)
    assert report.fault is None or report.fault.damage == "truncated"
    recorded = queries(tmp_path)
    missing = {f"{u.session}/{u.number}": u.text for u in report.unrecorded}
    assert not recorded.keys() & missing.keys()
    texts = [text for text, _ in recorded.values()] + list(missing.values())
    for number in range(1, allowed + 1):
        assert f"SELECT {number}" in texts
    assert missing["s1/1"] == "UPDATE accounts SET balance = 0"
    assert missing["quiet/1"] == "LOCK TABLE t"
    assert report.open_sessions == ["s1", "quiet"]


async def test_the_next_start_records_what_the_dead_one_could_not(tmp_path):
    allowed = kill_after(tmp_path, 500)
    before = verify(tmp_path, PUBLIC).unrecorded
    async with opened(tmp_path) as log:
        recorder = log.recorder(context("s3"))
        run_statement(recorder)
        recorder.close("done", duration=1.0)
    report = verify(tmp_path, PUBLIC)
    assert report.is_intact, report.fault
    recorded = queries(tmp_path)
    for missing in before:
        text, outcome = recorded[f"{missing.session}/{missing.number}"]
        assert (text, outcome) == (missing.text, "interrupted")
    assert len(recorded) >= allowed + 3
    ends = list(search(tmp_path, Filters(class_uid=3002)))
    recovered = [r for r in ends if r["unmapped"]["is_recovered"]]
    assert {r["session"]["uid"] for r in recovered} == {"s1", "quiet"}
    assert [p for r in search(tmp_path, Filters()) for p in problems(r)] == []


async def test_a_second_recovery_adds_nothing(tmp_path):
    kill_after(tmp_path, 100)
    journal = (tmp_path / "journal").read_bytes()
    async with opened(tmp_path):
        pass
    count = len(queries(tmp_path))
    # As if the process had died between writing the records and starting a new journal.
    (tmp_path / "journal").write_bytes(journal)
    assert verify(tmp_path, PUBLIC).unrecorded == []
    async with opened(tmp_path):
        pass
    lines = [r for r in search(tmp_path, Filters()) if "query_info" in r]
    assert len(lines) == count


def test_a_session_whose_constants_are_unreadable_has_no_name():
    assert attribute(JournalContents({1: b"{}", 2: b"\xff", 3: b"[1]"}, [1], [])) == {}


def test_a_disk_that_fills_and_empties_loses_nothing(tmp_path):
    with child("fill", tmp_path) as process:
        out, _ = process.communicate(timeout=120)
    refused, allowed = out.splitlines()
    assert refused.startswith("refused the audit log cannot be written")
    assert process.returncode == 0
    report = verify(tmp_path, PUBLIC)
    assert report.is_intact, report.fault
    assert len(queries(tmp_path)) == int(allowed.split()[1])
    (outage,) = search(tmp_path, Filters(class_uid=2004))
    assert outage["unmapped"]["lost_records"] == 0


async def test_a_statement_of_an_unreadable_session_becomes_a_finding(tmp_path):
    journal = Journal.create(tmp_path, segment_size=256 * 1024, segments=4)
    running = statement(b"DELETE FROM t")
    journal.begin(running, 5, 1, 1.0, running.text, 13)
    journal.close()
    async with opened(tmp_path):
        pass
    (found,) = search(tmp_path, Filters(class_uid=2004))
    assert found["finding_info"]["title"] == "Journaled statement of an unknown session"
    assert verify(tmp_path, PUBLIC).is_intact


async def test_however_much_was_running_what_is_recovered_is_signed_often_enough(tmp_path):
    journal = Journal.create(tmp_path, segment_size=1024 * 1024, segments=4)
    session = statement(b"")
    journal.begin_session(session, 5, 1.0, context("s1").to_bytes())
    running = [statement(b"SELECT 1") for _ in range(MAXIMUM_UNSIGNED + 1)]
    for number, one in enumerate(running, 1):
        journal.begin(one, 5, number, 1.0, one.text, 8)
    journal.close()
    async with opened(tmp_path):
        pass
    report = verify(tmp_path, PUBLIC)
    assert report.is_intact, report.fault
    assert len(queries(tmp_path)) == len(running)

import asyncio
import errno
import json
import os
import threading
from collections.abc import Callable

import pytest

from policies.redaction import fingerprint_if_secret
from protocols.errors import Reason, Refusal
from protocols.statements import Outcome
from proxy.audit import AuditFolderError, AuditLog, events, findings
from proxy.audit.files import audit_files
from proxy.audit.journal import read_journal
from proxy.audit.read import Filters, search
from proxy.audit.verify import verify
from proxy.audit.writer import Disk
from tests.audit.rig import (
    FINGERPRINT_KEY,
    KEY,
    NOON,
    PUBLIC,
    FailingDisk,
    ToldClock,
    context,
    finish,
    opened,
    run_statement,
    settings,
    statement,
    until,
)
from tests.audit.schema import problems


def records(folder, **filters):
    return list(search(folder, Filters(**filters)))


def queries(folder):
    return [r["query_info"]["query_string"] for r in records(folder) if "query_info" in r]


async def test_everything_recorded_is_there_in_order_and_valid(tmp_path):
    async with opened(tmp_path) as log:
        log.record(events.session_opened(context()))
        recorder = log.recorder(context())
        for number in range(300):
            run_statement(recorder, b"SELECT %d" % number)
        recorder.close("client_left", duration=2.0)
        await log.flush()
        assert log.queue_depth == 0
        assert log.queued_bytes() == 0
        assert log.lag == 0.0
    assert queries(tmp_path) == [f"SELECT {n}" for n in range(300)]
    assert [p for r in records(tmp_path) for p in problems(r)] == []
    assert verify(tmp_path, PUBLIC).is_intact
    assert log.lost == 0


async def test_under_load_records_are_encoded_between_what_sessions_do(tmp_path):
    taken: list[Callable[[], bool]] = []
    async with opened(tmp_path, between=taken.append, step_records=4) as log:
        (step,) = taken
        recorder = log.recorder(context())
        before, _ = log.newest
        for number in range(3):
            run_statement(recorder, b"SELECT %d" % number)
        # Not for so few: they wait for the timer.
        assert step()
        assert log.newest[0] == before
        for number in range(3, 9):
            run_statement(recorder, b"SELECT %d" % number)
        assert step()
        # The session's own line, and four statements.
        assert log.newest[0] == before + 5
        assert step()
        assert log.newest[0] == before + 9
        assert step()
        assert log.newest[0] == before + 9
        await log.flush()
        assert log.newest[0] == before + 10
    assert not step()
    assert queries(tmp_path) == [f"SELECT {n}" for n in range(9)]
    assert verify(tmp_path, PUBLIC).is_intact


async def test_a_verdict_is_journaled_before_it_is_given_and_settled_once_recorded(tmp_path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        running = statement(b"DELETE FROM t")
        assert recorder.begin(running) is None
        (entry,) = read_journal(tmp_path).statements
        assert entry.text == b"DELETE FROM t"
        assert entry.time == NOON + 1
        recorder.end(finish(running))
        await log.flush()
        assert read_journal(tmp_path).statements == []


async def test_a_text_with_a_secret_reaches_neither_journal_nor_record(tmp_path):
    secret = b"CREATE ROLE bob PASSWORD 'hunter2-canary'"
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        running = statement(secret)
        recorder.begin(running)
        assert b"hunter2" not in running.text
        assert b"hunter2" not in (tmp_path / "journal").read_bytes()
        recorder.end(finish(running))
    assert queries(tmp_path) == [fingerprint_if_secret(secret, FINGERPRINT_KEY)]
    for path in tmp_path.iterdir():
        assert b"hunter2" not in path.read_bytes(), path.name


async def test_a_refused_statement_is_recorded_as_denied(tmp_path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        running = statement(b"DROP TABLE t")
        recorder.begin(running)
        recorder.end(finish(running, Outcome.REFUSED))
    (record,) = records(tmp_path, outcome="refused")
    assert record["action_id"] == 2


async def test_durable_waiters_share_one_sync(tmp_path):
    disk = FailingDisk()
    async with opened(tmp_path, disk=disk) as log:
        before = disk.syncs
        event = events.credential_unsealed(context(), credential_version=1)
        await asyncio.gather(*(log.record_durably(event) for _ in range(200)))
        assert disk.syncs - before <= 4
        assert log.queue_depth == 0
    assert len(records(tmp_path, class_uid=6005)) == 200


async def test_a_durable_record_brings_all_before_it(tmp_path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        for number in range(1000):
            run_statement(recorder, b"SELECT %d" % number)
        await log.record_durably(events.proxy_started("1", "i"))
        assert len(queries(tmp_path)) == 1000


async def test_an_idle_log_is_signed_every_minute(tmp_path):
    clock = ToldClock()
    async with opened(tmp_path, clock=clock) as log:
        for _ in range(3):
            first, _ = log.newest
            clock.advance(59)
            log.housekeep()
            await log.flush()
            assert log.newest[0] == first
            clock.advance(1)
            log.housekeep()
            await log.flush()
            assert log.newest[0] == first + 1
            head = json.loads((tmp_path / "head").read_bytes())
            assert head["metadata"]["sequence"] == first + 1
            assert head["time"] == int(clock.wall * 1000)


async def test_what_is_written_is_synced_within_a_second(tmp_path):
    clock, disk = ToldClock(), FailingDisk()
    async with opened(tmp_path, clock=clock, disk=disk) as log:
        log.record(events.proxy_started("1", "i"))
        await log.flush()
        before = disk.syncs
        clock.advance(1.0)
        log.housekeep()
        await log.flush()
        assert disk.syncs == before + 1
        clock.advance(1.0)
        log.housekeep()
        await log.flush()
        assert disk.syncs == before + 1


async def test_files_rotate_by_size_and_stay_one_chain(tmp_path):
    async with opened(tmp_path, rotate_bytes=10_000) as log:
        recorder = log.recorder(context())
        for number in range(200):
            run_statement(recorder, b"SELECT %d" % number)
    files = audit_files(tmp_path)
    assert len(files) > 5
    assert all(path.stat().st_size < 15_000 for path in files)
    assert verify(tmp_path, PUBLIC).is_intact
    assert queries(tmp_path) == [f"SELECT {n}" for n in range(200)]


async def test_files_rotate_by_day_and_never_back(tmp_path):
    clock = ToldClock()
    async with opened(tmp_path, clock=clock) as log:
        recorder = log.recorder(context())
        for days in (1, 1, -5, 1):
            run_statement(recorder)
            await log.flush()
            clock.wall += days * 86400
        run_statement(recorder)
    names = [path.name for path in audit_files(tmp_path)]
    assert len({name[6:14] for name in names}) == len(names) == 3
    report = verify(tmp_path, PUBLIC)
    assert report.is_intact, report.fault
    async with opened(tmp_path, clock=ToldClock(NOON - 86400 * 30)):
        pass
    assert verify(tmp_path, PUBLIC).is_intact
    assert audit_files(tmp_path)[-1].name == names[-1].replace("0001", "0002")


async def test_a_restart_continues_the_chain(tmp_path):
    for _ in range(3):
        async with opened(tmp_path) as log:
            run_statement(log.recorder(context()))
    report = verify(tmp_path, PUBLIC)
    assert report.fault is None
    assert report.files == 3


async def fail_and_recover(log, disk, break_it, mend_it):
    recorder = log.recorder(context())
    run_statement(recorder, b"SELECT 'before'")
    await log.flush()
    running = statement(b"SELECT 'running'")
    recorder.begin(running)
    break_it()
    log.record(events.proxy_started("1", "i"))
    with pytest.raises(Refusal) as refused:
        await log.record_durably(events.credential_unsealed(context(), credential_version=1))
    assert refused.value.reason is Reason.AUDIT_UNAVAILABLE
    await until(lambda: log.is_failed)
    with pytest.raises(Refusal):
        recorder.begin(statement(b"SELECT 'refused'"))
    with pytest.raises(Refusal):
        log.recorder(context("s2"))
    with pytest.raises(Refusal):
        await log.record_durably(events.proxy_started("1", "i"))
    recorder.end(finish(running))
    mend_it()
    await until(lambda: not log.is_failed)
    run_statement(recorder, b"SELECT 'after'")
    recorder.close("client_left", duration=1.0)
    await log.flush()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EBADF])
async def test_a_disk_that_fails_stops_statements_and_comes_back_by_itself(tmp_path, number):
    disk = FailingDisk()
    async with opened(tmp_path, disk=disk) as log:
        await fail_and_recover(
            log,
            disk,
            lambda: setattr(disk, "write_error", number),
            lambda: setattr(disk, "write_error", 0),
        )
        assert log.failures > 0
        assert log.lost == 0
    assert queries(tmp_path) == ["SELECT 'before'", "SELECT 'running'", "SELECT 'after'"]
    (outage,) = records(tmp_path, class_uid=2004)
    assert outage["unmapped"]["lost_records"] == 0
    assert verify(tmp_path, PUBLIC).is_intact


async def test_a_disk_that_takes_half_a_record_leaves_no_half_record(tmp_path):
    disk = FailingDisk()
    async with opened(tmp_path, disk=disk) as log:
        whole = []

        def full_after_100_bytes():
            disk.room = 100
            whole.append(audit_files(tmp_path)[-1].read_bytes())

        def read_and_mend():
            whole.append(audit_files(tmp_path)[-1].read_bytes())
            disk.room = None

        await fail_and_recover(log, disk, full_after_100_bytes, read_and_mend)
    assert whole[0] == whole[1]
    assert verify(tmp_path, PUBLIC).is_intact
    assert queries(tmp_path) == ["SELECT 'before'", "SELECT 'running'", "SELECT 'after'"]


async def test_after_a_failed_sync_the_records_are_written_again(tmp_path):
    disk = FailingDisk()
    async with opened(tmp_path, disk=disk) as log:
        await fail_and_recover(
            log,
            disk,
            lambda: setattr(disk, "sync_error", errno.EIO),
            lambda: setattr(disk, "sync_error", 0),
        )
        assert disk.rewritten > 0
    assert verify(tmp_path, PUBLIC).is_intact
    assert queries(tmp_path) == ["SELECT 'before'", "SELECT 'running'", "SELECT 'after'"]


class HangingDisk(Disk):
    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()

    def write(self, descriptor, data, offset):
        self.gate.wait(20)
        return super().write(descriptor, data, offset)


async def test_a_disk_that_hangs_refuses_within_its_bound(tmp_path):
    disk = HangingDisk()
    async with opened(tmp_path, disk=disk, durable_seconds=0.05, stall_seconds=1.0) as log:
        recorder = log.recorder(context())
        disk.gate.clear()
        with pytest.raises(Refusal, match="the audit log cannot be written"):
            await log.record_durably(events.proxy_started("1", "i"))
        await until(lambda: log.is_failed)
        with pytest.raises(Refusal):
            recorder.begin(statement())
        disk.gate.set()
        await until(lambda: not log.is_failed)
        run_statement(recorder)
    assert verify(tmp_path, PUBLIC).fault is None


async def test_closing_on_a_disk_that_fails_ends_and_the_journal_keeps_the_rest(tmp_path):
    disk = FailingDisk()
    log = await AuditLog.open(
        settings(tmp_path), KEY, ToldClock(), fingerprint_key=FINGERPRINT_KEY, disk=disk
    )
    recorder = log.recorder(context())
    disk.write_error = errno.ENOSPC
    run_statement(recorder, b"SELECT 'kept in the journal'")
    await until(lambda: log.is_failed)
    await log.close()
    report = verify(tmp_path, PUBLIC)
    assert [u.text for u in report.unrecorded] == ["SELECT 'kept in the journal'"]
    async with opened(tmp_path):
        pass
    assert queries(tmp_path) == ["SELECT 'kept in the journal'"]
    assert verify(tmp_path, PUBLIC).is_intact


async def test_a_queue_past_its_high_mark_is_congested_until_it_has_drained(tmp_path):
    disk = HangingDisk()
    called = []
    async with opened(tmp_path, disk=disk, high_mark=200_000, low_mark=50_000) as log:
        log.on_drained(lambda: called.append("at once"))
        await until(lambda: called)
        recorder = log.recorder(context())
        disk.gate.clear()
        while not log.is_congested():
            run_statement(recorder, b"x" * 1000)
        log.on_drained(lambda: called.append("drained"))
        await asyncio.sleep(0)
        assert called == ["at once"]
        disk.gate.set()
        await until(lambda: "drained" in called)
        await log.flush()
        assert log.queued_bytes() < 50_000
        recorder.close("done", duration=1.0)
    assert verify(tmp_path, PUBLIC).is_intact


async def test_what_passes_the_bound_is_counted_and_said(tmp_path):
    disk = FailingDisk()
    async with opened(tmp_path, disk=disk, maximum_queued=2_000_000) as log:
        recorder = log.recorder(context())
        running = []
        for _ in range(60):
            running.append(statement(b"x" * 50_000))
            recorder.begin(running[-1])
        disk.write_error = errno.ENOSPC
        log.record(events.proxy_started("1", "i"))
        await until(lambda: log.is_failed)
        for one in running:
            recorder.end(finish(one))
        assert 0 < log.lost < 60
        lost = log.lost
        disk.write_error = 0
        await until(lambda: not log.is_failed)
        recorder.close("done", duration=1.0)
    (outage,) = records(tmp_path, class_uid=2004)
    assert outage["unmapped"]["lost_records"] == lost
    assert outage["severity_id"] == 5
    assert len(queries(tmp_path)) == 60 - lost
    assert verify(tmp_path, PUBLIC).is_intact


async def test_a_full_journal_refuses_statements(tmp_path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        running = []

        def begin_until_full():
            for _ in range(1000):
                running.append(statement(b"x" * 2048))
                recorder.begin(running[-1])

        with pytest.raises(Refusal, match="cannot be written"):
            begin_until_full()
        for one in running[:-1]:
            recorder.end(finish(one))
        await log.flush()
        run_statement(recorder)


async def test_an_event_that_cannot_be_encoded_fails_where_it_was_made(tmp_path):
    async with opened(tmp_path) as log:
        with pytest.raises(TypeError, match="cannot hold"):
            log.record(findings.finding("t", "d", details={"password": object()}))
        log.record(events.proxy_started("1", "i"))
    assert verify(tmp_path, PUBLIC).is_intact


@pytest.mark.parametrize("name", ["chain", "prev", "signature", "statement"])
async def test_an_event_cannot_pass_for_a_line_of_the_chain(tmp_path, name):
    async with opened(tmp_path) as log:
        with pytest.raises(ValueError, match="belongs to the chain"):
            log.record(findings.finding("t", "d", details={name: "A" * 86 + "=="}))


async def test_a_session_id_that_would_break_a_line_is_refused(tmp_path):
    async with opened(tmp_path) as log:
        with pytest.raises(ValueError, match="session id"):
            log.recorder(context('x","prev":"'))


async def test_closing_twice_and_recording_afterwards_do_no_harm(tmp_path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        running = statement()
        recorder.begin(running)
        await log.close()
        recorder.end(finish(running))
        recorder.close("late", duration=1.0)
        log.record(events.proxy_started("1", "i"))
        with pytest.raises(Refusal):
            recorder.begin(statement())
        assert log.lost == 3
    assert len(verify(tmp_path, PUBLIC).unrecorded) == 1


async def test_a_disk_that_is_full_at_the_start_is_one_sentence(tmp_path):
    disk = FailingDisk()
    disk.write_error = errno.ENOSPC
    with pytest.raises(AuditFolderError, match="cannot be used"):
        await AuditLog.open(settings(tmp_path), KEY, fingerprint_key=FINGERPRINT_KEY, disk=disk)
    async with opened(tmp_path) as log:
        run_statement(log.recorder(context()))
    assert verify(tmp_path, PUBLIC).is_intact
    assert [p.name for p in tmp_path.iterdir() if "torn" in p.name] == []


async def test_nothing_is_left_open(tmp_path):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    async with opened(tmp_path):
        pass
    before = descriptors()
    for _ in range(3):
        async with opened(tmp_path, rotate_bytes=5000) as log:
            recorder = log.recorder(context())
            for _ in range(20):
                run_statement(recorder)
            recorder.close("done", duration=1.0)
    assert descriptors() == before
    assert "audit-writer" not in {thread.name for thread in threading.enumerate()}

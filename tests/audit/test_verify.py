import asyncio
import json
import random
import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.audit.chain import GENESIS, HEAD_NAME, Chain, hash_line, parse_link
from proxy.audit.events import proxy_started
from proxy.audit.files import audit_files
from proxy.audit.journal import NAME
from proxy.audit.read import checkpoint
from proxy.audit.report import Damage, Report
from proxy.audit.verify import verify
from tests.audit.rig import (
    KEY,
    NOON,
    OTHER_KEY,
    PUBLIC,
    ToldClock,
    context,
    opened,
    run_statement,
    statement,
)
from tests.audit.rig import write_log as write_log_in

STATEMENTS = 30


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Two files: one rotated away, one with the end; checkpoints in the middle."""
    folder = tmp_path_factory.mktemp("pristine")

    async def build():
        clock = ToldClock()
        async with opened(folder, clock=clock) as log:
            recorder = log.recorder(context())
            for number in range(STATEMENTS):
                run_statement(recorder, b"UPDATE t SET n = %d" % number)
                if number % 10 == 9:
                    await log.flush()
                    clock.advance(61)
                    log.housekeep()
                    await log.flush()
            clock.advance(86400)
            for number in range(STATEMENTS):
                run_statement(recorder, b"DELETE FROM t WHERE n = %d" % number)
            recorder.close("client_left", duration=1.0)

    asyncio.run(build())
    (folder / NAME).unlink()
    assert len(audit_files(folder)) == 2
    return folder


@pytest.fixture
def folder(pristine, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(pristine, copy)
    return copy


def all_lines(folder):
    return [
        (path, number, line)
        for path in audit_files(folder)
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True))
    ]


def sequence_of(line):
    link = parse_link(line.rstrip(b"\n"))
    assert link is not None
    return link.sequence


def damage_in(report: Report) -> Damage | None:
    return report.fault.damage if report.fault else None


def lines_of_file(path):
    return path.read_bytes().splitlines(keepends=True)


def test_an_untouched_log_is_intact(folder):
    report = verify(folder, PUBLIC)
    assert report.is_intact, report.fault
    assert report.first_sequence == 1
    assert report.last_sequence == report.records == len(all_lines(folder))
    assert report.unsigned_tail == 0
    assert report.files == 2


def test_an_empty_folder_is_intact(tmp_path):
    report = verify(tmp_path, PUBLIC)
    assert report.is_intact
    assert report.records == 0


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_is_found_at_its_record(pristine, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("edit") / "copy"
    shutil.copytree(pristine, folder)
    path, number, line = data.draw(st.sampled_from(all_lines(folder)))
    place = data.draw(st.integers(0, len(line) - 2))
    byte = data.draw(st.integers(32, 126).filter(lambda b: b != line[place]))
    lines = lines_of_file(path)
    lines[number] = line[:place] + bytes([byte]) + line[place + 1 :]
    path.write_bytes(b"".join(lines))
    report = verify(folder, PUBLIC)
    assert report.fault is not None
    sequence = sequence_of(line)
    assert report.fault.sequence == sequence, report.fault
    assert report.fault.damage in (Damage.CHANGED, Damage.REPLACED, Damage.TRUNCATED)
    shutil.rmtree(folder)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_removed_run_of_records_is_found(pristine, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("edit") / "copy"
    shutil.copytree(pristine, folder)
    path = data.draw(st.sampled_from(audit_files(folder)))
    lines = lines_of_file(path)
    start = data.draw(st.integers(1, len(lines) - 2))
    end = data.draw(st.integers(start + 1, len(lines) - 1))
    first = sequence_of(lines[start])
    path.write_bytes(b"".join(lines[:start] + lines[end:]))
    report = verify(folder, PUBLIC)
    assert report.fault is not None
    assert report.fault.damage is Damage.REMOVED
    assert report.fault.sequence == first
    shutil.rmtree(folder)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_moved_record_is_found(pristine, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("edit") / "copy"
    shutil.copytree(pristine, folder)
    path = data.draw(st.sampled_from(audit_files(folder)))
    lines = lines_of_file(path)
    first = data.draw(st.integers(1, len(lines) - 2))
    second = data.draw(st.integers(first + 1, len(lines) - 1))
    lines[first], lines[second] = lines[second], lines[first]
    path.write_bytes(b"".join(lines))
    report = verify(folder, PUBLIC)
    assert report.fault is not None
    assert report.fault.damage is Damage.REORDERED
    assert report.fault.line == first + 1
    shutil.rmtree(folder)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_repeated_record_is_found(pristine, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("edit") / "copy"
    shutil.copytree(pristine, folder)
    path = data.draw(st.sampled_from(audit_files(folder)))
    lines = lines_of_file(path)
    source = data.draw(st.integers(0, len(lines) - 1))
    target = data.draw(st.integers(source + 1, len(lines)))
    lines.insert(target, lines[source])
    path.write_bytes(b"".join(lines))
    report = verify(folder, PUBLIC)
    assert report.fault is not None
    assert report.fault.damage is Damage.DUPLICATED
    assert report.fault.sequence == sequence_of(lines[source])
    shutil.rmtree(folder)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_cut_end_is_found(pristine, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("edit") / "copy"
    shutil.copytree(pristine, folder)
    path = audit_files(folder)[-1]
    content = path.read_bytes()
    keep = data.draw(st.integers(0, len(content) - 1))
    path.write_bytes(content[:keep])
    report = verify(folder, PUBLIC)
    assert report.fault is not None
    assert report.fault.damage is Damage.TRUNCATED
    shutil.rmtree(folder)


def test_a_removed_file_is_found(folder):
    first, second = audit_files(folder)
    kept = first.read_bytes()
    first.unlink()
    assert damage_in(verify(folder, PUBLIC)) is Damage.REMOVED
    late = verify(folder, PUBLIC, may_start_late=True)
    assert late.is_intact
    assert late.first_sequence > 1
    first.write_bytes(kept)
    second.unlink()
    assert damage_in(verify(folder, PUBLIC)) is Damage.TRUNCATED


def test_swapped_and_renamed_files_are_found(folder):
    first, second = audit_files(folder)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    assert verify(folder, PUBLIC).fault is not None
    first.unlink()
    second.write_bytes(one)
    (folder / HEAD_NAME).unlink()
    assert verify(folder, PUBLIC).fault is not None


def test_a_missing_or_forged_head_is_found(folder):
    head = folder / HEAD_NAME
    line = head.read_bytes()
    head.write_bytes(line.replace(b'"checkpoint"', b'"Checkpoint"'))
    assert damage_in(verify(folder, PUBLIC)) is Damage.REPLACED
    head.unlink()
    assert damage_in(verify(folder, PUBLIC)) is Damage.TRUNCATED


def rechain(lines, sign_with):
    """What an attacker can do: the same records, edited, consistent from end to end."""
    prev, made = GENESIS, []
    for line in lines:
        text = line[:-1].decode()
        start = text.rindex('"prev":"') + len('"prev":"')
        text = text[:start] + prev + text[start + 64 :]
        if sign_with is not None and '"signature":"' in text:
            text = re.sub(r'"signature":"[^"]{88}"', f'"signature":"{sign_with}"', text)
        prev = hash_line(text.encode())
        made.append(text.encode() + b"\n")
    return made


@pytest.mark.parametrize("sign_with", [None, "A" * 86 + "=="])
def test_a_self_consistent_other_chain_is_found_by_its_signatures(folder, sign_with):
    first, second = audit_files(folder)
    one, two = lines_of_file(first), lines_of_file(second)
    one[5] = one[5].replace(b"UPDATE t SET n", b"SELECT n FROM t")
    forged = rechain(one + two, sign_with)
    first.write_bytes(b"".join(forged[: len(one)]))
    second.write_bytes(b"".join(forged[len(one) :]))
    report = verify(folder, PUBLIC)
    assert report.fault is not None
    assert sequence_of(one[5]) < report.fault.sequence or sign_with


async def test_a_log_signed_by_another_key_is_replaced(tmp_path):
    await write_log_in(tmp_path)
    other = OTHER_KEY.public_key().public_bytes_raw()
    assert damage_in(verify(tmp_path, other)) is Damage.REPLACED


def test_going_back_to_an_older_state_of_everything_needs_a_witness(folder, pristine):
    newest = checkpoint(folder)
    assert newest is not None
    sequence, witness = newest
    first, second = audit_files(folder)
    second.unlink()
    (folder / HEAD_NAME).write_bytes(lines_of_file(first)[-1])
    assert verify(folder, PUBLIC).is_intact
    assert damage_in(verify(folder, PUBLIC, (sequence, witness))) is Damage.TRUNCATED
    assert verify(pristine, PUBLIC, (sequence, witness)).is_intact
    assert damage_in(verify(pristine, PUBLIC, (sequence, "0" * 64))) is Damage.REPLACED


def test_a_rewritten_tail_behind_the_last_checkpoint_is_bounded(tmp_path):
    chain = Chain(KEY, "i", 0, GENESIS)
    name = "audit-20270115-0001.jsonl"
    lines = [chain.header(name, "", NOON)]
    head = chain.checkpoint(NOON)
    lines.append(head)
    (tmp_path / HEAD_NAME).write_bytes(head)
    record = json.loads(head)
    assert record["unmapped"]["chain"] == "checkpoint"
    event = proxy_started("1", "i")
    for _ in range(8193):
        lines.append(chain.event(event, NOON))
    (tmp_path / name).write_bytes(b"\n".join([*lines, b""]))
    assert damage_in(verify(tmp_path, PUBLIC)) is Damage.REPLACED
    (tmp_path / name).write_bytes(b"\n".join([*lines[:-1], b""]))
    report = verify(tmp_path, PUBLIC)
    assert report.is_intact
    assert report.unsigned_tail == 8192


def test_random_garbage_never_raises(tmp_path):
    source = random.Random(7)
    (tmp_path / HEAD_NAME).write_bytes(source.randbytes(300))
    (tmp_path / "audit-20270115-0001.jsonl").write_bytes(source.randbytes(5000))
    (tmp_path / NAME).write_bytes(source.randbytes(5000))
    assert verify(tmp_path, PUBLIC).fault is not None


async def test_a_log_being_written_is_verified_without_judging_its_journal(tmp_path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        recorder.begin(statement(b"SELECT 'still running'"))
        run_statement(recorder)
        await log.flush()
        path = audit_files(tmp_path)[-1]
        with path.open("ab") as file:
            file.write(b'{"metadata":{"sequence":4')
        report = verify(tmp_path, PUBLIC)
        assert report.is_intact
        assert report.records == 4
        assert "a proxy is writing here" in report.notes[0]

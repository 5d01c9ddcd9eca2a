import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from proxy.audit import events
from proxy.audit.chain import GENESIS, HEAD_NAME, Chain, Link, parse_link
from proxy.audit.encode import SessionFragments, encode_session, encode_statement
from proxy.audit.expand import FileLines, record_of
from proxy.audit.files import audit_files, recent_statements
from proxy.audit.read import Filters, Record, search, tail
from proxy.audit.report import Damage
from proxy.audit.verify import verify
from tests.audit.rig import (
    KEY,
    NOON,
    PUBLIC,
    ToldClock,
    context,
    finish,
    opened,
    run_statement,
    statement,
    statements_of_every_sort,
)
from tests.audit.schema import problems

ROOT = Path(__file__).parents[2]
OLD = Path(__file__).parent / "older_log"
"""A log of the form before sessions had lines: each statement's line is a whole record."""


@pytest.fixture
def old(tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(OLD, folder)
    return folder


def lines_in(folder):
    return [line for path in audit_files(folder) for line in path.read_bytes().splitlines()]


def link_of(line: bytes) -> Link:
    link = parse_link(line)
    assert link is not None
    return link


def statements_in(records):
    """The records of statements, without what depends on their place in the chain."""
    found = [r for r in records if "statement" in r["unmapped"]]
    for record in found:
        del record["metadata"]["sequence"], record["unmapped"]["prev"]
    return found


async def write_every_sort(folder):
    async with opened(folder) as log:
        recorder = log.recorder(context())
        for one in statements_of_every_sort():
            recorder.begin(one)
            recorder.end(one)


async def test_statements_read_as_the_records_that_an_older_log_has_whole(tmp_path):
    await write_every_sort(tmp_path)
    old = [json.loads(line) for line in lines_in(OLD)]
    expected = [r for r in statements_in(old) if r["metadata"]["correlation_uid"] == "s1"]
    read = statements_in(search(tmp_path, Filters()))
    assert len(read) == len(expected) == len(statements_of_every_sort())
    for mine, theirs in zip(read, expected, strict=True):
        if "parameters" in theirs["unmapped"]:
            # One text, before values had a form; no release could be told to keep them.
            theirs["unmapped"]["parameters"] = [theirs["unmapped"]["parameters"]]
        assert mine == theirs
        assert list(mine) == list(theirs)
        assert problems(mine | {"metadata": {**mine["metadata"], "sequence": 1}}) == []


def test_an_older_log_is_intact_and_read_as_it_stands(old):
    report = verify(old, PUBLIC)
    assert report.is_intact, report.fault
    assert list(search(old, Filters())) == [json.loads(line) for line in lines_in(old)]
    assert recent_statements(old, {"s1/3", "s1/99"}) == {"s1/3"}


async def test_an_older_log_goes_on_in_the_new_form(old):
    before = len(lines_in(old))
    async with opened(old, clock=ToldClock(NOON + 2 * 86400)) as log:
        run_statement(log.recorder(context("s3")), b"SELECT 'new'")
    report = verify(old, PUBLIC)
    assert report.is_intact, report.fault
    assert report.files == 3
    (record,) = search(old, Filters(text="select 'new'"))
    assert record["metadata"]["sequence"] > before
    assert problems(record) == []


async def test_a_statements_line_is_short_and_has_what_the_chain_needs_at_its_ends(tmp_path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context("0" * 32))
        for _ in range(2):
            run_statement(recorder, b"")
    session, first, second = lines_in(tmp_path)[2:5]
    assert b'"constants":{"metadata":{' in session
    assert len(second) < 300
    for before, line in ((session, first), (first, second)):
        link = link_of(line)
        assert link.prev == hashlib.sha256(before).hexdigest()
        assert link.session == "0" * 32
    assert link_of(second).statement == "0" * 32 + "/2"


async def test_the_chain_is_checked_by_hand_as_the_documentation_says(tmp_path):
    page = (ROOT / "docs" / "audit.md").read_text()
    (script,) = re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        for text in (b"SELECT 1", b'SELECT "prev":"x", \'\\n\'', b"SELECT\t'\xff'"):
            run_statement(recorder, text)
    (path,) = audit_files(tmp_path)

    def run():
        command = ["sh", "-c", script.replace("audit-20270115-0001.jsonl", str(path))]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    lines = path.read_bytes().splitlines(keepends=True)
    assert run() == f"{len(lines)} lines\n"
    lines[3] = lines[3].replace(b"SELECT 1", b"SELECT 2")
    path.write_bytes(b"".join(lines))
    assert run() == f'broken at: {{"sequence":5\n{len(lines)} lines\n'


async def test_each_file_tells_once_of_each_session_before_its_first_statement(tmp_path):
    async with opened(tmp_path, rotate_bytes=8_000) as log:
        recorders = [log.recorder(context(name)) for name in ("a", "b")]
        for number in range(80):
            run_statement(recorders[number % 2], b"SELECT %d" % number)
    files = audit_files(tmp_path)
    assert len(files) > 2
    for path in files:
        links = [link_of(line) for line in path.read_bytes().splitlines()]
        told = [link.session for link in links if link.session and not link.statement]
        assert sorted(told) == sorted(set(told))
        for index, link in enumerate(links):
            if link.statement:
                assert link.session in {earlier.session for earlier in links[:index]}
    assert verify(tmp_path, PUBLIC).is_intact
    assert [
        r["query_info"]["query_string"] for r in statements_in(search(tmp_path, Filters()))
    ] == [f"SELECT {number}" for number in range(80)]


async def test_a_tail_that_starts_in_the_middle_knows_its_sessions(tmp_path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        for number in range(50):
            run_statement(recorder, b"SELECT %d" % number)
    found = list(tail(tmp_path, 3))
    everything = list(search(tmp_path, Filters()))
    assert found == everything[-3:]
    assert found[0]["actor"]["app_name"] == "psql"


class StopFollowingError(Exception):
    pass


async def test_following_from_the_end_knows_the_sessions_of_before(tmp_path):
    seen: list[Record] = []

    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        run_statement(recorder, b"SELECT 'before'")
        await log.flush()
        path = audit_files(tmp_path)[-1]
        before = path.read_bytes()
        run_statement(recorder, b"SELECT 'after'")
        await log.flush()
        after = path.read_bytes()

        def write_the_rest():
            if seen:
                raise StopFollowingError
            path.write_bytes(after)

        path.write_bytes(before)
        followed = tail(tmp_path, 0, follow=True, wait=write_the_rest)

        def follow():
            for record in followed:
                seen.append(record)

        with pytest.raises(StopFollowingError):
            follow()
    (record,) = seen
    assert record["query_info"]["query_string"] == "SELECT 'after'"
    assert record["database"]["name"] == "orders_db"


def read(lines):
    reader = FileLines()
    return [record_of(line) for data in lines if (line := reader.take(data)) is not None]


def chained(*, with_session):
    """A file as a holder of the key could write it, with or without the session's line."""
    chain = Chain(KEY, "i", 0, GENESIS)
    lines = [chain.header("audit-20270115-0001.jsonl", "", NOON)]
    if with_session:
        lines.append(chain.link(encode_session(context(), chain.sequence + 1, chain.prev)))
    fragments = SessionFragments.of(context())
    made = finish(statement())
    lines.append(chain.link(encode_statement(fragments, made, chain.sequence + 1, chain.prev, 0.0)))
    lines.append(chain.checkpoint(NOON))
    return lines


@pytest.mark.parametrize("with_session", [True, False])
def test_a_statement_without_its_sessions_line_is_found_and_shown_as_far_as_it_goes(
    tmp_path, with_session
):
    lines = chained(with_session=with_session)
    (tmp_path / "audit-20270115-0001.jsonl").write_bytes(b"\n".join([*lines, b""]))
    (tmp_path / HEAD_NAME).write_bytes(lines[-1] + b"\n")
    report = verify(tmp_path, PUBLIC)
    (record,) = search(tmp_path, Filters(session="s1"))
    assert record["query_info"]["query_string"] == "SELECT 1"
    if with_session:
        assert report.is_intact, report.fault
        return
    assert report.fault is not None
    assert report.fault.damage is Damage.REMOVED
    assert (report.fault.sequence, report.fault.line) == (2, 2)
    assert "tells of its session s1" in report.fault.detail
    assert "actor" not in record


@pytest.mark.parametrize(
    "forged",
    [
        b'"}\n{"sequence":3,"session":"s1","constants":{},"prev":"' + b"0" * 64 + b'"}',
        b'","prev":"' + b"0" * 64 + b'"}',
        b'","constants":{"actor":1},"type_uid":300202,"x":"',
        b"\\",
    ],
)
def test_no_text_can_tell_of_a_session_end_one_or_give_a_line_another_place(forged):
    _, session, _, _ = chained(with_session=True)
    fragments = SessionFragments.of(context(application_name=forged.decode()))
    lines = [encode_session(fragments.context, 2, GENESIS)]
    for number in (1, 2):
        made = finish(statement(forged))
        made.number, made.name, made.code, made.rule = number, forged, forged.decode(), "r"
        lines.append(encode_statement(fragments, made, number + 2, GENESIS, 0.0))
    for index, record in enumerate(read(lines)):
        assert record["query_info"]["query_string"] == forged.decode()
        assert record["actor"]["app_name"] == forged.decode()
        assert record["metadata"]["sequence"] == index + 3
        assert record["unmapped"]["prev"] == GENESIS
        assert link_of(lines[index + 1]).statement == f"s1/{index + 1}"
    assert link_of(lines[0]).statement == link_of(session).statement == ""


def test_a_session_that_has_closed_is_remembered_no_longer():
    chain = Chain(KEY, "i", 0, GENESIS)
    reader = FileLines()
    made = encode_statement(SessionFragments.of(context()), finish(statement()), 2, GENESIS, 0.0)

    def session_told(data: bytes) -> bytes:
        line = reader.take(data)
        assert line is not None
        return line.session

    assert reader.take(encode_session(context(), 1, GENESIS)) is None
    assert session_told(made)
    reader.take(chain.event(events.session_closed(context("s2"), reason="done"), NOON))
    assert session_told(made)
    reader.take(chain.event(events.session_closed(context(), reason="done"), NOON))
    assert not session_told(made)


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"sequence":2,"statement":"s1/1","time":1,"us":"x","kind":"select","via":"simple",'
        b'"rows":1,"out":1,"text":"t","prev":"' + b"0" * 64 + b'"}',
        b'{"sequence":2,"statement":"s1/1","text":7,"prev":"' + b"0" * 64 + b'"}',
        b'{"sequence":2,"statement":"s1/1","text":"","prev":"' + b"0" * 63 + b'"}',
        b'{"sequence":2,"statement":"s1","text":"","prev":"' + b"0" * 64 + b'"}',
        b'{"sequence":2}',
    ],
)
def test_a_damaged_line_is_passed_over(damaged):
    session = encode_session(context(), 1, GENESIS)
    assert read([session, damaged]) == [None]
    assert read([session.replace(b'"constants":{', b'"constants":[{'), damaged]) == [None]

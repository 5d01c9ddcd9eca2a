from pathlib import Path

import pytest

from protocols.statements import Kind, Outcome
from proxy.audit import events
from proxy.audit.files import audit_files
from proxy.audit.read import Filters, checkpoint, search, tail
from tests.audit.rig import (
    NOON,
    ToldClock,
    context,
    finish,
    opened,
    run_statement,
    statement,
    write_log,
)


@pytest.fixture
async def folder(tmp_path):
    clock = ToldClock()
    async with opened(tmp_path, clock=clock) as log:
        first = log.recorder(context("a"))
        run_statement(first, b"SELECT * FROM Salaries")
        failing = statement(b"UPDATE t SET x = 1", started=1002.0)
        first.begin(failing)
        failing.kind = Kind.UPDATE
        first.end(finish(failing, Outcome.FAILED))
        first.close("client_left", duration=1.0)
        await log.flush()
        clock.advance(86400)
        other = context(
            "b",
            workspace_id="w-2",
            workspace="sales",
            source="crm",
            source_id="src-2",
            token_id="tok-2",
            started=clock.wall,
            started_monotonic=clock.elapsed,
        )
        second = log.recorder(other)
        log.record(events.session_opened(other))
        late = statement(b"DELETE FROM leads", started=clock.elapsed)
        second.begin(late)
        late.kind = Kind.DELETE
        second.end(finish(late))
    return tmp_path


def found(folder, **filters):
    return [
        r["query_info"]["query_string"]
        for r in search(folder, Filters(**filters))
        if "query_info" in r
    ]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"workspace": "finance"}, ["SELECT * FROM Salaries", "UPDATE t SET x = 1"]),
        ({"workspace": "w-2"}, ["DELETE FROM leads"]),
        ({"source": "crm"}, ["DELETE FROM leads"]),
        ({"source": "src-1", "kind": "update"}, ["UPDATE t SET x = 1"]),
        ({"actor": "tok-2"}, ["DELETE FROM leads"]),
        ({"outcome": "failed"}, ["UPDATE t SET x = 1"]),
        ({"session": "a", "outcome": "succeeded"}, ["SELECT * FROM Salaries"]),
        ({"text": "salaries"}, ["SELECT * FROM Salaries"]),
        ({"since": NOON + 3600}, ["DELETE FROM leads"]),
        ({"until": NOON + 1.5}, ["SELECT * FROM Salaries"]),
        ({"workspace": "nobody"}, []),
    ],
)
async def test_search_finds_what_matches_every_filter(folder, filters, expected):
    assert found(folder, **filters) == expected


async def test_search_by_class_finds_what_is_no_statement(folder):
    (closed,) = search(folder, Filters(class_uid=3002))
    assert closed["unmapped"]["reason"] == "client_left"


async def test_search_passes_over_what_is_no_record(folder):
    path = audit_files(folder)[0]
    path.write_bytes(b"\xff garbage\n[1]\n" + path.read_bytes() + b'{"half')
    assert len(found(folder)) == 3


@pytest.mark.parametrize(
    "line",
    [
        '{"time":"now"}',
        '{"time":null,"metadata":[]}',
        '{"a":' * 100_000,
        '{"actor":{"user":{"uid":[]}},"dst_endpoint":{"name":{}},"unmapped":{"kind":[]}}',
        '{"sequence":5,"statement":"a/1","kind":3,"prev":"' + "0" * 64 + '"}',
    ],
)
async def test_search_passes_over_what_only_looks_like_a_record(folder, line):
    with audit_files(folder)[0].open("a") as file:
        file.write(line + "\n")
    every = Filters(since=1.0, until=1e12, workspace="sales", source="crm", actor="tok-2")
    found = [r["query_info"]["query_string"] for r in search(folder, every) if "query_info" in r]
    assert found == ["DELETE FROM leads"]
    assert list(search(folder, Filters(text="leads", actor="tok-2")))


async def test_tail_gives_the_newest_across_files(tmp_path):
    await write_log(tmp_path, statements=50, rotate_bytes=7_000)
    assert len(audit_files(tmp_path)) > 2
    everything = [r["metadata"]["sequence"] for r in search(tmp_path, Filters())]
    newest = [r["metadata"]["sequence"] for r in tail(tmp_path, 30)]
    assert newest == everything[-30:]
    assert list(tail(tmp_path, 0)) == []
    assert len(list(tail(tmp_path, 10_000))) == len(everything)


class StopFollowingError(Exception):
    pass


async def test_tail_follows_into_new_files(tmp_path):
    await write_log(tmp_path, statements=3)
    seen: list[int] = []
    waits = []

    async with opened(tmp_path, rotate_bytes=3000) as log:
        recorder = log.recorder(context())
        for number in range(10):
            run_statement(recorder, b"SELECT 'later %d'" % number)

        def wait():
            waits.append(len(seen))
            raise StopFollowingError

        async def follow():
            for record in tail(tmp_path, 1, follow=True, wait=wait):
                seen.append(record["metadata"]["sequence"])

        await log.flush()
        with pytest.raises(StopFollowingError):
            await follow()
    assert waits
    assert seen == sorted(seen)


async def test_tail_of_nothing_waits_for_the_first_file(tmp_path):
    made: list[Path] = []

    async def build():
        await write_log(tmp_path, statements=1)

    await build()
    (tmp_path / "elsewhere").mkdir()
    waiting = tmp_path / "elsewhere"

    def wait():
        if made:
            raise StopFollowingError
        for path in audit_files(tmp_path):
            (waiting / path.name).write_bytes(path.read_bytes() + b'{"half a line')
            made.append(path)

    records = []

    def follow():
        for record in tail(waiting, 5, follow=True, wait=wait):
            records.append(record)

    with pytest.raises(StopFollowingError):
        follow()
    assert len(records) == len(list(search(tmp_path, Filters())))


async def test_a_checkpoint_to_keep_elsewhere_is_the_newest_signed_record(tmp_path):
    assert checkpoint(tmp_path) is None
    await write_log(tmp_path)
    newest = checkpoint(tmp_path)
    assert newest is not None
    assert newest[0] == next(r["metadata"]["sequence"] for r in tail(tmp_path, 1))

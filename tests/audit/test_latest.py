from __future__ import annotations

from pathlib import Path

import pytest

from proxy.audit.chains import folder_of
from proxy.audit.files import audit_files
from proxy.audit.latest import Stretch, Whose, is_statement, latest
from proxy.audit.read import Filters, search
from tests.audit.rig import ToldClock, context, opened, run_statement

FINANCE = Whose("w-1")


def nothing() -> None: ...


def texts(folder: Path, stretch: Stretch) -> list[str]:
    """What stands there, read as its callers read it."""
    found = []
    for record in search(folder, Filters(), after=stretch.after):
        _, _, name = record["metadata"]["log_name"].partition("/")
        if stretch.holds(name or "main", record["metadata"]["sequence"]) and is_statement(record):
            found.append(record["query_info"]["query_string"])
    return found


async def test_the_newest_are_found_across_files(tmp_path: Path):
    async with opened(tmp_path, rotate_bytes=4_096) as log:
        recorder = log.recorder(context())
        for number in range(120):
            run_statement(recorder, b"SELECT %d" % number)
            await log.flush()
        recorder.close("client_left", duration=1.0)
    assert len(audit_files(tmp_path)) > 3
    for count in (1, 17, 119, 120, 500):
        stretch = latest(tmp_path, FINANCE, count, nothing)
        assert stretch.count == min(count, 120)
        assert texts(tmp_path, stretch) == [f"SELECT {n}" for n in range(120)][-count:]


async def test_others_statements_are_not_among_them(tmp_path: Path):
    async with opened(tmp_path) as log:
        for number, changes in enumerate(
            ({}, {"workspace_id": "w-2"}, {"source_id": "src-2"}, {"workspace": "w-1"})
        ):
            recorder = log.recorder(context(f"s{number}", **changes))
            run_statement(recorder, b"SELECT %d" % number)
            recorder.close("client_left", duration=1.0)
    assert latest(tmp_path, FINANCE, 10, nothing).count == 3
    assert latest(tmp_path, Whose("w-1", "src-2"), 10, nothing).count == 1
    assert latest(tmp_path, Whose("w-2", "src-2"), 10, nothing).count == 0
    assert latest(tmp_path, Whose("finance"), 10, nothing).count == 0


async def test_of_several_chains_the_newest_of_all_are_taken(tmp_path: Path):
    for seat, first in ((0, 0), (1, 100), (2, 50)):
        folder = folder_of(tmp_path, seat)
        folder.mkdir(exist_ok=True)
        clock = ToldClock()
        clock.advance(first)
        async with opened(folder, clock=clock) as log:
            recorder = log.recorder(context(f"s{seat}", started=clock.wall))
            for number in range(3):
                run_statement(recorder, b"SELECT %d" % (first + number))
            recorder.close("client_left", duration=1.0)
    stretch = latest(tmp_path, FINANCE, 4, nothing)
    assert texts(tmp_path, stretch) == ["SELECT 52", "SELECT 100", "SELECT 101", "SELECT 102"]
    assert stretch.last["worker-1"] > stretch.after["worker-1"]
    # A chain without any is not read at all.
    assert texts(tmp_path, latest(tmp_path, FINANCE, 3, nothing)) == [
        "SELECT 100",
        "SELECT 101",
        "SELECT 102",
    ]


async def test_what_comes_later_is_not_of_the_stretch(tmp_path: Path):
    for text in (b"SELECT 1", b"SELECT 2"):
        stretch = latest(tmp_path, FINANCE, 5, nothing)
        async with opened(tmp_path) as log:
            recorder = log.recorder(context())
            run_statement(recorder, text)
            recorder.close("client_left", duration=1.0)
        assert stretch.count == len(texts(tmp_path, stretch))


async def test_the_pulse_can_end_it(tmp_path: Path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        run_statement(recorder)
        recorder.close("client_left", duration=1.0)

    def pulse() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        latest(tmp_path, FINANCE, 5, pulse)

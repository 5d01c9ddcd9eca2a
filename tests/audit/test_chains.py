"""Several chains in one folder: read as one log, and each vouching for the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from proxy.audit.chains import chain_folders, folder_of, name_of, seat_of
from proxy.audit.crosscheck import checkpoints, verify_all
from proxy.audit.events import chains_seen
from proxy.audit.files import audit_files
from proxy.audit.read import Filters, search, tail
from proxy.audit.report import Damage
from tests.audit.rig import PUBLIC, ToldClock, context, opened, run_statement

SEATS = 3


async def write_chain(folder: Path, seat: int, clock: ToldClock, count: int = 4) -> None:
    async with opened(folder_of(folder, seat), clock=clock) as log:
        recorder = log.recorder(context(f"s{seat}"))
        for number in range(count):
            run_statement(recorder, f"SELECT 'seat {seat}, {number}'".encode())
            await log.flush()
            clock.advance(10)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    clock = ToldClock()
    for seat in range(SEATS):
        await write_chain(tmp_path, seat, clock)
        clock.advance(-35)
    async with opened(tmp_path, clock=clock) as log:
        points = checkpoints(tmp_path)
        del points["main"]
        log.record(chains_seen(points))
    return tmp_path


def texts(records):
    return [r["query_info"]["query_string"] for r in records if "query_info" in r]


@pytest.mark.parametrize("seat", [0, 1, 9, 255])
def test_a_chains_name_and_seat_are_each_others(seat: int):
    assert seat_of(name_of(seat)) == seat


@pytest.mark.parametrize("name", ["", "worker-0", "worker-01", "worker-1000", "worker-", "lock"])
def test_no_other_name_is_a_chain(tmp_path: Path, name: str):
    assert seat_of(name) is None
    (tmp_path / name).mkdir(exist_ok=True)
    assert list(chain_folders(tmp_path)) == ["main"]


async def test_a_search_reads_all_chains_by_time_and_says_which(folder: Path):
    found = list(search(folder, Filters(kind="select")))
    assert len(found) == SEATS * 4
    times = [record["time"] for record in found]
    assert times == sorted(times)
    assert len({text.partition(",")[0] for text in texts(found[:6])}) > 1
    for record in found:
        seat = record["metadata"]["correlation_uid"].removeprefix("s")
        expected = "audit" if seat == "0" else f"audit/worker-{seat}"
        assert record["metadata"]["log_name"] == expected


async def test_the_newest_records_are_those_of_all_chains(folder: Path):
    everything = list(search(folder, Filters()))
    assert list(tail(folder, 7)) == everything[-7:]
    assert list(tail(folder, 1000)) == everything


async def test_following_sees_every_chain_and_one_that_begins_meanwhile(folder: Path):
    clock = ToldClock()
    clock.advance(1000)
    before = {name: len(list(path.iterdir())) for name, path in chain_folders(folder).items()}
    made: list[bool] = []

    class EnoughError(Exception):
        pass

    def wait() -> None:
        if made:
            raise EnoughError
        for seat in (1, SEATS):
            shutil.copytree(folder_of(elsewhere, seat), folder_of(folder, seat), dirs_exist_ok=True)
        made.append(True)

    elsewhere = folder.with_name("elsewhere")
    shutil.copytree(folder, elsewhere)
    await write_chain(elsewhere, 1, clock, count=2)
    await write_chain(elsewhere, SEATS, clock, count=2)
    seen = []

    def follow() -> None:
        for record in tail(folder, 0, follow=True, wait=wait):
            seen.append(record)

    with pytest.raises(EnoughError):
        follow()
    assert "worker-3" not in before
    assert sorted(texts(seen)) == sorted(
        f"SELECT 'seat {seat}, {number}'" for seat in (1, SEATS) for number in range(2)
    )


async def test_every_chain_is_verified_and_has_its_report(folder: Path):
    reports = verify_all(folder, PUBLIC, {})
    assert sorted(reports) == ["main", "worker-1", "worker-2"]
    assert all(report.is_intact for report in reports.values())
    for name, report in reports.items():
        newest = (report.last_sequence, report.last_hash)
        assert verify_all(folder, PUBLIC, {name: newest})[name].is_intact
        wrong = verify_all(folder, PUBLIC, {name: (report.last_sequence, "0" * 64)})
        assert [n for n, r in wrong.items() if not r.is_intact] == [name]


async def test_a_damaged_chain_is_named_and_the_others_stand(folder: Path):
    path = audit_files(folder_of(folder, 2))[0]
    path.write_bytes(path.read_bytes().replace(b"seat 2, 1", b"seat 2, 7"))
    reports = verify_all(folder, PUBLIC, {})
    assert [name for name, report in reports.items() if report.fault] == ["worker-2"]
    assert reports["worker-2"].fault is not None
    assert reports["worker-2"].fault.damage is Damage.CHANGED


async def test_a_chain_that_is_gone_is_missed_by_one_that_saw_it(folder: Path):
    shutil.rmtree(folder_of(folder, 1))
    fault = verify_all(folder, PUBLIC, {})["worker-1"].fault
    assert fault is not None
    assert fault.damage is Damage.REMOVED
    assert "the whole chain is missing; chain main saw its record" in str(fault)


async def test_a_chain_that_was_expected_and_is_not_there_is_missed(folder: Path):
    reports = verify_all(folder, PUBLIC, {"worker-7": (12, "0" * 64)})
    fault = str(reports["worker-7"].fault)
    assert "the whole chain is missing; its record 12 was expected" in fault


async def test_a_chain_put_back_to_an_earlier_state_is_told_by_another(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
):
    earlier = tmp_path_factory.mktemp("earlier") / "worker-1"
    shutil.copytree(folder_of(folder, 1), earlier)
    await write_chain(folder, 1, ToldClock())
    async with opened(folder_of(folder, 2)) as log:
        log.record(chains_seen({"worker-1": checkpoints(folder)["worker-1"]}))
    shutil.rmtree(folder_of(folder, 1))
    shutil.copytree(earlier, folder_of(folder, 1))
    # Alone it is a whole and well signed chain.
    fault = verify_all(folder, PUBLIC, {})["worker-1"].fault
    assert fault is not None
    assert fault.damage is Damage.TRUNCATED
    assert "chain worker-2 saw its record" in str(fault)


async def test_a_statement_with_the_words_of_such_a_record_says_nothing(folder: Path):
    async with opened(folder) as log:
        recorder = log.recorder(context("liar"))
        run_statement(
            recorder,
            b'SELECT \'"message":"Audit chains seen"\', '
            b'\'"unmapped":{"chains":{"worker-9":{"sequence":1,"hash":""}}}\'',
        )
    assert all(report.is_intact for report in verify_all(folder, PUBLIC, {}).values())

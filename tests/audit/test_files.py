import os

import pytest

from proxy.audit import AuditFolderError, AuditLog
from proxy.audit.files import audit_files, is_locked, next_name
from proxy.audit.verify import verify
from tests.audit.rig import FINGERPRINT_KEY, KEY, NOON, PUBLIC, opened, settings, write_log

DAY = 86400


def test_names_grow_within_a_day_and_start_again_on_the_next():
    first = next_name("", NOON)
    second = next_name(first, NOON)
    assert first.endswith("-0001.jsonl")
    assert second.endswith("-0002.jsonl")
    assert next_name(second, NOON + DAY).endswith("-0001.jsonl")
    assert next_name(second, NOON + DAY) > second


def test_a_clock_that_runs_back_does_not_turn_the_order_of_files():
    today = next_name("", NOON)
    assert next_name(today, NOON - 3 * DAY) > today


def test_numbers_past_four_digits_stay_in_order(tmp_path):
    for number in ("9999", "10000", "0001"):
        (tmp_path / f"audit-20270115-{number}.jsonl").touch()
    (tmp_path / "audit-20270115-0001.jsonl.torn").touch()
    names = [path.name[15:-6] for path in audit_files(tmp_path)]
    assert names == ["0001", "9999", "10000"]


async def test_one_process_writes_a_folder(tmp_path):
    async with opened(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(AuditFolderError, match="in use by another process"):
            await AuditLog.open(settings(tmp_path), KEY, fingerprint_key=FINGERPRINT_KEY)
    assert not is_locked(tmp_path)


async def test_files_are_for_their_owner_alone(tmp_path):
    folder = tmp_path / "new" / "audit"
    await write_log(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path.name


async def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AuditFolderError, match=r"^the audit folder \S+ cannot be used: \w[\w ]+$"):
        await AuditLog.open(settings(tmp_path / "file"), KEY, fingerprint_key=FINGERPRINT_KEY)


@pytest.mark.parametrize("torn", [b'{"metadata":{"sequ', b"\0" * 5000, b"not a record\n", b"\n\n"])
async def test_a_torn_end_is_kept_aside_and_said_on_the_chain(tmp_path, torn):
    await write_log(tmp_path)
    (path,) = audit_files(tmp_path)
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(torn)
    await write_log(tmp_path)
    assert path.read_bytes() == whole
    assert (tmp_path / (path.name + ".torn")).read_bytes() == torn
    report = verify(tmp_path, PUBLIC)
    assert report.is_intact, report.fault
    assert report.notes == [f"{path.name}.torn: an incomplete end that was kept aside"]
    assert b"Torn end of the audit log" in audit_files(tmp_path)[-1].read_bytes()


async def test_a_file_that_never_got_its_header_is_passed_over(tmp_path):
    await write_log(tmp_path)
    (path,) = audit_files(tmp_path)
    (tmp_path / next_name(path.name, NOON)).touch()
    await write_log(tmp_path)
    assert verify(tmp_path, PUBLIC).is_intact


async def test_a_log_shorter_than_its_checkpoint_is_not_continued(tmp_path):
    await write_log(tmp_path)
    (path,) = audit_files(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]))
    with pytest.raises(AuditFolderError, match="records were removed"):
        await AuditLog.open(settings(tmp_path), KEY, fingerprint_key=FINGERPRINT_KEY)
    assert not is_locked(tmp_path)


async def test_a_second_torn_end_of_one_file_does_not_replace_the_first(tmp_path):
    await write_log(tmp_path)
    (path,) = audit_files(tmp_path)
    (tmp_path / (path.name + ".torn")).write_bytes(b"earlier")
    os.truncate(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(b"half")
    await write_log(tmp_path)
    assert (tmp_path / (path.name + ".torn")).read_bytes() == b"earlier"
    assert (tmp_path / (path.name + ".torn2")).read_bytes() == b"half"

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

import pytest

from vault.errors import KeyFileError, KeyProviderError
from vault.keyfile import LocalKeyFile, why_refused
from vault.keytext import KEK_LIMIT
from vault.secret import Secret

ROOT = Secret(bytes(range(32)))


def secrets_of(text: str) -> list[str]:
    return re.findall(r"[0-9a-f]{64}", text)


def assert_says_nothing(error: BaseException, path: Path, content: str) -> None:
    sentence = str(error)
    assert str(path) in sentence
    assert sentence.count("\n") == 0
    for secret in secrets_of(content):
        assert secret not in sentence
        assert secret[:8] not in sentence


def test_a_new_file_has_mode_0600_whatever_the_umask(tmp_path: Path):
    before = os.umask(0o277)
    try:
        LocalKeyFile.create(tmp_path / "key")
    finally:
        os.umask(before)
    assert (tmp_path / "key").stat().st_mode & 0o7777 == 0o600


def test_an_existing_file_is_never_overwritten(tmp_path: Path):
    path = tmp_path / "key"
    path.write_text("something of value")
    with pytest.raises(KeyFileError, match="exists already"):
        LocalKeyFile.create(path)
    assert path.read_text() == "something of value"


def test_a_link_to_nowhere_is_not_followed_when_creating(tmp_path: Path):
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        LocalKeyFile.create(tmp_path / "key")
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_directory_is_one_sentence(tmp_path: Path):
    path = tmp_path / "missing" / "key"
    with pytest.raises(KeyFileError, match="cannot be created: no such file or directory"):
        LocalKeyFile.create(path)


def test_a_missing_file_is_one_sentence(tmp_path: Path):
    with pytest.raises(KeyFileError, match=r"does not exist$"):
        LocalKeyFile.load(tmp_path / "key")


def test_two_files_share_no_key(tmp_path: Path):
    LocalKeyFile.create(tmp_path / "a")
    LocalKeyFile.create(tmp_path / "b")
    first, second = (secrets_of((tmp_path / name).read_text()) for name in "ab")
    assert len(first) == 3
    assert not set(first) & set(second)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601, 0o644, 0o777])
def test_a_file_open_to_others_is_refused(key_file: LocalKeyFile, mode: int):
    key_file.path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"must be 0600, it is {mode:04o}") as caught:
        LocalKeyFile.load(key_file.path)
    assert_says_nothing(caught.value, key_file.path, key_file.path.read_text())


def status_of(mode: int, owner: int, size: int = 300) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, owner, 0, size, 0, 0, 0))


def test_the_owner_must_be_us_or_root():
    ours, roots, others = (status_of(0o100600, owner) for owner in (1000, 0, 1001))
    assert why_refused(ours, 1000) is None
    assert why_refused(roots, 1000) is None
    assert why_refused(others, 1000) == "belongs to another user"
    assert why_refused(others, 0) == "belongs to another user"


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_ours_alone_is_loaded(key_file: LocalKeyFile, mode: int):
    key_file.path.chmod(mode)
    assert LocalKeyFile.load(key_file.path).key_id == key_file.key_id


def test_a_symbolic_link_is_refused(key_file: LocalKeyFile, tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(key_file.path)
    with pytest.raises(KeyFileError, match="is a symbolic link"):
        LocalKeyFile.load(link)


def test_a_directory_is_refused(tmp_path: Path):
    with pytest.raises(KeyFileError, match="not a regular file"):
        LocalKeyFile.load(tmp_path)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path):
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(KeyFileError, match="not a regular file"):
        LocalKeyFile.load(tmp_path / "key")


def test_a_file_too_large_is_refused(key_file: LocalKeyFile):
    key_file.path.write_bytes(bytes(64 * 1024))
    with pytest.raises(KeyFileError, match="too large"):
        LocalKeyFile.load(key_file.path)


def test_a_file_with_any_one_byte_changed_or_cut_is_refused_without_repeating_it(
    key_file: LocalKeyFile,
):
    whole = key_file.path.read_bytes()
    for at in range(len(whole)):
        for wrong in (whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :], whole[:at]):
            key_file.path.write_bytes(wrong)
            with pytest.raises(KeyFileError, match="not a key file, or it is damaged") as caught:
                LocalKeyFile.load(key_file.path)
            assert_says_nothing(caught.value, key_file.path, whole.decode())


@pytest.mark.parametrize("content", [b"", b"\n", b"password", b"accode-proxy-key-file 2\n"])
def test_other_content_is_refused(key_file: LocalKeyFile, content: bytes):
    key_file.path.write_bytes(content)
    with pytest.raises(KeyFileError, match="not a key file"):
        LocalKeyFile.load(key_file.path)


def test_what_was_wrapped_is_unwrapped_after_loading_anew(key_file: LocalKeyFile):
    wrapped = key_file.wrap(ROOT, b"context")
    assert LocalKeyFile.load(key_file.path).unwrap(wrapped, b"context") == ROOT


def test_another_context_does_not_unwrap(key_file: LocalKeyFile):
    wrapped = key_file.wrap(ROOT, b"context")
    with pytest.raises(KeyProviderError, match="does not open"):
        key_file.unwrap(wrapped, b"other")


def test_every_single_bit_flipped_does_not_unwrap(key_file: LocalKeyFile):
    wrapped = key_file.wrap(ROOT, b"context")
    for bit in range(len(wrapped) * 8):
        changed = bytearray(wrapped)
        changed[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(KeyProviderError):
            key_file.unwrap(bytes(changed), b"context")


def test_a_wrapped_key_of_any_other_length_is_refused(key_file: LocalKeyFile):
    wrapped = key_file.wrap(ROOT, b"context")
    for wrong in (*(wrapped[:length] for length in range(len(wrapped))), wrapped + b"\0"):
        with pytest.raises(KeyProviderError, match="malformed"):
            key_file.unwrap(wrong, b"context")


def test_the_key_of_another_file_is_named_as_missing(key_file: LocalKeyFile, tmp_path: Path):
    other = LocalKeyFile.create(tmp_path / "other")
    with pytest.raises(KeyProviderError, match="does not hold the key that wrapped"):
        key_file.unwrap(other.wrap(ROOT, b"context"), b"context")


def test_only_whole_keys_are_wrapped(key_file: LocalKeyFile):
    with pytest.raises(KeyProviderError, match="32 bytes"):
        key_file.wrap(Secret(b"short"), b"context")


def test_rotation_makes_a_new_current_key_and_keeps_the_old_one(key_file: LocalKeyFile):
    wrapped = key_file.wrap(ROOT, b"context")
    before = key_file.key_id
    after = key_file.rotate()
    assert after == key_file.key_id != before
    assert key_file.key_ids == (before, after)
    assert key_file.unwrap(wrapped, b"context") == ROOT
    assert key_file.path.stat().st_mode & 0o7777 == 0o600
    assert LocalKeyFile.load(key_file.path).key_ids == (before, after)
    assert [path.name for path in key_file.path.parent.iterdir()] == ["accode.key"]


def test_rotation_does_not_change_derived_keys(key_file: LocalKeyFile):
    before = key_file.derive_key("purpose")
    key_file.rotate()
    assert key_file.derive_key("purpose") == before
    assert LocalKeyFile.load(key_file.path).derive_key("purpose") == before
    assert key_file.derive_key("other") != before


def test_a_key_added_by_another_process_is_found_when_it_is_needed(key_file: LocalKeyFile):
    running = LocalKeyFile.load(key_file.path)
    key_file.rotate()
    wrapped = key_file.wrap(ROOT, b"context")
    assert running.unwrap(wrapped, b"context") == ROOT
    assert running.key_id == key_file.key_id


def test_two_who_rotate_in_turn_lose_no_key(key_file: LocalKeyFile):
    other = LocalKeyFile.load(key_file.path)
    key_file.rotate()
    other.rotate()
    assert len(other.key_ids) == 3
    assert set(key_file.key_ids) < set(other.key_ids)


def test_a_change_while_another_process_changes_the_file_is_refused(key_file: LocalKeyFile):
    descriptor = os.open(key_file.path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for change in (key_file.rotate, key_file.destroy):
            with pytest.raises(KeyFileError, match="being changed by another process"):
                change()
    finally:
        os.close(descriptor)
    key_file.rotate()


def test_what_a_crash_left_behind_does_not_stop_a_rotation(key_file: LocalKeyFile):
    key_file.path.with_name("accode.key.new").write_text("half")
    key_file.rotate()
    assert len(LocalKeyFile.load(key_file.path).key_ids) == 2


def test_a_file_holds_a_bounded_number_of_keys(key_file: LocalKeyFile):
    for _ in range(KEK_LIMIT - 1):
        key_file.rotate()
    with pytest.raises(KeyFileError, match="retire one first"):
        key_file.rotate()
    assert len(LocalKeyFile.load(key_file.path).key_ids) == KEK_LIMIT


def test_a_retired_key_is_gone_and_the_current_one_stays(key_file: LocalKeyFile):
    before = key_file.key_id
    wrapped = key_file.wrap(ROOT, b"context")
    with pytest.raises(KeyFileError, match="rotate first"):
        key_file.retire(before)
    key_file.rotate()
    key_file.retire(before)
    assert before not in LocalKeyFile.load(key_file.path).key_ids
    with pytest.raises(KeyProviderError, match="does not hold"):
        key_file.unwrap(wrapped, b"context")
    with pytest.raises(KeyFileError, match="does not hold that key"):
        key_file.retire("k" + "0" * 32)


def test_a_destroyed_file_is_gone(key_file: LocalKeyFile):
    key_file.destroy()
    assert not key_file.path.exists()
    with pytest.raises(KeyFileError, match="does not exist"):
        key_file.destroy()


def test_a_file_in_place_of_the_key_file_is_not_destroyed(key_file: LocalKeyFile):
    key_file.path.write_text("something of value")
    with pytest.raises(KeyFileError, match="not a key file"):
        key_file.destroy()
    assert key_file.path.read_text() == "something of value"


def test_repr_shows_the_path_and_no_key(key_file: LocalKeyFile):
    for secret in secrets_of(key_file.path.read_text()):
        assert secret not in repr(key_file)
        assert secret not in repr(vars(key_file))

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import UnsealError
from vault.record import SECRET_LIMIT, TAG_LENGTH, SealedRecord, is_key_id

RECORDS = st.builds(
    SealedRecord,
    key_id=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True),
    root_key_version=st.integers(1, 2**31 - 1),
    record_version=st.integers(1, 2**63 - 1),
    record_id=st.binary(min_size=16, max_size=16),
    nonce=st.binary(min_size=12, max_size=12),
    commitment=st.binary(min_size=32, max_size=32),
    ciphertext=st.binary(min_size=16, max_size=80),
)
RECORD = SealedRecord("k1", 1, 2, bytes(16), bytes(12), bytes(32), bytes(20))


@given(RECORDS)
def test_what_was_written_is_read(record: SealedRecord):
    assert SealedRecord.from_bytes(record.to_bytes()) == record


@given(RECORDS)
def test_a_record_cut_at_any_byte_is_refused(record: SealedRecord):
    data = record.to_bytes()
    for length in range(len(data)):
        with pytest.raises(UnsealError):
            SealedRecord.from_bytes(data[:length])


@given(RECORDS, st.binary(min_size=1, max_size=8))
def test_trailing_bytes_are_refused(record: SealedRecord, tail: bytes):
    with pytest.raises(UnsealError, match="does not fit"):
        SealedRecord.from_bytes(record.to_bytes() + tail)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: b"ACPS\x01" + tail))
def test_any_bytes_give_a_record_or_an_unseal_error(data: bytes):
    try:
        record = SealedRecord.from_bytes(data)
    except UnsealError:
        return
    assert record.to_bytes() == data


def test_an_unknown_format_is_refused():
    data = bytearray(RECORD.to_bytes())
    data[4] = 2
    with pytest.raises(UnsealError, match="format"):
        SealedRecord.from_bytes(bytes(data))


def test_a_ciphertext_longer_than_the_limit_is_refused():
    longest = SECRET_LIMIT + TAG_LENGTH
    fits = SealedRecord("k1", 1, 1, bytes(16), bytes(12), bytes(32), bytes(longest))
    assert SealedRecord.from_bytes(fits.to_bytes()) == fits
    over = SealedRecord("k1", 1, 1, bytes(16), bytes(12), bytes(32), bytes(longest + 1))
    with pytest.raises(UnsealError, match="out of bounds"):
        SealedRecord.from_bytes(over.to_bytes())


@pytest.mark.parametrize(
    ("root_key_version", "record_version"), [(0, 1), (2**31, 1), (1, 0), (1, 2**63)]
)
def test_versions_out_of_range_are_refused(root_key_version: int, record_version: int):
    record = SealedRecord(
        "k1", root_key_version, record_version, bytes(16), bytes(12), bytes(32), bytes(16)
    )
    with pytest.raises(UnsealError, match="version"):
        SealedRecord.from_bytes(record.to_bytes())


@pytest.mark.parametrize("text", [b"", b"K1", b"-k", b"k 1", b"k\n", b"k" * 65, b"k/1", b"\xff"])
def test_what_is_no_key_id(text: bytes):
    assert not is_key_id(text)

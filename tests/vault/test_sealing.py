from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.binding import Binding, Destination
from vault.errors import UnsealError
from vault.record import SealedRecord
from vault.sealing import decrypt, derive, encrypt, open_record, seal_record
from vault.secret import Secret

ROOT = Secret(bytes(range(32)))
DESTINATION = Destination("postgresql", "db.example", 5432, "app", "verify-full", "")
BINDING = Binding("upstream-login", "w1", "s1", "password", 4, DESTINATION)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DESTINATIONS = st.builds(Destination, TEXT, TEXT, st.integers(1, 65_535), TEXT, TEXT, TEXT)
BINDINGS = st.builds(
    Binding, TEXT, TEXT, TEXT, TEXT, st.integers(1, 2**63 - 1), st.none() | DESTINATIONS
)


def seal(secret: bytes, binding: Binding = BINDING, root: Secret = ROOT) -> SealedRecord:
    return seal_record(
        root, 3, "k1", Secret(secret), binding, record_id=os.urandom(16), nonce=os.urandom(12)
    )


@given(st.binary(max_size=200), BINDINGS)
def test_what_was_sealed_is_opened_in_its_place(secret: bytes, binding: Binding):
    assert open_record(ROOT, seal(secret, binding), binding) == Secret(secret)


@given(BINDINGS, BINDINGS)
def test_nothing_opens_in_another_place(sealed_for: Binding, opened_for: Binding):
    opened = open_record(ROOT, seal(b"secret", sealed_for), opened_for)
    assert (opened is not None) is (sealed_for == opened_for)


@pytest.mark.parametrize(
    "changed",
    [
        replace(BINDING, purpose="audit"),
        replace(BINDING, workspace_id="w2"),
        replace(BINDING, source_id="s2"),
        replace(BINDING, field="client-key"),
        replace(BINDING, record_version=5),
        replace(BINDING, destination=None),
        replace(BINDING, destination=replace(DESTINATION, engine="mysql")),
        replace(BINDING, destination=replace(DESTINATION, host="evil.example")),
        replace(BINDING, destination=replace(DESTINATION, port=5433)),
        replace(BINDING, destination=replace(DESTINATION, username="postgres")),
        replace(BINDING, destination=replace(DESTINATION, tls_identity="disable")),
        replace(BINDING, destination=replace(DESTINATION, tunnel="bastion")),
        # Bytes moved from one field to its neighbour.
        replace(BINDING, workspace_id="w", source_id="1s1"),
        replace(BINDING, workspace_id="w1s1", source_id=""),
    ],
)
def test_a_change_of_any_one_bound_field_closes_the_record(changed: Binding):
    record = seal(b"secret")
    assert open_record(ROOT, record, BINDING) == Secret(b"secret")
    assert open_record(ROOT, record, changed) is None


def test_every_single_bit_flipped_closes_the_record():
    data = seal(b"secret").to_bytes()
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        try:
            record = SealedRecord.from_bytes(bytes(changed))
        except UnsealError:
            continue
        assert open_record(ROOT, record, BINDING) is None, f"bit {bit}"


HEADER_CHANGES: list[Callable[[SealedRecord], SealedRecord]] = [
    lambda record: replace(record, key_id="k2"),
    lambda record: replace(record, root_key_version=4),
    lambda record: replace(record, record_version=5),
    lambda record: replace(record, record_id=bytes(16)),
    lambda record: replace(record, nonce=bytes(12)),
    lambda record: replace(record, commitment=bytes(32)),
]


@pytest.mark.parametrize("change", HEADER_CHANGES)
def test_a_change_of_any_header_field_closes_the_record(
    change: Callable[[SealedRecord], SealedRecord],
):
    assert open_record(ROOT, change(seal(b"secret")), BINDING) is None


def test_parts_of_two_records_do_not_make_a_third():
    first, second = seal(b"one"), seal(b"two")
    assert open_record(ROOT, replace(first, ciphertext=second.ciphertext), BINDING) is None
    assert open_record(ROOT, replace(first, nonce=second.nonce), BINDING) is None
    assert open_record(ROOT, replace(first, record_id=second.record_id), BINDING) is None


def test_another_root_key_fails_at_the_commitment_before_decryption():
    record = seal(b"secret")
    other = Secret(bytes(32))
    assert open_record(other, record, BINDING) is None
    # Even with the ciphertext made anew under the other key, the commitment is the first's.
    forged = replace(seal(b"secret", root=other), commitment=record.commitment)
    assert open_record(other, forged, BINDING) is None


def test_a_ciphertext_that_would_open_is_refused_where_the_commitment_is_anothers():
    # Sealed anew by one who has the root key, so that all but the commitment fits.
    right = seal(b"secret")
    key = Secret(derive(ROOT, right.record_id, [b"accode-proxy record key 1", b"upstream-login"]))
    for commitment, expected in ((right.commitment, Secret(b"secret")), (bytes(32), None)):
        record = replace(right, commitment=commitment)
        additional_data = BINDING.additional_data(record.header(), 3)
        ciphertext = encrypt(key, record.nonce, Secret(b"secret"), additional_data)
        assert open_record(ROOT, replace(record, ciphertext=ciphertext), BINDING) == expected


def test_two_records_of_one_secret_share_nothing():
    first, second = seal(b"secret"), seal(b"secret")
    assert first.commitment != second.commitment
    assert first.ciphertext != second.ciphertext


def test_derived_keys_differ_by_each_of_key_salt_and_fields():
    base = derive(ROOT, b"salt", [b"a", b"b"])
    assert len(base) == 32
    assert base != derive(Secret(bytes(32)), b"salt", [b"a", b"b"])
    assert base != derive(ROOT, b"tlas", [b"a", b"b"])
    assert base != derive(ROOT, b"salt", [b"ab", b""])


def test_decrypt_tells_a_wrong_tag_by_none():
    sealed = encrypt(ROOT, bytes(12), Secret(b"plain"), b"context")
    assert decrypt(ROOT, bytes(12), sealed, b"context") == Secret(b"plain")
    assert decrypt(ROOT, bytes(12), sealed, b"other") is None
    assert decrypt(ROOT, bytes(12), sealed[:3], b"context") is None

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.binding import FIELD_LIMIT, Binding, Destination, encode_fields

DESTINATION = Destination("postgresql", "db.example", 5432, "app", "verify-full", "")
BINDING = Binding("upstream-login", "w1", "s1", "password", 1, DESTINATION)


@given(st.lists(st.binary(max_size=8)), st.lists(st.binary(max_size=8)))
def test_two_sequences_of_fields_never_have_one_encoding(left: list[bytes], right: list[bytes]):
    assert (encode_fields(left) == encode_fields(right)) is (left == right)


def test_moving_a_byte_between_two_fields_changes_the_encoding():
    assert encode_fields([b"ab", b"c"]) != encode_fields([b"a", b"bc"])


def test_a_field_has_a_limit():
    encode_fields([bytes(FIELD_LIMIT)])
    with pytest.raises(ValueError, match="longer than"):
        encode_fields([bytes(FIELD_LIMIT + 1)])


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "mysql"},
        {"host": "db.example.evil"},
        {"host": "DB.example"},
        {"port": 5433},
        {"username": "admin"},
        {"tls_identity": "require"},
        {"tunnel": "bastion"},
    ],
)
def test_every_field_of_a_destination_changes_its_digest(change: dict[str, str | int]):
    assert replace(DESTINATION, **change).digest() != DESTINATION.digest()  # type: ignore[arg-type]


def test_a_destination_digest_has_32_bytes_and_is_stable():
    assert len(DESTINATION.digest()) == 32
    assert replace(DESTINATION).digest() == DESTINATION.digest()


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_is_refused(port: int):
    with pytest.raises(ValueError, match="port"):
        replace(DESTINATION, port=port)


@pytest.mark.parametrize("version", [0, -1, 2**63])
def test_a_record_version_out_of_range_is_refused(version: int):
    with pytest.raises(ValueError, match="record version"):
        replace(BINDING, record_version=version)


def test_no_destination_differs_from_every_destination():
    header = b"header"
    unbound = replace(BINDING, destination=None)
    assert unbound.additional_data(header, 1) != BINDING.additional_data(header, 1)

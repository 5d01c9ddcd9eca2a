from __future__ import annotations

import hashlib
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
        {"others": (("standby.example", 5432),)},
    ],
)
def test_every_field_of_a_destination_changes_its_digest(change: dict[str, str | int]):
    assert replace(DESTINATION, **change).digest() != DESTINATION.digest()  # type: ignore[arg-type]


def test_a_destination_digest_has_32_bytes_and_is_stable():
    assert len(DESTINATION.digest()) == 32
    assert replace(DESTINATION).digest() == DESTINATION.digest()


def test_a_single_host_s_digest_is_what_it_was_before_there_were_several():
    fields = (b"accode-proxy destination 1", b"postgresql", b"db.example", b"\x15\x38", b"app")
    whole = encode_fields([*fields, b"verify-full", b""])
    assert DESTINATION.digest() == hashlib.sha256(whole).digest()


HOST = st.tuples(st.sampled_from(["a", "b", "ab"]), st.integers(1, 3))


@given(st.lists(HOST, min_size=1, max_size=3), st.lists(HOST, min_size=1, max_size=3))
def test_two_lists_of_hosts_have_one_digest_only_where_they_are_the_same(
    left: list[tuple[str, int]], right: list[tuple[str, int]]
):
    def digest(hosts: list[tuple[str, int]]) -> bytes:
        (host, port), *others = hosts
        return replace(DESTINATION, host=host, port=port, others=tuple(others)).digest()

    assert (digest(left) == digest(right)) is (left == right)


@pytest.mark.parametrize("port", [0, 65536])
def test_another_host_s_port_out_of_range_is_refused(port: int):
    with pytest.raises(ValueError, match="port"):
        replace(DESTINATION, others=(("standby.example", port),))


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

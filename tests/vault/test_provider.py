from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import UnsealError
from vault.provider import WrappedRootKey, root_key_context

ROOT = WrappedRootKey("w1", 2, "k1", b"wrapped bytes")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.integers(1, 2**31 - 1),
    st.binary(min_size=1, max_size=1_024),
)
def test_what_was_written_is_read(workspace_id: str, version: int, wrapped: bytes):
    root = WrappedRootKey(workspace_id, version, "k1", wrapped)
    assert WrappedRootKey.from_bytes(root.to_bytes()) == root


def test_a_wrapped_root_key_cut_anywhere_or_with_a_tail_is_refused():
    data = ROOT.to_bytes()
    for length in range(len(data)):
        with pytest.raises(UnsealError):
            WrappedRootKey.from_bytes(data[:length])
    with pytest.raises(UnsealError):
        WrappedRootKey.from_bytes(data + b"\0")


@given(st.binary(max_size=200).map(lambda tail: b"ACPR\x01\0\0\0\x04" + tail))
def test_any_bytes_give_a_root_key_or_an_unseal_error(data: bytes):
    try:
        root = WrappedRootKey.from_bytes(data)
    except UnsealError:
        return
    assert root.to_bytes() == data


@pytest.mark.parametrize(
    ("workspace_id", "version", "key_id", "wrapped"),
    [
        ("", 1, "k1", b"x"),
        ("w" * 256, 1, "k1", b"x"),
        ("w1", 0, "k1", b"x"),
        ("w1", 2**31, "k1", b"x"),
        ("w1", 1, "K 1", b"x"),
        ("w1", 1, "k1", b""),
        ("w1", 1, "k1", bytes(1_025)),
    ],
)
def test_values_out_of_bounds_are_refused(
    workspace_id: str, version: int, key_id: str, wrapped: bytes
):
    with pytest.raises(ValueError, match=r"root key|workspace id"):
        WrappedRootKey(workspace_id, version, key_id, wrapped)


def test_the_wrapped_bytes_are_not_shown():
    assert "wrapped bytes" not in repr(ROOT)


def test_the_context_names_workspace_and_version():
    assert ROOT.context == root_key_context("w1", 2)
    assert root_key_context("w1", 2) != root_key_context("w1", 3)
    assert root_key_context("w1", 2) != root_key_context("w2", 2)

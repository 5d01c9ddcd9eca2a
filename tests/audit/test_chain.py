"""The growing end of the chain."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from proxy.audit.chain import GENESIS, Chain, hash_line
from proxy.audit.digest import hash_hex


@given(line=st.binary(max_size=5000))
def test_a_linked_line_has_the_hash_that_hashlib_gives_it(line: bytes):
    chain = Chain(Ed25519PrivateKey.generate(), "instance", 0, GENESIS)
    assert chain.link(line) == line
    assert (chain.prev, chain.sequence) == (hashlib.sha256(line).hexdigest(), 1)
    assert chain.prev == hash_hex(line) == hash_line(line)

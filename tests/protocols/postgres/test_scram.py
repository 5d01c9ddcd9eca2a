from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerViolation
from protocols.postgres.scram import (
    decode_base64,
    encode_base64,
    is_nonce,
    keys_of,
    read_attribute,
    sign,
    xor,
)

# RFC 7677 section 3.
FIRST_BARE = b"n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
WITHOUT_PROOF = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
PROOF = b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SIGNATURE = b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_formulas_give_the_proof_and_the_signature_of_rfc_7677():
    salt = base64.b64decode(b"W22ZaJ0SNY7soEsUEjb6gQ==")
    keys = keys_of(hashlib.pbkdf2_hmac("sha256", b"pencil", salt, 4096))
    auth_message = b",".join((FIRST_BARE, SERVER_FIRST, WITHOUT_PROOF))
    proof = xor(keys.client_key, sign(keys.stored_key, auth_message))
    assert encode_base64(proof) == PROOF
    assert encode_base64(sign(keys.server_key, auth_message)) == SIGNATURE


def test_keys_do_not_show_in_their_representation():
    keys = keys_of(b"s" * 32)
    assert repr(keys) == "ScramKeys(...)"


@pytest.mark.parametrize("text", [b"QQ", b"QR==", b"Q Q=", b"QQ==\n", b"Q_==", b"QQ==QQ==", b"="])
def test_base64_that_is_not_canonical_is_malformed(text: bytes):
    with pytest.raises(PeerViolation):
        decode_base64(text, "it")


@given(st.binary(max_size=100))
def test_base64_of_anything_is_a_violation_or_reversible(text: bytes):
    with contextlib.suppress(PeerViolation):
        assert encode_base64(decode_base64(text, "it")) == text


def test_an_attribute_ends_at_its_comma():
    assert read_attribute(b"r=a=b,s=c", b"r") == (b"a=b", b"s=c")


@pytest.mark.parametrize("text", [b"", b"r", b"s=a", b"ra", b" r=a"])
def test_another_attribute_than_the_expected_is_malformed(text: bytes):
    with pytest.raises(PeerViolation, match='attribute "r" expected'):
        read_attribute(text, b"r")


@pytest.mark.parametrize("value", [b"", b"a b", b"a,b", b"a\x7f", b"\xc3\xa9", b"a\0"])
def test_a_nonce_is_printable_ascii_without_comma(value: bytes):
    assert not is_nonce(value)
    assert is_nonce(b"!+-~")

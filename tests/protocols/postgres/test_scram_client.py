from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerViolation
from protocols.postgres.scram_client import Challenge, ScramClient

SALT = b"c2FsdA=="


def client() -> ScramClient:
    return ScramClient(b"mine", b"n,,")


def test_the_first_message_leaves_the_user_name_empty():
    assert client().first() == b"n,,n=,r=mine"


def test_the_challenge_is_what_the_server_asks_for():
    assert client().challenge(b"r=mine+,s=" + SALT + b",i=1") == Challenge(b"salt", 1)


@pytest.mark.parametrize(
    "nonce", [b"", b"min", b"mine", b"yours", b"xmine+", b"mine+" + b"x" * 1024]
)
def test_a_nonce_that_does_not_extend_ours_within_its_bound_is_refused(nonce: bytes):
    with pytest.raises(PeerViolation):
        client().challenge(b"r=" + nonce + b",s=" + SALT + b",i=4096")


@pytest.mark.parametrize(
    "count",
    [
        b"",
        b"0",
        b"-1",
        b"+1",
        b" 1",
        b"1 ",
        b"1_000",
        b"0x10",
        b"04096",
        b"1e3",
        b"4096.0",
        b"99999999999",
        b"\xd9\xa1",
        b"9" * 500,
    ],
)
def test_an_iteration_count_is_strict_digits(count: bytes):
    with pytest.raises(PeerViolation, match="iteration count"):
        client().challenge(b"r=mine+,s=" + SALT + b",i=" + count)


@pytest.mark.parametrize("salt", [b"", b"c2FsdA", b"c2Fs dA==", b"A" * 1028])
def test_a_salt_is_bounded_strict_base64(salt: bytes):
    with pytest.raises(PeerViolation):
        client().challenge(b"r=mine+,s=" + salt + b",i=4096")


@pytest.mark.parametrize("tail", [b",", b",x=y", b",m=x"])
def test_nothing_may_follow_the_iteration_count(tail: bytes):
    with pytest.raises(PeerViolation):
        client().challenge(b"r=mine+,s=" + SALT + b",i=4096" + tail)


def test_a_mandatory_extension_is_refused():
    with pytest.raises(PeerViolation):
        client().challenge(b"m=x,r=mine+,s=" + SALT + b",i=4096")


def answered() -> ScramClient:
    one = client()
    one.challenge(b"r=mine+,s=" + SALT + b",i=4096")
    one.final(b"k" * 32)
    return one


@pytest.mark.parametrize("message", [b"v=" + b"A" * 43 + b"=", b"e=invalid-proof"])
def test_a_server_that_does_not_know_the_password_is_not_believed(message: bytes):
    assert not answered().verify(message)


@pytest.mark.parametrize("message", [b"", b"v=", b"v=AAAA", b"v=" + b"A" * 43 + b"=,x=y", b"x=y"])
def test_a_malformed_signature_is_a_violation(message: bytes):
    with pytest.raises(PeerViolation):
        answered().verify(message)


@given(st.binary(max_size=120))
def test_no_server_message_does_anything_but_fail_cleanly(message: bytes):
    for read in (client().challenge, answered().verify):
        with contextlib.suppress(PeerViolation):
            assert not read(message)

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerViolation
from protocols.postgres.messages import (
    CancelRequest,
    GSSENCRequest,
    PasswordMessage,
    SASLInitialResponse,
    SASLResponse,
    SSLRequest,
    StartupMessage,
    Terminate,
)

words = st.binary(min_size=1, max_size=20).map(lambda word: word.replace(b"\0", b"?"))
keys = st.binary(min_size=4, max_size=256)


def test_the_encryption_requests_are_the_numbers_of_the_manual():
    assert SSLRequest().encode() == b"\0\0\0\x08\x04\xd2\x16\x2f"
    assert GSSENCRequest().encode() == b"\0\0\0\x08\x04\xd2\x16\x30"


def test_a_cancel_request_is_laid_out_as_in_the_manual():
    assert CancelRequest(7, b"abcd").encode() == b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07abcd"


def test_terminate_is_a_code_and_a_length():
    assert Terminate().encode() == b"X\0\0\0\x04"


def test_a_sasl_response_is_nothing_but_its_data():
    assert SASLResponse(b"data").encode() == b"p\0\0\0\x08data"


@given(st.integers(-(2**31), 2**31 - 1), keys)
def test_a_cancel_request_survives_the_wire(process_id: int, key: bytes):
    request = CancelRequest(process_id, key)
    assert CancelRequest.decode(request.encode()[4:]) == request


@pytest.mark.parametrize("length", [0, 3, 257])
def test_a_cancel_key_has_4_to_256_bytes(length: int):
    with pytest.raises(PeerViolation, match="cancel key"):
        CancelRequest.decode(CancelRequest(1, b"x" * length).encode()[4:])


@given(st.lists(st.tuples(words, st.one_of(st.just(b""), words)), max_size=8).map(tuple))
def test_a_startup_message_survives_the_wire(parameters: tuple[tuple[bytes, bytes], ...]):
    message = StartupMessage((3, 2), parameters)
    assert StartupMessage.decode(message.encode()[4:]) == message


@pytest.mark.parametrize(
    "body",
    [
        b"",  # no terminator at all
        b"user\0",  # a name without a value
        b"user\0me",  # a value without its end
        b"user\0me\0",  # no terminator behind the last pair
        b"user\0me\0\0x",  # something behind the terminator
        b"\0user\0me\0\0",  # the terminator too early
    ],
)
def test_a_startup_message_of_a_broken_layout_is_refused(body: bytes):
    with pytest.raises(PeerViolation, match="expected terminator as last byte"):
        StartupMessage.decode(b"\0\3\0\0" + body)


@pytest.mark.parametrize("pair", [(b"", b"x"), (b"a\0b", b"x"), (b"a", b"x\0")])
def test_a_startup_message_that_would_lie_is_not_encoded(pair: tuple[bytes, bytes]):
    with pytest.raises(ValueError, match=r"NUL|name"):
        StartupMessage((3, 0), (pair,)).encode()


@given(words, st.one_of(st.none(), st.binary(max_size=40)))
def test_a_sasl_initial_response_survives_the_wire(mechanism: bytes, data: bytes | None):
    message = SASLInitialResponse(mechanism, data)
    assert SASLInitialResponse.decode(message.encode()[5:]) == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"SCRAM-SHA-256",
        b"SCRAM-SHA-256\0",
        b"SCRAM-SHA-256\0\xff\xff\xff\xfe",  # a length of -2
        b"SCRAM-SHA-256\0\x7f\xff\xff\xff",  # a length past the end
        b"SCRAM-SHA-256\0\0\0\0\x01ab",  # more than its length
        b"SCRAM-SHA-256\0\xff\xff\xff\xffab",  # data where there is none
    ],
)
def test_a_malformed_sasl_initial_response_is_a_violation(body: bytes):
    with pytest.raises(PeerViolation):
        SASLInitialResponse.decode(body)


def test_a_password_does_not_show_in_its_representation():
    message = PasswordMessage(b"pencil")
    assert "pencil" not in repr(message)
    assert PasswordMessage.decode(message.encode()[5:]) == message


@given(st.binary(max_size=60))
def test_decoding_anything_gives_a_message_or_a_violation(body: bytes):
    for decode in (
        CancelRequest.decode,
        StartupMessage.decode,
        SASLInitialResponse.decode,
        PasswordMessage.decode,
    ):
        with contextlib.suppress(PeerViolation):
            decode(body)

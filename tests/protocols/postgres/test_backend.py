from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerViolation
from protocols.postgres.messages import (
    Authentication,
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    BackendKeyData,
    ErrorResponse,
    NegotiateProtocolVersion,
    NoticeResponse,
    ParameterStatus,
    ReadyForQuery,
)

MESSAGES = [
    (
        NegotiateProtocolVersion((3, 2), (b"_pq_.a", b"_pq_.b")),
        b"v\0\0\0\x1a\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0",
    ),
    (ErrorResponse(((b"S", b"FATAL"), (b"C", b"28P01"))), b"E\0\0\0\x13SFATAL\0C28P01\0\0"),
    (NoticeResponse(((b"M", b"hi"),)), b"N\0\0\0\x09Mhi\0\0"),
    (ParameterStatus(b"a", b""), b"S\0\0\0\x07a\0\0"),
    (BackendKeyData(7, b"abcd"), b"K\0\0\0\x0c\0\0\0\x07abcd"),
    (ReadyForQuery(b"I"), b"Z\0\0\0\x05I"),
]
REQUESTS = [
    (AuthenticationOk(), b"R\0\0\0\x08\0\0\0\0"),
    (AuthenticationCleartextPassword(), b"R\0\0\0\x08\0\0\0\3"),
    (AuthenticationMD5Password(b"salt"), b"R\0\0\0\x0c\0\0\0\5salt"),
    (AuthenticationSASL((b"A", b"B")), b"R\0\0\0\x0d\0\0\0\x0aA\0B\0\0"),
]


@pytest.mark.parametrize(("message", "encoded"), MESSAGES)
def test_a_message_is_laid_out_as_in_the_manual(message, encoded):
    assert message.encode() == encoded
    assert type(message).decode(encoded[5:]) == message


@pytest.mark.parametrize(("message", "encoded"), REQUESTS)
def test_an_authentication_request_is_laid_out_as_in_the_manual(message, encoded):
    assert message.encode() == encoded
    assert type(message).decode(Authentication.decode(encoded[5:]).data) == message


def test_sasl_data_is_carried_as_it_is():
    assert AuthenticationSASLContinue(b"r=x").encode() == b"R\0\0\0\x0b\0\0\0\x0br=x"
    assert AuthenticationSASLFinal(b"v=x").encode() == b"R\0\0\0\x0b\0\0\0\x0cv=x"


@pytest.mark.parametrize(("message", "encoded"), MESSAGES)
def test_a_message_cut_anywhere_or_followed_by_more_is_a_violation(message, encoded):
    body = encoded[5:]
    broken = [body[:end] for end in range(len(body))]
    if not isinstance(message, BackendKeyData):
        broken.append(body + b"x")
    for each in broken:
        with pytest.raises(PeerViolation):
            type(message).decode(each)


@pytest.mark.parametrize("body", [b"\0\3\0\0\xff\xff\xff\xff", b"\0\3\0\0\x7f\xff\xff\xff"])
def test_a_count_of_options_that_cannot_be_is_refused_before_it_is_believed(body: bytes):
    with pytest.raises(PeerViolation):
        NegotiateProtocolVersion.decode(body)


@pytest.mark.parametrize("length", [0, 3, 257])
def test_a_cancel_key_has_4_to_256_bytes(length: int):
    with pytest.raises(PeerViolation):
        BackendKeyData.decode(b"\0\0\0\1" + b"x" * length)


def test_a_cancel_key_does_not_show_in_its_representation():
    assert "abcd" not in repr(BackendKeyData(7, b"abcd"))


@pytest.mark.parametrize("status", [b"", b"X", b"II", b"i"])
def test_a_transaction_status_is_one_of_three_letters(status: bytes):
    with pytest.raises(PeerViolation):
        ReadyForQuery.decode(status)


def test_a_field_that_is_missing_is_empty():
    assert ErrorResponse(((b"M", b"no"),)).field(b"C") == b""


@given(st.binary(max_size=60))
def test_decoding_anything_gives_a_message_or_a_violation(body: bytes):
    for kind in (
        Authentication,
        AuthenticationOk,
        AuthenticationCleartextPassword,
        AuthenticationMD5Password,
        AuthenticationSASL,
        NegotiateProtocolVersion,
        ErrorResponse,
        NoticeResponse,
        ParameterStatus,
        BackendKeyData,
        ReadyForQuery,
    ):
        with contextlib.suppress(PeerViolation):
            kind.decode(body)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import Reason, Refusal
from protocols.postgres.messages import ErrorResponse
from protocols.postgres.refuse import SQLSTATES, is_sqlstate, refusal_message, sqlstate


def fields(message: bytes) -> dict[bytes, bytes]:
    return dict(ErrorResponse.decode(message[5:]).fields)


def test_every_reason_has_a_sqlstate():
    assert set(SQLSTATES) == set(Reason)
    assert all(is_sqlstate(code) for code in SQLSTATES.values())


def test_a_refusal_is_an_error_response_with_both_severities():
    refusal = Refusal(Reason.TOO_MANY_SESSIONS, "too many", "workspace 7 has 100")
    assert fields(refusal_message(refusal)) == {
        b"S": b"FATAL",
        b"V": b"FATAL",
        b"C": b"53300",
        b"M": b"too many",
    }
    assert fields(refusal_message(refusal, is_fatal=False))[b"V"] == b"ERROR"


def test_the_private_sentence_is_not_in_the_message():
    refusal = Refusal(Reason.INTERNAL, "something went wrong", "private")
    assert b"private" not in refusal_message(refusal)


def test_the_server_own_code_replaces_ours():
    assert sqlstate(Refusal(Reason.SOURCE_REFUSED, "no", code="53300")) == "53300"


@pytest.mark.parametrize("code", ["", "5330", "533000", "5330a", "53 00", "5330\0", "\u0665" * 5])
def test_a_code_that_is_no_sqlstate_is_not_passed_on(code: str):
    assert sqlstate(Refusal(Reason.SOURCE_REFUSED, "no", code=code)) == "08004"


def test_the_word_for_a_wrong_token_is_that_of_postgresql():
    text = 'password authentication failed for user "finance"'
    message = refusal_message(Refusal(Reason.AUTHENTICATION_FAILED, text))
    assert fields(message)[b"C"] == b"28P01"


@given(st.text(max_size=3_000), st.text(max_size=6))
def test_any_refusal_is_a_well_formed_message_that_libpq_believes(text: str, code: str):
    message = refusal_message(Refusal(Reason.INTERNAL, text, code=code))
    assert len(message) < 30_000
    assert set(fields(message)) == {b"S", b"V", b"C", b"M"}

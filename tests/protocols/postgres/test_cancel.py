from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.channel import MemoryChannel, run
from protocols.errors import Refusal
from protocols.interface import CancelArrival, SessionKey, Upstream
from protocols.postgres.cancel import (
    cancel,
    cancel_arrival,
    cancel_number,
    match_cancel,
    secret_for,
)
from protocols.postgres.messages import CancelRequest, SSLRequest
from protocols.postgres.upstream import UpstreamDetail
from tests.protocols.postgres.login import Script

KEY = SessionKey(2**31 - 1, bytes(range(32)))


def upstream(cancel_key: bytes) -> Upstream:
    return Upstream("md5", "15.8", (3, 0), detail=UpstreamDetail((), -7, cancel_key, b"I"))


def presented(number: int, secret: bytes) -> CancelArrival:
    return cancel_arrival(CancelRequest(number, secret).encode()[4:], False)


@pytest.mark.parametrize(("version", "length"), [((3, 0), 4), ((3, 2), 32)])
def test_the_key_a_client_was_given_fits_its_session(version: tuple[int, int], length: int):
    request = presented(KEY.number, secret_for(KEY, version))
    assert len(secret_for(KEY, version)) == length
    assert cancel_number(request) == KEY.number
    assert match_cancel(request, KEY, version)


@pytest.mark.parametrize("version", [(3, 0), (3, 2)])
@given(st.integers(-(2**31), 2**31 - 1), st.binary(min_size=4, max_size=40))
def test_no_other_key_fits(version: tuple[int, int], number: int, secret: bytes):
    is_right = number == KEY.number and secret == secret_for(KEY, version)
    assert match_cancel(presented(number, secret), KEY, version) == is_right


def test_a_short_key_does_not_cancel_a_session_that_has_a_long_one():
    assert not match_cancel(presented(KEY.number, KEY.secret[:4]), KEY, (3, 2))


def test_a_long_key_does_not_cancel_a_session_that_has_a_short_one():
    assert not match_cancel(presented(KEY.number, KEY.secret), KEY, (3, 0))


@pytest.mark.parametrize("number", [0, -1, -(2**31)])
def test_a_number_that_no_session_has_can_be_asked_for(number: int):
    assert cancel_number(presented(number, b"abcd")) == number


@pytest.mark.parametrize("key", [b"abcd", b"k" * 256])
def test_a_request_presents_the_server_own_key(key: bytes):
    channel = MemoryChannel()
    run(cancel(channel, upstream(key), require_tls=False))
    assert channel.sent == CancelRequest(-7, key).encode()


def test_a_request_goes_through_tls_where_the_source_requires_it():
    channel = Script(b"S")
    run(cancel(channel, upstream(b"abcd"), require_tls=True))
    assert channel.sent == SSLRequest().encode() + CancelRequest(-7, b"abcd").encode()
    assert channel.tls_started_after == 8


def test_a_key_is_never_sent_in_clear_to_a_source_that_requires_tls():
    channel = Script(b"N")
    with pytest.raises(Refusal):
        run(cancel(channel, upstream(b"abcd"), require_tls=True))
    assert b"abcd" not in channel.sent


def test_a_server_that_gave_no_key_is_not_bothered():
    channel = MemoryChannel()
    run(cancel(channel, upstream(b""), require_tls=True))
    assert not channel.sent


def test_an_answer_that_no_server_sends_changes_nothing():
    run(cancel(MemoryChannel(b"E"), upstream(b"abcd"), require_tls=False))

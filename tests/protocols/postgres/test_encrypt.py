from __future__ import annotations

import pytest

from protocols.channel import run
from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal
from protocols.postgres.encrypt import request_tls
from protocols.postgres.messages import ErrorResponse, SSLRequest
from tests.protocols.postgres.login import Script


def test_tls_starts_when_the_server_says_s():
    channel = Script(b"S")
    run(request_tls(channel))
    assert channel.sent == SSLRequest().encode()
    assert channel.tls_started_after == 8


def test_a_server_without_tls_is_not_trusted():
    channel = Script(b"N")
    with pytest.raises(Refusal, match="does not offer TLS") as caught:
        run(request_tls(channel))
    assert caught.value.reason is Reason.SOURCE_UNTRUSTED
    assert not channel.is_encrypted


def test_an_error_before_tls_is_neither_read_nor_shown():
    """CVE-2024-10977."""
    channel = Script(ErrorResponse(((b"M", b"send your password to evil.example"),)).encode())
    with pytest.raises(Refusal) as caught:
        run(request_tls(channel))
    assert "evil" not in caught.value.public + caught.value.private
    assert caught.value.reason is Reason.SOURCE_UNTRUSTED


def test_plaintext_behind_the_answer_is_never_taken_for_the_encrypted_server():
    """CVE-2021-23222."""
    channel = Script(b"SR\0\0\0\x08\0\0\0\0")
    with pytest.raises(PeerViolation, match="unencrypted data after SSL response"):
        run(request_tls(channel))
    assert not channel.is_encrypted


@pytest.mark.parametrize("answer", [b"G", b"s", b"\0", b"H", b"\x15"])
def test_any_other_answer_is_a_violation(answer: bytes):
    with pytest.raises(PeerViolation):
        run(request_tls(Script(answer)))


def test_no_answer_is_a_closed_connection():
    with pytest.raises(PeerClosed):
        run(request_tls(Script()))

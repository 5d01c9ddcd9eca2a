from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal
from protocols.interface import Arrival, CancelArrival, SessionKey, Upstream
from protocols.postgres.accept import authenticate, greet, welcome
from protocols.postgres.framing import read_server_message
from protocols.postgres.messages import (
    AuthenticationSASL,
    AuthenticationSASLContinue,
    CancelRequest,
    GSSENCRequest,
    NegotiateProtocolVersion,
    NoticeResponse,
    SASLInitialResponse,
    SASLResponse,
    SSLRequest,
    StartupMessage,
)
from protocols.postgres.scram import (
    BINDING_HEADER,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    encode_base64,
)
from protocols.postgres.scram_client import ScramClient
from protocols.postgres.upstream import UpstreamDetail
from protocols.verifiers import TokenVerifiers
from tests.protocols.postgres.login import (
    BINDING,
    ITERATIONS,
    OUR_NONCE,
    SALT,
    Script,
    arrival,
    entropy,
    startup,
    stretch,
    verifiers,
)

SSL = SSLRequest().encode()
GSS = GSSENCRequest().encode()
SERVER_FIRST = b"r=mine%b,s=%b,i=%d" % (OUR_NONCE, encode_base64(SALT), ITERATIONS)


# greet


@pytest.mark.parametrize(
    ("lines", "answers"),
    [
        ([startup()], b""),
        ([SSL, startup()], b"S"),
        ([GSS, startup()], b"N"),
        ([GSS, SSL, startup()], b"NS"),
    ],
)
def test_each_order_of_encryption_requests_leads_to_a_session(lines, answers: bytes):
    channel = Script(*lines)
    greeted = run(greet(channel))
    assert isinstance(greeted, Arrival)
    assert channel.sent == answers
    assert greeted.is_encrypted == (b"S" in answers)


def test_the_same_conversations_cut_anywhere_are_a_closed_connection():
    for lines in (
        [startup()],
        [SSL, startup()],
        [GSS, SSL, startup()],
        [CancelRequest(1, b"abcd").encode()],
    ):
        for cut, line in enumerate(lines):
            for end in range(len(line)):
                with pytest.raises(PeerClosed):
                    run(greet(Script(*lines[:cut], line[:end])))


@pytest.mark.parametrize(
    "lines", [[SSL, SSL], [SSL, GSS], [GSS, GSS], [GSS, SSL, SSL], [GSS, SSL, GSS]]
)
def test_an_encryption_request_is_answered_once_and_never_within_tls(lines):
    with pytest.raises(PeerViolation, match="already settled"):
        run(greet(Script(*lines)))


@pytest.mark.parametrize("behind", [b"\0", startup(), b"\x16\x03\x01"])
def test_plaintext_behind_ssl_request_is_never_read(behind: bytes):
    """CVE-2021-23214."""
    channel = MemoryChannel(SSL + behind)
    with pytest.raises(PeerViolation, match="unencrypted data after SSL request"):
        run(greet(channel))
    assert not channel.sent
    assert channel.incoming == behind


def test_plaintext_behind_gssenc_request_is_never_read():
    with pytest.raises(PeerViolation, match="unencrypted data after GSSAPI"):
        run(greet(MemoryChannel(GSS + SSL)))


def test_silence_after_ssl_request_is_the_handshake_waiting_not_us():
    channel = Script(SSL)
    with pytest.raises(PeerClosed):
        run(greet(channel))
    assert channel.is_encrypted


@pytest.mark.parametrize("code", [b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"])
def test_an_encryption_request_with_something_behind_its_code_is_refused(code: bytes):
    with pytest.raises(PeerViolation):
        run(greet(MemoryChannel(b"\0\0\0\x09" + code + b"x")))


def test_a_cancel_request_is_a_number_and_a_key():
    greeted = run(greet(MemoryChannel(CancelRequest(258, b"abcd").encode())))
    assert greeted == CancelArrival(b"\0\0\1\2abcd", is_encrypted=False)


def test_a_cancel_request_may_come_inside_tls_and_with_a_long_key():
    greeted = run(greet(Script(SSL, CancelRequest(1, b"k" * 32).encode())))
    assert greeted == CancelArrival(b"\0\0\0\1" + b"k" * 32, is_encrypted=True)


def test_a_version_from_the_future_is_negotiated_before_anything_else():
    channel = MemoryChannel(startup((b"_pq_.grease", b""), version=(3, 9999)))
    greeted = run(greet(channel))
    assert isinstance(greeted, Arrival)
    assert greeted.version == (3, 2)
    assert channel.sent == NegotiateProtocolVersion((3, 2), (b"_pq_.grease",)).encode()


@pytest.mark.parametrize("version", [(2, 0), (4, 0), (1234, 5681)])
def test_another_major_version_is_told_so(version: tuple[int, int]):
    with pytest.raises(Refusal, match="unsupported frontend protocol"):
        run(greet(MemoryChannel(startup(version=version))))


@pytest.mark.parametrize("body", [b"user\0me\0", b"user\0", b"user\0me\0\0x", b""])
def test_a_broken_layout_is_told_so(body: bytes):
    packet = struct.pack("!iHH", len(body) + 8, 3, 0) + body
    with pytest.raises(Refusal, match="invalid startup packet layout") as caught:
        run(greet(MemoryChannel(packet)))
    assert caught.value.reason is Reason.PROTOCOL_VIOLATION


def test_an_http_client_is_turned_away():
    with pytest.raises(PeerViolation, match="invalid length of startup packet"):
        run(greet(MemoryChannel(b"GET / HTTP/1.1\r\n\r\n")))


@given(st.binary(max_size=64))
def test_any_first_bytes_end_cleanly(data: bytes):
    with contextlib.suppress(PeerViolation, PeerClosed, Refusal):
        run(greet(MemoryChannel(data)))


@given(st.binary(max_size=64))
def test_any_startup_packet_ends_cleanly(body: bytes):
    channel = MemoryChannel(struct.pack("!iHH", len(body) + 8, 3, 0) + body)
    with contextlib.suppress(PeerViolation, Refusal):
        run(greet(channel))


# authenticate


def said(
    token: bytes,
    *,
    mechanism: bytes = SCRAM_SHA_256,
    header: bytes = b"n,,",
    binding: bytes = b"",
    waits: bool = False,
) -> list[bytes]:
    """What a client says that knows ``token``, line by line."""
    client = ScramClient(b"mine", header, binding)
    first = client.first()
    client.challenge(SERVER_FIRST)
    final = SASLResponse(client.final(stretch(token))).encode()
    if waits:
        return [SASLInitialResponse(mechanism, None).encode(), SASLResponse(first).encode(), final]
    return [SASLInitialResponse(mechanism, first).encode(), final]


def check(channel: MemoryChannel, against: TokenVerifiers) -> str | None:
    return run(authenticate(channel, arrival(), against, entropy))


@pytest.mark.parametrize("waits", [False, True])
def test_a_token_proves_itself_over_plaintext(waits: bool):
    channel = MemoryChannel(b"".join(said(b"one", waits=waits)))
    assert check(channel, verifiers(b"zero", b"one")) == "one"
    assert channel.sent.startswith(AuthenticationSASL((SCRAM_SHA_256,)).encode())


def test_plus_is_offered_first_where_our_certificate_can_be_bound():
    lines = said(b"one", mechanism=SCRAM_SHA_256_PLUS, header=BINDING_HEADER, binding=BINDING)
    channel = MemoryChannel(b"".join(lines), encrypted=True, binding=BINDING)
    assert check(channel, verifiers(b"one")) == "one"
    offered = AuthenticationSASL((SCRAM_SHA_256_PLUS, SCRAM_SHA_256)).encode()
    assert channel.sent.startswith(offered)


def test_plus_is_not_offered_where_the_binding_is_undefined():
    channel = MemoryChannel(b"".join(said(b"one")), encrypted=True, binding=None)
    assert check(channel, verifiers(b"one")) == "one"
    assert SCRAM_SHA_256_PLUS not in channel.sent


def test_plus_cannot_be_chosen_where_it_was_not_offered():
    lines = said(b"one", mechanism=SCRAM_SHA_256_PLUS, header=BINDING_HEADER)
    with pytest.raises(PeerViolation, match="invalid SASL authentication mechanism"):
        check(MemoryChannel(b"".join(lines)), verifiers(b"one"))


@pytest.mark.parametrize("mechanism", [b"", b"PLAIN", b"SCRAM-SHA-1", b"scram-sha-256"])
def test_no_other_mechanism_is_taken(mechanism: bytes):
    lines = said(b"one", mechanism=mechanism)
    with pytest.raises(PeerViolation):
        check(MemoryChannel(b"".join(lines)), verifiers(b"one"))


def test_a_downgraded_client_is_refused():
    channel = MemoryChannel(b"".join(said(b"one", header=b"y,,")), encrypted=True, binding=BINDING)
    with pytest.raises(Refusal, match="negotiation error"):
        check(channel, verifiers(b"one"))


@pytest.mark.parametrize("against", [verifiers(b"one"), verifiers(b"one", is_real=False)])
def test_a_wrong_token_and_an_unknown_workspace_look_alike(against: TokenVerifiers):
    channel = MemoryChannel(b"".join(said(b"wrong")))
    assert check(channel, against) is None
    expected = AuthenticationSASL((SCRAM_SHA_256,)).encode()
    assert channel.sent == expected + AuthenticationSASLContinue(SERVER_FIRST).encode()


@pytest.mark.parametrize("waits", [False, True])
def test_an_exchange_cut_anywhere_is_a_closed_connection(waits: bool):
    whole = b"".join(said(b"one", waits=waits))
    for end in range(len(whole)):
        channel = MemoryChannel(whole[:end])
        with pytest.raises(PeerClosed):
            check(channel, verifiers(b"one"))


@given(st.binary(max_size=80))
def test_any_exchange_ends_cleanly_and_admits_nobody(data: bytes):
    initial = SASLInitialResponse(SCRAM_SHA_256, b"n,,n=,r=mine").encode()
    for incoming in (data, b"p" + struct.pack("!i", len(data) + 4) + data, initial + data):
        with contextlib.suppress(PeerViolation, PeerClosed, Refusal):
            assert check(MemoryChannel(incoming), verifiers(b"one")) is None


# welcome


@pytest.mark.parametrize(("version", "length"), [((3, 0), 4), ((3, 2), 32)])
def test_a_welcome_has_upstream_words_and_our_key(version: tuple[int, int], length: int):
    notice = NoticeResponse(((b"M", b"collation"),)).encode()
    detail = UpstreamDetail(
        ((b"server_version", b"15.8"), (b"client_encoding", b"LATIN1")),
        4711,
        b"them",
        b"I",
        (notice[5:],),
    )
    key = SessionKey(7, bytes(range(32)))
    upstream = Upstream("md5", "15.8", (3, 0), detail=detail)
    channel = MemoryChannel(welcome(arrival(version), upstream, key))
    read = []
    while channel.has_unread():
        message = run(read_server_message(channel))
        read.append((message.code, message.body))
    assert read == [
        (b"R", b"\0\0\0\0"),
        (b"S", b"server_version\x0015.8\0"),
        (b"S", b"client_encoding\0LATIN1\0"),
        (b"K", b"\0\0\0\7" + bytes(range(length))),
        (b"N", notice[5:]),
        (b"Z", b"I"),
    ]


def test_a_startup_message_may_be_as_long_as_postgresql_lets_it():
    message = StartupMessage((3, 0), ((b"user", b"u"), (b"search_path", b"x" * 9_970))).encode()
    assert isinstance(run(greet(MemoryChannel(message))), Arrival)


def test_without_a_certificate_tls_is_declined_and_the_client_may_go_on():
    channel = Script(SSL, startup())
    channel.offers_tls = False
    found = run(greet(channel))
    assert isinstance(found, Arrival)
    assert not found.is_encrypted
    assert channel.sent == b"N"


def test_a_declined_encryption_is_settled():
    channel = Script(SSL, SSL, startup())
    channel.offers_tls = False
    with pytest.raises(PeerViolation, match="already settled"):
        run(greet(channel))

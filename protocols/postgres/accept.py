"""We play server: from the first byte of a client to the token it proved, and its welcome.

Knows the order of the messages of the manual's "Start-up". Must never know whether a
workspace exists: it is handed verifiers, real or fake, and treats both alike. What goes
wrong after the start-up packet is well framed is a Refusal, which the client is told.
"""

from __future__ import annotations

from functools import lru_cache

from protocols.channel import Channel
from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import Arrival, CancelArrival, Entropy, SessionKey, Upstream
from protocols.postgres import messages
from protocols.postgres.cancel import cancel_arrival, secret_for
from protocols.postgres.direct_tls import HANDSHAKE_RECORD, accept_direct_tls
from protocols.postgres.framing import read_sasl_message, read_startup_packet
from protocols.postgres.messages import (
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    BackendKeyData,
    ParameterStatus,
    ReadyForQuery,
    SASLInitialResponse,
    StartupMessage,
)
from protocols.postgres.scram import (
    RAW_NONCE_LENGTH,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    make_nonce,
)
from protocols.postgres.scram_server import ScramServer
from protocols.postgres.startup import arrival_of, check_major, negotiate
from protocols.postgres.upstream import UpstreamDetail
from protocols.verifiers import TokenVerifiers

_TLS_ACCEPTED = b"S"
_TLS_DECLINED = b"N"
_GSSAPI_DECLINED = b"N"


async def greet(channel: Channel) -> Arrival | CancelArrival:
    """Play server up to knowing who asks for what: see ``WireProtocol.greet``.

    SSLRequest and GSSENCRequest are answered once each, in either order. TLS within TLS
    is refused. NegotiateProtocolVersion, where it is due, has been written on return.
    """
    if not channel.is_encrypted and (await channel.peek(1))[0] == HANDSHAKE_RECORD:
        await accept_direct_tls(channel)
    is_tls_settled = is_gssapi_settled = channel.is_encrypted
    while True:
        packet = await read_startup_packet(channel)
        code = messages.request_code(packet)
        if code == messages.CANCEL_REQUEST:
            return cancel_arrival(packet, channel.is_encrypted)
        if code == messages.SSL_REQUEST:
            _check_negotiable(packet, is_tls_settled)
            await _accept_tls(channel)
            is_tls_settled = is_gssapi_settled = True
        elif code == messages.GSSENC_REQUEST:
            _check_negotiable(packet, is_gssapi_settled)
            _check_quiet(channel, "received unencrypted data after GSSAPI encryption request")
            channel.write(_GSSAPI_DECLINED)
            is_gssapi_settled = True
        else:
            return _start(channel, packet)


async def authenticate(
    channel: Channel, arrival: Arrival, verifiers: TokenVerifiers, entropy: Entropy
) -> str | None:
    """Play server for SCRAM: see ``WireProtocol.authenticate``.

    SCRAM-SHA-256-PLUS is offered where our certificate has a tls-server-end-point. On
    success AuthenticationSASLFinal is written; on None nothing is.
    """
    binding = channel.channel_binding
    offered = (SCRAM_SHA_256,) if binding is None else (SCRAM_SHA_256_PLUS, SCRAM_SHA_256)
    channel.write(AuthenticationSASL(offered).encode())
    initial = SASLInitialResponse.decode(await read_sasl_message(channel))
    if initial.mechanism not in offered:
        raise PeerViolation("client selected an invalid SASL authentication mechanism")
    client_first = initial.data
    if client_first is None:
        # SASL lets a client wait to be asked; PostgreSQL asks with nothing.
        channel.write(AuthenticationSASLContinue(b"").encode())
        client_first = await read_sasl_message(channel)
    nonce = make_nonce(entropy(RAW_NONCE_LENGTH))
    scram = ScramServer(verifiers, nonce, binding, initial.mechanism == SCRAM_SHA_256_PLUS)
    channel.write(AuthenticationSASLContinue(scram.first(client_first)).encode())
    proven = scram.final(await read_sasl_message(channel))
    if proven is None:
        return None
    channel.write(AuthenticationSASLFinal(proven.server_final).encode())
    return proven.token_id


def welcome(arrival: Arrival, upstream: Upstream, key: SessionKey) -> bytes:
    """AuthenticationOk, upstream's parameters and notices, our cancel key, ReadyForQuery."""
    detail: UpstreamDetail = upstream.detail
    parts = [AuthenticationOk().encode(), _statuses(detail.parameters)]
    parts.append(BackendKeyData(key.number, secret_for(key, arrival.version)).encode())
    parts += [messages.frame(messages.NOTICE_RESPONSE, body) for body in detail.notices]
    parts.append(ReadyForQuery(detail.transaction_status).encode())
    return b"".join(parts)


WELCOMES = 128
"""Sets of parameters whose messages are kept: those of one pooled connection are sent to each
of its clients, and those of one server's are mostly alike. Of each, some 400 bytes; a server
that reports as much as it may has 200 KiB of them."""


@lru_cache(WELCOMES)
def _statuses(parameters: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join([ParameterStatus(name, value).encode() for name, value in parameters])


def _start(channel: Channel, packet: bytes) -> Arrival:
    try:
        check_major(messages.decode_version(messages.request_code(packet)))
        startup = StartupMessage.decode(packet)
    except PeerViolation as error:
        # Well framed and of version 3: a client that understands being told.
        raise Refusal(Reason.PROTOCOL_VIOLATION, str(error)) from error
    version, answer = negotiate(startup)
    if answer is not None:
        channel.write(answer.encode())
    return arrival_of(startup, version, channel.is_encrypted)


def _check_negotiable(packet: bytes, is_settled: bool) -> None:
    if is_settled:
        raise PeerViolation("an encryption request where encryption is already settled")
    if len(packet) != 4:
        raise PeerViolation("invalid length of encryption request packet")


def _check_quiet(channel: Channel, text: str) -> None:
    """A client waits for our answer to an encryption request: bytes that are here already
    were put in front of the handshake by somebody (CVE-2021-23214).
    """
    if channel.has_unread():
        raise PeerViolation(text)


async def _accept_tls(channel: Channel) -> bool:
    _check_quiet(channel, "received unencrypted data after SSL request")
    if not channel.offers_tls:
        channel.write(_TLS_DECLINED)
        return False
    channel.write(_TLS_ACCEPTED)
    await channel.start_tls()
    return True

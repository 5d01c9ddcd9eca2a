"""How messages are cut out of the stream while a session logs in.

Knows lengths and nothing else: the manual's "Message Formats" frame (one code byte,
a length that counts itself, the body), the code-less start-up packet, and how long
each may be before anybody has proved anything. Must never know what a body means,
nor frame a running session: that is the scanner's work.

Every limit here is checked before a byte of the body is waited for.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from protocols.channel import Channel
from protocols.errors import PeerViolation
from protocols.postgres import messages

STARTUP_LIMIT = 10_000
"""Bytes after the length word: PostgreSQL's MAX_STARTUP_PACKET_LENGTH (pqcomm.h)."""

SASL_LIMIT = 1_024
"""Length word of a client's SASL message: PG_MAX_SASL_MESSAGE_LENGTH (auth-sasl.c).

A SCRAM message of a real driver takes about 200 bytes.
"""

SERVER_LIMITS: Mapping[bytes, int] = {
    # libpq refuses a longer authentication request (fe-connect.c, PQconnectPoll).
    messages.AUTHENTICATION: 2_000,
    messages.NEGOTIATE_PROTOCOL_VERSION: 2_000,
    # MAX_ERRLEN in fe-connect.c: the longest error libpq believes before it is logged in.
    messages.ERROR_RESPONSE: 30_000,
    messages.NOTICE_RESPONSE: 30_000,
    # search_path is reported since PostgreSQL 18 and may be long; nothing else is.
    messages.PARAMETER_STATUS: 65_536,
    # Length word, process id, and the longest cancel key of protocol 3.2.
    messages.BACKEND_KEY_DATA: 4 + 4 + 256,
    messages.READY_FOR_QUERY: 5,
}
"""The messages a server may send during a login, each with its largest length word."""

_HEADER = struct.Struct("!ci")
_LENGTH = struct.Struct("!i")
_SMALLEST_STARTUP = 8
"""A length word and a version or request code."""


@dataclass(frozen=True, slots=True)
class Message:
    """One typed message: its code (one byte) and its body, without the length."""

    code: bytes
    body: bytes


async def read_startup_packet(channel: Channel) -> bytes:
    """Read a packet that has no code byte; return what follows its length word.

    At least 4 bytes, at most ``STARTUP_LIMIT``. Raises PeerViolation, PeerClosed.
    """
    (length,) = _LENGTH.unpack(await channel.read_exactly(4))
    if not _SMALLEST_STARTUP <= length <= STARTUP_LIMIT + 4:
        raise PeerViolation("invalid length of startup packet")
    return await channel.read_exactly(length - 4)


async def read_sasl_message(channel: Channel) -> bytes:
    """Read the client's next SASL message; return its body.

    Raises PeerViolation, PeerClosed.
    """
    code, length = _HEADER.unpack(await channel.read_exactly(5))
    if code != messages.PASSWORD_MESSAGE:
        raise PeerViolation("expected SASL response, got another message type")
    if not 4 <= length <= SASL_LIMIT:
        raise PeerViolation("invalid length of SASL response")
    return await channel.read_exactly(length - 4)


async def read_server_message(channel: Channel) -> Message:
    """Read a message that a server may send during a login.

    Raises PeerViolation (a message that has no place in a login, or one too long),
    PeerClosed.
    """
    code, length = _HEADER.unpack(await channel.read_exactly(5))
    limit = SERVER_LIMITS.get(code)
    if limit is None:
        raise PeerViolation("the server sent a message that has no place in a login")
    if not 4 <= length <= limit:
        raise PeerViolation("the server sent a login message of an invalid length")
    return Message(code, await channel.read_exactly(length - 4))

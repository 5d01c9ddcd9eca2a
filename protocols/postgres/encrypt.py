"""We as client ask the data source for TLS, before anything else is said.

Knows SSLRequest and its one-byte answer. Must never show, log or believe anything a
server says before TLS is up (CVE-2024-10977).
"""

from __future__ import annotations

from protocols.channel import Channel
from protocols.errors import PeerViolation, Reason, Refusal
from protocols.postgres.messages import SSLRequest


async def begin_tls(channel: Channel, is_direct: bool) -> None:
    """TLS at once, or after ``request_tls``.

    A server that takes direct TLS shows by ALPN that it means PostgreSQL; the channel's
    handshake fails where it does not.
    """
    if is_direct:
        await channel.start_tls()
    else:
        await request_tls(channel)


async def knock(channel: Channel, is_direct: bool) -> None:
    """See whether a server answers: SSLRequest is the one question that needs no name.

    Where TLS comes at once the connection itself has to do. Raises PeerClosed.
    """
    if not is_direct:
        channel.write(SSLRequest().encode())
        await channel.read_exactly(1)


async def request_tls(channel: Channel) -> None:
    """Ask for TLS and shake hands.

    Raises Refusal (SOURCE_UNTRUSTED) where the server declines or errs, PeerViolation
    where it answers anything else or sends more than its answer, PeerClosed.
    """
    channel.write(SSLRequest().encode())
    answer = await channel.read_exactly(1)
    if answer == b"N":
        raise Refusal(
            Reason.SOURCE_UNTRUSTED,
            "the data source does not offer TLS, which this source requires",
        )
    if answer == b"E":
        # Anybody on the way could have written this error: its text is not even read.
        raise Refusal(
            Reason.SOURCE_UNTRUSTED, "the data source answered the request for TLS with an error"
        )
    if answer != b"S":
        raise PeerViolation("the server gave an invalid answer to SSLRequest")
    if channel.has_unread():
        # CVE-2021-23222: these bytes would be taken for the encrypted server's.
        raise PeerViolation("received unencrypted data after SSL response")
    await channel.start_tls()

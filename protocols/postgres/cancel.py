"""Cancel requests, both ends: our clients' to us, ours to the data source.

Knows that a client holds a key of ours and never the upstream's. Must never know which
sessions exist: the gateway looks them up by number and asks here whether the key fits.
"""

from __future__ import annotations

import hmac
import struct

from protocols.channel import Channel
from protocols.errors import PeerClosed
from protocols.interface import CancelArrival, SessionKey, Upstream
from protocols.postgres.encrypt import begin_tls
from protocols.postgres.messages import CancelRequest
from protocols.postgres.upstream import UpstreamDetail

_NUMBER = struct.Struct("!i")
_SHORT_SECRET = 4
"""Bytes of the secret that fit into BackendKeyData before protocol 3.2."""


def cancel_arrival(packet: bytes, is_encrypted: bool) -> CancelArrival:
    """From a CancelRequest packet: the session's number and secret as one key.

    Raises PeerViolation.
    """
    request = CancelRequest.decode(packet)
    return CancelArrival(_NUMBER.pack(request.process_id) + request.secret_key, is_encrypted)


def cancel_number(arrival: CancelArrival) -> int:
    """The session number a cancel request names. May be one that never existed."""
    number: int = _NUMBER.unpack(arrival.key[: _NUMBER.size])[0]
    return number


def match_cancel(arrival: CancelArrival, key: SessionKey, version: tuple[int, int]) -> bool:
    """Whether a request names this session, whose client speaks ``version``.

    Takes the same time wherever the first difference is.
    """
    expected = _NUMBER.pack(key.number) + secret_for(key, version)
    return hmac.compare_digest(arrival.key, expected)


def secret_for(key: SessionKey, version: tuple[int, int]) -> bytes:
    """The secret as a client of that protocol version holds it: 4 or 32 bytes."""
    return key.secret if version >= (3, 2) else key.secret[:_SHORT_SECRET]


async def cancel(channel: Channel, upstream: Upstream, require_tls: bool) -> None:
    """Ask the data source to stop what ``upstream`` runs, and wait until it has taken note.

    The server answers by closing the connection, never by a message; libpq waits for
    that too, so that the request cannot overtake the session's next statement. Does
    nothing where the server gave no key. Raises Refusal, PeerViolation.
    """
    detail: UpstreamDetail = upstream.detail
    if not detail.cancel_key:
        return
    try:
        if require_tls:
            await begin_tls(channel, detail.is_tls_direct)
        channel.write(CancelRequest(detail.process_id, detail.cancel_key).encode())
        await channel.read_exactly(1)
    except PeerClosed:
        return

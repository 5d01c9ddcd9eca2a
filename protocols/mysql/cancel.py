"""Stop a session's statement at its server: KILL QUERY, from a session of our own."""

from __future__ import annotations

from protocols.errors import PeerViolation
from protocols.interface import Upstream
from protocols.mysql.framing import Packets, Stream
from protocols.mysql.messages import ERR, OK

_COM_QUERY = b"\x03"


async def cancel(channel: Stream, upstream: Upstream) -> None:
    """Ask over a connection that has logged in, and wait for the answer.

    A server that knows no such session any more says so: there is nothing to stop.
    Raises PeerViolation, PeerClosed.
    """
    packets = Packets(channel)
    packets.send(_COM_QUERY + b"KILL QUERY %d" % upstream.number)
    payload = await packets.receive()
    if payload[:1] not in (bytes((OK,)), bytes((ERR,))):
        raise PeerViolation("the server answered KILL QUERY out of step")

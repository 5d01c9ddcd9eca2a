"""One question of ours in a session without a client, and its one row.

Knows the text protocol's result set (MySQL manual, "Text Resultset"). Every part of the
answer must be in its place.
"""

from __future__ import annotations

from protocols.errors import PeerViolation
from protocols.mysql import capabilities as flags
from protocols.mysql.commands import COM_QUERY
from protocols.mysql.encoding import Reader
from protocols.mysql.framing import Packets, Stream
from protocols.mysql.log_in import refused
from protocols.mysql.messages import EOF, ERR, Ok

_NULL = 0xFB
_OUT_OF_STEP = "the server answered the reset out of step"


async def one_row(
    channel: Stream, capabilities: int, text: bytes
) -> tuple[tuple[bytes | None, ...], int]:
    """The one row that ``text`` asks for, and the status flags behind it.

    ``capabilities`` are those of the session. Raises UpstreamRefused, PeerViolation, PeerClosed.
    """
    packets = Packets(channel)
    packets.send(bytes((COM_QUERY,)) + text)
    count = await packets.receive()
    check(count)
    if len(count) != 1 or not 0 < count[0] < _NULL:
        raise PeerViolation(_OUT_OF_STEP)
    for _ in range(count[0]):
        check(await packets.receive())
    has_eof = not capabilities & flags.DEPRECATE_EOF
    if has_eof:
        _end(await packets.receive())
    row = await packets.receive()
    check(row)
    if row[:1] == bytes((EOF,)):
        raise PeerViolation(_OUT_OF_STEP)
    reader = Reader(row)
    values: list[bytes | None] = []
    while reader.remaining:
        if row[len(row) - reader.remaining] == _NULL:
            reader.integer(1)
            values.append(None)
        else:
            values.append(reader.lenenc_bytes())
    if len(values) != count[0]:
        raise PeerViolation(_OUT_OF_STEP)
    last = await packets.receive()
    return tuple(values), _status(last) if has_eof else Ok.decode(last).status


def check(payload: bytes) -> None:
    """Raise UpstreamRefused where a packet is an error."""
    if payload[:1] == bytes((ERR,)):
        raise refused(payload)


def _end(payload: bytes) -> None:
    check(payload)
    if payload[:1] != bytes((EOF,)) or len(payload) != 5:
        raise PeerViolation(_OUT_OF_STEP)


def _status(payload: bytes) -> int:
    _end(payload)
    return int.from_bytes(payload[3:5], "little")

# cython: annotation_typing=False
"""What stands in the few packets of an answer whose content matters: counts, errors.

Pure functions over bytes; nothing here knows the session. ``at`` is where a packet's
header begins, ``total`` its length with the header.

Plain Python; compiled with the types in ``answers.pxd``.
"""

from __future__ import annotations

from protocols.errors import PeerViolation

# A server allows 4096 columns in a table and in a select list; a proxy may allow more.
_COLUMN_LIMIT = 65_535

# Beyond this, "affected rows" is no count: servers say -1 where there is none.
_AFFECTED_LIMIT = 1 << 48

# MariaDB's progress report is an ERR of this number (CLIENT_PROGRESS, never negotiated).
_PROGRESS = 0xFFFF

# Bytes of an ERR packet: its text has 512 at most (MYSQL_ERRMSG_SIZE), a proxy's a few more.
_ERROR_LIMIT = 8192

OUT_OF_STEP = "the data source sent an answer out of step"
OUT_OF_ORDER = "the data source sent packets out of order"
INVALID_LENGTH = "the data source sent an invalid message length"


def renumber(fresh: bytearray | None, at: int, sequence: int) -> None:
    """The packet there has another number than the client expects."""
    if fresh is None:
        raise PeerViolation(OUT_OF_ORDER)
    fresh[at + 3] = sequence


def error_in(data: bytes, at: int, total: int) -> tuple[int, str]:
    """Number and SQLSTATE of an ERR packet."""
    if total < 7 or total > _ERROR_LIMIT:
        raise PeerViolation(INVALID_LENGTH)
    number = data[at + 5] | (data[at + 6] << 8)
    if number == _PROGRESS:
        raise PeerViolation("the data source sent a progress report that nobody asked for")
    sqlstate = data[at + 8 : at + 13]
    if total >= 13 and data[at + 7] == 0x23 and sqlstate.isalnum():
        return number, sqlstate.decode("ascii")
    return number, "HY000"


def column_count(first: int, data: bytes, at: int, total: int) -> int:
    """How many columns a result set has."""
    if first < 0xFB and total == 5:
        return first
    if first == 0xFC and total == 7:
        columns = data[at + 5] | (data[at + 6] << 8)
        if 0 < columns <= _COLUMN_LIMIT:
            return columns
    raise PeerViolation(OUT_OF_STEP)


def affected_rows(data: bytes, at: int, stop: int) -> int:
    """The first integer of an OK, behind its first byte; what no count can be is 0."""
    size = _integer_size(data, at, stop)
    if size == 1:
        return data[at]
    value = int.from_bytes(data[at + 1 : at + size], "little")
    return value if value < _AFFECTED_LIMIT else 0


def status_at(data: bytes, at: int, stop: int) -> int:
    """Where an OK has its status flags: behind affected rows and insert id."""
    at += _integer_size(data, at, stop)
    at += _integer_size(data, at, stop)
    if at + 4 > stop:
        raise PeerViolation(INVALID_LENGTH)
    return at


def _integer_size(data: bytes, at: int, stop: int) -> int:
    """How many bytes a length-encoded integer has, all of which are here."""
    size = 1
    if at < stop:
        first = data[at]
        if first == 0xFC:
            size = 3
        elif first == 0xFD:
            size = 4
        elif first == 0xFE:
            size = 9
        elif first > 0xFA:
            raise PeerViolation("the data source sent an invalid integer")
    if at + size > stop:
        raise PeerViolation(INVALID_LENGTH)
    return size

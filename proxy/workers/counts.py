"""The memory that all workers of a proxy share: what is counted over all of them.

Each worker has a region and is the only one who writes there; the rest read it. So nothing is
locked, nobody who dies or is stopped can hold a lock, and what the dead had counted is taken
out by clearing their region. A region of the supervisor's own, the past, keeps what must
outlive a worker: what was used in the running minute and day.

Knows cells: whole numbers of 64 bits, written and read in one piece, since an aligned store of
that size is one instruction. Knows names only by a hash of 64 bits: an id that others cannot
choose cannot be made to collide, and two that did would be limited together.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SHRINK, fcntl
from hashlib import blake2b

MINUTE = 60
MOST_SEATS = 256
"""A session's number names its seat in eight bits."""

# A row, by cell: how many are there now; rows and bytes of a day; two minutes of seconds.
PLACES = 0
DAY_ROWS = 1
DAY_BYTES = 2
MINUTES = (4, 4 + MINUTE)
ROW = 128

# A region's first cells.
STAMP = 0
"""Changes with every row that gets a new owner."""
ROWS_USED = 1
SESSIONS_USED = 2
_HEAD = 8

# The memory's first cells, written by the supervisor: who is there.
_SEATS_STAMP = 0
_SEATS_COUNT = 1
_SEATS = 2
_TOP = 512

_COUNT_BITS = 24
_COUNT_MASK = (1 << _COUNT_BITS) - 1
_DAY_BITS = 48
_DAY_MASK = (1 << _DAY_BITS) - 1
_CELL = 8


MOST_OWNERS = 65_536
"""Owners in a region: 64 MiB, of which the system gives only the pages that were used."""
MOST_SESSIONS = 131_072
"""Sessions in a region: 3 MiB."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large it is: workers at once, owners and sessions of each."""

    seats: int
    rows: int = MOST_OWNERS
    sessions: int = MOST_SESSIONS

    @property
    def region(self) -> int:
        """Cells of one region."""
        return _HEAD + self.rows + 3 * self.sessions + self.rows * ROW

    @property
    def size(self) -> int:
        """Bytes of all: a region for each seat, and the past."""
        return (_TOP + (self.seats + 1) * self.region) * _CELL


def hash_of(name: str) -> int:
    """What stands for a name in the memory; never 0, which stands for nobody."""
    digest = blake2b(name.encode("utf-8", "replace"), digest_size=_CELL).digest()
    return int.from_bytes(digest, "little") or 1


def second_cell(second: int, count: int) -> int:
    """How often something was done in a second."""
    return second << _COUNT_BITS | min(max(count, 0), _COUNT_MASK)


def count_of(cell: int, oldest: int) -> int:
    """The count of such a cell; 0 where its second is before ``oldest``."""
    return cell & _COUNT_MASK if cell >> _COUNT_BITS >= oldest else 0


def day_cell(day: int, count: int) -> int:
    """How much has passed on a day, by its ordinal."""
    return (day & 0xFFFF) << _DAY_BITS | min(count, _DAY_MASK)


def used_of(cell: int, day: int) -> int:
    """The count of such a cell; 0 where it is another day's."""
    return cell & _DAY_MASK if cell >> _DAY_BITS == day & 0xFFFF else 0


class Counts:
    """The memory. Made by ``create`` in the supervisor, by ``attach`` in a worker."""

    def __init__(self, descriptor: int, shape: Shape) -> None:
        self.descriptor = descriptor
        self.shape = shape
        self._map = mmap.mmap(descriptor, shape.size)
        self.cells = memoryview(self._map).cast("Q")
        self._seats_stamp = -1
        self._seats: tuple[int, ...] = ()

    @classmethod
    def create(cls, shape: Shape) -> Counts:
        """New memory, which nobody can make smaller: a page that is gone would be a SIGBUS."""
        if not 1 <= shape.seats <= MOST_SEATS:
            raise ValueError(f"there are 1 to {MOST_SEATS} seats")
        descriptor = os.memfd_create("accode-proxy-counts", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, shape.size)
        fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
        return cls(descriptor, shape)

    @classmethod
    def attach(cls, descriptor: int, shape: Shape) -> Counts:
        """The memory that another process made."""
        if os.fstat(descriptor).st_size != shape.size:
            raise ValueError("the shared memory has another size")
        return cls(descriptor, shape)

    def close(self) -> None:
        """Let it go."""
        self.cells.release()
        self._map.close()
        os.close(self.descriptor)

    @property
    def past(self) -> int:
        """The supervisor's own region."""
        return self.shape.seats

    # -- who is there ---------------------------------------------------------------------

    def seat(self, seats: Iterable[int]) -> None:
        """These seats are taken, and the past counts always. For the supervisor."""
        taken = (*seats, self.past)
        for place, seat in enumerate(taken):
            self.cells[_SEATS + place] = seat
        self.cells[_SEATS_COUNT] = len(taken)
        self.cells[_SEATS_STAMP] += 1

    def seats(self) -> tuple[int, ...]:
        """The regions that count."""
        stamp = self.cells[_SEATS_STAMP]
        if stamp != self._seats_stamp:
            count = min(self.cells[_SEATS_COUNT], MOST_SEATS + 1)
            self._seats = tuple(self.cells[_SEATS : _SEATS + count])
            self._seats_stamp = stamp
        return self._seats

    # -- where things are -------------------------------------------------------------------

    def region(self, seat: int) -> int:
        """The first cell of a region."""
        return _TOP + seat * self.shape.region

    def keys(self, seat: int) -> int:
        """The first cell of its owners' names."""
        return self.region(seat) + _HEAD

    def sessions(self, seat: int) -> int:
        """The first cell of its sessions: numbers, then workspaces, then sources."""
        return self.keys(seat) + self.shape.rows

    def row(self, seat: int, row: int) -> int:
        """The first cell of one of its rows."""
        return self.sessions(seat) + 3 * self.shape.sessions + row * ROW

    def find_row(self, seat: int, key: int) -> int:
        """The row of an owner in a region, or -1."""
        start = self.keys(seat)
        used = self.cells[self.region(seat) + ROWS_USED]
        return _find(self.cells[start : start + used].tobytes(), key.to_bytes(_CELL, "little"), 0)

    def find_session(self, seat: int, number: int, *, is_upstream: bool) -> Iterator[int]:
        """The places of sessions with this number, ours or the data source's."""
        start = self.sessions(seat)
        used = self.cells[self.region(seat) + SESSIONS_USED]
        data = self.cells[start : start + used].tobytes()
        wanted, offset = number.to_bytes(4, "little"), 0 if is_upstream else 4
        place = _find(data, wanted, offset)
        while place >= 0:
            yield place
            place = _find(data, wanted, offset, place + 1)

    def clear(self, seat: int) -> None:
        """Nobody writes a region any more: empty it. For the supervisor."""
        region, cells = self.region(seat), self.cells
        for row in range(cells[region + ROWS_USED]):
            self.clear_row(seat, row)
        for first, used in (
            (self.keys(seat), cells[region + ROWS_USED]),
            *(
                (self.sessions(seat) + part * self.shape.sessions, cells[region + SESSIONS_USED])
                for part in range(3)
            ),
        ):
            cells[first : first + used] = memoryview(bytes(used * _CELL)).cast("Q")
        cells[region + ROWS_USED] = cells[region + SESSIONS_USED] = 0
        cells[region + STAMP] += 1

    def clear_row(self, seat: int, row: int) -> None:
        """Empty a row."""
        start = self.row(seat, row)
        self.cells[start : start + ROW] = _EMPTY_ROW


_EMPTY_ROW = memoryview(bytes(ROW * _CELL)).cast("Q")


def _find(data: bytes, wanted: bytes, offset: int, start: int = 0) -> int:
    """The cell that has ``wanted`` at ``offset``, from ``start`` on; -1 for none."""
    at = data.find(wanted, start * _CELL)
    while at >= 0 and at % _CELL != offset:
        at = data.find(wanted, at + 1)
    return at // _CELL if at >= 0 else -1

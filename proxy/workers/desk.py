"""One worker's region of the shared memory: what it counts, and what it reads of the others.

Knows which cells mean what, never what a limit is for. A place is counted first and compared
afterwards: of two workers that take the last one at once neither overlooks the other. Both may
then be refused; more than the limit are never let in.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from protocols.errors import Reason, Refusal
from proxy.gateway.counting import Minute, Share
from proxy.workers.counts import (
    DAY_BYTES,
    DAY_ROWS,
    MINUTE,
    MINUTES,
    PLACES,
    ROW,
    ROWS_USED,
    SESSIONS_USED,
    STAMP,
    Counts,
    count_of,
    day_cell,
    hash_of,
    second_cell,
    used_of,
)

_ABSENT = -1
# A clock that was read in one second may be written down in the next: the last two seconds of
# the others are always read anew.
_FRESH_SECONDS = 2


class Row:
    """An owner's row in our region, and where the others have theirs."""

    __slots__ = ("_counts", "_found", "_seat", "has_share", "key", "place", "start")

    def __init__(self, counts: Counts, seat: int, key: int, place: int) -> None:
        self._counts = counts
        self._seat = seat
        self.key = key
        self.place = place
        self.start = counts.row(seat, place)
        self.has_share = False
        # By seat: the place there, or _ABSENT, and the region's stamp when that was so.
        self._found: dict[int, tuple[int, int]] = {}

    def others(self) -> Iterator[int]:
        """The first cells of the rows that the other workers have for this owner."""
        counts = self._counts
        cells = counts.cells
        for seat in counts.seats():
            if seat == self._seat:
                continue
            place, stamp = self._found.get(seat, (_ABSENT, -1))
            if place != _ABSENT and cells[counts.keys(seat) + place] == self.key:
                yield counts.row(seat, place)
                continue
            now = cells[counts.region(seat) + STAMP]
            if place == _ABSENT and stamp == now:
                continue
            place = counts.find_row(seat, self.key)
            self._found[seat] = place, now
            if place != _ABSENT:
                yield counts.row(seat, place)


class Rows:
    """The rows of one region: given to owners, and taken back. For its one writer."""

    def __init__(self, counts: Counts, seat: int) -> None:
        self._counts = counts
        self._seat = seat
        self._region = counts.region(seat)
        self._rows: dict[int, Row] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self._rows.values()))

    def row(self, key: int) -> Row | None:
        """An owner's row, made where there is none; None where there is no room."""
        found = self._rows.get(key)
        if found is not None:
            return found
        cells = self._counts.cells
        used = cells[self._region + ROWS_USED]
        if self._free:
            place = self._free.pop()
        elif used < self._counts.shape.rows:
            place = used
        else:
            return None
        self._counts.clear_row(self._seat, place)
        # The name last: who finds it finds an empty row, never the last owner's.
        cells[self._counts.keys(self._seat) + place] = key
        if place == used:
            cells[self._region + ROWS_USED] = used + 1
        cells[self._region + STAMP] += 1
        found = self._rows[key] = Row(self._counts, self._seat, key, place)
        return found

    def give_back(self, row: Row) -> None:
        """Nothing is counted in a row any more."""
        self._counts.cells[self._counts.keys(self._seat) + row.place] = 0
        del self._rows[row.key]
        self._free.append(row.place)


class SharedPlaces:
    """``proxy.gateway.counting.Places`` over all workers."""

    def __init__(self, counts: Counts, rows: Rows) -> None:
        self._cells = counts.cells
        self._rows = rows

    def enter(self, owner: str, limit: int) -> bool:
        """See ``Places``; False also where so many owners are counted that there is no room."""
        row = self._rows.row(hash_of(owner))
        if row is None:
            return False
        at = row.start + PLACES
        # Looked at first, so that who is turned away at a full house takes nobody's place.
        if self._taken(row) < limit:
            self._cells[at] += 1
            if self._taken(row) <= limit:
                return True
            self._cells[at] -= 1
        self._let_go(row)
        return False

    def _taken(self, row: Row) -> int:
        return self._cells[row.start + PLACES] + sum(
            self._cells[other + PLACES] for other in row.others()
        )

    def leave(self, owner: str) -> None:
        """See ``Places``."""
        row = self._rows.row(hash_of(owner))
        if row is not None:
            at = row.start + PLACES
            self._cells[at] = max(self._cells[at], 1) - 1
            self._let_go(row)

    def _let_go(self, row: Row) -> None:
        if self._cells[row.start + PLACES] == 0 and not row.has_share:
            self._rows.give_back(row)


class SharedShare:
    """``proxy.gateway.counting.Share`` of one owner, over all workers."""

    def __init__(self, counts: Counts, rows: Rows, row: Row) -> None:
        self._counts = counts
        self._cells = counts.cells
        self._rows = rows
        self._row = row
        row.has_share = True
        # What the others did in the seconds that do not change any more, and up to which.
        self._settled = dict.fromkeys(Minute, (-1, 0))

    def minute(self, what: Minute, second: int) -> int:
        """See ``Share``."""
        until, settled = self._settled[what]
        start = MINUTES[what]
        others = list(self._row.others())
        if until != second:
            oldest = second - MINUTE + 1
            newest = second - _FRESH_SECONDS
            settled = sum(
                count_of(cell, oldest)
                for other in others
                for cell in self._cells[other + start : other + start + MINUTE]
                if cell >> 24 <= newest
            )
            self._settled[what] = second, settled
        # One that runs ahead of our clock has used its number all the same.
        fresh = range(second - _FRESH_SECONDS + 1, second + 2)
        return settled + sum(
            cell & 0xFFFFFF
            for other in others
            for moment in fresh
            if (cell := self._cells[other + start + moment % MINUTE]) >> 24 == moment
        )

    def tell_minute(self, what: Minute, second: int, count: int) -> None:
        """See ``Share``."""
        at = self._row.start + MINUTES[what] + second % MINUTE
        self._cells[at] = second_cell(second, count)

    def day(self, today: date) -> tuple[int, int]:
        """See ``Share``."""
        day = today.toordinal()
        rows = size = 0
        for other in self._row.others():
            rows += used_of(self._cells[other + DAY_ROWS], day)
            size += used_of(self._cells[other + DAY_BYTES], day)
        return rows, size

    def tell_day(self, today: date, rows: int, size: int) -> None:
        """See ``Share``."""
        day = today.toordinal()
        self._cells[self._row.start + DAY_ROWS] = day_cell(day, rows)
        self._cells[self._row.start + DAY_BYTES] = day_cell(day, size)

    def forget(self) -> None:
        """See ``Share``."""
        self._row.has_share = False
        if self._cells[self._row.start + PLACES] == 0:
            self._rows.give_back(self._row)


class Desk:
    """All of a worker's region."""

    def __init__(self, counts: Counts, seat: int) -> None:
        self.counts = counts
        self.seat = seat
        self._rows = Rows(counts, seat)
        self.places = SharedPlaces(counts, self._rows)
        self._sessions: dict[int, int] = {}
        self._free: list[int] = []

    def share(self, owner: str) -> Share:
        """``proxy.gateway.counting.Shares``. Raises Refusal."""
        row = self._rows.row(hash_of(owner))
        if row is None:
            raise Refusal(
                Reason.TOO_MANY_SESSIONS,
                "the proxy counts the use of so many workspaces and data sources that it can "
                "count no more",
            )
        return SharedShare(self.counts, self._rows, row)

    # -- sessions ---------------------------------------------------------------------------

    def opened(self, number: int, upstream_number: int, workspace: str, source: str) -> None:
        """A session is open. One too many to be written down cannot be killed from elsewhere."""
        cells, shape = self.counts.cells, self.counts.shape
        used = cells[self.counts.region(self.seat) + SESSIONS_USED]
        if self._free:
            place = self._free.pop()
        elif used < shape.sessions:
            place = used
            cells[self.counts.region(self.seat) + SESSIONS_USED] = used + 1
        else:
            return
        at = self.counts.sessions(self.seat) + place
        cells[at + shape.sessions] = hash_of(workspace)
        cells[at + 2 * shape.sessions] = hash_of(source)
        cells[at] = number << 32 | upstream_number & 0xFFFFFFFF
        self._sessions[number] = place

    def ended(self, number: int) -> None:
        """It is over."""
        place = self._sessions.pop(number, None)
        if place is not None:
            self.counts.cells[self.counts.sessions(self.seat) + place] = 0
            self._free.append(place)

    def find(self, number: int, workspace: str, source: str) -> int | None:
        """The seat of another worker that has this session of the workspace's, or None.

        By our number first, then by the data source's own, as far as the source is the same.
        """
        if not 0 < number <= 0xFFFFFFFF:
            return None
        counts, shape = self.counts, self.counts.shape
        wanted, wanted_source = hash_of(workspace), hash_of(source)
        others = [seat for seat in counts.seats() if seat not in (self.seat, counts.past)]
        for is_upstream in (False, True):
            for seat in others:
                for place in counts.find_session(seat, number, is_upstream=is_upstream):
                    at = counts.sessions(seat) + place
                    if counts.cells[at + shape.sessions] != wanted:
                        continue
                    if not is_upstream or counts.cells[at + 2 * shape.sessions] == wanted_source:
                        return seat
        return None


class Past:
    """What dead workers had used of the running minute and day. For the supervisor."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._rows = Rows(counts, counts.past)

    def take_over(self, seat: int, second: int, today: date) -> None:
        """Nobody writes this region any more: keep what it says was used, and empty it.

        Kept first: for a moment it counts twice, which is stricter and never more generous.
        """
        counts, cells = self._counts, self._counts.cells
        self._drop_spent(second, today)
        oldest, day = second - MINUTE + 1, today.toordinal()
        keys = counts.keys(seat)
        for place in range(cells[counts.region(seat) + ROWS_USED]):
            key = cells[keys + place]
            start = counts.row(seat, place)
            if key and _remembers(cells[start : start + ROW], oldest, day):
                row = self._rows.row(key)
                if row is not None:
                    self._add(row.start, start, oldest, day)
        counts.clear(seat)

    def _add(self, to: int, start: int, oldest: int, day: int) -> None:
        cells = self._counts.cells
        for cell in (DAY_ROWS, DAY_BYTES):
            used = used_of(cells[to + cell], day) + used_of(cells[start + cell], day)
            cells[to + cell] = day_cell(day, used)
        for first in MINUTES:
            for cell in range(first, first + MINUTE):
                new = cells[start + cell]
                if not count_of(new, oldest):
                    continue
                second = new >> 24
                old = cells[to + cell]
                count = new & 0xFFFFFF
                if old >> 24 == second:
                    count += old & 0xFFFFFF
                cells[to + cell] = second_cell(second, count)

    def _drop_spent(self, second: int, today: date) -> None:
        oldest, day = second - MINUTE + 1, today.toordinal()
        for row in self._rows:
            if not _remembers(self._counts.cells[row.start : row.start + ROW], oldest, day):
                self._rows.give_back(row)


def _remembers(row: memoryview, oldest: int, day: int) -> bool:
    """Whether a row says that something was used which still counts."""
    return bool(
        used_of(row[DAY_ROWS], day)
        or used_of(row[DAY_BYTES], day)
        or any(count_of(row[cell], oldest) for cell in range(MINUTES[0], MINUTES[1] + MINUTE))
    )

# cython: annotation_typing=False
"""Answers that are limited: how much of one may pass, and what stands for its rest.

``rows`` and ``size`` (bytes) are what has passed of the answer at hand. What a cursor gives
in several fetches is one answer to its client, so a fetch counts on from the last one.

Plain Python; compiled with the types in ``limited.pxd``.
"""

from __future__ import annotations

from protocols.errors import Refusal
from protocols.metering import ResultMeter, Share
from protocols.mysql import expected
from protocols.mysql.in_place import error_packet, refused
from protocols.mysql.ledger import Expected

_FETCH = expected.FETCH


class AnswerLimit:
    """One session's. ``cut`` is why the answer at hand was cut, None where it was not.

    ``cut_sequence`` is the number of the packet that stands in the place of its rest.
    ``is_over``: the client is told no more, for an error would tell what is not so.
    """

    def __init__(self, meter: ResultMeter) -> None:
        self._meter = meter
        self._share = Share(meter)
        self._base_rows = 0
        self._base_size = 0
        self._row_cap = 0
        self._size_cap = 0
        self.cut: Refusal | None = None
        self.cut_sequence = 0
        self.is_over = False

    def renew(self, rows: int, size: int) -> None:
        """Account for what has passed, and see how much more may."""
        if self.cut is not None:
            return
        share = self._share
        share.renew(self._base_rows + rows, self._base_size + size)
        self._row_cap = share.row_cap - self._base_rows
        self._size_cap = share.size_cap - self._base_size

    def begin(self, entry: Expected) -> None:
        """The first packet of an answer: part of its rows may have passed before."""
        if entry.runs is None:
            return
        if entry.code != _FETCH:
            entry.runs.fetched = (0, 0)
            return
        share = self._share
        self._base_rows, self._base_size = entry.runs.fetched
        share.begin(self._base_rows, self._base_size)
        self._row_cap = share.row_cap - self._base_rows
        self._size_cap = share.size_cap - self._base_size

    def is_beyond(self, rows: int, size: int, more: int, sequence: int) -> bool:
        """Whether one more row, of so many bytes, must not pass; the answer is cut there."""
        if self.cut is None:
            if rows < self._row_cap and size + more <= self._size_cap:
                return False
            self.renew(rows, size)
            self.cut = self._meter.cut(self._base_rows + rows + 1, self._base_size + size + more)
            self.cut_sequence = sequence
        return True

    def behind_cut(self, is_answered: bool) -> bytes:
        """What stands for a packet behind a cut; ``is_answered``: for the last of the answer."""
        refusal = self.cut
        assert refusal is not None, "only what was cut has an end like this"
        if is_answered:
            self.cut = None
            self.renew(0, 0)
            return error_packet(self.cut_sequence, refused(refusal))
        if not self.is_over:
            self.is_over = True
            self._meter.give_up(refusal)
        return b""

    def end(self, entry: Expected, rows: int, size: int) -> None:
        """The answer is complete."""
        self.renew(rows, size)
        if entry.code == _FETCH and entry.runs is not None:
            entry.runs.fetched = (self._base_rows + rows, self._base_size + size)
        self._base_rows = self._base_size = 0
        self._share.begin()

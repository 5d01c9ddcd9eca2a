"""A ``ResultMeter`` that a test sets and asks."""

from __future__ import annotations

from protocols.errors import Reason, Refusal

UNBOUNDED = 1 << 60


class FakeMeter:
    """Bounds each answer, and all of them together; remembers what it was told."""

    def __init__(
        self, rows: int = UNBOUNDED, size: int = UNBOUNDED, day: tuple[int, int] | None = None
    ) -> None:
        self.rows = rows
        self.size = size
        self.day = day or (UNBOUNDED, UNBOUNDED)
        self.spent = (0, 0)
        self.cuts: list[tuple[int, int]] = []
        self.given_up: list[Refusal] = []

    def left(self) -> tuple[int, int]:
        return max(self.day[0] - self.spent[0], 0), max(self.day[1] - self.spent[1], 0)

    def spend(self, rows: int, size: int) -> None:
        assert rows >= 0
        assert size >= 0
        self.spent = (self.spent[0] + rows, self.spent[1] + size)

    def cut(self, rows: int, size: int) -> Refusal:
        self.cuts.append((rows, size))
        return Refusal(Reason.QUOTA_EXCEEDED, "cut")

    def give_up(self, refusal: Refusal) -> None:
        self.given_up.append(refusal)

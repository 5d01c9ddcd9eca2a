"""What a person at a terminal is told while a file passes."""

from __future__ import annotations

from proxy.commands.csv import Teller
from proxy.content.transfers import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_bytes_rows_and_the_rate_are_told_once_a_second():
    clock, said = Clock(), list[str]()
    tell = Teller(said.append, clock, total=40_000_000)
    for _ in range(100):
        clock.now += 0.03
        tell(Progress(rows=20_000, bytes=10_000_000, bad=2))
    assert len(said) == 2
    clock.now = 102.0 + 2.0
    tell(Progress(rows=20_000, bytes=10_000_000, bad=2))
    assert said[-1] == "10.0 MB of 40.0 (25%), 20000 rows, 2 bad lines, 2.5 MB/s"


def test_where_the_size_is_not_known_it_is_not_told():
    clock, said = Clock(), list[str]()
    tell = Teller(said.append, clock)
    clock.now += 2
    tell(Progress(bytes=3_000_000))
    assert said == ["3.0 MB, 1.5 MB/s"]

"""A statement's answer, how it can fail, and the interface to whoever runs statements.

Knows no driver. ``FakeStatements`` is the fake that stands in for the proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.content.sqltext import SqlText, bind

MAX_BYTES = 16 * 1024 * 1024
"""Of one answer that is kept, as estimated: a quarter of what a run may take of memory."""


@dataclass(frozen=True, slots=True)
class Column:
    """``type`` in the words of the engine."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, or how many rows were changed. ``is_cut``: there were more than wanted."""

    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    count: int = 0
    is_cut: bool = False

    def records(self) -> list[dict[str, Any]]:
        """Each row by its columns' names."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of an answer is kept. ``may_cut``: cut what is more, else it fails."""

    rows: int
    bytes: int = MAX_BYTES
    may_cut: bool = False


class StepFailed(Exception):
    """A step's statement or call failed; the text is one sentence for the workspace.

    ``code`` is the other side's, short. ``had_no_effect``: it surely changed nothing.
    ``is_transient``: the same may succeed soon.
    """

    def __init__(
        self,
        sentence: str,
        code: str = "",
        *,
        had_no_effect: bool = False,
        is_transient: bool = False,
    ) -> None:
        super().__init__(in_one_line(sentence))
        self.code = code
        self.had_no_effect = had_no_effect
        self.is_transient = is_transient


SENTENCE = 500
"""Characters kept of another program's error."""


def in_one_line(text: str) -> str:
    """Printable, on one line, bounded."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * SENTENCE]).split())
    return line if len(line) <= SENTENCE else line[: SENTENCE - 3] + "..."


class Session(Protocol):
    """One connection to a source, through the proxy."""

    async def run(self, text: SqlText, values: Sequence[Any], bounds: Bounds) -> Answer:
        """Run one statement in a transaction of its own. Raises StepFailed.

        Cancelled, it stops the statement at the data source.
        """
        ...

    @property
    def is_usable(self) -> bool:
        """Whether another statement can be run."""
        ...

    async def close(self) -> None:
        """Say goodbye, in bounded time."""
        ...


class Statements(Protocol):
    """Runs statements at sources, by name."""

    async def run(
        self, source: str, statement: str, values: Mapping[str, Any], bounds: Bounds
    ) -> Answer:
        """Run one statement. Raises StepFailed."""
        ...


class Budget:
    """Counts an answer while it is read. Raises StepFailed where it is more than is kept."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._bytes = 0
        self.rows: list[tuple[Any, ...]] = []

    def takes(self, row: tuple[Any, ...]) -> bool:
        """Keep a row; False: enough, and no more is to be read."""
        self._bytes += sum(map(_size, row))
        if len(self.rows) < self._bounds.rows and self._bytes <= self._bounds.bytes:
            self.rows.append(row)
            return True
        if self._bounds.may_cut:
            return False
        if len(self.rows) >= self._bounds.rows:
            raise StepFailed(f"the result has more than {self._bounds.rows} rows", "too-many-rows")
        raise StepFailed(f"the result has more than {self._bounds.bytes} bytes", "too-many-bytes")


def _size(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return 56 + len(value)
    if isinstance(value, (list, tuple)):
        return 56 + sum(map(_size, value))
    return 32


def unique(names: Sequence[str]) -> list[str]:
    """Columns' names, those that come again numbered: ``id``, ``id_2``."""
    taken: set[str] = set()
    found = []
    for name in names:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        found.append(candidate)
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """What FakeStatements was asked to run."""

    source: str
    text: str
    values: tuple[Any, ...]


class FakeStatements:
    """The fake ``Statements``: answers as its function says, remembers what it was asked."""

    def __init__(self, answer: Callable[[Asked], Answer], engine: str = "postgresql") -> None:
        self.asked: list[Asked] = []
        self._answer = answer
        self._engine = engine

    async def run(
        self, source: str, statement: str, values: Mapping[str, Any], bounds: Bounds
    ) -> Answer:
        """Answer."""
        text = bind(statement, self._engine)
        asked = Asked(source, text.text, tuple(values[name] for name in text.names))
        self.asked.append(asked)
        answer = self._answer(asked)
        if len(answer.rows) > bounds.rows:
            raise StepFailed(f"the result has more than {bounds.rows} rows", "too-many-rows")
        return answer

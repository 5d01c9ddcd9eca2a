"""What is wrong with a document, and where: JSON pointers (RFC 6901) and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

SHOWN = 5
"""Problems named in one sentence; ``ContentRefused.problems`` has all of them."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong. ``pointer`` is "" for the whole document."""

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or 'the document'}: {self.message}"

    def below(self, pointer: str) -> Problem:
        """The same problem, of a document that stands at ``pointer`` within another."""
        return Problem(pointer + self.pointer, self.message)


class ContentRefused(Exception):
    """A document or a request that cannot be used; the text names the places and reasons."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        named = "; ".join(map(str, problems[:SHOWN]))
        more = len(problems) - SHOWN
        super().__init__(named + (f"; and {more} more" if more > 0 else ""))
        self.problems = tuple(problems)

    @classmethod
    def of(cls, message: str, pointer: str = "") -> ContentRefused:
        """A refusal for one reason."""
        return cls([Problem(pointer, message)])


@contextmanager
def placed(prefix: str) -> Iterator[None]:
    """Problems from within are of a document that stands at ``prefix`` in a larger one."""
    try:
        yield
    except ContentRefused as refused:
        raise ContentRefused([problem.below(prefix) for problem in refused.problems]) from None


def pointer(parts: Iterable[object]) -> str:
    """A JSON pointer: ``/`` before each part, with ``~`` and ``/`` in it escaped."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)

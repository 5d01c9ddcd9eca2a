"""What verification says of a log: the first fault, and what has no record. Values alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from proxy.audit.chain import GENESIS


class Damage(StrEnum):
    """What is wrong with a log."""

    CHANGED = "changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    DUPLICATED = "duplicated"
    TRUNCATED = "truncated"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first bad record: its sequence number, file and line (from 1), and a sentence."""

    damage: Damage
    sequence: int
    file: str
    line: int
    detail: str

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.file else "no file"
        return f"record {self.sequence} ({place}) {self.damage}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A record that is known from elsewhere: by another chain's word, or (``by`` "") a person's."""

    sequence: int
    hash: str
    by: str = ""

    def why(self, sequence: int) -> str:
        """Who knows of it, as a part of a sentence."""
        return (
            f"chain {self.by} saw its record {sequence}"
            if self.by
            else (f"its record {sequence} was expected")
        )


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A statement that a dead proxy let through and that has no record."""

    session: str
    number: int
    time: float
    text: str
    text_length: int
    workspace: str


@dataclass(slots=True)
class Report:
    """What ``verify`` found. ``notes`` are facts that are no faults."""

    fault: Fault | None = None
    records: int = 0
    first_sequence: int = 0
    last_sequence: int = 0
    last_hash: str = GENESIS
    signed: int = 0
    unsigned_tail: int = 0
    files: int = 0
    unrecorded: list[Unrecorded] = field(default_factory=list)
    open_sessions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        """Whether every record stands and every statement let through has one."""
        return self.fault is None and not self.unrecorded

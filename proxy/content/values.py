"""Values in documents: JSON scalars, and references to what is known when a run gets there.

Conditions are data over such values; nothing is evaluated but what ``_OPERATORS`` names.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    Tag,
    model_validator,
)

Name = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""Of a step or a parameter: what ``:name`` may say in SQL."""
Column = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128)]
Text = Annotated[str, StringConstraints(strict=True, max_length=64 * 1024)]

MAX_ITEMS: Final = 10_000
"""Rows that a step may keep for later steps, and that a for-each may go over."""


class Part(BaseModel):
    """A part of a document: immutable, and no field but those that are written here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reference(Part):
    """A value that is known when the run gets there; exactly one of these.

    ``parameter``: one of the document's. ``item``: a column of the row that the innermost
    for-each is at. ``step`` with ``column``: of a step's ``row`` (0 the first; null where
    there are fewer rows); ``step`` with ``count``: how many rows it gave or changed;
    ``step`` with ``rows``: all of them, for the body of an HTTP call alone. ``run``: what
    this run is called, when it began, and when it was due.
    """

    parameter: Name | None = None
    item: Column | None = None
    step: Name | None = None
    column: Column | None = None
    row: Annotated[int, Field(strict=True, ge=0, lt=MAX_ITEMS)] = 0
    count: Literal[True] | None = None
    rows: Literal[True] | None = None
    run: Literal["id", "workflow", "started_at", "due_at"] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Reference:
        kinds = [name for name in ("parameter", "item", "step", "run") if getattr(self, name)]
        if len(kinds) != 1:
            raise ValueError("name exactly one of parameter, item, step, run")
        picks = [name for name in ("column", "count", "rows") if getattr(self, name) is not None]
        if self.step is not None and len(picks) != 1:
            raise ValueError("a step needs exactly one of column, count, rows")
        if self.step is None and picks:
            raise ValueError(f"{picks[0]} goes with step")
        if self.row and self.column is None:
            raise ValueError("row goes with step and column")
        return self


Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | None


def _kind(value: Any) -> str:
    return "\0reference" if isinstance(value, (dict, Reference)) else "\0scalar"


Value = Annotated[
    Annotated[Reference, Tag("\0reference")] | Annotated[Scalar, Tag("\0scalar")],
    Discriminator(_kind),
]
"""The tags begin with NUL, by which ``document`` knows that they are no part of a pointer."""

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in", "is null", "is not null"]


class Condition(Part):
    """``left op right``, or ``all``, ``any``, ``not`` of conditions; exactly one of these."""

    left: Value = None
    op: Operator | None = None
    right: Value | Annotated[tuple[Scalar, ...], Field(max_length=1_000)] = None
    all_: Annotated[tuple[Condition, ...] | None, Field(alias="all", max_length=100)] = None
    any_: Annotated[tuple[Condition, ...] | None, Field(alias="any", max_length=100)] = None
    not_: Annotated[Condition | None, Field(alias="not")] = None

    @model_validator(mode="after")
    def _is_one(self) -> Condition:
        kinds = [part for part in (self.op, self.all_, self.any_, self.not_) if part is not None]
        if len(kinds) != 1:
            raise ValueError("say exactly one of op, all, any, not")
        given = self.model_fields_set
        if self.op is None and given & {"left", "right"}:
            raise ValueError("left and right go with op")
        if self.op is not None:
            needs_right = not self.op.startswith("is ")
            if "left" not in given or needs_right != ("right" in given):
                raise ValueError(f"{self.op!r} needs left" + (" and right" * needs_right))
            if (self.op in ("in", "not in")) != isinstance(self.right, tuple):
                raise ValueError("the right side of in and not in is a list, of others a value")
        return self

    def references(self) -> Iterator[tuple[tuple[object, ...], Reference]]:
        """Every reference in it, with the path to it."""
        for name, side in (("left", self.left), ("right", self.right)):
            if isinstance(side, Reference):
                yield (name,), side
        for key, parts in (("all", self.all_), ("any", self.any_)):
            for number, part in enumerate(parts or ()):
                for path, reference in part.references():
                    yield (key, number, *path), reference
        if self.not_ is not None:
            for path, reference in self.not_.references():
                yield ("not", *path), reference


Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at one place of a run. ``steps``: rows and count, by a step's name."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, tuple[Sequence[Row], int]] = field(default_factory=dict)
    item: Row | None = None
    run: Mapping[str, Any] = field(default_factory=dict)

    def value(self, value: Any) -> Any:
        """A scalar as it is, a reference followed. Raises Unknown."""
        if not isinstance(value, Reference):
            return value
        if value.parameter is not None:
            return self.parameters[value.parameter]
        if value.run is not None:
            return self.run[value.run]
        if value.item is not None:
            if self.item is None:
                raise Unknown("there is no row here: item belongs into a for-each")
            return _column(self.item, value.item)
        # A step that was left out by its condition has given no rows.
        rows, count = self.steps.get(value.step or "", ((), 0))
        if value.count:
            return count
        if value.rows:
            return [dict(row) for row in rows]
        assert value.column is not None
        return _column(rows[value.row], value.column) if value.row < len(rows) else None

    def holds(self, condition: Condition) -> bool:
        """Whether a condition is true. Raises Unknown where its sides cannot be compared."""
        if condition.all_ is not None:
            return all(self.holds(part) for part in condition.all_)
        if condition.any_ is not None:
            return any(self.holds(part) for part in condition.any_)
        if condition.not_ is not None:
            return not self.holds(condition.not_)
        assert condition.op is not None
        left, right = self.value(condition.left), self.value(condition.right)
        return _OPERATORS[condition.op](left, right)


class Unknown(Exception):
    """A value that is not there, or sides that cannot be compared; one sentence."""


def _column(row: Row, name: str) -> Any:
    try:
        return row[name]
    except KeyError:
        raise Unknown(f"the result has no column named {name[:64]!r}") from None


def _equal(left: Any, right: Any) -> bool:
    left, right = _alike(left, right)
    return bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(left: Any, right: Any) -> bool:
        # As in SQL: nothing is known of NULL, so nothing is true of it.
        if left is None or right is None:
            return False
        left, right = _alike(left, right)
        try:
            return bool(compare(left, right))
        except TypeError:
            kinds = f"{type(left).__name__} and {type(right).__name__}"
            raise Unknown(f"{kinds} have no order") from None

    return holds


def _within(left: Any, right: Any) -> bool:
    if not isinstance(right, (tuple, list)):
        raise Unknown("the right side of 'in' is a list")
    return any(_equal(left, entry) for entry in right)


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Both sides as one kind: JSON writes a moment as a text, and 0.1 as what is not 0.1."""
    return _as(left, right), _as(right, left)


def _as(value: Any, other: Any) -> Any:
    if isinstance(value, float) and isinstance(other, Decimal):
        return Decimal(str(value))
    if isinstance(value, str) and isinstance(other, (date, time)):
        with suppress(ValueError):
            return type(other).fromisoformat(value)
    return value


_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "in": _within,
    "not in": lambda left, right: not _within(left, right),
    "is null": lambda left, _: left is None,
    "is not null": lambda left, _: left is not None,
}


def plain(value: Any) -> Any:
    """A database's value as JSON has it. Exact numbers become JSON's, bytes hexadecimal.

    A number that is no JSON number (NaN, infinity) becomes a text, as does all else that
    JSON does not know.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        # Beyond 2**53 readers in JavaScript would round it.
        return value if abs(value) <= 2**53 else str(value)
    if isinstance(value, (float, Decimal)):
        number = float(value)
        return number if number - number == 0 else str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(name): plain(entry) for name, entry in value.items()}
    return str(value)

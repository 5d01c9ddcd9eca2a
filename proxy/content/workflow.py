"""A workflow: named steps, when they run, and how failures are tried again.

docs/workflows.md has worked examples; ``schemas/workflow.schema.json`` is generated from
these classes, and a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StrictBool, StringConstraints, model_validator

from proxy.content.document import (
    Document,
    Line,
    Parameters,
    SourceName,
    default_problems,
)
from proxy.content.problems import Problem, pointer
from proxy.content.schedules import check_cron, check_zone
from proxy.content.sqltext import unmatched
from proxy.content.values import MAX_ITEMS, Condition, Name, Part, Reference, Text, Value
from proxy.content.webaddress import WebAddressError, read_address

MAX_STEPS: Final = 100
"""Of a workflow, with those inside for-eaches: what one screen of history can show."""
MAX_NESTING: Final = 3

Path = tuple[object, ...]


class Retry(Part):
    """How often a step is tried, and how long the pauses are: doubled each time, with jitter.

    Only what cannot have had an effect is tried again, unless the step is ``idempotent``.
    """

    attempts: Annotated[int, Field(strict=True, ge=1, le=10)] = 3
    first_pause_seconds: Annotated[float, Field(ge=0.1, le=300)] = 1.0
    longest_pause_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 60.0


class SqlStep(Part):
    """A statement at a source. ``parameters`` says what each ``:name`` in it is.

    ``keep_rows``: the most rows that later steps may use; a result with more fails.
    """

    source: SourceName
    statement: Annotated[Text, Field(min_length=1)]
    parameters: Annotated[dict[Name, Value], Field(default_factory=dict, max_length=1_000)]
    keep_rows: Annotated[int, Field(strict=True, ge=0, le=MAX_ITEMS)] = 1_000
    idempotent: StrictBool = False


_FRAMING: Final = frozenset(
    "host content-length transfer-encoding connection upgrade te trailer expect keep-alive"
    " proxy-connection proxy-authorization".split()
)


# A document is shown, versioned and exported; it has no place for a secret.
_SECRET: Final = re.compile(r"authorization|cookie|token|secret|password|credential|api-?key", re.I)


def _header_name(name: str) -> str:
    if name.lower() in _FRAMING:
        raise ValueError(f"{name} is the proxy's own to say")
    if _SECRET.search(name):
        raise ValueError(f"{name} carries a secret, and a document has no place for one")
    return name


def _header_value(value: Any) -> Any:
    if isinstance(value, str) and re.search(r"[^\x20-\x7e]", value):
        raise ValueError("a header holds printable ASCII characters")
    return value


HeaderName = Annotated[
    str,
    StringConstraints(strict=True, pattern=r"^[A-Za-z0-9-]{1,64}$"),
    AfterValidator(_header_name),
]


HeaderValue = Annotated[Value, AfterValidator(_header_value)]
BodyName = Annotated[str, StringConstraints(max_length=128)]


class HttpStep(Part):
    """One HTTP call. The address is written out, so that no data decides where it goes.

    ``body`` is sent as a JSON object. An answer of another status than ``expect`` fails.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2_000)]
    headers: Annotated[dict[HeaderName, HeaderValue], Field(default_factory=dict, max_length=30)]
    body: Annotated[dict[BodyName, Value] | None, Field(max_length=200)] = None
    expect: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=200, le=599)], ...],
        Field(min_length=1, max_length=20),
    ] = (200, 201, 202, 204)
    timeout_seconds: Annotated[float, Field(ge=0.1, le=300)] = 10.0
    idempotent: StrictBool = False


class ForEach(Part):
    """Steps for each row that an earlier step kept, in their order, one row after the other.

    A result with more than ``limit`` rows fails before the first of them.
    """

    rows_of: Name
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_ITEMS)] = 1_000
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]


class Step(Part):
    """One step; exactly one of ``sql``, ``http``, ``for_each``. ``when``: else it is left out."""

    name: Name
    when: Condition | None = None
    retry: Retry | None = None
    sql: SqlStep | None = None
    http: HttpStep | None = None
    for_each: ForEach | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Step:
        kinds = [part for part in (self.sql, self.http, self.for_each) if part is not None]
        if len(kinds) != 1:
            raise ValueError("a step has exactly one of sql, http, for_each")
        if self.for_each is not None and self.retry is not None:
            raise ValueError("the steps of a for_each have retries, not itself")
        return self


class Schedule(Part):
    """When a workflow runs by itself: five fields of cron(5), in a time zone.

    ``missed``: what to do about times at which no runner was up: ``skip`` them, or
    ``run_once`` for all of them together.
    """

    cron: Annotated[Line, AfterValidator(check_cron)]
    zone: Annotated[Line, AfterValidator(check_zone)] = "UTC"
    missed: Literal["skip", "run_once"] = "skip"


class Workflow(Document):
    """The whole document. ``retry`` is for steps without their own.

    ``endpoint``: whether a call to its endpoint may start it. A run that takes longer than
    ``time_limit_seconds`` is stopped.
    """

    parameters: Parameters = Field(default_factory=dict)
    schedule: Schedule | None = None
    endpoint: StrictBool = False
    retry: Retry = Retry(attempts=1)
    time_limit_seconds: Annotated[int, Field(strict=True, ge=1, le=86_400)] = 3_600
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]

    def problems(self) -> Iterator[Problem]:
        """See ``Document``."""
        yield from default_problems(self.parameters)
        if self.schedule is not None:
            for name, parameter in self.parameters.items():
                if not parameter.is_optional:
                    yield Problem(
                        pointer(("parameters", name)),
                        "a workflow with a schedule needs a default for each parameter",
                    )
        yield from _Checker(self).problems()

    def sources(self) -> Iterator[tuple[str, str]]:
        """See ``Document``."""
        for path, step in self.every_step():
            if step.sql is not None:
                yield pointer((*path, "sql", "source")), step.sql.source

    def statements(self) -> Iterator[tuple[Path, str, str, set[str]]]:
        """See ``Document``."""
        for path, step in self.every_step():
            if step.sql is not None:
                part = step.sql
                yield (*path, "sql"), part.statement, part.source, set(part.parameters)

    def every_step(self) -> Iterator[tuple[Path, Step]]:
        """All steps with their paths, those inside for-eaches after it."""
        yield from _walk(("steps",), self.steps)

    def retry_of(self, step: Step) -> Retry:
        """How a step is tried again."""
        return step.retry or self.retry


def _walk(path: Path, steps: tuple[Step, ...]) -> Iterator[tuple[Path, Step]]:
    for number, step in enumerate(steps):
        here = (*path, number)
        yield here, step
        if step.for_each is not None:
            yield from _walk((*here, "for_each", "steps"), step.for_each.steps)


class _Checker:
    """Whether the names in a workflow meet: what a step refers to has run before it."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._seen: set[str] = set()

    def problems(self) -> Iterator[Problem]:
        count = sum(1 for _ in self._workflow.every_step())
        if count > MAX_STEPS:
            yield Problem("/steps", f"there are more than {MAX_STEPS} steps")
        yield from self._steps(("steps",), self._workflow.steps, {}, 0)

    def _steps(
        self, path: Path, steps: tuple[Step, ...], outer: dict[str, Step], depth: int
    ) -> Iterator[Problem]:
        known = dict(outer)
        for number, step in enumerate(steps):
            here = (*path, number)
            if step.name in self._seen:
                yield Problem(pointer((*here, "name")), "another step has this name")
            self._seen.add(step.name)
            for place, reference in _references(step):
                yield from self._reference((*here, *place), reference, known, depth)
            if step.sql is not None:
                place = (*here, "sql", "parameters")
                yield from unmatched(place, step.sql.statement, set(step.sql.parameters))
            if step.http is not None:
                yield from _http_problems((*here, "http"), step.http)
            if step.for_each is not None:
                yield from self._for_each((*here, "for_each"), step.for_each, known, depth)
            known[step.name] = step

    def _for_each(
        self, here: Path, loop: ForEach, known: dict[str, Step], depth: int
    ) -> Iterator[Problem]:
        read = known.get(loop.rows_of)
        if read is None or read.sql is None:
            yield Problem(pointer((*here, "rows_of")), "no earlier step of SQL has this name")
        if depth + 1 > MAX_NESTING:
            yield Problem(pointer(here), f"for_each is nested more than {MAX_NESTING} levels deep")
            return
        yield from self._steps((*here, "steps"), loop.steps, known, depth + 1)

    def _reference(
        self, place: Path, reference: Reference, known: dict[str, Step], depth: int
    ) -> Iterator[Problem]:
        if reference.parameter is not None and reference.parameter not in self._workflow.parameters:
            yield Problem(pointer(place), "the workflow has no parameter of that name")
        if reference.item is not None and depth == 0:
            yield Problem(pointer(place), "item belongs into a for_each")
        if reference.step is not None:
            if reference.step not in known:
                yield Problem(pointer(place), "no earlier step has this name")
            elif reference.count is None and known[reference.step].sql is None:
                yield Problem(pointer(place), "only a step of SQL gives rows")
        if reference.rows and "body" not in place:
            yield Problem(pointer(place), "rows belong into the body of an HTTP call")


def _references(step: Step) -> Iterator[tuple[Path, Reference]]:
    if step.when is not None:
        for path, reference in step.when.references():
            yield ("when", *path), reference
    fields: list[tuple[Path, dict[str, Any]]] = []
    if step.sql is not None:
        fields.append((("sql", "parameters"), step.sql.parameters))
    if step.http is not None:
        fields.append((("http", "headers"), step.http.headers))
        fields.append((("http", "body"), step.http.body or {}))
    for path, values in fields:
        for name, value in values.items():
            if isinstance(value, Reference):
                yield (*path, name), value


def _http_problems(here: Path, step: HttpStep) -> Iterator[Problem]:
    try:
        read_address(step.url)
    except WebAddressError as error:
        yield Problem(pointer((*here, "url")), str(error))
    if step.method in ("GET", "DELETE") and step.body is not None:
        yield Problem(pointer((*here, "body")), f"{step.method} sends no body")

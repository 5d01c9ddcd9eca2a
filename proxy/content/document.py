"""From bytes to a document: bounds first, then fields; every problem with its place.

A document is a frozen value with one canonical text: equal documents are equal texts, and
``digest`` names it. Knows what all kinds of documents have in common.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, StringConstraints, ValidationError

from proxy.content.problems import ContentRefused, Problem, pointer
from proxy.content.reading import read_json
from proxy.content.values import Part, Scalar

SourceName = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Line = Annotated[str, StringConstraints(strict=True, max_length=1_000)]

Kind = Literal["workflow", "dashboard"]

# The shape of proxy/store/tokens.py: a token pasted into a DSN or a header.
_TOKEN = re.compile(r"acp_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}")

TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class Parameter(Part):
    """What a document is run with. Without a ``default`` it must be given; null: SQL's NULL."""

    type: Literal["text", "integer", "number", "boolean"]
    default: Scalar = None
    nullable: StrictBool = False
    description: Line = ""

    def problem(self, value: Any) -> str | None:
        """Why a value cannot be this parameter, or None."""
        if value is None:
            return None if self.nullable else "null is not allowed (nullable)"
        if not isinstance(value, TYPES[self.type]) or (
            isinstance(value, bool) and self.type != "boolean"
        ):
            return f"this is not of type {self.type}"
        if isinstance(value, str) and ("\0" in value or len(value) > 64 * 1024):
            return "a text has at most 65536 characters and no NUL"
        return None

    @property
    def is_optional(self) -> bool:
        """Whether it need not be given."""
        return "default" in self.model_fields_set


class Document(Part):
    """What workflows and dashboards have in common."""

    version: Literal[1]
    description: Annotated[str, StringConstraints(strict=True, max_length=4_000)] = ""

    @classmethod
    def read(cls, data: bytes | str) -> Self:
        """A document from JSON. Raises ContentRefused, with the place of each problem."""
        return cls.of(read_json(data))

    @classmethod
    def of(cls, value: Any) -> Self:
        """A document from plain values. Raises ContentRefused."""
        if not isinstance(value, dict):
            raise ContentRefused.of("it is not a JSON object")
        if _TOKEN.search(json.dumps(value)):
            raise ContentRefused.of("it holds an access token; revoke it, it has been shown")
        try:
            document = cls.model_validate(value, strict=False)
        except ValidationError as error:
            raise ContentRefused(sorted(set(field_problems(error)))) from None
        problems = sorted(set(document.problems()))
        if problems:
            raise ContentRefused(problems)
        return document

    @abstractmethod
    def problems(self) -> Iterator[Problem]:
        """What fields alone do not show: names that do not meet."""

    @abstractmethod
    def sources(self) -> Iterator[tuple[str, str]]:
        """The places (JSON pointers) that name a data source, and its name."""

    @abstractmethod
    def statements(self) -> Iterator[tuple[tuple[object, ...], str, str, set[str]]]:
        """The place of each query, its text, its source, and the parameters given to it."""

    def to_value(self) -> dict[str, Any]:
        """The document as plain values, with what was written and no more."""
        value: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return value

    def to_json(self) -> str:
        """Its one canonical text."""
        return json.dumps(
            self.to_value(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that stand for exactly this document."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


Parameters = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")], Parameter],
    Field(max_length=100),
]


def default_problems(parameters: dict[str, Parameter]) -> Iterator[Problem]:
    """Defaults that their own parameters would not take."""
    for name, parameter in parameters.items():
        if parameter.is_optional:
            problem = parameter.problem(parameter.default)
            if problem is not None:
                yield Problem(pointer(("parameters", name, "default")), problem)


def filled(parameters: dict[str, Parameter], given: dict[str, Any]) -> dict[str, Any]:
    """The values to run with: those given, and defaults. Raises ContentRefused."""
    problems = [
        Problem(pointer(("parameters", name)), "there is no parameter of that name")
        for name in given
        if name not in parameters
    ]
    values = {}
    for name, parameter in parameters.items():
        if name not in given and not parameter.is_optional:
            problems.append(Problem(pointer(("parameters", name)), "this parameter must be given"))
            continue
        values[name] = given.get(name, parameter.default)
        problem = parameter.problem(values[name])
        if problem is not None:
            problems.append(Problem(pointer(("parameters", name)), problem))
    if problems:
        raise ContentRefused(sorted(problems))
    return values


def field_problems(error: ValidationError) -> Iterator[Problem]:
    """What fields say of what stands in them, without repeating it."""
    entries = error.errors(include_url=False, include_context=False, include_input=False)
    for entry in entries:
        where = entry["loc"]
        # A list whose entries are wrong is said to be too short besides.
        if entry["type"] == "too_short" and any(
            other["loc"][: len(where)] == where and other is not entry for other in entries
        ):
            continue
        place = [part for part in entry["loc"] if not str(part).startswith("\0")]
        # A key that has no grammar of its own is named, not repeated at length.
        place = [str(part)[:128] for part in place if part != "[key]"]
        yield Problem(pointer(place), _sentence(entry["type"], entry["msg"]))


def _sentence(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "this field is not known"
    if kind == "missing":
        return "this field is required"
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]

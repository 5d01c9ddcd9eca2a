"""The policy document: what a workspace or a source allows, as written and as read.

TOML or JSON, of version 1. Every key has a safe default; an unknown one is an error that
names its place. A policy is a value: equal policies have equal verdicts, and ``digest`` is
its name in caches and in the log. docs/policies.md has worked examples.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from datetime import date, time
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    ValidationError,
    model_validator,
)

from policies.facts import Feature
from policies.patterns import Pattern, PatternError
from protocols.statements import Kind

MAX_DOCUMENT: Final = 64 * 1024
"""Bytes of a document: some thousand table names."""
_MANY: Final = 1_000
"""Entries of any one list."""
_PORTS: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_HOST: Final = re.compile(r"[A-Za-z0-9_.:*-]{1,253}")


class PolicyError(ValueError):
    """A document that cannot be used; its text names the place and the reason.

    ``problems``: the same one by one, each the path to its place and what is wrong there.
    """

    def __init__(self, message: str, problems: Sequence[tuple[tuple[str, ...], str]] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class Access(StrEnum):
    """How far a policy goes at most. FULL with nothing else said judges no statement."""

    READ_ONLY = "read-only"
    READ_WRITE = "read-write"
    FULL = "full"


def _pattern_of(*parts: int) -> Any:
    def read(value: Any) -> Pattern:
        if isinstance(value, Pattern):
            return value
        if not isinstance(value, str):
            raise ValueError("a pattern is a text")
        error: PatternError | None = None
        for count in parts:
            try:
                return Pattern.parse(value, count)
            except PatternError as problem:
                error = error or problem
        raise ValueError(str(error))

    return BeforeValidator(read)


_WRITTEN = PlainSerializer(lambda pattern: pattern.written, return_type=str)
TablePattern = Annotated[Pattern, _pattern_of(2), _WRITTEN]
ColumnPattern = Annotated[Pattern, _pattern_of(3), _WRITTEN]
FunctionPattern = Annotated[Pattern, _pattern_of(2, 1), _WRITTEN]
Positive = Annotated[int, Field(strict=True, ge=1, le=2**53)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Statements(_Part):
    """Kinds of statements. ``allow``: none but these. ``deny`` goes before ``allow``."""

    allow: frozenset[Kind] | None = None
    deny: frozenset[Kind] = frozenset()


class Tables(_Part):
    """Patterns ``schema.table``; None: every table that the access level lets be used.

    ``schema`` is where names without one are looked up, where tables or columns are named:
    PostgreSQL's ``public``, or MySQL's database of the source, unless it says another.
    """

    read: Annotated[tuple[TablePattern, ...] | None, Field(max_length=_MANY)] = None
    write: Annotated[tuple[TablePattern, ...] | None, Field(max_length=_MANY)] = None
    schema_: Annotated[str | None, Field(alias="schema", min_length=1, max_length=63)] = None


class Columns(_Part):
    """Patterns ``schema.table.column`` of what may not be read."""

    deny: Annotated[tuple[ColumnPattern, ...], Field(max_length=_MANY)] = ()


class Functions(_Part):
    """Functions and procedures besides the harmless ones of each engine; below ``full``
    nothing else is called.
    """

    allow: Annotated[tuple[FunctionPattern, ...] | None, Field(max_length=_MANY)] = None


class Settings(_Part):
    """Settings of the session that may be set besides the harmless ones, in lower case."""

    allow: Annotated[frozenset[str], Field(max_length=_MANY)] = frozenset()


class Limits(_Part):
    """Bounds of use; None: the proxy's own. Times are in seconds, sizes in bytes.

    ``sessions`` at once, ``sessions_per_minute``, ``statements_per_minute``, and what a day
    (UTC) may carry: of the workspace, or of the source, at one proxy, in any sixty seconds.
    A statement that runs longer than ``statement_seconds`` is cancelled within a second
    after it. ``result_rows`` and ``result_bytes``: how much of one statement's answer may
    pass before it is cut; ``statement_bytes`` is the statement's own length.
    """

    sessions: Positive | None = None
    sessions_per_minute: Positive | None = None
    statements_per_minute: Positive | None = None
    statement_seconds: Positive | None = None
    session_seconds: Positive | None = None
    idle_seconds: Positive | None = None
    statement_bytes: Positive | None = None
    result_rows: Positive | None = None
    result_bytes: Positive | None = None
    rows_per_day: Positive | None = None
    bytes_per_day: Positive | None = None

    @property
    def bound_use(self) -> bool:
        """Whether statements or their answers are counted at all."""
        return any(
            limit is not None
            for limit in (
                self.statements_per_minute,
                self.result_rows,
                self.result_bytes,
                self.rows_per_day,
                self.bytes_per_day,
            )
        )


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone") from None
    return name


def _network(value: Any) -> IPv4Network | IPv6Network:
    if isinstance(value, (IPv4Network, IPv6Network)):
        return value
    try:
        return ip_network(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{value!r} is no network, such as 10.0.0.0/8") from None


Network = Annotated[
    IPv4Network | IPv6Network, PlainValidator(_network), PlainSerializer(str, return_type=str)
]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Hours(_Part):
    """A time of the week. ``until`` not after ``start``: it ends on the day after."""

    days: Annotated[frozenset[Day], Field(min_length=1)] = frozenset(DAYS)
    start: time = time(0, 0)
    until: time = time(0, 0)
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"


class Client(_Part):
    """From where, when and how clients may come."""

    networks: Annotated[tuple[Network, ...] | None, Field(max_length=_MANY)] = None
    hours: Annotated[tuple[Hours, ...] | None, Field(max_length=100)] = None
    require_tls: StrictBool = False


def _port_range(value: Any) -> tuple[int, int]:
    if isinstance(value, tuple):
        value = "-".join(map(str, value))
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    match = _PORTS.fullmatch(text)
    if match is None:
        raise ValueError(f"{value!r} is no port, such as 5432, and no range, such as '5432-5440'")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= 65_535:
        raise ValueError(f"{value!r} is no range of ports from 1 to 65535")
    return first, last


def _written_range(ports: tuple[int, int]) -> str:
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"


def _host_pattern(value: Any) -> str:
    if not isinstance(value, str) or not _HOST.fullmatch(value) or value.count("*") > 2:
        raise ValueError(f"{value!r} is no host name, with at most two *")
    return value.lower()


PortRange = Annotated[
    tuple[int, int],
    PlainValidator(_port_range),
    PlainSerializer(_written_range, return_type=str),
]
HostPattern = Annotated[str, PlainValidator(_host_pattern)]
Profile = Literal["modern", "intermediate", "compat", "legacy", "none"]
_WEAK: Final = ("compat", "legacy", "none")


class TlsAllowance(_Part):
    """A TLS profile that sources may have; ``none`` is a source without TLS.

    A weak one is an exception that somebody answers for, until its day (UTC) is over.
    """

    profile: Profile
    owner: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    reason: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    expires: date | None = None

    @model_validator(mode="after")
    def _is_answered_for(self) -> TlsAllowance:
        if self.profile in _WEAK and None in (self.owner, self.reason, self.expires):
            raise ValueError(f"{self.profile} needs an owner, a reason and the day it expires")
        return self


class Upstream(_Part):
    """Where data sources may be, and by which TLS they are reached. None: as the proxy says.

    ``private``: the only private and loopback networks. A workspace's opens them where the
    proxy's configuration does not; a source's narrows.
    """

    hosts: Annotated[tuple[HostPattern, ...] | None, Field(max_length=_MANY)] = None
    ports: Annotated[tuple[PortRange, ...] | None, Field(max_length=100)] = None
    private: Annotated[tuple[Network, ...] | None, Field(max_length=_MANY)] = None
    tls: Annotated[tuple[TlsAllowance, ...] | None, Field(max_length=100)] = None


class Policy(_Part):
    """One whole policy. Immutable; make others with ``narrowed_by``."""

    version: Literal[1]
    access: Access = Access.READ_ONLY
    statements: Statements = Statements()
    features: frozenset[Feature] = frozenset()
    tables: Tables = Tables()
    columns: Columns = Columns()
    functions: Functions = Functions()
    settings: Settings = Settings()
    limits: Limits = Limits()
    client: Client = Client()
    upstream: Upstream = Upstream()

    @cached_property
    def is_restricted(self) -> bool:
        """Whether statements are judged at all: no text passes that is not understood."""
        return (
            self.access is not Access.FULL
            or self.statements != Statements()
            or self.tables != Tables()
            or self.columns != Columns()
            or self.functions != Functions()
        )

    @cached_property
    def names_tables(self) -> bool:
        """Whether it must be known which table a name without a schema means."""
        return (
            self.tables.read is not None or self.tables.write is not None or bool(self.columns.deny)
        )

    @cached_property
    def is_read_only(self) -> bool:
        """Whether the database session too must be one that only reads."""
        return self.access is Access.READ_ONLY

    @cached_property
    def allowed_features(self) -> frozenset[Feature]:
        """The features by name; ``full`` has all of them."""
        return frozenset(Feature) if self.access is Access.FULL else self.features

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits that stand for exactly this policy."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:32]

    def to_value(self) -> dict[str, Any]:
        """The document as plain values, defaults left out."""
        dumped = self.model_dump(exclude_defaults=True, by_alias=True)
        value: dict[str, Any] = _canonical(dumped | {"version": 1, "access": self.access.value})
        return value

    def to_json(self) -> str:
        """The document in its one canonical form: sorted keys, defaults left out."""
        return json.dumps(
            self.to_value(),
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )


def _canonical(value: Any) -> Any:
    """As JSON has it; a set in one order, whichever way it came."""
    if isinstance(value, dict):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(str(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    return value.isoformat() if isinstance(value, (date, time)) else value


UNRESTRICTED: Final = Policy(version=1, access=Access.FULL)
"""What holds where no policy was ever set: the database's own privileges decide."""


def read_policy(text: str, form: Literal["toml", "json"]) -> Policy:
    """Read a document. Raises PolicyError with a sentence for each thing that is wrong."""
    if len(text.encode("utf-8", "replace")) > MAX_DOCUMENT:
        raise PolicyError(f"a policy may have at most {MAX_DOCUMENT} bytes")
    try:
        data = tomllib.loads(text) if form == "toml" else _loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"the policy is not {form.upper()}: {error}") from None
    return policy_from(data)


def policy_from(data: Any) -> Policy:
    """Validate what was read from a document. Raises PolicyError."""
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors()]
        sentences = (f"{'.'.join(place) or 'the policy'}: {said}" for place, said in problems)
        raise PolicyError("; ".join(sentences), problems) from None


def _loads(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key is there twice")
        return found

    return json.loads(text, object_pairs_hook=unique)


def _problem(error: Any) -> tuple[tuple[str, ...], str]:
    place = tuple(str(part) for part in error["loc"])
    said = {"extra_forbidden": "unknown key", "missing": "missing"}
    return place, said.get(error["type"]) or error["msg"].removeprefix("Value error, ")

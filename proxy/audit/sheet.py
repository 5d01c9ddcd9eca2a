"""Records as lines of CSV (RFC 4180), for people with a spreadsheet. docs/admin.md has the columns.

Such a file is opened where a text may be taken for a formula, and shown where it may steer a
terminal, and clients choose much of what stands in a record. So a field that could begin a
formula gets an apostrophe before it, and one record is one line: what is not printable is
written as an escape of JSON. What must be exact is in the records themselves.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Final

from proxy.audit.expand import Record
from proxy.audit.ocsf import EventClass

Value = str | int | None

_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the beginning of a formula (OWASP, "CSV Injection"); the tab and the
line's end besides, which stand here as escapes. The last four are the same in full width."""


def header() -> bytes:
    """The first line: the names of the columns."""
    return _line(COLUMNS)


def lines(records: Iterable[Record]) -> bytes:
    """A line for each record."""
    return b"".join(
        _line([safe(column(record)) for column in COLUMNS.values()]) for record in records
    )


def safe(value: Value) -> str:
    """A field that nothing takes for more than its text."""
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    text = value if value.isprintable() else "".join(map(_shown, value))
    return "'" + text if text.lstrip(" ").startswith(_FORMULA) else text


def _shown(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _line(fields: Iterable[str]) -> bytes:
    written = StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerow(fields)
    # A surrogate, which JSON may hold alone, is not printable, and an escape by now.
    return written.getvalue().encode()


def _at(*path: str) -> Callable[[Record], Value]:
    """The member there; None where it is missing, or where a changed line has something else."""

    def value(record: Record) -> Value:
        found: Any = record
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, bool):
            return "true" if found else "false"
        return found if isinstance(found, str | int) else None

    return value


def _first(*columns: Callable[[Record], Value]) -> Callable[[Record], Value]:
    return lambda record: next((said for c in columns if (said := c(record)) is not None), None)


def _time(record: Record) -> Value:
    milliseconds = record.get("time")
    if not isinstance(milliseconds, int):
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _chain(record: Record) -> Value:
    name = _at("metadata", "log_name")(record)
    return str(name).partition("/")[2] or "main"


def _class(record: Record) -> Value:
    number = record.get("class_uid")
    names = {int(one): one.name.lower() for one in EventClass}
    return names.get(number, str(number)) if isinstance(number, int) else None


_user = _at("actor", "user", "name"), _at("actor", "user", "uid"), _at("user", "name")

COLUMNS: Final[dict[str, Callable[[Record], Value]]] = {
    "time": _time,
    "chain": _chain,
    "sequence": _at("metadata", "sequence"),
    "class": _class,
    "message": _at("message"),
    "workspace_id": _at("metadata", "tenant_uid"),
    "workspace": _at("unmapped", "workspace"),
    "source": _first(_at("dst_endpoint", "name"), _at("service", "name"), _at("database", "name")),
    "database": _at("database", "name"),
    "actor": _first(*_user),
    "actor_id": _first(_at("actor", "user", "uid"), _at("user", "uid")),
    "application": _at("actor", "app_name"),
    "address": _at("src_endpoint", "ip"),
    "session": _at("metadata", "correlation_uid"),
    "operation": _at("api", "operation"),
    "entity": _first(_at("entity", "name"), _at("entity", "uid")),
    "kind": _at("unmapped", "kind"),
    "outcome": _first(_at("unmapped", "outcome"), _at("status")),
    "code": _at("status_code"),
    "rule": _at("unmapped", "rule"),
    "rows": _at("unmapped", "rows"),
    "bytes_out": _at("query_info", "bytes"),
    "bytes_in": _at("unmapped", "bytes_in"),
    "duration_us": _at("unmapped", "duration_us"),
    "text": _at("query_info", "query_string"),
}
"""The columns, in their order. New ones are put at the end."""

"""Lines as records of OCSF: what a statement's line leaves out is put back.

Knows the three forms of a line (``encode``) and the members of a record. Must never know
files being open, or verify anything.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

from protocols.statements import Kind, Outcome
from proxy.audit.chain import Link, parse_link
from proxy.audit.ocsf import (
    STATUS_NAMES,
    Action,
    Datastore,
    EventClass,
    Severity,
    Status,
    activity_of,
    status_of,
)

Record = dict[str, Any]

_CLASS = int(EventClass.DATASTORE_ACTIVITY)
_COMPACT = b'{"sequence":'
_LOGOFF = b'"type_uid":300202,'
"""In the event that ends a session. In a text a client sent the quotes are escaped."""

_PARSED = 1024
"""Sessions whose constants are kept parsed, about 5 KB each."""


class Line(NamedTuple):
    """A line that is a record; a statement's with its link and its session's line."""

    data: bytes
    link: Link | None = None
    session: bytes = b""


class FileLines:
    """The lines of one file, in order: which are records, and what they need to be read.

    Remembers the lines of the sessions that have not ended, about 1 KB each, so memory is
    bounded by the sessions that were open at once while the file was written.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, bytes] = {}

    def take(self, data: bytes) -> Line | None:
        """The next line; None where it is not shown by itself: a session's line."""
        if not data.startswith(_COMPACT):
            if _LOGOFF in data:
                self._forget(data)
            return Line(data)
        link = parse_link(data.rstrip(b"\n"))
        if link is None:
            return Line(data)
        if not link.statement:
            self._sessions[link.session] = data
            return None
        return Line(data, link, self._sessions.get(link.session, b""))

    def _forget(self, data: bytes) -> None:
        record = _object(data)
        metadata = record.get("metadata") if record else None
        if isinstance(metadata, dict):
            self._sessions.pop(str(metadata.get("correlation_uid")), b"")


def record_of(line: Line) -> Record | None:
    """The record of OCSF that a line is or stands for; None where it is neither."""
    value = _object(line.data)
    if value is None or not line.data.startswith(_COMPACT):
        return value
    if line.link is None:
        return None
    try:
        return _expanded(value, _constants(line.session), line.link)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _object(data: bytes) -> Record | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@lru_cache(_PARSED)
def _constants(data: bytes) -> Record:
    """A session's constants; none where its line is missing or was changed."""
    value = (_object(data) or {}).get("constants")
    return value if isinstance(value, dict) else {}


def _expanded(line: Record, constants: Record, link: Link) -> Record:
    kind, text = line["kind"], line["text"]
    outcome = line.get("outcome", Outcome.SUCCEEDED.value)
    bytes_in, microseconds = line.get("in", 0), line["us"]
    status = status_of(outcome)
    activity = activity_of(kind)
    if kind == Kind.COPY and outcome == Outcome.SUCCEEDED and bytes_in:
        activity = Datastore.WRITE
    refused = outcome == Outcome.REFUSED
    record: Record = {
        **constants,
        "metadata": {
            "sequence": link.sequence,
            **constants.get("metadata", {"correlation_uid": link.session}),
        },
        "category_uid": _CLASS // 1000,
        "class_uid": _CLASS,
        "activity_id": int(activity),
        "type_uid": _CLASS * 100 + activity,
        "action_id": int(Action.DENIED if refused else Action.ALLOWED),
        "severity_id": int(Severity.MEDIUM if refused else Severity.INFORMATIONAL),
        "status_id": int(status),
        "status": outcome if status is Status.OTHER else STATUS_NAMES[status],
    }
    if "code" in line:
        record["status_code"] = line["code"]
    record["time"] = line["time"]
    record["duration"] = microseconds // 1000
    record["query_info"] = {"query_string": text, "uid": link.statement, "bytes": line["out"]}
    extra: Record = {
        **constants.get("unmapped", {}),
        "kind": kind,
        "via": line["via"],
        "outcome": outcome,
        "rows": line["rows"],
        "bytes_in": bytes_in,
        "duration_us": microseconds,
        "text_length": line["length"] if "length" in line else len(text.encode()),
        "tag": line.get("tag", ""),
    }
    if line.get("lossy"):
        extra["is_text_lossy"] = True
    for name in ("rule", "name", "parameters", "parameters_count"):
        if name in line:
            extra[name] = line[name]
    extra["statement"], extra["prev"] = link.statement, link.prev
    record.pop("unmapped", None)
    record["unmapped"] = extra  # the last member, as in an event's line
    return record

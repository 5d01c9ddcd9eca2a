r"""Events and statements as lines of OCSF JSON.

Knows JSON and nothing of files or hashes: a line's ``prev`` is given to it. A line is
ASCII, without a line break inside, whatever a client sent: quotes, control characters,
terminal escapes and bidirectional marks are JSON escapes, and bytes that are not UTF-8
are shown as ``\xNN`` with ``"is_text_lossy": true`` beside them.

Every line has one form, so that a reader finds the chain without parsing JSON::

    {"metadata":{"sequence":7, ... },...,"unmapped":{...,"prev":"<64 hex digits>"}}

with ``"statement":"<session>/<number>",`` or ``"signature":"<base64>",`` before ``prev``
where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quote

from protocols.statements import Kind, Outcome, Statement, Via
from proxy.audit.context import SessionContext
from proxy.audit.ocsf import (
    PRODUCT,
    PROFILES,
    VERSION,
    Action,
    Datastore,
    Event,
    EventClass,
    Severity,
    Status,
    activity_of,
    status_of,
)

MAXIMUM_STRING = 8192
"""Characters of one string of an event; longer ones are cut. Statement text is not."""

MAXIMUM_PARAMETERS = 16 * 1024
"""Bytes of bind parameters shown, where the operator has switched them on."""

RESERVED = frozenset({"chain", "prev", "signature", "statement"})
"""Members of ``unmapped`` that no event may bring."""

_STATUS_NAMES = {
    Status.UNKNOWN: "Unknown",
    Status.SUCCESS: "Success",
    Status.FAILURE: "Failure",
    Status.OTHER: "Other",
}
_DEPTH = 8


def text_of(data: bytes) -> tuple[str, bool]:
    """Bytes as text, and whether something in them was not UTF-8."""
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace"), True


def _plain(value: object, depth: int = _DEPTH) -> object:
    """A JSON value without lone surrogates, over-long strings or deep nesting."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return value[:MAXIMUM_STRING].encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value
    if depth and isinstance(value, Mapping):
        return {str(_plain(str(k))): _plain(v, depth - 1) for k, v in value.items()}
    if depth and isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_plain(item, depth - 1) for item in value]
    raise TypeError(f"an audit event cannot hold a {type(value).__name__}")


def dump(value: object) -> str:
    """A value as compact ASCII JSON. Raises TypeError or ValueError for what is not JSON."""
    return json.dumps(_plain(value), separators=(",", ":"), allow_nan=False)


def _inner(value: Mapping[str, object]) -> str:
    """An object's members without its braces."""
    return dump(value)[1:-1]


def _metadata(workspace: str, correlation: str) -> dict[str, object]:
    metadata: dict[str, object] = {
        "version": VERSION,
        "product": PRODUCT,
        "profiles": PROFILES,
        "log_name": "audit",
    }
    if workspace:
        metadata["tenant_uid"] = workspace
    if correlation:
        metadata["correlation_uid"] = correlation
    return metadata


def check_event(event: Event) -> None:
    """Raise TypeError or ValueError for an event that cannot be encoded.

    Done when an event is handed over, so that the fault shows where it was made and
    never stops the queue. ``unmapped`` has members that only the chain itself writes: an
    event that brings its own could pass for a signed line or for a statement's record.
    """
    if not RESERVED.isdisjoint(event.extra):
        raise ValueError("an audit event uses a name that belongs to the chain")
    encode_event(event, 1, "", 0.0)


def encode_event(
    event: Event, sequence: int, prev: str, time: float, signature: str | None = None
) -> str:
    """One event as a line. ``time`` is used where the event has none (seconds)."""
    class_uid = int(event.event_class)
    status = event.status
    body: dict[str, object] = {
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "activity_id": int(event.activity),
        "type_uid": class_uid * 100 + int(event.activity),
        "time": int((event.time or time) * 1000),
        "severity_id": event.severity,
        "status_id": status,
        # A finding's status is where its review stands, not whether something worked.
        "status": "New" if class_uid == EventClass.DETECTION_FINDING else _STATUS_NAMES[status],
        "action_id": event.action,
    }
    for name, value in (
        ("activity_name", event.activity_name),
        ("status_code", event.status_code),
        ("status_detail", event.status_detail),
        ("message", event.message),
    ):
        if value:
            body[name] = value
    body.update(event.attributes)
    metadata = _inner(_metadata(event.workspace, event.correlation))
    extra = _inner(event.extra) + "," if event.extra else ""
    if signature is not None:
        extra += f'"signature":"{signature}",'
    return (
        f'{{"metadata":{{"sequence":{sequence},{metadata}}},{_inner(body)},'
        f'"unmapped":{{{extra}"prev":"{prev}"}}}}'
    )


class SessionFragments:
    """What is constant in a session's statement records, encoded once.

    ``head`` follows the sequence number, ``tail`` opens ``unmapped``.
    """

    def __init__(self, session_id: str, head: str, tail: str) -> None:
        self.session_id = session_id
        self.head = head
        self.tail = tail
        # The newest statement's variant: a session mostly repeats itself, and comparing
        # three identities is a tenth of what joining and hashing three names costs.
        self.kind: Kind | None = None
        self.via: Via | None = None
        self.outcome: Outcome | None = None
        self.front = self.back = ""
        self.tag = b""
        self.shown_tag = EMPTY

    @classmethod
    def of(cls, context: SessionContext) -> SessionFragments:
        """Encode a session's constant parts."""
        class_uid = int(EventClass.DATASTORE_ACTIVITY)
        metadata = _inner(_metadata(context.workspace_id, context.session_id))
        body = _inner(
            {
                "category_uid": class_uid // 1000,
                "class_uid": class_uid,
                **context.attributes(),
            }
        )
        return cls(context.session_id, f"{metadata}}},{body},", _inner(context.extra()) + ",")


# By kind, via and outcome (concatenated: three enum hashes in a tuple cost 0.3 us more).
# Bounded by the product of three enums, 22 x 4 x 8.
_variants: dict[str, tuple[str, str]] = {}


def _take_variant(fragments: SessionFragments, statement: Statement) -> None:
    key = statement.kind + statement.via + statement.outcome
    if statement.kind == "copy" and statement.bytes_in:
        key += "+in"
    variant = _variants.get(key)
    if variant is None:
        variant = _variants[key] = _variant(statement)
    fragments.front, fragments.back = variant
    fragments.kind = statement.kind
    fragments.via = statement.via
    fragments.outcome = statement.outcome


def _take_tag(fragments: SessionFragments, tag: bytes) -> None:
    fragments.tag = tag
    if len(tag) > _TAG_LIMIT or tag.translate(None, _TAG_BYTES):
        # Not a command tag of any server's: its bytes are the data source's to choose.
        tag = b"?"
    fragments.shown_tag = quote(tag.decode())


def _variant(statement: Statement) -> tuple[str, str]:
    outcome = statement.outcome
    status = status_of(outcome)
    activity = activity_of(statement.kind)
    if statement.kind == "copy" and outcome == Outcome.SUCCEEDED and statement.bytes_in:
        activity = Datastore.WRITE
    class_uid = int(EventClass.DATASTORE_ACTIVITY)
    refused = outcome == Outcome.REFUSED
    name = outcome.value if status is Status.OTHER else _STATUS_NAMES[status]
    front = _inner(
        {
            "activity_id": activity,
            "type_uid": class_uid * 100 + activity,
            "action_id": Action.DENIED if refused else Action.ALLOWED,
            "severity_id": Severity.MEDIUM if refused else Severity.INFORMATIONAL,
            "status_id": status,
            "status": name,
        }
    )
    back = _inner(
        {"kind": statement.kind.value, "via": statement.via.value, "outcome": outcome.value}
    )
    return front, back


def encode_statement(
    fragments: SessionFragments,
    statement: Statement,
    sequence: int,
    prev: str,
    wall_base: float,
    with_parameters: bool = False,
) -> str:
    """One ended statement as a line. ``wall_base`` as SessionContext's."""
    if (
        statement.outcome is not fragments.outcome
        or statement.kind is not fragments.kind
        or statement.via is not fragments.via
        or statement.kind is _COPY
    ):
        _take_variant(fragments, statement)
    front = fragments.front
    back = fragments.back
    more = ""
    text = statement.text
    try:
        shown = text.decode()
    except UnicodeDecodeError:
        shown = text.decode("utf-8", "backslashreplace")
        more = '"is_text_lossy":true,'
    code = statement.code
    if code:
        front += f',"status_code":{quote(text_of(code.encode())[0])}'
        if statement.rule:
            more += f'"rule":{quote(statement.rule)},'
    if statement.name:
        more += f'"name":{quote(text_of(statement.name)[0])},'
    if with_parameters and statement.parameters is not None:
        shown_parameters = text_of(statement.parameters[:MAXIMUM_PARAMETERS])[0]
        more += f'"parameters":{quote(shown_parameters)},'
    started = statement.started
    duration = statement.ended - started
    if duration < 0.0:
        duration = 0.0
    time = int((wall_base + started) * 1000.0)
    milliseconds = int(duration * 1000.0)
    microseconds = int(duration * 1e6)
    uid = f"{fragments.session_id}/{statement.number}"
    if statement.tag != fragments.tag:
        _take_tag(fragments, statement.tag)
    return (
        f'{{"metadata":{{"sequence":{sequence},{fragments.head}{front},'
        f'"time":{time},"duration":{milliseconds},'
        f'"query_info":{{"query_string":{quote(shown)},"uid":"{uid}",'
        f'"bytes":{statement.bytes_out}}},"unmapped":{{{fragments.tail}{back},'
        f'"rows":{statement.rows},"bytes_in":{statement.bytes_in},'
        f'"duration_us":{microseconds},"text_length":{statement.text_length},'
        f'"tag":{fragments.shown_tag},{more}'
        f'"statement":"{uid}","prev":"{prev}"}}}}'
    )


EMPTY = '""'
_COPY = Kind.COPY
# COMPLETION_TAG_BUFSIZE; tags are upper-case words and counts ("INSERT 0 5").
_TAG_LIMIT = 64
_TAG_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 "


def encode_recovered(
    fragments: SessionFragments,
    number: int,
    time: float,
    text: bytes,
    text_length: int,
    sequence: int,
    prev: str,
) -> str:
    """A statement that was allowed before a crash and whose end nobody knows."""
    class_uid = int(EventClass.DATASTORE_ACTIVITY)
    front = _inner(
        {
            "activity_id": Datastore.QUERY,
            "type_uid": class_uid * 100 + Datastore.QUERY,
            "action_id": Action.ALLOWED,
            "severity_id": Severity.MEDIUM,
            "status_id": Status.UNKNOWN,
            "status": _STATUS_NAMES[Status.UNKNOWN],
        }
    )
    shown, is_lossy = text_of(text)
    uid = f"{fragments.session_id}/{number}"
    back = _inner(
        {
            "outcome": Outcome.INTERRUPTED.value,
            "is_recovered": True,
            "is_text_lossy": is_lossy,
            "text_length": text_length,
        }
    )
    return (
        f'{{"metadata":{{"sequence":{sequence},{fragments.head}{front},"time":{int(time * 1000)},'
        f'"query_info":{{"query_string":{quote(shown)},"uid":"{uid}"}},'
        f'"unmapped":{{{fragments.tail}{back},"statement":"{uid}","prev":"{prev}"}}}}'
    )

r"""Events, sessions and statements as lines of JSON.

Knows JSON and nothing of files or hashes: a line's ``prev`` is given to it. A line is
ASCII, without a line break inside, whatever a client sent: quotes, control characters,
terminal escapes and bidirectional marks are JSON escapes, and bytes that are not UTF-8
are shown as ``\xNN`` with ``"lossy":true`` beside them.

A line has one of three forms, so that a reader finds the chain without parsing JSON. An
event is a whole record of OCSF; ``"statement":"<session>/<number>",`` (of a recovered
statement) or ``"signature":"<base64>",`` stands before ``prev`` where there is one::

    {"metadata":{"sequence":7, ... },...,"unmapped":{...,"prev":"<64 hex digits>"}}

A statement has what differs from statement to statement; ``expand`` makes the record of
OCSF from it and from its session's line, which stands before it in the same file::

    {"sequence":8,"session":"<session>","constants":{ ... },"prev":"<64 hex digits>"}
    {"sequence":9,"statement":"<session>/<number>", ... ,"text":"...","prev":"<64 hex digits>"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import cython

from protocols.statements import Outcome, Statement
from protocols.values import BoundValues
from proxy.audit.context import SessionContext
from proxy.audit.json_text import dump, quote
from proxy.audit.ocsf import (
    PRODUCT,
    PROFILES,
    STATUS_NAMES,
    VERSION,
    Action,
    Datastore,
    Event,
    EventClass,
    Severity,
    Status,
)

if cython.compiled:
    from cython.cimports.proxy.audit.line import join_statement
else:
    from proxy.audit.line import join_statement

RESERVED = frozenset({"chain", "prev", "signature", "statement"})
"""Members of ``unmapped`` that no event may bring."""


def text_of(data: bytes) -> tuple[str, bool]:
    """Bytes as text, and whether something in them was not UTF-8."""
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace"), True


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


def checked_text(event: Event, time: float) -> str:
    """``event_text`` of an event from elsewhere. Raises TypeError or ValueError.

    Made when an event is handed over, so that the fault shows where it was made and
    never stops the queue. ``unmapped`` has members that only the chain itself writes: an
    event that brings its own could pass for a signed line or for a statement's record.
    """
    if not RESERVED.isdisjoint(event.extra):
        raise ValueError("an audit event uses a name that belongs to the chain")
    return event_text(event, time)


def event_text(event: Event, time: float) -> str:
    """An event's line but for its place in the chain, which ``join_event`` adds.

    ``time`` is used where the event has none (seconds).
    """
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
        "status": "New" if class_uid == EventClass.DETECTION_FINDING else STATUS_NAMES[status],
        "action_id": event.action,
    }
    if event.activity_name:
        body["activity_name"] = event.activity_name
    if event.status_code:
        body["status_code"] = event.status_code
    if event.status_detail:
        body["status_detail"] = event.status_detail
    if event.message:
        body["message"] = event.message
    body.update(event.attributes)
    metadata = _inner(_metadata(event.workspace, event.correlation))
    extra = _inner(event.extra) + "," if event.extra else ""
    return f',{metadata}}},{_inner(body)},"unmapped":{{{extra}'


def join_event(text: str, sequence: int, prev: str, signature: str | None = None) -> bytes:
    """The line of an ``event_text`` at this place of the chain."""
    signed = "" if signature is None else f'"signature":"{signature}",'
    return f'{{"metadata":{{"sequence":{sequence}{text}{signed}"prev":"{prev}"}}}}'.encode("ascii")


def encode_event(event: Event, sequence: int, prev: str, time: float) -> bytes:
    """One event as a line. ``time`` as ``event_text``'s."""
    return join_event(event_text(event, time), sequence, prev)


def _constants(context: SessionContext) -> dict[str, object]:
    """What is the same in all records of a session's statements."""
    class_uid = int(EventClass.DATASTORE_ACTIVITY)
    return {
        "metadata": _metadata(context.workspace_id, context.session_id),
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        **context.attributes(),
        "unmapped": context.extra(),
    }


class SessionFragments:
    """What a session's statement lines have in common.

    ``file`` is the number of the file (``Assembly`` counts them) that holds the session's
    line; 0 where none does.
    """

    def __init__(self, context: SessionContext) -> None:
        self.context = context
        self.file = 0
        self.front = f',"statement":"{context.session_id}/'
        # The newest statement's sort: a session mostly repeats itself, and comparing
        # three identities is a tenth of what joining and hashing three names costs.
        self.kind: object = None
        self.via: object = None
        self.outcome: object = None
        self.sort = ""
        self.tag = b""
        self.shown_tag = ""

    @classmethod
    def of(cls, context: SessionContext) -> SessionFragments:
        """The fragments of a session none of whose statements is written yet."""
        return cls(context)


def encode_session(context: SessionContext, sequence: int, prev: str) -> bytes:
    """The line that comes before a session's first statement in a file."""
    return (
        f'{{"sequence":{sequence},"session":"{context.session_id}",'
        f'"constants":{dump(_constants(context))},"prev":"{prev}"}}'
    ).encode("ascii")


# By kind, via and outcome (concatenated: three enum hashes in a tuple cost 0.3 us more).
# Bounded by the product of three enums, 22 x 4 x 8.
_sorts: dict[str, str] = {}


def _take_sort(fragments: SessionFragments, statement: Statement) -> None:
    key = statement.kind + statement.via + statement.outcome
    sort = _sorts.get(key)
    if sort is None:
        sort = f',"kind":"{statement.kind.value}","via":"{statement.via.value}"'
        # Nearly all succeed: 22 bytes of 300.
        if statement.outcome != Outcome.SUCCEEDED:
            sort += f',"outcome":"{statement.outcome.value}"'
        sort = _sorts[key] = sort + ',"rows":'
    fragments.sort = sort
    fragments.kind = statement.kind
    fragments.via = statement.via
    fragments.outcome = statement.outcome


def _take_tag(fragments: SessionFragments, tag: bytes) -> None:
    fragments.tag = tag
    if len(tag) > _TAG_LIMIT or tag.translate(None, _TAG_BYTES):
        # Not a command tag of any server's: its bytes are the data source's to choose.
        tag = b"?"
    fragments.shown_tag = f',"tag":"{tag.decode()}"' if tag else ""


def is_plain(text: bytes) -> bool:
    """Whether a text is its own JSON escape: printable ASCII without quotes and backslashes."""
    # Without a way out in its middle, so that a C compiler takes 16 bytes in a step.
    odd = 0
    for byte in text:
        odd |= (byte < 0x20) | (byte > 0x7E) | (byte == 0x22) | (byte == 0x5C)
    return not odd


def encode_statement(
    fragments: SessionFragments,
    statement: Statement,
    sequence: int,
    prev: str,
    wall_base: float,
) -> bytes:
    """One ended statement as a line. ``wall_base`` as SessionContext's."""
    if (
        statement.outcome is not fragments.outcome
        or statement.kind is not fragments.kind
        or statement.via is not fragments.via
    ):
        _take_sort(fragments, statement)
    tag = statement.tag
    if tag != fragments.tag:
        _take_tag(fragments, tag)
    more = ""
    code = statement.code
    if code:
        more += f',"code":{quote(text_of(code.encode())[0])}'
        if statement.rule:
            more += f',"rule":{quote(statement.rule)}'
    if statement.name:
        more += f',"name":{quote(text_of(statement.name)[0])}'
    if statement.values is not None:
        more += _values(statement.values)
    text = statement.text
    if statement.text_length != len(text):
        more += f',"length":{statement.text_length}'
    if not is_plain(text):
        shown, is_lossy = text_of(text)
        if is_lossy:
            more += ',"lossy":true'
            if statement.text_length == len(text):
                # What is shown no longer tells how many bytes there were.
                more += f',"length":{statement.text_length}'
        text = quote(shown)[1:-1].encode("ascii")
    started = statement.started
    duration = statement.ended - started
    if duration < 0.0:
        duration = 0.0
    time = int((wall_base + started) * 1000.0)
    microseconds = int(duration * 1e6)
    line: bytes = join_statement(
        sequence,
        fragments.front,
        statement.number,
        time,
        microseconds,
        fragments.sort,
        statement.rows,
        statement.bytes_out,
        fragments.shown_tag,
        statement.bytes_in,
        more,
        text,
        prev,
    )
    return line


def _values(values: BoundValues) -> str:
    """Bound values: text as a string, NULL as null, what is binary in hex with its type.

    Of MySQL's long data, which came in messages of its own, only that it did.
    """
    shown: list[object] = []
    for value in values.shown:
        data = value.data
        if data is None:
            shown.append({"long_data": True} if value.is_separate else None)
            continue
        is_cut = len(data) < value.length
        if not value.is_binary and not is_cut:
            shown.append(text_of(data)[0])
            continue
        told: dict[str, object] = (
            {"hex": data.hex()} if value.is_binary else {"text": text_of(data)[0]}
        )
        if value.is_binary and value.type:
            told["type"] = value.type
        if is_cut:
            told["length"] = value.length
        shown.append(told)
    count = f',"parameters_count":{values.count}' if len(shown) < values.count else ""
    return f',"parameters":{json.dumps(shown, separators=(",", ":"))}{count}'


# COMPLETION_TAG_BUFSIZE; tags are upper-case words and counts ("INSERT 0 5").
_TAG_LIMIT = 64
_TAG_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 "


def encode_recovered(
    context: SessionContext,
    number: int,
    time: float,
    text: bytes,
    text_length: int,
    sequence: int,
    prev: str,
) -> bytes:
    """A statement that was allowed before a crash and whose end nobody knows.

    A whole record of OCSF: it needs no line of its session's.
    """
    class_uid = int(EventClass.DATASTORE_ACTIVITY)
    shown, is_lossy = text_of(text)
    uid = f"{context.session_id}/{number}"
    head = _inner(_metadata(context.workspace_id, context.session_id))
    body = _inner(
        {
            "category_uid": class_uid // 1000,
            "class_uid": class_uid,
            **context.attributes(),
            "activity_id": Datastore.QUERY,
            "type_uid": class_uid * 100 + Datastore.QUERY,
            "action_id": Action.ALLOWED,
            "severity_id": Severity.MEDIUM,
            "status_id": Status.UNKNOWN,
            "status": STATUS_NAMES[Status.UNKNOWN],
            "time": int(time * 1000),
        }
    )
    extra = _inner(
        {
            **context.extra(),
            "outcome": Outcome.INTERRUPTED.value,
            "is_recovered": True,
            "is_text_lossy": is_lossy,
            "text_length": text_length,
        }
    )
    return (
        f'{{"metadata":{{"sequence":{sequence},{head}}},{body},'
        f'"query_info":{{"query_string":{quote(shown)},"uid":"{uid}"}},'
        f'"unmapped":{{{extra},"statement":"{uid}","prev":"{prev}"}}}}'
    ).encode("ascii")

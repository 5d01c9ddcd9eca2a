"""The words of OCSF 1.8.0 that the audit log speaks: classes, activities, numbers.

Knows the schema (https://schema.ocsf.io/1.8.0). Must never know files, chains or
sessions. ``unmapped`` holds what the schema has no attribute for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from protocols.statements import Kind, Outcome

VERSION = "1.8.0"
PRODUCT: Mapping[str, str] = {"name": "Accode Proxy", "vendor_name": "Accode"}
PROFILES = ("security_control",)
"""``action_id`` comes into these classes with the Security Control profile."""

OTHER = 99


class EventClass(IntEnum):
    """``class_uid``; its category is its first digit."""

    DETECTION_FINDING = 2004
    ACCOUNT_CHANGE = 3001
    AUTHENTICATION = 3002
    ENTITY_MANAGEMENT = 3004
    USER_ACCESS = 3005
    APPLICATION_LIFECYCLE = 6002
    API_ACTIVITY = 6003
    DATASTORE_ACTIVITY = 6005


class Datastore(IntEnum):
    """``activity_id`` of Datastore Activity."""

    READ = 1
    UPDATE = 2
    CONNECT = 3
    QUERY = 4
    WRITE = 5
    CREATE = 6
    DELETE = 7
    ENCRYPT = 9
    DECRYPT = 10
    OTHER = OTHER


class Action(IntEnum):
    """``action_id``: what the proxy did about it."""

    UNKNOWN = 0
    ALLOWED = 1
    DENIED = 2


class Status(IntEnum):
    """``status_id``."""

    UNKNOWN = 0
    SUCCESS = 1
    FAILURE = 2
    OTHER = OTHER


STATUS_NAMES = {
    Status.UNKNOWN: "Unknown",
    Status.SUCCESS: "Success",
    Status.FAILURE: "Failure",
    Status.OTHER: "Other",
}


class Severity(IntEnum):
    """``severity_id``."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


@dataclass(frozen=True, slots=True)
class Event:
    """One event that is not a statement. Nothing in it is secret.

    ``time`` is wall-clock seconds; 0 means: when it is handed to the log. ``workspace``
    is the workspace id, or "" for what concerns the proxy as a whole. ``attributes``
    are the class's own, ``extra`` goes to ``unmapped``; both must be plain JSON values.
    """

    event_class: EventClass
    activity: int
    workspace: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)
    action: Action = Action.ALLOWED
    status: Status = Status.SUCCESS
    status_code: str = ""
    status_detail: str = ""
    severity: Severity = Severity.INFORMATIONAL
    message: str = ""
    activity_name: str = ""
    correlation: str = ""
    time: float = 0.0


_ACTIVITIES: dict[str, Datastore] = {
    Kind.SELECT: Datastore.QUERY,
    Kind.FETCH: Datastore.READ,
    Kind.SHOW: Datastore.READ,
    Kind.EXPLAIN: Datastore.READ,
    Kind.COPY: Datastore.QUERY,
    Kind.CALL: Datastore.QUERY,
    Kind.PREPARED: Datastore.QUERY,
    Kind.FUNCTION: Datastore.QUERY,
    Kind.INSERT: Datastore.WRITE,
    Kind.MERGE: Datastore.WRITE,
    Kind.UPDATE: Datastore.UPDATE,
    Kind.ALTER: Datastore.UPDATE,
    Kind.GRANT: Datastore.UPDATE,
    Kind.SET: Datastore.UPDATE,
    Kind.MAINTENANCE: Datastore.UPDATE,
    Kind.CREATE: Datastore.CREATE,
    Kind.DELETE: Datastore.DELETE,
    Kind.TRUNCATE: Datastore.DELETE,
    Kind.DROP: Datastore.DELETE,
}


def activity_of(kind: str) -> Datastore:
    """The Datastore Activity that a kind of statement is; QUERY where none fits better."""
    return _ACTIVITIES.get(kind, Datastore.QUERY)


_STATUSES: dict[str, Status] = {
    Outcome.SUCCEEDED: Status.SUCCESS,
    Outcome.SUSPENDED: Status.SUCCESS,
    Outcome.PREPARED: Status.SUCCESS,
    Outcome.FAILED: Status.FAILURE,
    Outcome.REFUSED: Status.FAILURE,
    Outcome.SKIPPED: Status.OTHER,
}


def status_of(outcome: str) -> Status:
    """The status of an outcome; UNKNOWN where nobody knows its effect."""
    return _STATUSES.get(outcome, Status.UNKNOWN)

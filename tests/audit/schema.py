"""The parts of OCSF 1.8.0 that the audit log must satisfy.

Taken from the ocsf-schema repository's class and object files (datastore_activity,
authentication, api_activity, entity_management, account_change, user_access,
detection_finding, finding, application_lifecycle, iam, base_event; query_info, metadata,
finding_info, api, managed_entity), as read in its stored history, whose newest versions
are of 1.9. Derived, not read from a 1.8.0 release file: that ``_entity`` objects need a
name or a uid, that an actor needs a user, process, session or application, that
``action_id`` comes with the Security Control profile and ``user`` needs one of its names.
"""

from __future__ import annotations

from typing import Any

BASE = (
    "activity_id",
    "category_uid",
    "class_uid",
    "metadata",
    "severity_id",
    "time",
    "type_uid",
)

REQUIRED: dict[int, tuple[str, ...]] = {
    2004: ("finding_info",),
    3001: ("user",),
    3002: ("user",),
    3004: ("entity",),
    3005: ("user", "privileges"),
    6002: ("app",),
    6003: ("actor", "api", "src_endpoint"),
    6005: ("actor", "src_endpoint"),
}

AT_LEAST_ONE: dict[int, tuple[str, ...]] = {
    3002: ("service", "dst_endpoint"),
    6005: ("database", "databucket", "table"),
}

ACTIVITIES: dict[int, set[int]] = {
    2004: {0, 1, 2, 3, 99},
    3001: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99},
    3002: {0, 1, 2, 3, 4, 5, 6, 7, 99},
    3004: {0, 1, 2, 3, 4, 99},
    3005: {0, 1, 2, 99},
    6002: {0, 1, 2, 3, 4, 99},
    6003: {0, 1, 2, 3, 4, 99},
    6005: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99},
}

ATTRIBUTES: set[str] = {
    *BASE,
    "action_id",
    "activity_name",
    "duration",
    "message",
    "status",
    "status_code",
    "status_detail",
    "status_id",
    "unmapped",
}

OF_CLASS: dict[int, set[str]] = {
    2004: {"finding_info"},
    3001: {"user", "actor"},
    3002: {
        "user",
        "service",
        "src_endpoint",
        "session",
        "is_remote",
        "is_cleartext",
        "auth_protocol",
        "auth_protocol_id",
    },
    3004: {"actor", "entity"},
    3005: {"actor", "user", "privileges"},
    6002: {"app"},
    6003: {"actor", "api", "src_endpoint"},
    6005: {"actor", "src_endpoint", "dst_endpoint", "database", "query_info"},
}


def problems(record: dict[str, Any]) -> list[str]:
    """Everything the schema forbids about a record; nothing is well."""
    found = [f"{name} is missing" for name in BASE if name not in record]
    if found:
        return found
    uid = record["class_uid"]
    activity = record["activity_id"]
    found += [f"{name} is missing" for name in REQUIRED[uid] if name not in record]
    if uid in AT_LEAST_ONE and not any(name in record for name in AT_LEAST_ONE[uid]):
        found.append(f"one of {AT_LEAST_ONE[uid]} is missing")
    if record["category_uid"] != uid // 1000:
        found.append("category_uid does not fit class_uid")
    if record["type_uid"] != uid * 100 + activity:
        found.append("type_uid is not class_uid * 100 + activity_id")
    if activity not in ACTIVITIES[uid]:
        found.append(f"activity {activity} is not one of class {uid}")
    if activity == 99 and not record.get("activity_name"):
        found.append("activity 99 has no name")
    metadata = record["metadata"]
    if metadata.get("version") != "1.8.0":
        found.append("metadata.version is not 1.8.0")
    if not metadata.get("product", {}).get("name"):
        found.append("metadata.product has no name")
    if "action_id" in record and "security_control" not in metadata.get("profiles", []):
        found.append("action_id without its profile")
    if record.get("action_id", 0) not in (0, 1, 2, 3, 4, 99):
        found.append("action_id is unknown")
    if record["severity_id"] not in (0, 1, 2, 3, 4, 5, 6, 99):
        found.append("severity_id is unknown")
    found += [
        f"{name} is no attribute of class {uid}"
        for name in record
        if name not in ATTRIBUTES | OF_CLASS[uid]
    ]
    return found + _object_problems(record)


def _object_problems(record: dict[str, Any]) -> list[str]:
    found = []
    if not isinstance(record["time"], int) or record["time"] < 10**12:
        found.append("time is not in milliseconds")
    query = record.get("query_info")
    if query is not None:
        if not isinstance(query.get("query_string"), str):
            found.append("query_info has no query_string")
        if "uid" not in query and "name" not in query:
            found.append("query_info has neither name nor uid")
    for name in ("user", "entity", "database", "service", "app", "dst_endpoint", "session"):
        thing = record.get(name)
        if thing is not None and not (thing.get("uid") or thing.get("name")):
            found.append(f"{name} has neither name nor uid")
    actor = record.get("actor")
    if actor is not None and not ({"user", "process", "session", "app_name"} & actor.keys()):
        found.append("actor names nobody")
    source = record.get("src_endpoint")
    if source is not None and not source.get("ip"):
        found.append("src_endpoint has no address")
    finding = record.get("finding_info")
    if finding is not None and not (finding.get("uid") and finding.get("title")):
        found.append("finding_info has no uid or title")
    api = record.get("api")
    if api is not None and not api.get("operation"):
        found.append("api has no operation")
    return found

"""An audit record as one line for a person. Knows the record's attributes, no file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from proxy.commands.display import printable

# A line should fit a wide terminal; --json shows everything.
_TEXT = 120


def describe_record(record: dict[str, Any]) -> str:
    """Time, who, where, what, how it ended."""
    extra = _object(record, "unmapped")
    user = _object(_object(record, "actor"), "user") or _object(record, "user")
    who = extra.get("workspace") or user.get("name") or user.get("uid") or "proxy"
    where = _object(record, "dst_endpoint").get("name") or _object(record, "entity").get("name")
    parts = [
        _moment(record),
        f"#{_object(record, 'metadata').get('sequence', '?')}",
        str(who) + (f"/{where}" if where else ""),
        str(record.get("message") or record.get("activity_name") or extra.get("kind") or "event"),
    ]
    text = _object(record, "query_info").get("query_string")
    if text:
        text = " ".join(str(text).split())
        parts.append(text if len(text) <= _TEXT else text[: _TEXT - 3] + "...")
    parts.append(_ending(record, extra))
    return "  ".join(printable(part).replace("\n", " ") for part in parts if part)


def _ending(record: dict[str, Any], extra: dict[str, Any]) -> str:
    words = [str(extra.get("outcome") or record.get("status") or "").lower()]
    if record.get("status_code"):
        words.append(str(record["status_code"]))
    if isinstance(rows := extra.get("rows"), int):
        words.append(f"{rows} rows")
    if isinstance(microseconds := extra.get("duration_us"), int | float):
        words.append(f"{microseconds / 1000:.3f} ms")
    return f"[{', '.join(words)}]"


def _moment(record: dict[str, Any]) -> str:
    milliseconds = record.get("time")
    if not isinstance(milliseconds, int | float):
        return "?"
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return "?"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _object(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}

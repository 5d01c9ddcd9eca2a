"""What an operator should look at: what the audit log has to record of itself."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from proxy.audit.events import CREATE
from proxy.audit.ocsf import Action, Event, EventClass, Severity


def finding(
    title: str,
    description: str,
    *,
    severity: Severity = Severity.HIGH,
    workspace_id: str = "",
    correlation: str = "",
    details: Mapping[str, object] | None = None,
) -> Event:
    """Something an operator should look at."""
    return Event(
        EventClass.DETECTION_FINDING,
        CREATE,
        workspace_id,
        {"finding_info": {"uid": uuid.uuid4().hex, "title": title, "desc": description}},
        dict(details or {}),
        action=Action.UNKNOWN,
        severity=severity,
        message=title,
        correlation=correlation,
    )


def torn_end(kept_as: str, size: int, sha256: str) -> Event:
    """The chain's last file did not end with a whole line."""
    return finding(
        "Torn end of the audit log",
        "The last process died while it wrote; the incomplete end was kept aside.",
        details={"kept_as": kept_as, "size": size, "sha256": sha256},
    )


def unknown_session(number: int, text_length: int) -> Event:
    """A statement was let through, and nobody can say whose it was."""
    return finding(
        "Journaled statement of an unknown session",
        "A statement in the journal names a session whose entry is not readable.",
        details={"number": number, "text_length": text_length},
    )


def outage(seconds: float, lost_records: int, failure: str) -> Event:
    """The disk is back: for how long it was not, and what that cost."""
    return finding(
        "Audit log outage",
        "The audit log could not be written for a time; no statement was let through then.",
        severity=Severity.CRITICAL if lost_records else Severity.HIGH,
        details={
            "outage_seconds": round(seconds, 3),
            "lost_records": lost_records,
            "failure": failure,
        },
    )

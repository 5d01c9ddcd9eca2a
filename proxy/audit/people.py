"""The events of the platform's people, each as one function.

Knows which OCSF class says what. Must never be given a password, a code or a token.
"""

from __future__ import annotations

from proxy.audit.ocsf import (
    OTHER,
    PRODUCT,
    Action,
    Event,
    EventClass,
    Severity,
    Status,
)

_LOGON, _LOGOFF = 1, 2
_STAFF_CHANGES = {
    "create": 1,
    "enable": 2,
    "password": 3,
    "reset": 4,
    "disable": 5,
    "enrol": 10,
    "recovery codes": 10,
    "role": OTHER,
}
STAFF = "staff account"
"""The type of a person of the platform, as records have it."""


def staff_changed(change: str, *, actor: str, staff_id: str, name: str, role: str) -> Event:
    """A person's account was made, enrolled, changed or ended. ``role``: from now on."""
    activity = _STAFF_CHANGES[change]
    return Event(
        EventClass.ACCOUNT_CHANGE,
        activity,
        attributes={
            "actor": {"user": {"name": actor, "type": "administrator"}},
            "user": {"uid": staff_id, "name": name, "type": STAFF},
        },
        extra={"role": role},
        activity_name="Role change" if activity == OTHER else "",
        message=f"Staff account: {change}",
    )


def staff_logged_in(
    *, staff_id: str, name: str, ip: str, port: int, session_id: str = "", reason: str = ""
) -> Event:
    """A person proved both factors, or (``reason`` given) somebody did not.

    ``name`` is that of an account that exists: what else was typed may be a password.
    """
    is_success = not reason
    user = {"name": name, "type": STAFF} | ({"uid": staff_id} if staff_id else {})
    return Event(
        EventClass.AUTHENTICATION,
        _LOGON,
        attributes={
            "user": user,
            "service": {"name": PRODUCT["name"]},
            "src_endpoint": {"ip": ip, "port": port},
            "is_remote": True,
            **({"session": {"uid": session_id}} if session_id else {}),
        },
        action=Action.ALLOWED if is_success else Action.DENIED,
        status=Status.SUCCESS if is_success else Status.FAILURE,
        status_detail=reason,
        severity=Severity.INFORMATIONAL if is_success else Severity.MEDIUM,
        message="Staff login" if is_success else "Staff login refused",
    )


def staff_logged_out(*, staff_id: str, name: str, session_id: str, reason: str) -> Event:
    """A person's session was ended by that person."""
    return Event(
        EventClass.AUTHENTICATION,
        _LOGOFF,
        attributes={
            "user": {"uid": staff_id, "name": name, "type": STAFF},
            "service": {"name": PRODUCT["name"]},
            "session": {"uid": session_id},
        },
        extra={"reason": reason},
        message="Staff logout",
    )

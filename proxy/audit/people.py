"""The events of people who log in to the admin endpoints, each as one function.

Knows which OCSF class says what. Must never be given a password, a code or a token.
"""

from __future__ import annotations

from typing import Any

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
ADMINISTRATOR = "workspace administrator"
"""The type of who has logged in for one workspace, with its identity provider."""


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


def administrator_returned(*, workspace_id: str, issuer: str, ip: str, port: int) -> Event:
    """Somebody came back from a workspace's identity provider; its client secret is used next."""
    return _of_administrator(
        _LOGON,
        workspace_id,
        {"name": "unknown"},
        extra={"issuer": issuer},
        source={"ip": ip, "port": port},
        status=Status.UNKNOWN,
        status_detail="came back with a code; the client's secret is used, the end recorded apart",
        message="Administrator login",
    )


def administrator_logged_in(
    *,
    workspace_id: str,
    issuer: str,
    ip: str,
    port: int,
    subject: str = "",
    name: str = "unknown",
    session_id: str = "",
    reason: str = "",
) -> Event:
    """A workspace's identity provider has vouched for an administrator; ``reason`` given: not.

    Of whom it has vouched for, and who is none, subject and name are told all the same.
    """
    is_success = not reason
    return _of_administrator(
        _LOGON,
        workspace_id,
        {"name": name} | ({"uid": subject} if subject else {}),
        extra={"issuer": issuer},
        source={"ip": ip, "port": port},
        session_id=session_id,
        action=Action.ALLOWED if is_success else Action.DENIED,
        status=Status.SUCCESS if is_success else Status.FAILURE,
        status_detail=reason,
        severity=Severity.INFORMATIONAL if is_success else Severity.MEDIUM,
        message="Administrator login" if is_success else "Administrator login refused",
    )


def administrator_logged_out(
    *, workspace_id: str, actor: str, subject: str, name: str, session_id: str
) -> Event:
    """An administrator's session was ended, by ``actor``."""
    return _of_administrator(
        _LOGOFF,
        workspace_id,
        {"uid": subject, "name": name},
        extra={"by": actor},
        session_id=session_id,
        message="Administrator logout",
    )


def _of_administrator(
    activity: int,
    workspace_id: str,
    user: dict[str, str],
    *,
    extra: dict[str, str],
    source: dict[str, str | int] | None = None,
    session_id: str = "",
    **more: Any,
) -> Event:
    return Event(
        EventClass.AUTHENTICATION,
        activity,
        workspace_id,
        {
            "user": user | {"type": ADMINISTRATOR},
            "service": {"name": PRODUCT["name"]},
            **({} if source is None else {"src_endpoint": source, "is_remote": True}),
            **({"session": {"uid": session_id}} if session_id else {}),
        },
        extra,
        **more,
    )

"""The events of the proxy that are not statements, each as one function.

Knows which OCSF class says what. Must never be given a secret: not a token, a password,
a DSN or an upstream's own error text. A caller that holds one gives its id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.audit.context import SessionContext
from proxy.audit.ocsf import (
    OTHER,
    PRODUCT,
    Action,
    Datastore,
    Event,
    EventClass,
    Severity,
    Status,
)

CREATE, READ, UPDATE, DELETE = 1, 2, 3, 4
"""``activity_id`` of API Activity and Entity Management."""

_LOGON, _LOGOFF = 1, 2
_START, _STOP = 3, 4
_ASSIGN_PRIVILEGES, _REVOKE_PRIVILEGES = 1, 2
_ACCOUNT = {"create": 1, "enable": 2, "disable": 5, "delete": 6}


# What an answer over HTTP says where nothing was looked at: no key, role, resource, method,
# host name of ours, or patience.
_DENIED = frozenset({401, 403, 404, 405, 421, 429})


def session_opened(
    context: SessionContext, *, auth_method: str = "", connection: str = "", is_reused: bool = False
) -> Event:
    """The data source said yes and the client is about to be welcomed.

    ``connection`` names the one to the data source; ``is_reused``: it is a pooled one, which
    an earlier session's credential has opened.
    """
    return Event(
        EventClass.DATASTORE_ACTIVITY,
        Datastore.CONNECT,
        context.workspace_id,
        context.attributes(),
        {
            **context.extra(),
            "upstream_auth_method": auth_method,
            "upstream_connection": connection,
            "is_connection_reused": is_reused,
        },
        message="Session opened",
        correlation=context.session_id,
    )


def session_failed(
    context: SessionContext, *, reason: str, detail: str, code: str = "", is_denied: bool = True
) -> Event:
    """A client that proved its token got no session. ``detail`` is a Refusal's ``private``."""
    return Event(
        EventClass.DATASTORE_ACTIVITY,
        Datastore.CONNECT,
        context.workspace_id,
        context.attributes(),
        {**context.extra(), "reason": reason},
        action=Action.DENIED if is_denied else Action.ALLOWED,
        status=Status.FAILURE,
        status_code=code,
        status_detail=detail,
        severity=Severity.LOW,
        message="Session not opened",
        correlation=context.session_id,
    )


def session_closed(
    context: SessionContext,
    *,
    reason: str,
    statements: int = 0,
    bytes_in: int = 0,
    bytes_out: int = 0,
    duration: float = 0.0,
    is_recovered: bool = False,
    detail: str = "",
) -> Event:
    """A session is over: Authentication, Logoff. ``duration`` is seconds.

    ``detail`` is the ``private`` of the Refusal that ended it.
    """
    user = {"uid": context.token_id, "name": context.workspace, "type": "workspace token"}
    return Event(
        EventClass.AUTHENTICATION,
        _LOGOFF,
        context.workspace_id,
        {
            "user": user,
            "service": {"name": context.source, "uid": context.source_id},
            "src_endpoint": {"ip": context.client_ip, "port": context.client_port},
            "session": {"uid": context.session_id},
            "duration": int(duration * 1000),
        },
        {
            "reason": reason,
            "statements": statements,
            "bytes_in": bytes_in,
            "bytes_out": bytes_out,
            "is_recovered": is_recovered,
        },
        status=Status.UNKNOWN if is_recovered else Status.SUCCESS,
        status_detail=detail,
        message="Session closed",
        correlation=context.session_id,
    )


def authenticated(
    *,
    workspace_id: str,
    workspace: str,
    token_id: str,
    client_ip: str,
    client_port: int,
    session_id: str = "",
    protocol: str = "",
    reason: str = "",
    is_encrypted: bool = True,
) -> Event:
    """A client proved a token (``token_id`` given), or did not (``reason`` given).

    ``workspace`` is what the client wrote. ``reason`` is for us: it may tell an unknown
    workspace from a wrong token, which no client is ever told.
    """
    is_success = bool(token_id) and not reason
    user: dict[str, object] = {"name": workspace, "type": "workspace token"}
    if token_id:
        user["uid"] = token_id
    attributes: dict[str, object] = {
        "user": user,
        "service": {"name": PRODUCT["name"]},
        "src_endpoint": {"ip": client_ip, "port": client_port},
        "is_remote": True,
        "is_cleartext": not is_encrypted,
    }
    if protocol:
        attributes.update({"auth_protocol": protocol, "auth_protocol_id": OTHER})
    return Event(
        EventClass.AUTHENTICATION,
        _LOGON,
        workspace_id,
        attributes,
        action=Action.ALLOWED if is_success else Action.DENIED,
        status=Status.SUCCESS if is_success else Status.FAILURE,
        status_detail=reason,
        severity=Severity.INFORMATIONAL if is_success else Severity.MEDIUM,
        message="Token accepted" if is_success else "Token refused",
        correlation=session_id,
    )


def credential_unsealed(
    context: SessionContext, *, credential_version: int, purpose: str = "login"
) -> Event:
    """A stored credential is about to be opened; recorded durably before it is."""
    return Event(
        EventClass.DATASTORE_ACTIVITY,
        Datastore.DECRYPT,
        context.workspace_id,
        context.attributes(),
        {**context.extra(), "credential_version": credential_version, "purpose": purpose},
        message="Credential use",
        correlation=context.session_id,
    )


def credential_stored(
    *,
    actor: str,
    workspace_id: str,
    source_id: str,
    source: str,
    engine: str,
    credential_version: int,
    ip: str = "127.0.0.1",
) -> Event:
    """A credential was sealed into the store. ``actor`` names the administrator."""
    return Event(
        EventClass.DATASTORE_ACTIVITY,
        Datastore.ENCRYPT,
        workspace_id,
        {
            "actor": {"user": {"name": actor, "type": "administrator"}},
            "src_endpoint": {"ip": ip},
            "database": {"name": source, "uid": source_id, "type": engine, "type_id": 1},
        },
        {"credential_version": credential_version},
        message="Credential stored",
    )


def entity_changed(
    activity: int,
    *,
    actor: str,
    workspace_id: str,
    entity_type: str,
    entity_id: str,
    name: str,
    changes: Mapping[str, object] | None = None,
) -> Event:
    """A workspace, source or policy was made, changed or removed. ``changes`` holds no secret."""
    return Event(
        EventClass.ENTITY_MANAGEMENT,
        activity,
        workspace_id,
        {
            "actor": {"user": {"name": actor, "type": "administrator"}},
            "entity": {"uid": entity_id, "name": name, "type": entity_type},
        },
        {"changes": dict(changes)} if changes else {},
        message=f"{entity_type} changed",
    )


def token_changed(
    change: str, *, actor: str, workspace_id: str, token_id: str, label: str
) -> Event:
    """A token was made or ended. ``change``: create, enable, disable or delete."""
    return Event(
        EventClass.ACCOUNT_CHANGE,
        _ACCOUNT[change],
        workspace_id,
        {
            "actor": {"user": {"name": actor, "type": "administrator"}},
            "user": {"uid": token_id, "name": label or token_id, "type": "workspace token"},
        },
        message=f"Token: {change}",
    )


def api_key_changed(
    change: str, *, actor: str, workspace_id: str, key_id: str, label: str, role: str
) -> Event:
    """A key to the admin endpoints was made or ended. ``change``: create or disable."""
    return Event(
        EventClass.ACCOUNT_CHANGE,
        _ACCOUNT[change],
        workspace_id,
        {
            "actor": {"user": {"name": actor, "type": "administrator"}},
            "user": {"uid": key_id, "name": label, "type": "API key"},
        },
        {"role": role},
        message=f"API key: {change}",
    )


def access_changed(
    *, actor: str, workspace_id: str, user_id: str, privileges: Sequence[str], is_granted: bool
) -> Event:
    """Somebody was given or lost privileges."""
    return Event(
        EventClass.USER_ACCESS,
        _ASSIGN_PRIVILEGES if is_granted else _REVOKE_PRIVILEGES,
        workspace_id,
        {
            "actor": {"user": {"name": actor, "type": "administrator"}},
            "user": {"uid": user_id},
            "privileges": list(privileges),
        },
        message="Privileges assigned" if is_granted else "Privileges revoked",
    )


def api_called(
    activity: int,
    *,
    actor: str,
    ip: str,
    port: int,
    operation: str,
    status_code: int,
    workspace_id: str = "",
    named: Mapping[str, str] | None = None,
    role: str = "",
    request_id: str = "",
) -> Event:
    """An administrator called the HTTP interface. ``named``: what the path names."""
    is_success = status_code < 400
    return Event(
        EventClass.API_ACTIVITY,
        activity,
        workspace_id,
        {
            "actor": {"user": {"name": actor, "type": "administrator"}},
            "src_endpoint": {"ip": ip, "port": port},
            "api": {
                "operation": operation,
                "request": {"uid": request_id},
                "response": {"code": status_code},
            },
        },
        {"named": dict(named or {}), "role": role},
        action=Action.DENIED if status_code in _DENIED else Action.ALLOWED,
        status=Status.SUCCESS if is_success else Status.FAILURE,
        status_code=str(status_code),
        message="Admin call",
        correlation=request_id,
    )


def proxy_started(version: str, instance: str) -> Event:
    """The proxy began to serve."""
    return _lifecycle(_START, version, instance, "Proxy started")


def proxy_stopped(version: str, instance: str, *, reason: str = "") -> Event:
    """The proxy ends in order."""
    return _lifecycle(_STOP, version, instance, "Proxy stopped", reason)


CHAINS_SEEN = "Audit chains seen"
"""The message of ``chains_seen``, by which such records are found."""


def chains_seen(points: Mapping[str, tuple[int, str]]) -> Event:
    """Where the proxy's other audit chains are now: by name, their (sequence, hash).

    So that none of them can be taken away, or put back, without another one's word.
    """
    return Event(
        EventClass.APPLICATION_LIFECYCLE,
        OTHER,
        attributes={"app": {"name": PRODUCT["name"]}},
        extra={
            "chains": {
                name: {"sequence": sequence, "hash": line_hash}
                for name, (sequence, line_hash) in points.items()
            }
        },
        message=CHAINS_SEEN,
        activity_name=CHAINS_SEEN,
    )


def _lifecycle(activity: int, version: str, instance: str, message: str, detail: str = "") -> Event:
    return Event(
        EventClass.APPLICATION_LIFECYCLE,
        activity,
        attributes={"app": {"name": PRODUCT["name"], "uid": instance, "version": version}},
        status_detail=detail,
        message=message,
    )

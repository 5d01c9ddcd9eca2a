"""What is constant for one session, as its audit records show it.

Knows names, ids and addresses. Must never hold a secret: no token, no password, no
cancel key. Everything is encoded once, when the session opens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from proxy.audit.json_text import dump


@dataclass(frozen=True, slots=True)
class Leg:
    """TLS of one leg: as ``ssl.SSLObject.version()`` and ``cipher()[0]``; "" is plaintext."""

    tls_version: str = ""
    cipher: str = ""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """One session, from the moment its client has proved a token.

    ``started`` is wall-clock seconds and ``started_monotonic`` the monotonic seconds of
    the same moment: a statement's wall time is the first plus its distance from the
    second, so it never runs backwards within a session. ``upstream_user`` is a name.
    ``upstream_host`` is the data source's host that the session is on, as it was named, and
    ``upstream_ip`` and ``upstream_port`` its address; "" and 0 before there is one.
    ``default_database`` is where names without one are looked up, of engines where a login
    says it (MySQL); "" of others.
    """

    session_id: str
    workspace_id: str
    workspace: str
    source_id: str
    source: str
    engine: str
    database: str
    token_id: str
    application_name: str
    client_ip: str
    client_port: int
    started: float
    started_monotonic: float
    client_leg: Leg = Leg()
    upstream_leg: Leg = Leg()
    upstream_user: str = ""
    server_version: str = ""
    upstream_host: str = ""
    upstream_ip: str = ""
    upstream_port: int = 0
    default_database: str = ""

    def to_bytes(self) -> bytes:
        """For the journal: enough to write this session's records after a crash."""
        values: list[object] = [getattr(self, name) for name in _NAMES]
        values[_CLIENT_LEG] = (self.client_leg.tls_version, self.client_leg.cipher)
        values[_UPSTREAM_LEG] = (self.upstream_leg.tls_version, self.upstream_leg.cipher)
        return dump(values).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> SessionContext:
        """From the journal. Raises ValueError."""
        values = json.loads(data)
        if not isinstance(values, list) or not _OLDEST <= len(values) <= len(_NAMES):
            raise ValueError("not a journaled session")
        context = cls(*values)
        return replace(
            context, client_leg=Leg(*values[_CLIENT_LEG]), upstream_leg=Leg(*values[_UPSTREAM_LEG])
        )

    @property
    def wall_base(self) -> float:
        """What to add to a monotonic time to get the wall-clock time."""
        return self.started - self.started_monotonic

    def attributes(self) -> dict[str, object]:
        """The OCSF attributes that every datastore event of this session carries."""
        return {
            "actor": {
                "user": {"uid": self.token_id, "name": self.workspace, "type": "workspace token"},
                "session": {"uid": self.session_id},
                "app_name": self.application_name,
            },
            "src_endpoint": {"ip": self.client_ip, "port": self.client_port},
            "dst_endpoint": self._destination(),
            "database": {
                "name": self.database,
                "uid": self.source_id,
                "type": self.engine,
                "type_id": 1,
            },
        }

    def _destination(self) -> dict[str, object]:
        found: dict[str, object] = {"name": self.source, "uid": self.source_id}
        if self.upstream_host:
            found["hostname"] = self.upstream_host
            found["ip"] = self.upstream_ip
            found["port"] = self.upstream_port
        return found

    def extra(self) -> dict[str, object]:
        """What the schema has no attribute for."""
        found: dict[str, object] = {
            "workspace": self.workspace,
            "upstream_user": self.upstream_user,
            "server_version": self.server_version,
            "client_tls": _leg(self.client_leg),
            "upstream_tls": _leg(self.upstream_leg),
        }
        if self.default_database:
            found["default_database"] = self.default_database
        return found


def _leg(leg: Leg) -> Mapping[str, str]:
    return {"version": leg.tls_version or "none", "cipher": leg.cipher}


_NAMES = [field.name for field in fields(SessionContext)]
_CLIENT_LEG = _NAMES.index("client_leg")
_UPSTREAM_LEG = _NAMES.index("upstream_leg")
# Journals from before the host was known end there.
_OLDEST = _NAMES.index("upstream_host")

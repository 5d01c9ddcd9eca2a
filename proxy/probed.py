"""How a test of a data source went. Knows no gateway: who asks for one need not have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class HostResult:
    """How a test of one host went. ``role``: what its server says that it is."""

    host: str
    ok: bool
    sentence: str
    role: str = ""
    method: str = ""
    server_version: str = ""
    tls_version: str = ""
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a test of a source went, of its first host that does. ``hosts``: of each of them.

    ``sentence`` holds no secret and no server text.
    """

    ok: bool
    sentence: str
    method: str = ""
    server_version: str = ""
    tls_version: str = ""
    milliseconds: float = 0.0
    hosts: tuple[HostResult, ...] = ()

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> ProbeResult:
        """From ``dataclasses.asdict``, as JSON keeps it."""
        hosts = tuple(HostResult(**one) for one in fields.pop("hosts", ()))
        return cls(**fields, hosts=hosts)

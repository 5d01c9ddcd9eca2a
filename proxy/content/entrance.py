"""Where the proxy is entered, and as whom. Knows the listeners' configuration, no driver.

The content's own statements take the road of every other client: a listener, a token, the
policy, the audit log. They trust exactly the certificate that the configuration names.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from proxy.config import Config, ListenerConfig
from proxy.content.answers import StepFailed
from proxy.dsn import SCHEMES

LOGIN_SECONDS: Final = 30.0
"""The proxy's own deadlines for a login end it long before."""

NAME_LIMIT: Final = 63
"""Bytes of application_name that PostgreSQL keeps (NAMEDATALEN - 1)."""


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token in memory. It never shows in a repr."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Visit:
    """Who comes: a workspace, its token, and the name that the audit log shows."""

    workspace: str
    token: TokenText
    name: str


@dataclass(frozen=True, slots=True)
class Door:
    """One listener. ``tls`` None: it has none."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Entrance:
    """The listener of each engine that has one."""

    doors: Mapping[str, Door]

    @classmethod
    def of(cls, config: Config) -> Entrance:
        """The first listener of each engine. Raises OSError for a certificate that is gone."""
        doors: dict[str, Door] = {}
        for listener in config.listeners:
            doors.setdefault(SCHEMES[listener.protocol], _door(listener))
        return cls(doors)

    def door(self, engine: str) -> Door:
        """The listener of an engine. Raises StepFailed."""
        found = self.doors.get(engine)
        if found is None:
            raise StepFailed(
                f"the proxy has no listener for {engine}", "no-listener", had_no_effect=True
            )
        return found


def _door(listener: ListenerConfig) -> Door:
    host = listener.host
    address = ip_address(host.partition("%")[0]) if _is_address(host) else None
    if address is not None and address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"
    if listener.tls_certificate is None:
        return Door(host, listener.port)
    context = ssl.create_default_context(cafile=str(listener.tls_certificate))
    # The file's own certificate is the one to expect, whoever signed it and whatever name
    # stands in it: we know the listener by its configuration.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return Door(host, listener.port, context)


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def visit_name(kind: str, name: str, run: str) -> str:
    """``workflow:NAME run:ID``, the name cut where both are too long together."""
    end = f" run:{run}"
    return f"{kind}:{name}"[: NAME_LIMIT - len(end)] + end

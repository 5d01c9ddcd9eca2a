"""Identity providers of workspaces and logins with them, as values. Knows no SQL and no secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from proxy.store.records import SealedField

LOGIN_LIFETIME = timedelta(minutes=10)
"""From a login's begin to its user's return: time for a second factor, and to look for a phone."""
NAME_LIMIT = 120
"""Characters of an administrator's name, which stands in columns of 128 behind ``OIDC``."""
OIDC = "OIDC "
"""What the audit log has before the name of who has logged in with an identity provider."""


def oidc_actor(name: str) -> str:
    """How the audit log names an administrator whom a workspace's provider has vouched for."""
    return OIDC + name


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Where the administrators of one workspace log in (OpenID Connect).

    ``secret`` is the client's, sealed for exactly this issuer and client; ``secret_highest`` the
    highest record version ever sealed, so that an older one put back is refused. Who has one
    of ``allowed`` in ``claim`` is an administrator. ``version`` counts the changes; ``set_by``
    made the last one.
    """

    id: str
    workspace_id: str
    issuer: str
    client_id: str
    secret: SealedField = field(repr=False)
    secret_highest: int
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    claim: str
    allowed: tuple[str, ...]
    session_minutes: int
    set_by: str
    set_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login whose user is at the provider. ``digest`` is of what who began it holds.

    ``network``: who began it, as rates know it.
    """

    digest: bytes = field(repr=False)
    provider_id: str
    provider_version: int
    redirect_uri: str
    network: str
    begun_at: datetime

    def is_over(self, now: datetime) -> bool:
        """Whether it has waited too long."""
        return now >= self.begun_at + LOGIN_LIFETIME

"""What the store holds, as values. Knows no SQL, no key and no clock.

Records are frozen: a change is a call to the store, and what comes back is a new
record. Bytes that are verifiers, wrapped keys or ciphertext never appear in a repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from policies.document import Policy
from policies.upstream import Destination
from protocols.verifiers import TokenVerifier
from proxy.store.failover import SINGLE, Endpoint, Failover
from proxy.store.pooling import OFF, PoolSettings
from vault import WrappedRootKey

WorkspaceState = Literal["active", "suspended"]
TlsMode = Literal["disable", "require", "verify-ca", "verify-full"]
TlsProfile = Literal["modern", "intermediate", "compat", "legacy"]
TlsNegotiation = Literal["request", "direct"]
CredentialField = Literal["password", "client_key"]
CREDENTIAL_FIELDS: tuple[CredentialField, ...] = ("password", "client_key")


@dataclass(frozen=True, slots=True)
class Workspace:
    """One tenant. ``root_keys`` has the newest first and is never empty.

    ``policy`` holds for all its sessions; None: none was set.
    """

    id: str
    name: str
    state: WorkspaceState
    scram_salt: bytes = field(repr=False)
    scram_iterations: int
    root_keys: tuple[WrappedRootKey, ...]
    created_at: datetime
    policy: Policy | None = None

    @property
    def root_key(self) -> WrappedRootKey:
        """The root key that new records are sealed with."""
        return self.root_keys[0]

    @property
    def is_active(self) -> bool:
        """Whether its tokens may log in."""
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the store knows it: verifiers, never the token itself."""

    id: str
    workspace_id: str
    label: str
    verifier: TokenVerifier = field(repr=False)
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def state(self, now: datetime) -> Literal["live", "expired", "revoked"]:
        """Its state at ``now``; only a live token logs in."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "live"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a source is reached by TLS; ``proxy/store/validate.py`` says what goes together.

    ``ca_pem``: the only CAs believed; None means the system's. ``client_cert_pem``: the
    chain shown to the server, whose key is the credential's ``client_key``.
    ``server_name``: the name to expect, where it is not the host. ``pins``: SPKI pins,
    ``sha256/`` and base64, of which the server's key must match one. ``owner``,
    ``reason`` and ``expires_at`` answer for profile ``compat`` or ``legacy``.
    ``server_key_pem``: the server's RSA key, where a protocol encrypts the password with
    it instead of TLS. ``crl_pem``: the revocation lists of the authorities on the way to
    the server's certificate; with them a certificate without a list is not believed.
    ``negotiation``: whether TLS is asked for or spoken at once (``direct``).
    """

    mode: TlsMode = "verify-full"
    profile: TlsProfile = "intermediate"
    ca_pem: str | None = field(default=None, repr=False)
    client_cert_pem: str | None = field(default=None, repr=False)
    server_name: str | None = None
    pins: tuple[str, ...] = ()
    owner: str | None = None
    reason: str | None = None
    expires_at: datetime | None = None
    server_key_pem: str | None = field(default=None, repr=False)
    crl_pem: str | None = field(default=None, repr=False)
    negotiation: TlsNegotiation = "request"

    @property
    def is_verified(self) -> bool:
        """Whether the handshake proves who the server is."""
        return self.mode in ("verify-ca", "verify-full")

    def has_expired(self, now: datetime) -> bool:
        """Whether the time granted to a weak profile is over: the source is refused then."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class SealedField:
    """One sealed secret. ``version`` is the record version it was sealed with."""

    version: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealedCredential:
    """A source's secrets, sealed. ``client_key`` belongs to ``TlsSettings.client_cert_pem``."""

    password: SealedField | None = None
    client_key: SealedField | None = None

    def field(self, name: CredentialField) -> SealedField | None:
        """The sealed secret of that name."""
        return self.password if name == "password" else self.client_key


@dataclass(frozen=True, slots=True)
class Resealed:
    """A secret of a source or, without ``kind``, of an identity provider, sealed anew."""

    owner_id: str
    kind: CredentialField | None
    before: bytes = field(repr=False)
    after: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """A data source of a workspace.

    ``credential`` is None where no secret is stored. ``password_version`` and
    ``client_key_version`` are the highest record versions ever stored, kept apart from
    the secrets themselves, so that an older row put back is refused; the next is one
    more. ``version`` counts the edits of the source, from 1. ``policy`` narrows the
    workspace's for this source; None: it does not. ``compression``: the algorithm that
    sessions with it are compressed with; "": none. ``pooling``: how its connections are
    kept for other sessions. ``failover``: its hosts behind the first, which is ``host``.
    """

    id: str
    workspace_id: str
    name: str
    engine: str
    host: str
    port: int
    database: str
    username: str
    tls: TlsSettings
    auth_methods: frozenset[str]
    credential: SealedCredential | None = None
    password_version: int = 0
    client_key_version: int = 0
    version: int = 1
    policy: Policy | None = None
    compression: str = ""
    pooling: PoolSettings = OFF
    failover: Failover = SINGLE

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All its hosts, in the order in which they are tried."""
        return (Endpoint(self.host, self.port), *self.failover.others)

    @property
    def places(self) -> tuple[Destination, ...]:
        """Where it is, for a policy: each host."""
        profile = "none" if self.tls.mode == "disable" else self.tls.profile
        return tuple(Destination(one.host, one.port, profile) for one in self.endpoints)

    def highest_version(self, name: CredentialField) -> int:
        """The highest record version ever stored of that secret; 0 before the first."""
        return self.password_version if name == "password" else self.client_key_version

    def has_secret(self, name: CredentialField) -> bool:
        """Whether that secret is stored."""
        return self.credential is not None and self.credential.field(name) is not None


class ApiRole(StrEnum):
    """What the holder of an API key is; ``proxy/admin/roles.py`` says what each may do.

    All but WORKSPACE_ADMIN are of the whole platform. SUPPORT reaches what workspaces grant
    to it and nothing else, and is a person's: there are sessions of it, and no keys.
    """

    OWNER = "owner"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    SUPPORT = "support"
    WORKSPACE_ADMIN = "workspace-admin"


SESSION_IDLE = timedelta(minutes=30)
"""Without a call for so long, a session is over."""
SESSION_LIFETIME = timedelta(hours=12)
"""After so long it is over in any case: a working day."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key to the admin endpoints as the store knows it: a digest, never the key itself.

    ``workspace_id``: the one workspace that it reaches; None: a key of the platform.
    ``staff_id``: it is the session of that person, whose name is its ``label``.
    ``provider_id``: it is the session of a workspace's administrator, whom that identity
    provider knows as ``subject``. A session ends when it is idle as well.
    """

    id: str
    workspace_id: str | None
    role: ApiRole
    label: str
    digest: bytes = field(repr=False)
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    staff_id: str | None = None
    address: str = ""
    provider_id: str | None = None
    subject: str = ""

    @property
    def is_session(self) -> bool:
        """Whether somebody has logged in for it."""
        return self.staff_id is not None or self.provider_id is not None

    def state(self, now: datetime) -> Literal["live", "expired", "revoked"]:
        """Its state at ``now``; only a live key opens anything."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        if self.is_session and now - (self.last_used_at or self.created_at) >= SESSION_IDLE:
            return "expired"
        return "live"


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy as it was put at a time. ``policy`` None: it was taken away then."""

    number: int
    policy: Policy | None
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered to a call that names itself. ``status`` None: nothing yet."""

    fingerprint: bytes = field(repr=False)
    status: int | None
    answer: str | None = field(repr=False)


class ChangeKind(StrEnum):
    """What changed. EVERYTHING: changes may have been missed, believe nothing cached."""

    WORKSPACE = "workspace"
    TOKEN = "token"
    SOURCE = "source"
    CREDENTIAL = "credential"
    ROOT_KEY = "root_key"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the change feed. For EVERYTHING both ids are empty."""

    kind: ChangeKind
    workspace_id: str = ""
    object_id: str = ""


@dataclass(frozen=True, slots=True)
class DeletionReceipt:
    """What a deletion destroyed. The root key versions are what made it final."""

    workspace_id: str
    workspace_name: str
    deleted_at: datetime
    root_key_versions: tuple[int, ...]
    token_ids: tuple[str, ...]
    source_ids: tuple[str, ...]
    credential_count: int

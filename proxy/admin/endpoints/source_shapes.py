"""What bodies and answers about data sources hold. Secrets are in bodies alone."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StrictFloat, StrictInt

from protocols.roles import TargetSession
from proxy.admin.shapes import Answer, Body, Moment, Name
from proxy.administration import sources as work
from proxy.probed import ProbeResult
from proxy.store import (
    Endpoint,
    Failover,
    PoolSettings,
    Source,
    TlsSettings,
    Workspace,
    draft_source,
)
from proxy.store.failover import HOSTS_LIMIT, LoadBalance
from proxy.store.pooling import OFF, POOLED
from proxy.store.records import CredentialField
from vault import Secret

Mode = Literal["disable", "require", "verify-ca", "verify-full"]
Profile = Literal["modern", "intermediate", "compat", "legacy"]
Text = Annotated[str, Field(min_length=1, max_length=256)]
Pem = Annotated[str, Field(min_length=1, max_length=256 * 1024)]
Number = StrictFloat | StrictInt
Password = Annotated[SecretStr, Field(min_length=1, max_length=1_024)]
PrivateKey = Annotated[SecretStr, Field(min_length=1, max_length=16_384)]
_HostName = Annotated[str, Field(min_length=1, max_length=255)]
_Port = Annotated[StrictInt, Field(ge=1, le=65_535)]
_UpstreamName = Annotated[str, Field(min_length=1, max_length=128)]
HostName = Annotated[_HostName, Field(examples=["db.example.com"])]
Port = Annotated[_Port, Field(examples=[5432])]


class Host(Body):
    """One of a source's hosts behind its first."""

    host: HostName
    port: Port

    @classmethod
    def of(cls, one: Endpoint) -> Host:
        """From the record."""
        return cls(host=one.host, port=one.port)

    def endpoint(self) -> Endpoint:
        """As the store has it."""
        return Endpoint(self.host, self.port)


Hosts = Annotated[
    list[Host],
    Field(
        max_length=HOSTS_LIMIT - 1,
        description="More servers of the source, tried behind its host in this order.",
    ),
]
Target = Annotated[
    TargetSession, Field(description="What a session's server must be; libpq's words.")
]
Method = Annotated[str, Field(min_length=1, max_length=32)]
Methods = Annotated[list[Method], Field(min_length=1, max_length=10)]


class Tls(Body):
    """How the server is checked; docs/configuration.md tells of profiles."""

    mode: Mode = "verify-full"
    profile: Profile = "intermediate"
    negotiation: Literal["request", "direct"] = "request"
    ca: Pem | None = Field(default=None, description="The only CAs to believe (PEM).")
    crl: Pem | None = Field(default=None, description="Revocation lists (PEM).")
    client_certificate: Pem | None = None
    server_name: Text | None = None
    server_key: Pem | None = Field(default=None, description="MySQL: the server's RSA key (PEM).")
    pins: Annotated[list[Text], Field(max_length=8)] = Field(default_factory=list)
    owner: Text | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    expires_at: Moment | None = None

    def settings(self) -> TlsSettings:
        """As the store has them."""
        return TlsSettings(
            mode=self.mode,
            profile=self.profile,
            ca_pem=self.ca,
            client_cert_pem=self.client_certificate,
            server_name=self.server_name,
            pins=tuple(self.pins),
            owner=self.owner,
            reason=self.reason,
            expires_at=self.expires_at,
            server_key_pem=self.server_key,
            crl_pem=self.crl,
            negotiation=self.negotiation,
        )

    @classmethod
    def of(cls, tls: TlsSettings) -> Tls:
        """From the record; certificates and public keys are no secrets."""
        return cls(
            mode=tls.mode,
            profile=tls.profile,
            negotiation=tls.negotiation,
            ca=tls.ca_pem,
            crl=tls.crl_pem,
            client_certificate=tls.client_cert_pem,
            server_name=tls.server_name,
            server_key=tls.server_key_pem,
            pins=list(tls.pins),
            owner=tls.owner,
            reason=tls.reason,
            expires_at=None if tls.expires_at is None else tls.expires_at.isoformat(),  # type: ignore[arg-type]
        )


class Pooling(Body):
    """How connections are kept for other sessions."""

    mode: Literal["off", "session", "transaction"]
    minimum: StrictInt = OFF.minimum
    maximum: StrictInt = OFF.maximum
    idle_seconds: Number = OFF.idle_seconds
    life_seconds: Number = OFF.life_seconds
    queue_seconds: Number = OFF.queue_seconds

    def settings(self) -> PoolSettings:
        """As the store has them."""
        return PoolSettings(
            self.mode,
            self.minimum,
            self.maximum,
            float(self.idle_seconds),
            float(self.life_seconds),
            float(self.queue_seconds),
        )


class _Secrets(Body):
    password: Password | None = Field(default=None, description="Written, never read.")
    client_key: PrivateKey | None = Field(
        default=None, description="The client certificate's private key (PEM). Never read."
    )

    def given(self, tls: TlsSettings) -> work.NewSecrets:
        """Ready to be sealed. Raises InvalidSetting."""
        key = self.given_key()
        return work.NewSecrets(
            self.given_password(), None if key is None else work.checked_client_key(tls, key)
        )

    def given_password(self) -> Secret | None:
        """Ready to be sealed. Raises InvalidSetting."""
        given = self.password
        return None if given is None else work.password_of(given.get_secret_value())

    def given_key(self) -> bytes | None:
        """As it was given: whether it belongs to its certificate is still to be seen."""
        given = self.client_key
        return None if given is None else given.get_secret_value().encode()


class NewSource(_Secrets):
    """A source to be added; its secrets are sealed to exactly this place."""

    name: Annotated[Name, Field(examples=["orders"])]
    engine: Literal["postgresql", "mysql"]
    host: HostName
    port: Port
    database: Annotated[_UpstreamName, Field(examples=["orders"])]
    username: Annotated[_UpstreamName, Field(examples=["app"])]
    tls: Tls = Field(default_factory=Tls)
    auth_methods: Methods | None = Field(
        default=None, description="What the server may ask for; else the engine's safe ones."
    )
    compression: Literal["", "zlib", "zstd"] = ""
    pooling: Pooling | None = None
    other_hosts: Hosts = Field(default_factory=list)
    target_session_attrs: Target = "any"
    load_balance_hosts: LoadBalance = "disable"

    def draft(self, workspace: Workspace, tls: TlsSettings, secrets: work.NewSecrets) -> Source:
        """The source of ``workspace`` to be stored, with these secrets."""
        usual = OFF if self.compression else POOLED
        return draft_source(
            workspace,
            self.name,
            engine=self.engine,
            host=self.host,
            port=self.port,
            database=self.database,
            username=self.username,
            tls=tls,
            auth_methods=work.auth_methods_for(self.engine, self.auth_methods or (), secrets),
            compression=self.compression,
            pooling=usual if self.pooling is None else self.pooling.settings(),
            failover=Failover(
                tuple(one.endpoint() for one in self.other_hosts),
                self.target_session_attrs,
                self.load_balance_hosts,
            ),
        )


class EditSource(_Secrets):
    """What to change; what is not given stays. ``tls``, ``pooling`` and ``other_hosts`` are
    replaced whole.

    Where the source then points elsewhere, every stored secret must be given again. A secret
    that is null is removed.
    """

    name: Name = ""
    host: _HostName = ""
    port: _Port = 0
    database: _UpstreamName = ""
    username: _UpstreamName = ""
    tls: Tls = Field(default_factory=Tls)
    auth_methods: Methods = Field(default_factory=list)
    compression: Literal["", "zlib", "zstd"] = ""
    pooling: Pooling = Field(default_factory=lambda: Pooling(mode="off"))
    other_hosts: Hosts = Field(default_factory=list)
    target_session_attrs: Target = "any"
    load_balance_hosts: LoadBalance = "disable"

    def applied_to(self, source: Source) -> Source:
        """The source with what was given in its place."""
        given = self.model_fields_set
        plain = ("name", "host", "port", "database", "username", "compression")
        edited = replace(source, **{name: getattr(self, name) for name in plain if name in given})
        if "tls" in given:
            edited = replace(edited, tls=self.tls.settings())
        if "pooling" in given:
            edited = replace(edited, pooling=self.pooling.settings())
        if "auth_methods" in given:
            edited = replace(edited, auth_methods=frozenset(self.auth_methods))
        return replace(edited, failover=self._failover(source.failover))

    def _failover(self, failover: Failover) -> Failover:
        given = self.model_fields_set
        if "other_hosts" in given:
            others = tuple(one.endpoint() for one in self.other_hosts)
            failover = replace(failover, others=others)
        if "target_session_attrs" in given:
            failover = replace(failover, target_session_attrs=self.target_session_attrs)
        if "load_balance_hosts" in given:
            failover = replace(failover, load_balance_hosts=self.load_balance_hosts)
        return failover

    def forgotten(self) -> frozenset[CredentialField]:
        """The secrets that are to be removed."""
        names: tuple[CredentialField, ...] = ("password", "client_key")
        return frozenset(
            name for name in names if name in self.model_fields_set and getattr(self, name) is None
        )


class RotateSource(_Secrets):
    """New secrets for the same place. A new certificate needs every stored secret with it."""

    client_certificate: Pem | None = None


class SourceAnswer(Answer):
    """A source; of its secrets, only whether they are stored."""

    id: str
    name: str
    engine: str
    host: str
    port: int
    database: str
    username: str
    tls: Tls
    auth_methods: list[str]
    compression: str
    pooling: Pooling
    other_hosts: list[Host]
    target_session_attrs: TargetSession
    load_balance_hosts: LoadBalance
    has_password: bool
    has_client_key: bool
    has_policy: bool
    version: int

    @classmethod
    def of(cls, source: Source) -> SourceAnswer:
        """From the record."""
        return cls(
            id=source.id,
            name=source.name,
            engine=source.engine,
            host=source.host,
            port=source.port,
            database=source.database,
            username=source.username,
            tls=Tls.of(source.tls),
            auth_methods=sorted(source.auth_methods),
            compression=source.compression,
            pooling=Pooling(**asdict(source.pooling)),
            other_hosts=[Host.of(one) for one in source.failover.others],
            target_session_attrs=source.failover.target_session_attrs,
            load_balance_hosts=source.failover.load_balance_hosts,
            has_password=source.has_secret("password"),
            has_client_key=source.has_secret("client_key"),
            has_policy=source.policy is not None,
            version=source.version,
        )


class HostAnswer(Answer):
    """How a login at one of a source's hosts went. ``role``: what its server says that it is."""

    host: str
    ok: bool
    sentence: str
    role: str
    method: str
    server_version: str
    tls_version: str
    milliseconds: float


class TestAnswer(Answer):
    """How a login at the data source went, and at each of its hosts where it has several."""

    ok: bool
    sentence: str
    method: str
    server_version: str
    tls_version: str
    milliseconds: float
    hosts: list[HostAnswer]

    @classmethod
    def of(cls, result: ProbeResult) -> TestAnswer:
        """From the result."""
        return cls(**asdict(result))


class Removed(Answer):
    """What was removed."""

    id: str
    name: str
    removed_at: datetime

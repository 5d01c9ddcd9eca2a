"""Data sources. Secrets come in and never go out: answers say only whether one is stored."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field, SecretStr, StrictFloat, StrictInt

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.etags import check_if_match, etag_of
from proxy.admin.paging import DEFAULT, page_of
from proxy.admin.shapes import (
    Answer,
    Body,
    Cursor,
    Limit,
    Moment,
    Page,
    SourceName,
    WorkspaceName,
)
from proxy.administration import sources as work
from proxy.administration.probing import ask_running
from proxy.probed import ProbeResult
from proxy.store import PoolSettings, Source, TlsSettings, draft_source
from proxy.store.pooling import OFF, POOLED
from proxy.store.records import CredentialField

Mode = Literal["disable", "require", "verify-ca", "verify-full"]
Profile = Literal["modern", "intermediate", "compat", "legacy"]
Text = Annotated[str, Field(min_length=1, max_length=256)]
Pem = Annotated[str, Field(min_length=1, max_length=256 * 1024)]
Number = StrictFloat | StrictInt
Password = Annotated[SecretStr, Field(min_length=1, max_length=1_024)]
PrivateKey = Annotated[SecretStr, Field(min_length=1, max_length=16_384)]
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

    mode: Literal["off", "session"]
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
        password, key = self.password, self.client_key
        return work.NewSecrets(
            None if password is None else work.password_of(password.get_secret_value()),
            None if key is None else work.checked_client_key(tls, key.get_secret_value().encode()),
        )


class NewSource(_Secrets):
    """A source to be added; its secrets are sealed to exactly this place."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["orders"])]
    engine: Literal["postgresql", "mysql"]
    host: Annotated[str, Field(min_length=1, max_length=255, examples=["db.example.com"])]
    port: Annotated[StrictInt, Field(ge=1, le=65_535, examples=[5432])]
    database: Annotated[str, Field(min_length=1, max_length=128, examples=["orders"])]
    username: Annotated[str, Field(min_length=1, max_length=128, examples=["app"])]
    tls: Tls = Field(default_factory=Tls)
    auth_methods: Methods | None = Field(
        default=None, description="What the server may ask for; else the engine's safe ones."
    )
    compression: Literal["", "zlib", "zstd"] = ""
    pooling: Pooling | None = None


class EditSource(_Secrets):
    """What to change; what is not given stays. ``tls`` and ``pooling`` are replaced whole.

    Where the source then points elsewhere, every stored secret must be given again. A secret
    that is null is removed.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = ""
    host: Annotated[str, Field(min_length=1, max_length=255)] = ""
    port: Annotated[StrictInt, Field(ge=1, le=65_535)] = 0
    database: Annotated[str, Field(min_length=1, max_length=128)] = ""
    username: Annotated[str, Field(min_length=1, max_length=128)] = ""
    tls: Tls = Field(default_factory=Tls)
    auth_methods: Methods = Field(default_factory=list)
    compression: Literal["", "zlib", "zstd"] = ""
    pooling: Pooling = Field(default_factory=lambda: Pooling(mode="off"))

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
        return edited

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


def tag(source: Source) -> str:
    """The ETag of a source: of all that an edit or a rotation changes."""
    return etag_of(
        "source", source.id, source.version, source.password_version, source.client_key_version
    )


async def list_sources(
    call: Admitted, workspace: WorkspaceName, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[SourceAnswer]:
    """By name."""
    found = await call.office.store.list_sources(call.here)
    page, following = page_of("sources", found, lambda source: (0, source.name), cursor, limit)
    return Page(items=[SourceAnswer.of(source) for source in page], next_cursor=following)


async def create_source(
    call: Admitted, workspace: WorkspaceName, body: NewSource, response: Response
) -> SourceAnswer:
    """Its secrets are sealed to exactly this engine, host, port, user and TLS."""
    tls = body.tls.settings()
    secrets = body.given(tls)
    pooling = OFF if body.compression else POOLED
    draft = draft_source(
        call.here,
        body.name,
        engine=body.engine,
        host=body.host,
        port=body.port,
        database=body.database,
        username=body.username,
        tls=tls,
        auth_methods=work.auth_methods_for(body.engine, body.auth_methods or (), secrets),
        compression=body.compression,
        pooling=pooling if body.pooling is None else body.pooling.settings(),
    )
    made = await work.add_source(call.place, call.here, draft, secrets)
    response.headers["Location"] = f"/v1/workspaces/{call.here.name}/sources/{made.name}"
    return _tagged(made, response)


async def get_source(
    call: Admitted, workspace: WorkspaceName, source: SourceName, response: Response
) -> SourceAnswer:
    """One source."""
    return _tagged(await call.source(source), response)


async def edit_source(
    call: Admitted,
    workspace: WorkspaceName,
    source: SourceName,
    body: EditSource,
    request: Request,
    response: Response,
) -> SourceAnswer:
    """Where it then points elsewhere, every stored secret must be given again."""
    found = await call.source(source)
    check_if_match(request, tag(found))
    edited = body.applied_to(found)
    secrets = body.given(edited.tls)
    made = await work.edit_source(
        call.place, call.here, found, edited, secrets, forget=body.forgotten()
    )
    return _tagged(made, response)


async def rotate_source(
    call: Admitted,
    workspace: WorkspaceName,
    source: SourceName,
    body: RotateSource,
    response: Response,
) -> SourceAnswer:
    """Sessions that are open go on; the next login uses the new secrets."""
    found = await call.source(source)
    password, key = body.password, body.client_key
    made = await work.rotate_source(
        call.place,
        call.here,
        found,
        None if password is None else work.password_of(password.get_secret_value()),
        None if key is None else key.get_secret_value().encode(),
        body.client_certificate,
    )
    return _tagged(made, response)


async def test_source(call: Admitted, workspace: WorkspaceName, source: SourceName) -> TestAnswer:
    """The running proxy logs in at what is stored, with what is stored, and out again."""
    found = await call.source(source)
    result = await ask_running(call.office.client, call.here.name, found.name, source_id=found.id)
    return TestAnswer.of(result)


async def remove_source(
    call: Admitted, workspace: WorkspaceName, source: SourceName, request: Request
) -> Removed:
    """With its secrets; its sessions end within a second."""
    found = await call.source(source)
    check_if_match(request, tag(found))
    await work.remove_source(call.place, found)
    return Removed(id=found.id, name=found.name, removed_at=call.office.clock())


def _tagged(source: Source, response: Response) -> SourceAnswer:
    response.headers["ETag"] = tag(source)
    return SourceAnswer.of(source)


_ALL = "/v1/workspaces/{workspace}/sources"
_ONE = f"{_ALL}/{{source}}"

ENDPOINTS = (
    Endpoint("GET", _ALL, "listSources", list_sources, "List data sources"),
    Endpoint(
        "POST",
        _ALL,
        "createSource",
        create_source,
        "Add a data source",
        status=201,
        has_body=True,
    ),
    Endpoint("GET", _ONE, "getSource", get_source, "Show a data source"),
    Endpoint(
        "PATCH",
        _ONE,
        "editSource",
        edit_source,
        "Change a data source",
        has_body=True,
        is_guarded=True,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/rotate",
        "rotateSource",
        rotate_source,
        "Give a data source new secrets",
        has_body=True,
        may_conflict=True,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/test",
        "testSource",
        test_source,
        "Test a data source",
        asks_proxy=True,
    ),
    Endpoint(
        "DELETE", _ONE, "removeSource", remove_source, "Remove a data source", is_guarded=True
    ),
)

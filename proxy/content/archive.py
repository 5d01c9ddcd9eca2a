"""A whole workspace as one JSON document: settings, sources, policies, workflows, dashboards.

The document's fields are written here one by one, and none of them can hold a secret: of a
source's secrets it says which there are. Tokens, keys, runs, histories and audit records
stay where they are. Equal workspaces give equal texts.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StrictFloat, StrictInt, StrictStr, ValidationError

from proxy.administration.trail import audited
from proxy.administration.workplace import Desk
from proxy.audit.events import READ, entity_changed
from proxy.content.document import field_problems
from proxy.content.library import KINDS
from proxy.content.naming import workspace_named
from proxy.content.problems import ContentRefused
from proxy.content.reading import MAX_DEPTH, read_json
from proxy.content.values import Part
from proxy.store import Source, Workspace, failover, pooling, tls
from proxy.store.contents import DocumentKind
from proxy.store.records import CREDENTIAL_FIELDS

MAX_ARCHIVE: Final = 8 * 1024 * 1024
"""Bytes: some hundred sources with certificates, and as many documents."""
MAX_ARCHIVE_VALUES: Final = 200_000

FORMAT: Final = "accode.workspace"

Text = StrictStr
Number = StrictInt | StrictFloat
Named = dict[Annotated[str, Field(max_length=128)], dict[str, Any]]


class ArchivedTls(Part):
    """As the store writes it; certificates and public keys are no secrets."""

    mode: Text
    profile: Text
    ca_pem: Text | None
    client_cert_pem: Text | None
    server_name: Text | None
    pins: list[Text]
    owner: Text | None
    reason: Text | None
    expires_at: Number | None
    server_key_pem: Text | None
    crl_pem: Text | None
    negotiation: Text


class ArchivedPooling(Part):
    """As the store writes it."""

    mode: Text
    minimum: StrictInt
    maximum: StrictInt
    idle_seconds: Number
    life_seconds: Number
    queue_seconds: Number


class ArchivedFailover(Part):
    """As the store writes it: the hosts behind the first."""

    others: list[tuple[Text, StrictInt]]
    target_session_attrs: Text
    load_balance_hosts: Text


class ArchivedSource(Part):
    """Where a source is and how it is reached. ``secrets``: which of them it has."""

    engine: Text
    host: Text
    port: StrictInt
    database: Text
    username: Text
    tls: ArchivedTls
    auth_methods: list[Text]
    compression: Text
    pooling: ArchivedPooling | None
    failover: ArchivedFailover | None
    policy: dict[str, Any] | None
    secrets: list[Literal["password", "client_key"]]

    @classmethod
    def of(cls, source: Source) -> Self:
        """From the record."""
        pooled, others = pooling.to_json(source.pooling), failover.to_json(source.failover)
        return cls(
            engine=source.engine,
            host=source.host,
            port=source.port,
            database=source.database,
            username=source.username,
            tls=ArchivedTls.model_validate_json(tls.to_json(source.tls)),
            auth_methods=sorted(source.auth_methods),
            compression=source.compression,
            pooling=ArchivedPooling.model_validate_json(pooled) if pooled else None,
            failover=ArchivedFailover.model_validate_json(others) if others else None,
            policy=None if source.policy is None else source.policy.to_value(),
            secrets=[name for name in CREDENTIAL_FIELDS if source.has_secret(name)],
        )


class Archive(Part):
    """The document."""

    format: Literal["accode.workspace"]
    version: Literal[1]
    name: Text
    scram_iterations: StrictInt
    policy: dict[str, Any] | None
    sources: dict[Annotated[str, Field(max_length=128)], ArchivedSource]
    workflows: Named
    dashboards: Named

    @classmethod
    def read(cls, data: bytes | str) -> Self:
        """From JSON, bounded. Raises ContentRefused, with the place of each problem."""
        value = read_json(
            data,
            max_bytes=MAX_ARCHIVE,
            max_values=MAX_ARCHIVE_VALUES,
            # Documents stand two levels down in it.
            max_depth=MAX_DEPTH + 2,
        )
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise ContentRefused.of("this is no archive of a workspace")
        if value.get("version") != 1:
            raise ContentRefused.of("archives of this version are not known", "/version")
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise ContentRefused(sorted(set(field_problems(error)))) from None

    def to_value(self) -> dict[str, Any]:
        """As plain values."""
        value: dict[str, Any] = self.model_dump(mode="json")
        return value


async def export_workspace(place: Desk, named: str | Workspace) -> Archive:
    """A workspace's archive. Raises NotFound, and ContentRefused where it is too large for one."""
    workspace = await workspace_named(place.store, named)
    event = entity_changed(
        READ,
        actor=place.actor,
        workspace_id=workspace.id,
        entity_type="workspace archive",
        entity_id=workspace.id,
        name=workspace.name,
    )

    async def act() -> Archive:
        made = Archive(
            format=FORMAT,
            version=1,
            name=workspace.name,
            scram_iterations=workspace.scram_iterations,
            policy=None if workspace.policy is None else workspace.policy.to_value(),
            sources={
                source.name: ArchivedSource.of(source)
                for source in await place.store.list_sources(workspace)
            },
            workflows=await _documents(place, workspace, "workflow"),
            dashboards=await _documents(place, workspace, "dashboard"),
        )
        if len(archive_text(made).encode()) > MAX_ARCHIVE:
            raise ContentRefused.of(f"the archive would have more than {MAX_ARCHIVE} bytes")
        return made

    return await audited(place.trail, event, act, place.warn)


async def _documents(place: Desk, workspace: Workspace, kind: DocumentKind) -> Named:
    # Read again by its own class: what the class does not know is not there.
    return {
        entry.name: KINDS[kind].read(entry.body).to_value()
        for entry in await place.store.content.documents(workspace, kind)
    }


def archive_text(archive: Archive) -> str:
    """As it is written: indented, keys sorted, so that a diff reads well."""
    return json.dumps(archive.to_value(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

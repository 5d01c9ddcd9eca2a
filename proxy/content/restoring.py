"""A workspace made from an archive: checked whole, then stored whole in one transaction.

It is a new workspace with keys of its own, so that secrets are given anew; one that a source
had and that is not given is a problem like any other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from policies.document import Policy, PolicyError, policy_from
from proxy.administration.sources import (
    NewSecrets,
    check_place,
    checked_client_key,
    password_of,
    sealed_for,
    with_storing,
)
from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.events import CREATE, entity_changed
from proxy.content.archive import Archive, ArchivedSource
from proxy.content.document import Document
from proxy.content.library import drafted, problems_with
from proxy.content.portable import named_documents
from proxy.content.problems import ContentRefused, Problem, pointer
from proxy.content.reading import read_json
from proxy.store import (
    CredentialField,
    InvalidSetting,
    SealedCredential,
    Source,
    StoreCorrupt,
    Workspace,
    draft_source,
    failover,
    new_id,
    pooling,
    tls,
)
from proxy.store.contents import DocumentKind
from proxy.store.records import CREDENTIAL_FIELDS
from proxy.store.restored import Restored
from proxy.store.store import utc_now
from proxy.store.tokens import SALT_LENGTH
from proxy.store.validate import check_iterations, check_name, check_secrets, check_source

Secrets = Mapping[str, Mapping[CredentialField, str]]
"""By source: its secrets, as they were typed or posted."""


def read_secrets(data: bytes) -> Secrets:
    """Secrets from JSON, by source. Raises ContentRefused, which quotes nothing of them."""
    try:
        value = read_json(data)
    except ContentRefused:
        raise ContentRefused.of("the secrets cannot be read as JSON") from None
    known = set(CREDENTIAL_FIELDS)
    if not isinstance(value, dict) or not all(
        isinstance(given, dict)
        and given.keys() <= known
        and all(isinstance(text, str) for text in given.values())
        for given in value.values()
    ):
        raise ContentRefused.of("secrets are an object of sources, each with its own by name")
    return value


@dataclass(frozen=True, slots=True)
class Restoration:
    """What an import made, or with a dry run would. ``needed``: secrets still to be given."""

    workspace: str
    sources: tuple[str, ...]
    workflows: tuple[str, ...]
    dashboards: tuple[str, ...]
    needed: tuple[tuple[str, CredentialField], ...]
    is_dry_run: bool


async def import_workspace(
    place: Workplace,
    name: str,
    data: bytes | str,
    secrets: Secrets,
    *,
    is_dry_run: bool = False,
) -> Restoration:
    """Make the workspace ``name`` of an archive, or nothing.

    Raises ContentRefused with every problem at once; a dry run tells of secrets that are
    needed instead. AlreadyExists where another took the name meanwhile.
    """
    archive = Archive.read(data)
    checking = _Checking(place, archive, secrets, await _drafted_workspace(place, name, archive))
    problems = await checking.problems()
    needed = checking.needed()
    if not is_dry_run:
        problems += [
            Problem(pointer(("sources", source)), f"its {field.replace('_', ' ')} must be given")
            for source, field in needed
        ]
    if problems:
        raise ContentRefused(sorted(set(problems)))
    if not is_dry_run:
        await _store(place, checking)
    return Restoration(
        name,
        tuple(sorted(archive.sources)),
        tuple(sorted(archive.workflows)),
        tuple(sorted(archive.dashboards)),
        tuple(needed),
        is_dry_run,
    )


async def _drafted_workspace(place: Workplace, name: str, archive: Archive) -> Workspace:
    root_key = place.vault.new_root_key(new_id())
    return Workspace(
        id=root_key.workspace_id,
        name=name,
        state="active",
        scram_salt=os.urandom(SALT_LENGTH),
        scram_iterations=archive.scram_iterations,
        root_keys=(root_key,),
        created_at=place.store.content.now(),
    )


class _Checking:
    """All that is made of an archive, and all that speaks against it."""

    def __init__(
        self, place: Workplace, archive: Archive, secrets: Secrets, workspace: Workspace
    ) -> None:
        self._place = place
        self._archive = archive
        self._secrets = secrets
        self._problems: list[Problem] = []
        self.workspace = workspace
        self.sources: list[tuple[Source, NewSecrets]] = []
        self.documents: list[tuple[DocumentKind, str, Document]] = []

    async def problems(self) -> list[Problem]:
        """Make everything; what is wrong with it."""
        with self._noting(""):
            check_name(self.workspace.name)
            if await self._place.store.find_workspace(self.workspace.name) is not None:
                self._problems.append(Problem("", "a workspace of that name already exists"))
        with self._noting("/scram_iterations"):
            check_iterations(self.workspace.scram_iterations)
        policy = self._policy("/policy", self._archive.policy)
        self.workspace = replace(self.workspace, policy=policy)
        if not self._secrets.keys() <= self._archive.sources.keys():
            self._problems.append(Problem("", "secrets are given for a source that it has not"))
        for name, archived in sorted(self._archive.sources.items()):
            self._source(pointer(("sources", name)), name, archived)
        self._documents()
        return self._problems

    def needed(self) -> list[tuple[str, CredentialField]]:
        """The secrets that the archive says there were, and nobody has given."""
        return [
            (name, field)
            for name, archived in sorted(self._archive.sources.items())
            for field in archived.secrets
            if field not in self._secrets.get(name, {})
        ]

    def _source(self, path: str, name: str, archived: ArchivedSource) -> None:
        with self._noting(path):
            draft = _draft(self.workspace, name, archived)
            draft = replace(draft, policy=self._policy(f"{path}/policy", archived.policy))
            check_source(draft, utc_now())
            check_place(self.workspace, draft, self._place.config.egress, utc_now())
            check_secrets(draft, frozenset(archived.secrets))
            given = self._secrets.get(name, {})
            if not given.keys() <= set(archived.secrets):
                self._problems.append(Problem(path, "a secret is given that it did not have"))
            password, key = given.get("password"), given.get("client_key")
            secrets = NewSecrets(
                None if password is None else password_of(password),
                None if key is None else checked_client_key(draft.tls, key.encode()),
            )
            self.sources.append((draft, secrets))

    def _documents(self) -> None:
        value = {
            "format": "accode.content",
            "version": 1,
            "workflows": self._archive.workflows,
            "dashboards": self._archive.dashboards,
        }
        engines = {name: archived.engine for name, archived in self._archive.sources.items()}
        for path, name, kind, document in named_documents(value, {}, self._problems):
            self._problems += [found.below(path) for found in problems_with(engines, document)]
            self.documents.append((kind, name, document))

    def _policy(self, path: str, value: dict[str, Any] | None) -> Policy | None:
        if value is None:
            return None
        try:
            return policy_from(value)
        except PolicyError as error:
            self._problems += [
                Problem(path + pointer(place), said) for place, said in error.problems
            ]
        return None

    @contextmanager
    def _noting(self, path: str) -> Iterator[None]:
        try:
            yield
        except InvalidSetting as error:
            self._problems.append(Problem(path, str(error)))
        except StoreCorrupt:
            self._problems.append(Problem(path, "its settings cannot be read"))


def _draft(workspace: Workspace, name: str, archived: ArchivedSource) -> Source:
    pooled, others = archived.pooling, archived.failover
    return draft_source(
        workspace,
        name,
        engine=archived.engine,
        host=archived.host,
        port=archived.port,
        database=archived.database,
        username=archived.username,
        tls=tls.from_json(archived.tls.model_dump_json()),
        auth_methods=frozenset(archived.auth_methods),
        compression=archived.compression,
        pooling=pooling.from_json("" if pooled is None else pooled.model_dump_json()),
        failover=failover.from_json("" if others is None else others.model_dump_json()),
    )


async def _store(place: Workplace, made: _Checking) -> None:
    workspace = made.workspace
    event = entity_changed(
        CREATE,
        actor=place.actor,
        workspace_id=workspace.id,
        entity_type="workspace",
        entity_id=workspace.id,
        name=workspace.name,
        changes={
            "state": "active",
            "from_archive": True,
            "policy": "none" if workspace.policy is None else workspace.policy.digest,
            "sources": [
                f"{source.name}: {source.engine} {source.endpoints[0]}"
                for source, _ in made.sources
            ],
            "documents": len(made.documents),
        },
    )
    sealed = [
        (source, sealed_for(place, workspace, source, secrets)) for source, secrets in made.sources
    ]
    now = place.store.content.now()
    documents = [
        drafted(now, workspace, kind, name, document, saved_by=place.actor)
        for kind, name, document in made.documents
    ]

    async def act() -> Workspace:
        restored = Restored(workspace, sealed, documents)
        return await place.store.restore_workspace(restored, place.actor)

    await audited(place.trail, event, _recorded(place, sealed, act), place.warn)


def _recorded(
    place: Workplace, sealed: Sequence[tuple[Source, SealedCredential | None]], act: Any
) -> Any:
    """``act``, with an Encrypt record around it for the secrets of each source."""
    for source, credential in sealed:
        act = with_storing(place, source, credential, act)
    return act

"""Data sources: added, changed, given new secrets, removed. Secrets are sealed, not kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from ipaddress import ip_address
from typing import TypeVar

from policies.egress import EgressRules, check_address
from policies.upstream import check_upstream, narrowed
from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.events import CREATE, DELETE, UPDATE, credential_stored, entity_changed
from proxy.audit.ocsf import Event
from proxy.config import EgressConfig
from proxy.store import (
    CredentialField,
    Failover,
    PoolSettings,
    RoutingChangeNeedsSecret,
    SealedCredential,
    SealedField,
    Source,
    TlsSettings,
    Workspace,
    destination,
    seal_credential,
)
from proxy.store.engines import ENGINES
from proxy.store.errors import InvalidSetting
from proxy.store.records import CREDENTIAL_FIELDS
from proxy.store.store import utc_now
from proxy.store.tls import check_client_key
from proxy.store.validate import check_source
from vault import Secret

T = TypeVar("T")

_MASKS = frozenset("*\u2022\u25cf")
"""What forms show in the place of a password: asterisks, bullets, black circles."""


@dataclass(frozen=True, slots=True)
class NewSecrets:
    """What a source is given to log in with; None: not given."""

    password: Secret | None = None
    client_key: Secret | None = None

    @property
    def are_any(self) -> bool:
        """Whether there is anything to seal."""
        return self.password is not None or self.client_key is not None


def checked_client_key(tls: TlsSettings, key_pem: bytes) -> Secret:
    """A client certificate's private key (PEM), seen to belong to it, ready to be sealed.

    Raises InvalidSetting.
    """
    check_client_key(tls, key_pem)
    return Secret(key_pem)


async def add_source(
    place: Workplace, workspace: Workspace, draft: Source, secrets: NewSecrets
) -> Source:
    """Store a drafted source with its secrets, sealed to where it points.

    Raises AlreadyExists, InvalidSetting, LimitReached.
    """
    changes: dict[str, object] = {
        "engine": draft.engine,
        "host": draft.host,
        "port": draft.port,
        "hosts": [str(one) for one in draft.endpoints],
        "target_session_attrs": draft.failover.target_session_attrs,
        "load_balance_hosts": draft.failover.load_balance_hosts,
        "database": draft.database,
        "username": draft.username,
        "tls_mode": draft.tls.mode,
        "tls_profile": draft.tls.profile,
        "tls_negotiation": draft.tls.negotiation,
        "has_crl": draft.tls.crl_pem is not None,
        "auth_methods": sorted(draft.auth_methods),
        "compression": draft.compression,
        "pooling": asdict(draft.pooling),
    }
    # Before anything of it is recorded: a secret may have been put into the wrong field.
    check_source(draft, utc_now())
    check_place(workspace, draft, place.config.egress, utc_now())
    event = _event(place, CREATE, draft, changes)
    credential = sealed_for(place, workspace, draft, secrets)

    async def act() -> Source:
        return await place.store.add_source(draft, credential)

    return await audited(
        place.trail, event, with_storing(place, draft, credential, act), place.warn
    )


def check_place(workspace: Workspace, source: Source, egress: EgressConfig, now: datetime) -> None:
    """Where a source is, each of its hosts, by all that is known before a name is resolved.

    The addresses of a name are judged at each connect. Raises InvalidSetting.
    """
    refusal = check_upstream((workspace.policy, source.policy), source.places, now=now)
    if refusal is not None:
        raise InvalidSetting("source", refusal.public)
    rules = EgressRules(allow_private=egress.allow_private, ports=egress.ports)
    rules = narrowed(rules, workspace.policy, source.policy)
    for one in source.endpoints:
        if not any(first <= one.port <= last for first, last in rules.ports):
            raise InvalidSetting("port", "the configuration does not allow it (egress.ports)")
        try:
            address = ip_address(one.host)
        except ValueError:
            continue
        refusal = check_address(address, one.port, rules)
        if refusal is not None:
            raise InvalidSetting("host", refusal.private)


async def rotate_source(
    place: Workplace,
    workspace: Workspace,
    source: Source,
    password: Secret | None,
    client_key_pem: bytes | None,
    client_certificate: str | None = None,
) -> Source:
    """Give a source new secrets; with ``client_certificate`` (PEM) a new certificate, too.

    A certificate is part of what secrets are sealed to, so every stored secret has to be
    given with it: RoutingChangeNeedsSecret otherwise. Raises Conflict, NotFound,
    InvalidSetting.
    """
    edited = source
    if client_certificate is not None:
        edited = replace(source, tls=replace(source.tls, client_cert_pem=client_certificate))
    client_key = None
    if client_key_pem is not None:
        client_key = checked_client_key(edited.tls, client_key_pem)
    secrets = NewSecrets(password, client_key)
    changed = [
        name
        for name, value in (
            ("password", secrets.password),
            ("client_key", secrets.client_key),
            ("client_certificate", client_certificate),
        )
        if value is not None
    ]
    if not changed:
        raise InvalidSetting("password", "give what is to be rotated")
    event = _event(place, UPDATE, source, {"rotated": changed})
    credential = sealed_for(place, workspace, edited, secrets)

    async def act() -> Source:
        if destination(edited) == destination(source) and credential is not None:
            return await place.store.rotate_credential(source, credential)
        return await place.store.edit_source(edited, credential)

    return await audited(
        place.trail, event, with_storing(place, source, credential, act), place.warn
    )


async def edit_source(
    place: Workplace,
    workspace: Workspace,
    source: Source,
    edited: Source,
    secrets: NewSecrets,
    *,
    forget: frozenset[CredentialField] = frozenset(),
) -> Source:
    """Store a changed copy of a source that was read, with the secrets that are given anew.

    ``forget`` removes secrets. Where it points elsewhere, to another database too, each
    secret that it has must be given again: RoutingChangeNeedsSecret. Raises Conflict,
    NotFound, AlreadyExists, InvalidSetting.
    """
    check_source(edited, utc_now())
    check_place(workspace, edited, place.config.egress, utc_now())
    given = {name for name in CREDENTIAL_FIELDS if getattr(secrets, name) is not None}
    kept = {name for name in CREDENTIAL_FIELDS if source.has_secret(name)} - given - forget
    if edited.database != source.database and kept:
        # Not a part of what a secret is sealed to: one login opens every database of a server.
        raise RoutingChangeNeedsSecret(
            "the database changed, so every stored secret must be given again with it"
        )
    names = ("name", "host", "port", "database", "username", "compression")
    changes: dict[str, object] = {
        name: getattr(edited, name)
        for name in names
        if getattr(edited, name) != getattr(source, name)
    }
    if edited.tls != source.tls:
        changes["tls"] = {"mode": edited.tls.mode, "profile": edited.tls.profile}
    if edited.auth_methods != source.auth_methods:
        changes["auth_methods"] = sorted(edited.auth_methods)
    if edited.pooling != source.pooling:
        changes["pooling"] = asdict(edited.pooling)
    if edited.failover != source.failover:
        changes |= {
            "hosts": [str(one) for one in edited.endpoints],
            "target_session_attrs": edited.failover.target_session_attrs,
            "load_balance_hosts": edited.failover.load_balance_hosts,
        }
    event = _event(
        place, UPDATE, source, changes | {"given": sorted(given), "forgotten": sorted(forget)}
    )
    credential = sealed_for(place, workspace, edited, secrets)

    async def act() -> Source:
        return await place.store.edit_source(edited, credential, forget=forget)

    return await audited(
        place.trail, event, with_storing(place, source, credential, act), place.warn
    )


def password_of(text: str) -> Secret:
    """A password that was typed or posted, ready to be sealed. Raises InvalidSetting.

    What is nothing but a mask is refused: it was read from a form that hid the real one.
    """
    if is_mask(text):
        raise InvalidSetting("password", "this is empty or a mask, not a password")
    return Secret(text.encode())


def is_mask(text: str) -> bool:
    """Whether this is nothing but what hides a secret."""
    return set(text) <= _MASKS or text.strip("<>[]").lower() in ("redacted", "hidden")


def auth_methods_for(engine: str, given: Iterable[str], secrets: NewSecrets) -> frozenset[str]:
    """The methods chosen, or what fits the secrets that are stored."""
    if chosen := frozenset(given):
        return chosen
    if engine not in ENGINES:
        return chosen
    if secrets.password is not None:
        return ENGINES[engine].default
    return frozenset({"cert" if secrets.client_key is not None else "trust"})


async def pool_source(place: Workplace, source: Source, pooling: PoolSettings) -> Source:
    """Change how a source's connections are kept. Raises Conflict, NotFound, InvalidSetting."""
    event = _event(place, UPDATE, source, {"pooling": asdict(pooling)})
    edited = replace(source, pooling=pooling)
    return await audited(place.trail, event, lambda: place.store.edit_source(edited), place.warn)


async def choose_hosts(place: Workplace, source: Source, failover: Failover) -> Source:
    """Change which of a source's hosts sessions get, not the hosts: secrets are sealed to those.

    Raises Conflict, NotFound, InvalidSetting, RoutingChangeNeedsSecret.
    """
    changes: dict[str, object] = {
        "target_session_attrs": failover.target_session_attrs,
        "load_balance_hosts": failover.load_balance_hosts,
    }
    event = _event(place, UPDATE, source, changes)
    edited = replace(source, failover=failover)
    return await audited(place.trail, event, lambda: place.store.edit_source(edited), place.warn)


async def remove_source(place: Workplace, source: Source, *, if_unchanged: bool = False) -> None:
    """Delete a source and its secrets, and end its sessions. Raises NotFound.

    ``if_unchanged``: only as it was read, else Conflict.
    """
    event = _event(place, DELETE, source, {})

    async def act() -> None:
        await place.store.remove_source(source, if_unchanged=if_unchanged)

    await audited(place.trail, event, act, place.warn)


def sealed_for(
    place: Workplace, workspace: Workspace, source: Source, secrets: NewSecrets
) -> SealedCredential | None:
    """The secrets, sealed to where the source points; None where none are given."""
    if not secrets.are_any:
        return None
    return SealedCredential(
        password=_sealed(place, workspace, source, secrets.password, "password"),
        client_key=_sealed(place, workspace, source, secrets.client_key, "client_key"),
    )


def _sealed(
    place: Workplace,
    workspace: Workspace,
    source: Source,
    secret: Secret | None,
    field: CredentialField,
) -> SealedField | None:
    if secret is None:
        return None
    return seal_credential(place.vault, workspace, source, secret, field)


def with_storing(
    place: Workplace,
    source: Source,
    credential: SealedCredential | None,
    act: Callable[[], Awaitable[T]],
) -> Callable[[], Awaitable[T]]:
    """``act``, with an Encrypt record around it for the secrets it stores."""
    if credential is None:
        return act
    version = max(
        field.version for field in (credential.password, credential.client_key) if field is not None
    )
    event = credential_stored(
        actor=place.actor,
        workspace_id=source.workspace_id,
        source_id=source.id,
        source=source.name,
        engine=source.engine,
        credential_version=version,
        ip=place.address,
    )
    return lambda: audited(place.trail, event, act, place.warn)


def _event(place: Workplace, activity: int, source: Source, changes: dict[str, object]) -> Event:
    return entity_changed(
        activity,
        actor=place.actor,
        workspace_id=source.workspace_id,
        entity_type="data source",
        entity_id=source.id,
        name=source.name,
        changes=changes,
    )

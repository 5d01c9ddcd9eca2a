"""Where the administrators of a workspace log in: set up, looked at, removed. Sessions ended.

The client's secret comes in here once, and is sealed for exactly its issuer and client.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from proxy.administration.sources import is_mask
from proxy.administration.trail import audited
from proxy.administration.workplace import Workplace
from proxy.audit.events import CREATE, DELETE, UPDATE, entity_changed
from proxy.audit.ocsf import Event
from proxy.audit.people import administrator_logged_out
from proxy.oidc.settings import check_provider, destination
from proxy.store import (
    ApiKey,
    IdentityProvider,
    InvalidSetting,
    NotFound,
    RoutingChangeNeedsSecret,
    Store,
    Workspace,
    new_id,
)
from proxy.store.records import Resealed, SealedField
from proxy.store.sources import reseal, root_key_of
from proxy.store.store import utc_now
from vault import Binding, Secret, Vault

SECRET_LIMIT = 1_024
"""Characters of a client secret: providers' have forty to a hundred."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a provider is to be, but for its secret."""

    issuer: str
    client_id: str
    redirect_uris: tuple[str, ...]
    claim: str
    allowed: tuple[str, ...]
    scopes: tuple[str, ...] = ("openid", "email")
    session_minutes: int = 480


def client_secret_of(text: str) -> Secret:
    """A secret that was typed or posted, ready to be sealed. Raises InvalidSetting."""
    if is_mask(text):
        raise InvalidSetting("client_secret", "this is empty or a mask, not a secret")
    if len(text) > SECRET_LIMIT or not text.isascii() or not text.isprintable():
        # RFC 6749, appendix A.2: what a client secret may be.
        raise InvalidSetting("client_secret", f"use 1 to {SECRET_LIMIT} printable ASCII characters")
    return Secret(text.encode())


async def find_provider(store: Store, workspace: Workspace) -> IdentityProvider:
    """The workspace's. Raises NotFound."""
    found = await store.oidc.of_workspace(workspace.id)
    if found is None:
        raise NotFound(f"workspace {workspace.name} has no identity provider")
    return found


async def set_provider(
    place: Workplace,
    workspace: Workspace,
    before: IdentityProvider | None,
    wanted: Wanted,
    secret: Secret | None,
) -> IdentityProvider:
    """Put a provider in the place of ``before``, whose sessions and logins end.

    Without a secret the stored one stays, where issuer and client are the same: else
    RoutingChangeNeedsSecret. Raises Conflict, InvalidSetting, NotFound.
    """
    unsealed = IdentityProvider(
        id=new_id() if before is None else before.id,
        workspace_id=workspace.id,
        issuer=wanted.issuer,
        client_id=wanted.client_id,
        secret=SealedField(0, b"") if before is None else before.secret,
        secret_highest=0 if before is None else before.secret_highest,
        redirect_uris=wanted.redirect_uris,
        scopes=wanted.scopes,
        claim=wanted.claim,
        allowed=wanted.allowed,
        session_minutes=wanted.session_minutes,
        set_by=place.actor,
        set_at=utc_now(),
    )
    check_provider(unsealed)
    provider = _with_secret(place.vault, workspace, before, unsealed, secret)
    changes: dict[str, object] = {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "redirect_uris": list(provider.redirect_uris),
        "scopes": list(provider.scopes),
        "claim": provider.claim,
        "allowed": list(provider.allowed),
        "session_minutes": provider.session_minutes,
        "secret": "given" if secret is not None else "kept",
    }
    event = _event(place, CREATE if before is None else UPDATE, provider, changes)
    return await audited(
        place.trail, event, lambda: place.store.oidc.put(provider, before), place.warn
    )


async def remove_provider(place: Workplace, provider: IdentityProvider) -> None:
    """Remove it, as it was read, with its sessions. Raises Conflict, NotFound."""
    event = _event(place, DELETE, provider, {"issuer": provider.issuer})
    await audited(place.trail, event, lambda: place.store.oidc.remove(provider), place.warn)


async def end_session(place: Workplace, workspace: Workspace, session_id: str) -> ApiKey:
    """End an administrator's session. Raises NotFound."""
    found = await place.store.api_keys.find(session_id)
    if found is None or found.workspace_id != workspace.id or found.provider_id is None:
        raise NotFound("there is no such session")
    event = administrator_logged_out(
        workspace_id=workspace.id,
        actor=place.actor,
        subject=found.subject,
        name=found.label,
        session_id=found.id,
    )
    return await audited(
        place.trail,
        event,
        lambda: place.store.oidc.end_session(workspace.id, session_id),
        place.warn,
    )


def open_secret(vault: Vault, workspace: Workspace, provider: IdentityProvider) -> Secret:
    """The client's secret, for where the provider points to now. Raises UnsealError."""
    return vault.unseal(
        root_key_of(workspace, provider.secret.sealed),
        provider.secret.sealed,
        _binding(provider, provider.secret.version),
        minimum_version=provider.secret_highest,
    )


def reseal_secret(
    vault: Vault, workspace: Workspace, provider: IdentityProvider
) -> Resealed | None:
    """The same secret under the newest root key; None where it is already. Raises UnsealError."""
    stored = provider.secret
    sealed = reseal(vault, workspace, stored, _binding(provider, stored.version))
    return None if sealed is None else Resealed(provider.id, None, stored.sealed, sealed)


def _with_secret(
    vault: Vault,
    workspace: Workspace,
    before: IdentityProvider | None,
    provider: IdentityProvider,
    secret: Secret | None,
) -> IdentityProvider:
    if secret is None:
        if before is None or destination(before) != destination(provider):
            raise RoutingChangeNeedsSecret(
                "a new issuer or client needs the client's secret with it"
            )
        return provider
    version = provider.secret_highest + 1
    sealed = vault.seal(workspace.root_key, secret, _binding(provider, version))
    return replace(provider, secret=SealedField(version, sealed), secret_highest=version)


def _binding(provider: IdentityProvider, version: int) -> Binding:
    return Binding(
        purpose="oidc-client",
        workspace_id=provider.workspace_id,
        source_id=provider.id,
        field="client-secret",
        record_version=version,
        destination=destination(provider),
    )


def _event(
    place: Workplace, activity: int, provider: IdentityProvider, changes: dict[str, object]
) -> Event:
    return entity_changed(
        activity,
        actor=place.actor,
        workspace_id=provider.workspace_id,
        entity_type="identity provider",
        entity_id=provider.id,
        name=provider.issuer,
        changes=changes,
    )

"""Sources and their secrets: drafted, sealed and opened. Knows the vault; no database.

What is opened stays a ``Secret``: nothing in here looks at one.
"""

from __future__ import annotations

import secrets

from proxy.store import tls as tls_settings
from proxy.store.engines import ENGINES
from proxy.store.failover import SINGLE, Failover
from proxy.store.pooling import OFF, PoolSettings
from proxy.store.records import (
    CredentialField,
    Resealed,
    SealedField,
    Source,
    TlsSettings,
    Workspace,
)
from vault import (
    Binding,
    Destination,
    SealedRecord,
    Secret,
    UnsealError,
    Vault,
    WrappedRootKey,
)

PURPOSE = "upstream-login"


def new_id() -> str:
    """A workspace's or a source's id: 128 random bits, 32 hexadecimal digits."""
    return secrets.token_hex(16)


def draft_source(
    workspace: Workspace,
    name: str,
    *,
    engine: str,
    host: str,
    port: int,
    database: str,
    username: str,
    tls: TlsSettings | None = None,
    auth_methods: frozenset[str] | None = None,
    compression: str = "",
    pooling: PoolSettings = OFF,
    failover: Failover = SINGLE,
) -> Source:
    """A source that is not stored yet, to seal secrets for; ``Store.add_source`` checks it.

    ``auth_methods`` None: the engine's default.
    """
    if auth_methods is None:
        auth_methods = ENGINES[engine].default if engine in ENGINES else frozenset()
    return Source(
        id=new_id(),
        workspace_id=workspace.id,
        name=name,
        engine=engine,
        host=host,
        port=port,
        database=database,
        username=username,
        tls=tls or TlsSettings(),
        auth_methods=auth_methods,
        compression=compression,
        pooling=pooling,
        failover=failover,
    )


def destination(source: Source) -> Destination:
    """Where the source's secrets may be used."""
    return Destination(
        engine=source.engine,
        host=source.host,
        port=source.port,
        username=source.username,
        tls_identity=tls_settings.identity(source.tls),
        others=tuple((one.host, one.port) for one in source.failover.others),
    )


def is_same_place(one: Source, other: Source) -> bool:
    """Whether a session of the one is where a session of the other would be now.

    The database is no part of a destination, since the same secret opens the server's others.
    """
    return destination(one) == destination(other) and one.database == other.database


def seal_credential(
    vault: Vault,
    workspace: Workspace,
    source: Source,
    secret: Secret,
    field: CredentialField = "password",
) -> SealedField:
    """Seal a secret for where ``source`` points to, as the next version of that field.

    Raises KeyProviderError, and ValueError for a secret too long to be sealed.
    """
    version = source.highest_version(field) + 1
    sealed = vault.seal(workspace.root_key, secret, _binding(source, field, version))
    return SealedField(version, sealed)


def open_credential(
    vault: Vault,
    workspace: Workspace,
    source: Source,
    field: CredentialField = "password",
) -> Secret:
    """Open a stored secret for where ``source`` points to now.

    Raises UnsealError, also where none is stored or the stored one is older than the
    newest seen.
    """
    sealed = source.credential.field(field) if source.credential is not None else None
    if sealed is None:
        raise UnsealError("no secret of that kind is stored for this source")
    return vault.unseal(
        root_key_of(workspace, sealed.sealed),
        sealed.sealed,
        _binding(source, field, sealed.version),
        minimum_version=source.highest_version(field),
    )


def reseal_credential(
    vault: Vault, workspace: Workspace, source: Source, field: CredentialField
) -> Resealed | None:
    """The same secret under the workspace's newest root key; None where there is nothing to do.

    Raises UnsealError, KeyProviderError.
    """
    stored = source.credential.field(field) if source.credential is not None else None
    if stored is None:
        return None
    sealed = reseal(vault, workspace, stored, _binding(source, field, stored.version))
    return None if sealed is None else Resealed(source.id, field, stored.sealed, sealed)


def reseal(
    vault: Vault, workspace: Workspace, stored: SealedField, binding: Binding
) -> bytes | None:
    """What is stored, under the workspace's newest root key; None where it is under that already.

    Raises UnsealError, KeyProviderError.
    """
    root = root_key_of(workspace, stored.sealed)
    if root.version == workspace.root_key.version:
        return None
    return vault.reseal(root, workspace.root_key, stored.sealed, binding)


def root_key_of(workspace: Workspace, sealed: bytes) -> WrappedRootKey:
    """The root key that this was sealed under. Raises UnsealError where it is not there."""
    wanted = SealedRecord.from_bytes(sealed).root_key_version
    for root in workspace.root_keys:
        if root.version == wanted:
            return root
    raise UnsealError("the sealed record was made under a root key that is not there")


def _binding(source: Source, field: CredentialField, version: int) -> Binding:
    return Binding(
        purpose=PURPOSE,
        workspace_id=source.workspace_id,
        source_id=source.id,
        field=field.replace("_", "-"),
        record_version=version,
        destination=destination(source),
    )

"""The control-plane database: schema, migrations, queries.

The map of this package:

``store``       ``Store``: every question and every change, one transaction each
``content``     ``ContentStore``: the same for workflows, dashboards and runs
``records``, ``contents``  what the store holds, as frozen values
``errors``      what the store says when it says no
``validate``, ``tls``, ``pooling``, ``failover``  what values may be, and what goes together
``tokens``      a token's text: made, recognised, turned into verifiers
``sources``     a source's secrets: drafted, sealed, opened with the vault; ``held``: which
``staff``, ``people``  the people of the platform: accounts, second factors, sessions
``oidc``, ``identity``  where administrators of workspaces log in, and their sessions
``support``     what workspaces grant to the support, for a time
``policies``    what is put of a workspace or source, and was before
``restored``    a workspace stored with all that it holds, at once
``api_keys``    keys to the admin endpoints: made, recognised, kept as digests
``calls``       what was answered to calls that name themselves
``transfers``   CSV files on their way
``feed``        what changed, soon after, and how sure we are of it
``location``, ``database``  the URL, the connections, the deadline of each call
``schema``, ``migrate``, ``migrations/``  the tables, and how they come to be
``queries/``    the statements, by table
"""

from proxy.store.errors import (
    AlreadyExists,
    Conflict,
    InvalidName,
    InvalidSetting,
    InvalidToken,
    LimitReached,
    NotFound,
    RoutingChangeNeedsSecret,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    StoreUnusable,
)
from proxy.store.failover import Endpoint, Failover
from proxy.store.feed import ChangeFeed
from proxy.store.identity import IdentityProvider, PendingLogin, oidc_actor
from proxy.store.people import (
    STAFF_ROLES,
    PreApproval,
    Proof,
    StaffAccount,
    StaffState,
    SupportGrant,
    staff_actor,
)
from proxy.store.pooling import PoolSettings
from proxy.store.records import (
    ApiKey,
    ApiRole,
    Change,
    ChangeKind,
    CredentialField,
    DeletionReceipt,
    SealedCredential,
    SealedField,
    Source,
    TlsSettings,
    Token,
    Workspace,
)
from proxy.store.sources import (
    destination,
    draft_source,
    new_id,
    open_credential,
    seal_credential,
)
from proxy.store.store import LoginRecord, Store
from proxy.store.tokens import new_token, parse_token, verifiers_for

__all__ = [
    "STAFF_ROLES",
    "AlreadyExists",
    "ApiKey",
    "ApiRole",
    "Change",
    "ChangeFeed",
    "ChangeKind",
    "Conflict",
    "CredentialField",
    "DeletionReceipt",
    "Endpoint",
    "Failover",
    "IdentityProvider",
    "InvalidName",
    "InvalidSetting",
    "InvalidToken",
    "LimitReached",
    "LoginRecord",
    "NotFound",
    "PendingLogin",
    "PoolSettings",
    "PreApproval",
    "Proof",
    "RoutingChangeNeedsSecret",
    "SealedCredential",
    "SealedField",
    "Source",
    "StaffAccount",
    "StaffState",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreUnavailable",
    "StoreUnusable",
    "SupportGrant",
    "TlsSettings",
    "Token",
    "Workspace",
    "destination",
    "draft_source",
    "new_id",
    "new_token",
    "oidc_actor",
    "open_credential",
    "parse_token",
    "seal_credential",
    "staff_actor",
    "verifiers_for",
]

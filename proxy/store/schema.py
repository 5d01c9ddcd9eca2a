"""The control-plane tables, for SQLite and PostgreSQL. Knows no query.

Every login is a constant number of look-ups in an index: workspaces by name, root keys
and live tokens by workspace, sources by workspace and name, credentials by source.
``proxy/store/migrations`` builds the same tables step by step; a test compares them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

HEAD: Final = "v0011"
"""The newest migration: what an opened store's schema must be."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(TypeDecorator[datetime]):
    """A moment, as microseconds since 1970 in UTC: the same order and value everywhere.

    SQLite has no time type, and PostgreSQL's comes back in the session's time zone.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Encode; a moment without a time zone is a bug."""
        if value is None:
            return None
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Decode."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = MetaData()

# An autoincrementing key is an INTEGER in SQLite and should not end at 2**31 elsewhere.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("scram_salt", LargeBinary, nullable=False),
    Column("scram_iterations", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("policy", Text),
    CheckConstraint("state IN ('active', 'suspended')", name="workspaces_state"),
)

root_keys = Table(
    "root_keys",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(10), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("label", String(128), nullable=False),
    Column("stored_key", LargeBinary, nullable=False),
    Column("server_key", LargeBinary, nullable=False),
    Column("sha256_sha256", LargeBinary, nullable=False),
    Column("sha1_sha1", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),
)
# A workspace keeps at most 1,000 rows in here, see queries/tokens.py.
Index("tokens_by_workspace", tokens.c.workspace_id, tokens.c.created_at)

sources = Table(
    "sources",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(63), nullable=False),
    Column("engine", String(16), nullable=False),
    Column("host", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("database", String(128), nullable=False),
    Column("username", String(128), nullable=False),
    Column("tls", Text, nullable=False),
    Column("auth_methods", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("policy", Text),
    Column("compression", String(16), nullable=False, server_default=""),
    Column("pooling", Text, nullable=False, server_default=""),
    Column("failover", Text, nullable=False, server_default=""),
    UniqueConstraint("workspace_id", "name", name="sources_by_name"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("source_id", ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
    Column("field", String(16), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    CheckConstraint("field IN ('password', 'client_key')", name="credentials_field"),
)

# Apart from the secrets, so that a credentials row rolled back to an older one is seen.
credential_versions = Table(
    "credential_versions",
    metadata,
    Column("source_id", ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
    Column("field", String(16), primary_key=True),
    Column("highest", BigInteger, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("workspace_id", String(32), nullable=False),
    Column("object_id", String(32), nullable=False),
    Column("at", Instant, nullable=False),
    # Without AUTOINCREMENT, SQLite would give a trimmed row's number out again.
    sqlite_autoincrement=True,
)

# People of the platform. Their second factor is sealed under a root key of the account's own.
staff = Table(
    "staff",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("root_key", LargeBinary, nullable=False),
    Column("password", String(255)),
    Column("totp", LargeBinary),
    Column("totp_version", Integer, nullable=False),
    # Apart from the secret, so that an older one put back is seen.
    Column("totp_highest", Integer, nullable=False),
    Column("totp_step", BigInteger, nullable=False),
    Column("invitation", LargeBinary, unique=True),
    Column("invited_until", Instant),
    Column("created_by", String(160), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_login_at", Instant),
    CheckConstraint("role IN ('owner', 'operator', 'auditor', 'support')", name="staff_role"),
    CheckConstraint("state IN ('invited', 'active', 'disabled')", name="staff_state"),
)

# Codes that are still to be used, as digests: each is gone with its use.
recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("staff_id", ForeignKey("staff.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
)

support_grants = Table(
    "support_grants",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("staff_id", ForeignKey("staff.id"), nullable=False),
    Column("staff_name", String(63), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("with_database", Boolean, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("decided_by", String(160), nullable=False),
    Column("is_approved", Boolean, nullable=False),
    Column("expires_at", Instant),
    Column("ended_at", Instant),
    Column("ended_by", String(160), nullable=False),
    # Whoever has claimed its end by time records it, and then says so.
    Column("expiry_claimed_at", Instant),
    Column("expiry_recorded_at", Instant),
)
# A workspace keeps at most 1,000 rows in here, see queries/support.py.
Index("support_grants_by_workspace", support_grants.c.workspace_id, support_grants.c.asked_at)
Index("support_grants_by_staff", support_grants.c.staff_id, support_grants.c.asked_at)
UNRECORDED = text("expires_at IS NOT NULL AND expiry_recorded_at IS NULL")
Index(
    "support_grants_unrecorded",
    support_grants.c.expires_at,
    sqlite_where=UNRECORDED,
    postgresql_where=UNRECORDED,
)

# The tokens that were made under a grant, and end with it.
support_tokens = Table(
    "support_tokens",
    metadata,
    Column("token_id", ForeignKey("tokens.id", ondelete="CASCADE"), primary_key=True),
    Column("grant_id", ForeignKey("support_grants.id", ondelete="CASCADE"), nullable=False),
)
Index("support_tokens_by_grant", support_tokens.c.grant_id)

# What a workspace grants without being asked; no row: nothing.
pre_approvals = Table(
    "pre_approvals",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Column("minutes", Integer, nullable=False),
    Column("with_database", Boolean, nullable=False),
    # Empty: by somebody who is not known.
    Column("set_by", String(160), nullable=False, server_default=""),
)

# Where the administrators of a workspace log in; the secret is sealed.
identity_providers = Table(
    "identity_providers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column(
        "workspace_id",
        ForeignKey("workspaces.id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    Column("issuer", String(512), nullable=False),
    Column("client_id", String(255), nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("secret_version", BigInteger, nullable=False),
    Column("secret_highest", BigInteger, nullable=False),
    Column("redirect_uris", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("claim", String(128), nullable=False),
    Column("allowed", Text, nullable=False),
    Column("session_minutes", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("set_by", String(160), nullable=False),
    Column("set_at", Instant, nullable=False),
)

# Logins that have begun and wait for their user to come back; each is gone with its use.
oidc_logins = Table(
    "oidc_logins",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("provider_id", ForeignKey("identity_providers.id", ondelete="CASCADE"), nullable=False),
    Column("provider_version", Integer, nullable=False),
    Column("redirect_uri", String(512), nullable=False),
    Column("network", String(64), nullable=False),
    Column("begun_at", Instant, nullable=False),
)
Index("oidc_logins_by_provider", oidc_logins.c.provider_id, oidc_logins.c.begun_at)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(10), primary_key=True),
    # Null: a key of the platform.
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE")),
    Column("role", String(16), nullable=False),
    Column("label", String(128), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_by", String(160), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),
    # Not null: a session of that person, whose account is never removed.
    Column("staff_id", ForeignKey("staff.id")),
    Column("address", String(64), nullable=False, server_default=""),
    # Not null: a session of an administrator whom that provider knows as the subject.
    Column("provider_id", ForeignKey("identity_providers.id")),
    Column("subject", String(255), nullable=False, server_default=""),
    CheckConstraint(
        "(role = 'workspace-admin') = (workspace_id IS NOT NULL)", name="api_keys_reach"
    ),
)
Index("api_keys_by_workspace", api_keys.c.workspace_id, api_keys.c.created_at)
Index("api_keys_by_staff", api_keys.c.staff_id)
Index("api_keys_by_provider", api_keys.c.provider_id)

# What was answered to a call that names itself, so that it can be asked again.
idempotent_calls = Table(
    "idempotent_calls",
    metadata,
    Column("key_id", ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("answer", Text),
    Column("created_at", Instant, nullable=False),
)

policy_history = Table(
    "policy_history",
    metadata,
    Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    # Empty: the workspace's own. No foreign key: the history outlives the source.
    Column("source_id", String(32), nullable=False),
    # Null: the policy was taken away.
    Column("document", Text),
    Column("actor", String(160), nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
Index(
    "policy_history_by_object",
    policy_history.c.workspace_id,
    policy_history.c.source_id,
    policy_history.c.seq,
)

LIVE = text("revoked_at IS NULL")
Index("tokens_not_revoked", tokens.c.workspace_id, sqlite_where=LIVE, postgresql_where=LIVE)

documents = Table(
    "documents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    # When a workflow with a schedule runs next; whoever moves it on has it to run.
    Column("due_at", Instant),
    UniqueConstraint("workspace_id", "kind", "name", name="documents_by_name"),
    CheckConstraint("kind IN ('workflow', 'dashboard')", name="documents_kind"),
)
Index("documents_due", documents.c.due_at)

document_versions = Table(
    "document_versions",
    metadata,
    Column("document_id", ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("saved_at", Instant, nullable=False),
    Column("saved_by", String(128), nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("document_id", ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("trigger", String(16), nullable=False),
    Column("triggered_by", String(128), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("due_at", Instant),
    Column("queued_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("runner", String(32)),
    Column("lease_until", Instant),
    Column("cancel_asked_by", String(128)),
    Column("error", Text, nullable=False, server_default=""),
    Column("steps", Text, nullable=False, server_default="[]"),
    CheckConstraint(
        "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'lost')",
        name="runs_status",
    ),
)
# A workspace keeps at most 1,000 rows in here that have ended, see queries/runs.py.
Index("runs_by_workspace", runs.c.workspace_id, runs.c.queued_at)
Index("runs_by_document", runs.c.document_id, runs.c.queued_at)
UNFINISHED = text("ended_at IS NULL")
Index("runs_unfinished", runs.c.status, sqlite_where=UNFINISHED, postgresql_where=UNFINISHED)

transfers = Table(
    "transfers",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("source", String(63), nullable=False),
    # Empty: a query, whose text may be anything and is in the audit log.
    Column("table_name", String(256), nullable=False),
    Column("started_by", String(160), nullable=False),
    Column("status", String(16), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("bad", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("told_at", Instant, nullable=False),
    CheckConstraint("direction IN ('export', 'import')", name="transfers_direction"),
    CheckConstraint("status IN ('running', 'succeeded', 'failed')", name="transfers_status"),
)
# A workspace keeps its newest rows in here, see queries/transfers.py.
Index("transfers_by_workspace", transfers.c.workspace_id, transfers.c.started_at)

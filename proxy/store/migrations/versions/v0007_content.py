"""Workflows and dashboards with their versions, and runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0007"
down_revision = "v0006"


def _workspace() -> sa.Column[str]:
    return sa.Column(
        "workspace_id",
        sa.String(32),
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"),
        nullable=False,
    )


def _document(**options: bool) -> sa.Column[str]:
    key = sa.ForeignKey("documents.id", ondelete="CASCADE")
    return sa.Column("document_id", sa.String(32), key, **options)


def upgrade() -> None:
    """Create the tables; nothing that is there changes."""
    op.create_table(
        "documents",
        sa.Column("id", sa.String(32), primary_key=True),
        _workspace(),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.UniqueConstraint("workspace_id", "kind", "name", name="documents_by_name"),
        sa.CheckConstraint("kind IN ('workflow', 'dashboard')", name="documents_kind"),
    )
    op.create_index("documents_due", "documents", ["due_at"])
    op.create_table(
        "document_versions",
        _document(primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("saved_at", sa.BigInteger, nullable=False),
        sa.Column("saved_by", sa.String(128), nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(16), primary_key=True),
        _workspace(),
        _document(nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("triggered_by", sa.String(128), nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("queued_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("runner", sa.String(32)),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("cancel_asked_by", sa.String(128)),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("steps", sa.Text, nullable=False, server_default="[]"),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'lost')",
            name="runs_status",
        ),
    )
    op.create_index("runs_by_workspace", "runs", ["workspace_id", "queued_at"])
    op.create_index("runs_by_document", "runs", ["document_id", "queued_at"])
    unfinished = sa.text("ended_at IS NULL")
    op.create_index(
        "runs_unfinished",
        "runs",
        ["status"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )

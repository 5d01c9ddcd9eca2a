"""CSV files on their way, and how far each is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0010"
down_revision = "v0009"


def upgrade() -> None:
    """Create the table, empty."""
    key = sa.ForeignKey("workspaces.id", ondelete="CASCADE")
    op.create_table(
        "transfers",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("workspace_id", sa.String(32), key, nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("source", sa.String(63), nullable=False),
        sa.Column("table_name", sa.String(256), nullable=False),
        sa.Column("started_by", sa.String(160), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("bad", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("told_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("direction IN ('export', 'import')", name="transfers_direction"),
        sa.CheckConstraint("status IN ('running', 'succeeded', 'failed')", name="transfers_status"),
    )
    op.create_index("transfers_by_workspace", "transfers", ["workspace_id", "started_at"])

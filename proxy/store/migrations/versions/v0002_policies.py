"""Policies: a document of a workspace and of a source, in its canonical JSON."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0002"
down_revision = "v0001"


def upgrade() -> None:
    """Add the columns; nothing that is there has a policy."""
    for table in ("workspaces", "sources"):
        op.add_column(table, sa.Column("policy", sa.Text, nullable=True))

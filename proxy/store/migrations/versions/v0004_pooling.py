"""Pooling of the connections to a data source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0004"
down_revision = "v0003"


def upgrade() -> None:
    """Add the column; nothing that is there is pooled."""
    op.add_column("sources", sa.Column("pooling", sa.Text, nullable=False, server_default=""))

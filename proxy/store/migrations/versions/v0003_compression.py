"""Compression of the connections to a data source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0003"
down_revision = "v0002"


def upgrade() -> None:
    """Add the column; nothing that is there is compressed."""
    op.add_column(
        "sources", sa.Column("compression", sa.String(16), nullable=False, server_default="")
    )

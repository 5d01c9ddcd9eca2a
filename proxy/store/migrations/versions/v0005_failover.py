"""Several hosts of a data source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0005"
down_revision = "v0004"


def upgrade() -> None:
    """Add the column; what is there has one host."""
    op.add_column("sources", sa.Column("failover", sa.Text, nullable=False, server_default=""))

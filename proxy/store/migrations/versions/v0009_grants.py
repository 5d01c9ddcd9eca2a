"""Support grants: whether their end by time is on record, and who approves beforehand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0009"
down_revision = "v0008"

_UNRECORDED = sa.text("expires_at IS NOT NULL AND expiry_recorded_at IS NULL")


def upgrade() -> None:
    """Nothing was recorded so far, and who has set a pre-approval is not known."""
    for name in ("expiry_claimed_at", "expiry_recorded_at"):
        op.add_column("support_grants", sa.Column(name, sa.BigInteger))
    op.create_index(
        "support_grants_unrecorded",
        "support_grants",
        ["expires_at"],
        sqlite_where=_UNRECORDED,
        postgresql_where=_UNRECORDED,
    )
    set_by = sa.Column("set_by", sa.String(160), nullable=False, server_default="")
    op.add_column("pre_approvals", set_by)

"""Staff accounts, their recovery codes and sessions, and the access granted to the support."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0008"
down_revision = "v0007"


def _workspace(**options: bool) -> sa.Column[str]:
    key = sa.ForeignKey("workspaces.id", ondelete="CASCADE")
    return sa.Column("workspace_id", sa.String(32), key, **options)


def upgrade() -> None:
    """Create the tables, empty, and let a key be a person's session."""
    op.create_table(
        "staff",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(63), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("root_key", sa.LargeBinary, nullable=False),
        sa.Column("password", sa.String(255)),
        sa.Column("totp", sa.LargeBinary),
        sa.Column("totp_version", sa.Integer, nullable=False),
        sa.Column("totp_highest", sa.Integer, nullable=False),
        sa.Column("totp_step", sa.BigInteger, nullable=False),
        sa.Column("invitation", sa.LargeBinary, unique=True),
        sa.Column("invited_until", sa.BigInteger),
        sa.Column("created_by", sa.String(160), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_login_at", sa.BigInteger),
        sa.CheckConstraint(
            "role IN ('owner', 'operator', 'auditor', 'support')", name="staff_role"
        ),
        sa.CheckConstraint("state IN ('invited', 'active', 'disabled')", name="staff_state"),
    )
    op.create_table(
        "recovery_codes",
        sa.Column(
            "staff_id",
            sa.String(32),
            sa.ForeignKey("staff.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
    )
    # Accounts are never removed, so nothing is to be done where one is.
    session_of = sa.Column("staff_id", sa.String(32), sa.ForeignKey("staff.id"))
    op.add_column("api_keys", session_of, inline_references=True)
    address = sa.Column("address", sa.String(64), nullable=False, server_default="")
    op.add_column("api_keys", address)
    op.create_index("api_keys_by_staff", "api_keys", ["staff_id"])
    _support()


def _support() -> None:
    op.create_table(
        "support_grants",
        sa.Column("id", sa.String(32), primary_key=True),
        _workspace(nullable=False),
        sa.Column("staff_id", sa.String(32), sa.ForeignKey("staff.id"), nullable=False),
        sa.Column("staff_name", sa.String(63), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("minutes", sa.Integer, nullable=False),
        sa.Column("with_database", sa.Boolean, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("decided_at", sa.BigInteger),
        sa.Column("decided_by", sa.String(160), nullable=False),
        sa.Column("is_approved", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("ended_by", sa.String(160), nullable=False),
    )
    op.create_index("support_grants_by_workspace", "support_grants", ["workspace_id", "asked_at"])
    op.create_index("support_grants_by_staff", "support_grants", ["staff_id", "asked_at"])
    op.create_table(
        "support_tokens",
        sa.Column(
            "token_id",
            sa.String(10),
            sa.ForeignKey("tokens.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column(
            "grant_id",
            sa.String(32),
            sa.ForeignKey("support_grants.id", ondelete="CASCADE"),
            nullable=False,
        ),
    )
    op.create_index("support_tokens_by_grant", "support_tokens", ["grant_id"])
    op.create_table(
        "pre_approvals",
        _workspace(primary_key=True),
        sa.Column("minutes", sa.Integer, nullable=False),
        sa.Column("with_database", sa.Boolean, nullable=False),
    )

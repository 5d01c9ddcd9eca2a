"""Identity providers of workspaces, logins under way with them, and the sessions they give."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0011"
down_revision = "v0010"


def upgrade() -> None:
    """Create the tables, empty, and let a key be an administrator's session."""
    op.create_table(
        "identity_providers",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column(
            "workspace_id",
            sa.String(32),
            sa.ForeignKey("workspaces.id", ondelete="CASCADE"),
            nullable=False,
            unique=True,
        ),
        sa.Column("issuer", sa.String(512), nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_version", sa.BigInteger, nullable=False),
        sa.Column("secret_highest", sa.BigInteger, nullable=False),
        sa.Column("redirect_uris", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("claim", sa.String(128), nullable=False),
        sa.Column("allowed", sa.Text, nullable=False),
        sa.Column("session_minutes", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("set_by", sa.String(160), nullable=False),
        sa.Column("set_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "oidc_logins",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column(
            "provider_id",
            sa.String(32),
            sa.ForeignKey("identity_providers.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("provider_version", sa.Integer, nullable=False),
        sa.Column("redirect_uri", sa.String(512), nullable=False),
        sa.Column("network", sa.String(64), nullable=False),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
    )
    op.create_index("oidc_logins_by_provider", "oidc_logins", ["provider_id", "begun_at"])
    # Without ON DELETE, which SQLite's columns do not show again once they are added.
    session_of = sa.Column("provider_id", sa.String(32), sa.ForeignKey("identity_providers.id"))
    op.add_column("api_keys", session_of, inline_references=True)
    subject = sa.Column("subject", sa.String(255), nullable=False, server_default="")
    op.add_column("api_keys", subject)
    op.create_index("api_keys_by_provider", "api_keys", ["provider_id"])

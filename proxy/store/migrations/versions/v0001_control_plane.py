"""The control plane: workspaces, root keys, tokens, sources, credentials, changes."""

import sqlalchemy as sa
from alembic import op

revision = "v0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "meta",
        sa.Column("key", sa.String(32), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "workspaces",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(63), nullable=False, unique=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("scram_salt", sa.LargeBinary, nullable=False),
        sa.Column("scram_iterations", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("state IN ('active', 'suspended')", name="workspaces_state"),
    )
    op.create_table(
        "root_keys",
        sa.Column(
            "workspace_id",
            sa.String(32),
            sa.ForeignKey("workspaces.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    _create_tokens()
    _create_sources()
    op.create_table(
        "changes",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("workspace_id", sa.String(32), nullable=False),
        sa.Column("object_id", sa.String(32), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(10), primary_key=True),
        sa.Column(
            "workspace_id",
            sa.String(32),
            sa.ForeignKey("workspaces.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("label", sa.String(128), nullable=False),
        sa.Column("stored_key", sa.LargeBinary, nullable=False),
        sa.Column("server_key", sa.LargeBinary, nullable=False),
        sa.Column("sha256_sha256", sa.LargeBinary, nullable=False),
        sa.Column("sha1_sha1", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
    )
    op.create_index("tokens_by_workspace", "tokens", ["workspace_id", "created_at"])
    not_revoked = sa.text("revoked_at IS NULL")
    op.create_index(
        "tokens_not_revoked",
        "tokens",
        ["workspace_id"],
        sqlite_where=not_revoked,
        postgresql_where=not_revoked,
    )


def _create_sources() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column(
            "workspace_id",
            sa.String(32),
            sa.ForeignKey("workspaces.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("engine", sa.String(16), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("database", sa.String(128), nullable=False),
        sa.Column("username", sa.String(128), nullable=False),
        sa.Column("tls", sa.Text, nullable=False),
        sa.Column("auth_methods", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("workspace_id", "name", name="sources_by_name"),
    )
    for table, columns in (
        (
            "credentials",
            [
                sa.Column("version", sa.BigInteger, nullable=False),
                sa.Column("sealed", sa.LargeBinary, nullable=False),
                sa.CheckConstraint("field IN ('password', 'client_key')", name="credentials_field"),
            ],
        ),
        ("credential_versions", [sa.Column("highest", sa.BigInteger, nullable=False)]),
    ):
        op.create_table(
            table,
            sa.Column(
                "source_id",
                sa.String(32),
                sa.ForeignKey("sources.id", ondelete="CASCADE"),
                primary_key=True,
            ),
            sa.Column("field", sa.String(16), primary_key=True),
            *columns,
        )

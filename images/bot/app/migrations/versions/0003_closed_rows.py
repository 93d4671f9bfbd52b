"""Closed rows are found by their age, to be forgotten."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("messages", "callbacks"):
        op.execute(
            f"CREATE INDEX {table}_closed ON {table} (closed_at) WHERE closed_at IS NOT NULL"
        )


def downgrade() -> None:
    for table in ("messages", "callbacks"):
        op.execute(f"DROP INDEX {table}_closed")

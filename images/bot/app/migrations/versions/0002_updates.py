"""Table updates: what came from the Bot API, as it came."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The text is no jsonb: that refuses some of what may come (\\u0000), and nothing may refuse it.
    op.execute(
        """
        CREATE TABLE updates (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            bot_id bigint NOT NULL,
            update_id bigint NOT NULL,
            chat_id bigint,
            raw text NOT NULL,
            status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'done', 'failed')),
            attempts integer NOT NULL DEFAULT 0,
            claim uuid,
            claimed_by text,
            lease_until timestamptz,
            due_at timestamptz NOT NULL DEFAULT now(),
            error text,
            created_at timestamptz NOT NULL DEFAULT now(),
            closed_at timestamptz,
            UNIQUE (bot_id, update_id)
        )
        """
    )
    op.execute("CREATE INDEX updates_open ON updates (bot_id, id) WHERE status = 'open'")
    op.execute("CREATE INDEX updates_failed ON updates (id) WHERE status = 'failed'")
    op.execute("CREATE INDEX updates_closed ON updates (closed_at) WHERE status <> 'open'")


def downgrade() -> None:
    op.execute("DROP TABLE updates")

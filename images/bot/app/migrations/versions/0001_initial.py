"""Tables messages and callbacks."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WORK = """
    job uuid NOT NULL DEFAULT gen_random_uuid(),
    attempts integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    claim uuid,
    claimed_by text,
    lease_until timestamptz,
    due_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    answer_message_id bigint,
    error text,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
"""


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE messages (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            bot_id bigint NOT NULL,
            update_id bigint NOT NULL,
            chat_id bigint NOT NULL,
            message_id bigint NOT NULL,
            kind text NOT NULL CHECK (kind IN ('voice', 'audio', 'text')),
            file_id text,
            file_size bigint,
            mime_type text,
            status text NOT NULL CHECK (status IN ('received', 'stored', 'done', 'failed')),
            object_key text,
            object_size bigint,
            duration_ms bigint,
            source_format text,
            answer_text text,
            answered_at timestamptz,
            {WORK},
            UNIQUE (bot_id, update_id)
        )
        """
    )
    op.execute(
        f"""
        CREATE TABLE callbacks (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            source text NOT NULL,
            delivery_id text NOT NULL,
            body bytea NOT NULL,
            received_by text NOT NULL,
            status text NOT NULL DEFAULT 'received'
                CHECK (status IN ('received', 'processed', 'failed')),
            {WORK},
            UNIQUE (source, delivery_id)
        )
        """
    )
    for table in ("messages", "callbacks"):
        op.execute(f"CREATE INDEX {table}_open ON {table} (due_at) WHERE closed_at IS NULL")
    op.execute("CREATE INDEX messages_update_id ON messages (update_id)")


def downgrade() -> None:
    op.execute("DROP TABLE callbacks")
    op.execute("DROP TABLE messages")

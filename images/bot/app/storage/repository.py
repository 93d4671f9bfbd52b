"""The rows that are the truth about all work. Redis only says that there is something to do.

A row is *open* until `closed_at` is set. An open row is worked on by whoever holds its claim: a
random value, valid until `lease_until`, extended while the work goes on. Every write of a worker
names its claim, so a worker that was too slow changes nothing. `due_at` is when the sweeper
queues an open row (again).

    messages:   received -> stored -> done      callbacks:   received -> processed
                received -> failed                           received -> failed
"""

import uuid
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import sql
from psycopg.rows import DictRow

from app.storage.postgres import Pool

Table = Literal["messages", "callbacks"]
TABLES: tuple[Table, ...] = ("messages", "callbacks")
ERROR_LENGTH = 500


@dataclass(frozen=True)
class NewMessage:
    bot_id: int
    update_id: int
    chat_id: int
    message_id: int
    kind: Literal["voice", "audio", "text"]
    file_id: str | None = None
    file_size: int | None = None
    mime_type: str | None = None
    status: Literal["received", "failed"] = "received"
    answer_text: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Stored:
    object_key: str
    object_size: int
    duration_ms: int
    source_format: str
    answer_text: str


def _one_line(text: str) -> str:
    return " ".join(text.replace("\x00", "").split())[:ERROR_LENGTH]


class Repository:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _row(self, query: sql.Composed | sql.SQL, values: dict[str, Any]) -> DictRow | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values)
            return await cursor.fetchone()

    async def ping(self) -> None:
        """Also proves that the schema is there and may be read."""
        await self._row(sql.SQL("SELECT count(*) FROM messages WHERE id < 0"), {})

    async def add_message(self, new: NewMessage, due_in: float) -> int | None:
        """The new row's id, or None when this update is known already."""
        row = await self._row(
            sql.SQL(
                """
                INSERT INTO messages (bot_id, update_id, chat_id, message_id, kind, file_id,
                    file_size, mime_type, status, answer_text, error, due_at)
                VALUES (%(bot_id)s, %(update_id)s, %(chat_id)s, %(message_id)s, %(kind)s,
                    %(file_id)s, %(file_size)s, %(mime_type)s, %(status)s, %(answer_text)s,
                    %(error)s, now() + make_interval(secs => %(due_in)s))
                ON CONFLICT (bot_id, update_id) DO NOTHING
                RETURNING id
                """
            ),
            {**new.__dict__, "due_in": due_in},
        )
        return row["id"] if row else None

    async def add_callback(
        self, source: str, delivery_id: str, body: bytes, receiver: str, due_in: float
    ) -> int | None:
        """The new row's id, or None when this delivery is known already."""
        row = await self._row(
            sql.SQL(
                """
                INSERT INTO callbacks (source, delivery_id, body, received_by, due_at)
                VALUES (%(source)s, %(delivery_id)s, %(body)s, %(receiver)s,
                    now() + make_interval(secs => %(due_in)s))
                ON CONFLICT (source, delivery_id) DO NOTHING
                RETURNING id
                """
            ),
            {
                "source": source,
                "delivery_id": delivery_id,
                "body": body,
                "receiver": receiver,
                "due_in": due_in,
            },
        )
        return row["id"] if row else None

    async def claim(self, table: Table, row_id: int, owner: str, lease: float) -> DictRow | None:
        """The row, now ours, or None when it is closed or somebody works on it.

        `crashes` counts the claims whose holder vanished: a file that kills its worker each time
        is given up in the end.
        """
        return await self._row(
            sql.SQL(
                """
                UPDATE {table} SET claim = %(claim)s, claimed_by = %(owner)s,
                    attempts = attempts + 1,
                    crashes = crashes + (lease_until IS NOT NULL)::int,
                    lease_until = now() + make_interval(secs => %(lease)s),
                    due_at = now() + make_interval(secs => %(lease)s),
                    updated_at = now()
                WHERE id = %(id)s AND closed_at IS NULL
                    AND (lease_until IS NULL OR lease_until < now())
                RETURNING *
                """
            ).format(table=sql.Identifier(table)),
            {"claim": uuid.uuid4(), "owner": owner, "lease": lease, "id": row_id},
        )

    async def extend(self, table: Table, row: DictRow, lease: float) -> bool:
        """False when the row is not ours any more."""
        found = await self._row(
            sql.SQL(
                """
                UPDATE {table} SET lease_until = now() + make_interval(secs => %(lease)s),
                    due_at = now() + make_interval(secs => %(lease)s)
                WHERE id = %(id)s AND claim = %(claim)s AND closed_at IS NULL
                RETURNING id
                """
            ).format(table=sql.Identifier(table)),
            {"lease": lease, "id": row["id"], "claim": row["claim"]},
        )
        return found is not None

    async def release(self, table: Table, row: DictRow, delay: float, error: str) -> None:
        """Give the row back, to be tried again after `delay` seconds."""
        await self._row(
            sql.SQL(
                """
                UPDATE {table} SET claim = NULL, lease_until = NULL, last_error = %(error)s,
                    due_at = now() + make_interval(secs => %(delay)s), updated_at = now()
                WHERE id = %(id)s AND claim = %(claim)s AND closed_at IS NULL
                RETURNING id
                """
            ).format(table=sql.Identifier(table)),
            {"delay": delay, "error": _one_line(error), "id": row["id"], "claim": row["claim"]},
        )

    async def set_stored(self, row: DictRow, stored: Stored) -> bool:
        found = await self._row(
            sql.SQL(
                """
                UPDATE messages SET status = 'stored', object_key = %(object_key)s,
                    object_size = %(object_size)s, duration_ms = %(duration_ms)s,
                    source_format = %(source_format)s, answer_text = %(answer_text)s,
                    last_error = NULL, updated_at = now()
                WHERE id = %(id)s AND claim = %(claim)s AND status = 'received'
                RETURNING id
                """
            ),
            {**stored.__dict__, "id": row["id"], "claim": row["claim"]},
        )
        return found is not None

    async def set_refused(self, row: DictRow, answer: str, reason: str) -> bool:
        found = await self._row(
            sql.SQL(
                """
                UPDATE messages SET status = 'failed', answer_text = %(answer)s,
                    error = %(reason)s, updated_at = now()
                WHERE id = %(id)s AND claim = %(claim)s AND status = 'received'
                RETURNING id
                """
            ),
            {
                "answer": answer,
                "reason": _one_line(reason),
                "id": row["id"],
                "claim": row["claim"],
            },
        )
        return found is not None

    async def close_message(
        self, row_id: int, answer_message_id: int | None, error: str | None
    ) -> bool:
        """The end of a message. Names no claim: what was sent was sent, whoever holds the row."""
        found = await self._row(
            sql.SQL(
                """
                UPDATE messages SET closed_at = now(), claim = NULL, lease_until = NULL,
                    status = CASE WHEN status = 'failed' THEN status ELSE 'done' END,
                    answered_at = CASE WHEN %(message_id)s::bigint IS NULL THEN NULL
                        ELSE now() END,
                    answer_message_id = %(message_id)s::bigint,
                    error = coalesce(%(error)s::text, error), updated_at = now()
                WHERE id = %(id)s AND closed_at IS NULL
                RETURNING id
                """
            ),
            {
                "message_id": answer_message_id,
                "error": _one_line(error) if error else None,
                "id": row_id,
            },
        )
        return found is not None

    async def close_callback(
        self, row_id: int, answer_message_id: int | None, error: str | None
    ) -> bool:
        found = await self._row(
            sql.SQL(
                """
                UPDATE callbacks SET closed_at = now(), claim = NULL, lease_until = NULL,
                    status = CASE WHEN %(error)s::text IS NULL THEN 'processed'
                        ELSE 'failed' END,
                    answer_message_id = %(message_id)s::bigint, error = %(error)s::text,
                    updated_at = now()
                WHERE id = %(id)s AND closed_at IS NULL
                RETURNING id
                """
            ),
            {
                "message_id": answer_message_id,
                "error": _one_line(error) if error else None,
                "id": row_id,
            },
        )
        return found is not None

    async def due(self, table: Table, requeue_after: float, limit: int) -> list[int]:
        """Open rows that should be queued now. Two sweepers never get the same row."""
        query = sql.SQL(
            """
            UPDATE {table} SET due_at = now() + make_interval(secs => %(after)s)
            WHERE id IN (
                SELECT id FROM {table} WHERE closed_at IS NULL AND due_at <= now()
                ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            RETURNING id
            """
        ).format(table=sql.Identifier(table))
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, {"after": requeue_after, "limit": limit})
            return sorted(row["id"] for row in await cursor.fetchall())

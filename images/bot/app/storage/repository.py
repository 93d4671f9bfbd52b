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

from app.storage.batch import Batcher
from app.storage.postgres import Pool

Table = Literal["messages", "callbacks"]
TABLES: tuple[Table, ...] = ("messages", "callbacks")
ERROR_LENGTH = 500
# What is to be converted, and a callback, whose earlier try ended badly. An answer kills nobody.
SUSPECT: dict[Table, sql.SQL] = {
    "messages": sql.SQL(
        "crashes + (lease_until IS NOT NULL)::int > 0"
        " AND status = 'received' AND answer_text IS NULL"
    ),
    "callbacks": sql.SQL("crashes + (lease_until IS NOT NULL)::int > 0"),
}
# Work that is done by ffmpeg; all else is short.
LONG: dict[Table, sql.SQL] = {
    "messages": sql.SQL("status = 'received' AND answer_text IS NULL"),
    "callbacks": sql.SQL("false"),
}


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


@dataclass(frozen=True)
class OpenRows:
    number: int
    age: float


def _one_line(text: str) -> str:
    return " ".join(text.replace("\x00", "").split())[:ERROR_LENGTH]


NEW_MESSAGE = {
    "bot_id": "bigint",
    "update_id": "bigint",
    "chat_id": "bigint",
    "message_id": "bigint",
    "kind": "text",
    "file_id": "text",
    "file_size": "bigint",
    "mime_type": "text",
    "status": "text",
    "answer_text": "text",
    "error": "text",
}
ADD_MESSAGES = sql.SQL(
    """
    INSERT INTO messages ({columns}, due_at, claim, claimed_by, attempts, lease_until)
    SELECT {columns}, now() + make_interval(secs => due_in),
        CASE WHEN owner IS NOT NULL THEN gen_random_uuid() END, owner,
        (owner IS NOT NULL)::int,
        CASE WHEN owner IS NOT NULL THEN now() + make_interval(secs => due_in) END
    FROM unnest({arrays}, %(due_in)s::float[], %(owner)s::text[])
        AS came ({columns}, due_in, owner)
    ON CONFLICT (bot_id, update_id) DO NOTHING
    RETURNING *
    """
).format(
    columns=sql.SQL(", ").join(map(sql.Identifier, NEW_MESSAGE)),
    arrays=sql.SQL(", ").join(
        sql.SQL("{}::{}[]").format(sql.Placeholder(name), sql.SQL(kind))
        for name, kind in NEW_MESSAGE.items()
    ),
)


class Repository:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._adding = Batcher(self._add_messages)
        self._closing = Batcher(self._close_messages)

    async def _row(self, query: sql.Composed | sql.SQL, values: dict[str, Any]) -> DictRow | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values)
            return await cursor.fetchone()

    async def ping(self) -> None:
        """Also proves that the schema is there and may be read."""
        await self._row(sql.SQL("SELECT count(*) FROM messages WHERE id < 0"), {})

    async def add_message(
        self, new: NewMessage, due_in: float, owner: str | None = None
    ) -> DictRow | None:
        """The new row, or None when this update is known already.

        With an owner it is claimed by him until it is due, as by `claim`.
        """
        return await self._adding((new, due_in, owner))

    async def _add_messages(
        self, items: list[tuple[NewMessage, float, str | None]]
    ) -> list[DictRow | None]:
        values: dict[str, list[Any]] = {
            name: [getattr(new, name) for new, _, _ in items] for name in NEW_MESSAGE
        }
        values["due_in"] = [due_in for _, due_in, _ in items]
        values["owner"] = [owner for _, _, owner in items]
        async with self._pool.connection() as connection:
            cursor = await connection.execute(ADD_MESSAGES, values)
            rows = {(row["bot_id"], row["update_id"]): row for row in await cursor.fetchall()}
        # Of two that are the same in one batch, one has made the row.
        return [rows.pop((new.bot_id, new.update_id), None) for new, _, _ in items]

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

    async def claim(
        self, table: Table, row_id: int, owner: str, lease: float, *, suspects: bool = True
    ) -> DictRow | None:
        """The row, now ours, or None when it is closed or somebody works on it.

        `crashes` counts the tries that ended badly: the holder vanished with its claim, which is
        written before the work begins, or `release` says so. A row with such a try behind it is a
        suspect, and left alone unless `suspects`.
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
                    AND (%(suspects)s OR NOT ({suspect}))
                RETURNING *
                """
            ).format(table=sql.Identifier(table), suspect=SUSPECT[table]),
            {
                "claim": uuid.uuid4(),
                "owner": owner,
                "lease": lease,
                "id": row_id,
                "suspects": suspects,
            },
        )

    async def is_suspect(self, table: Table, row_id: int) -> bool:
        """Whether `claim` leaves this row alone only because it is a suspect."""
        query = sql.SQL(
            """
            SELECT id FROM {table} WHERE id = %(id)s AND closed_at IS NULL
                AND (lease_until IS NULL OR lease_until < now()) AND {suspect}
            """
        ).format(table=sql.Identifier(table), suspect=SUSPECT[table])
        return await self._row(query, {"id": row_id}) is not None

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

    async def release(
        self, table: Table, row: DictRow, delay: float, error: str, *, bad: bool = False
    ) -> None:
        """Give the row back, to be tried again after `delay` seconds; `bad` counts the try."""
        await self._row(
            sql.SQL(
                """
                UPDATE {table} SET claim = NULL, lease_until = NULL, last_error = %(error)s,
                    crashes = crashes + %(bad)s::int,
                    due_at = now() + make_interval(secs => %(delay)s), updated_at = now()
                WHERE id = %(id)s AND claim = %(claim)s AND closed_at IS NULL
                RETURNING id
                """
            ).format(table=sql.Identifier(table)),
            {
                "delay": delay,
                "error": _one_line(error),
                "bad": bad,
                "id": row["id"],
                "claim": row["claim"],
            },
        )

    async def set_stored(self, row: DictRow, stored: Stored, lease: float) -> bool:
        """Extends the lease too; False when the row is not ours any more."""
        found = await self._row(
            sql.SQL(
                """
                UPDATE messages SET status = 'stored', object_key = %(object_key)s,
                    object_size = %(object_size)s, duration_ms = %(duration_ms)s,
                    source_format = %(source_format)s, answer_text = %(answer_text)s,
                    last_error = NULL, updated_at = now(),
                    lease_until = now() + make_interval(secs => %(lease)s),
                    due_at = now() + make_interval(secs => %(lease)s)
                WHERE id = %(id)s AND claim = %(claim)s AND status = 'received'
                RETURNING id
                """
            ),
            {**stored.__dict__, "id": row["id"], "claim": row["claim"], "lease": lease},
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
        return await self._closing((row_id, answer_message_id, error))

    async def _close_messages(self, items: list[tuple[int, int | None, str | None]]) -> list[bool]:
        query = sql.SQL(
            """
            UPDATE messages SET closed_at = now(), claim = NULL, lease_until = NULL,
                status = CASE WHEN status = 'failed' THEN status ELSE 'done' END,
                answered_at = CASE WHEN ended.message_id IS NULL THEN NULL ELSE now() END,
                answer_message_id = ended.message_id,
                error = coalesce(ended.reason, messages.error), updated_at = now()
            FROM unnest(%(ids)s::bigint[], %(message_ids)s::bigint[], %(errors)s::text[])
                AS ended (row_id, message_id, reason)
            WHERE messages.id = ended.row_id AND closed_at IS NULL
            RETURNING messages.id
            """
        )
        values = {
            "ids": [row_id for row_id, _, _ in items],
            "message_ids": [message_id for _, message_id, _ in items],
            "errors": [_one_line(error) if error else None for _, _, error in items],
        }
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values)
            closed = {row["id"] for row in await cursor.fetchall()}
        return [row_id in closed for row_id, _, _ in items]

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

    async def due(self, table: Table, requeue_after: float, limit: int, *, long: bool) -> list[int]:
        """Open rows that should be queued now. Two sweepers never get the same row."""
        query = sql.SQL(
            """
            UPDATE {table} SET due_at = now() + make_interval(secs => %(after)s)
            WHERE id IN (
                SELECT id FROM {table} WHERE closed_at IS NULL AND due_at <= now()
                    AND ({is_long}) = %(long)s
                ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            RETURNING id
            """
        ).format(table=sql.Identifier(table), is_long=LONG[table])
        values = {"after": requeue_after, "limit": limit, "long": long}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values)
            return sorted(row["id"] for row in await cursor.fetchall())

    async def open_rows(self, table: Table) -> OpenRows:
        """How many rows are open, and the oldest one's age, by the index of the open ones."""
        row = await self._row(
            sql.SQL(
                """
                SELECT count(*) AS number, coalesce(
                    extract(epoch FROM now() - min(created_at)), 0)::float AS age
                FROM {table} WHERE closed_at IS NULL
                """
            ).format(table=sql.Identifier(table)),
            {},
        )
        return OpenRows(row["number"], row["age"]) if row else OpenRows(0, 0.0)

    # What is kept, and for how long

    async def old(self, table: Table, days: float, limit: int) -> list[DictRow]:
        """Closed rows of more than `days`, the oldest first: their numbers and objects."""
        query = sql.SQL(
            """
            SELECT id, {object_key} AS object_key FROM {table}
            WHERE closed_at < now() - make_interval(secs => %(age)s)
            ORDER BY closed_at LIMIT %(limit)s
            """
        ).format(
            table=sql.Identifier(table),
            object_key=sql.SQL("object_key" if table == "messages" else "NULL"),
        )
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, {"age": days * 86400, "limit": limit})
            return list(await cursor.fetchall())

    async def forget(self, table: Table, ids: list[int]) -> None:
        await self._row(
            sql.SQL(
                "DELETE FROM {table} WHERE id = ANY(%(ids)s) AND closed_at IS NOT NULL RETURNING id"
            ).format(table=sql.Identifier(table)),
            {"ids": ids},
        )

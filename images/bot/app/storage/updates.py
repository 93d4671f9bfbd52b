"""The updates as they came, one row each: written before anything looks into them.

    open -> done       its text is removed: what users write is not kept for longer than needed
    open -> failed     its handler raised MAX_ATTEMPTS times, or nothing here can read it
    failed -> open     `python -m app replay run`

Rows of one chat are handled in their order, whoever handles them: a row is given out only while no
older one of its chat is put off or in somebody's hands.
"""

import uuid
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import DictRow

from app.storage.postgres import Pool

LOCK = 0x75706461
# So many rows of one chat at a time: one who sends a thousand messages delays nobody else.
PER_CHAT = 10
WINDOW = 1000
ERROR_LENGTH = 1000
BIGINT = range(-(2**63), 2**63)


@dataclass(frozen=True)
class NewUpdate:
    update_id: int
    chat_id: int | None
    raw: str


def chat_of(raw: dict[str, Any]) -> int | None:
    """The chat whose order an update belongs to; the user's where there is none.

    Of whatever shape: what says nothing is in nobody's order.
    """
    for name, content in raw.items():
        if name == "update_id" or not isinstance(content, dict):
            continue
        message = content.get("message")
        places = [(content, "chat"), (message, "chat"), (content, "from"), (content, "user")]
        for holder, key in places:
            who = holder.get(key) if isinstance(holder, dict) else None
            number = who.get("id") if isinstance(who, dict) else None
            if type(number) is int and number in BIGINT:
                return number
    return None


class Updates:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _all(self, query: LiteralString, values: dict[str, Any]) -> list[DictRow]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values)
            return await cursor.fetchall() if cursor.description else []

    async def store(self, bot_id: int, new: list[NewUpdate]) -> int:
        """All or none of them; gives how many were not known yet."""
        rows = await self._all(
            """
            INSERT INTO updates (bot_id, update_id, chat_id, raw)
            SELECT %(bot)s, came.update_id, came.chat_id, came.raw
            FROM unnest(%(ids)s::bigint[], %(chats)s::bigint[], %(raws)s::text[])
                WITH ORDINALITY AS came (update_id, chat_id, raw, place)
            ORDER BY came.place
            ON CONFLICT (bot_id, update_id) DO NOTHING
            RETURNING id
            """,
            {
                "bot": bot_id,
                "ids": [update.update_id for update in new],
                "chats": [update.chat_id for update in new],
                "raws": [update.raw for update in new],
            },
        )
        return len(rows)

    async def claim(
        self, bot_id: int, claim: uuid.UUID, owner: str, lease: float, limit: int
    ) -> list[DictRow]:
        """Rows that may be handled now, the oldest first; ours until the lease ends."""
        values = {"bot": bot_id, "claim": claim, "owner": owner, "lease": lease, "limit": limit}
        async with self._pool.connection() as connection, connection.transaction():
            # One after the other: two that look at the same time see the same rows as free.
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            cursor = await connection.execute(
                """
                WITH blocked AS MATERIALIZED (
                    SELECT chat_id, min(id) AS id FROM updates
                    WHERE bot_id = %(bot)s AND status = 'open' AND chat_id IS NOT NULL
                        AND (due_at > now() OR lease_until >= now())
                    GROUP BY chat_id
                ), free AS MATERIALIZED (
                    SELECT o.id, o.chat_id
                    FROM updates o LEFT JOIN blocked b ON b.chat_id = o.chat_id
                    WHERE o.bot_id = %(bot)s AND o.status = 'open' AND o.due_at <= now()
                        AND (o.lease_until IS NULL OR o.lease_until < now())
                        AND (b.id IS NULL OR o.id < b.id)
                    ORDER BY o.id LIMIT %(window)s
                ), next AS (
                    SELECT id, row_number() OVER (
                        PARTITION BY chat_id, CASE WHEN chat_id IS NULL THEN id END ORDER BY id
                    ) AS place FROM free
                )
                UPDATE updates SET claim = %(claim)s, claimed_by = %(owner)s,
                    lease_until = now() + make_interval(secs => %(lease)s)
                WHERE id IN (
                    SELECT id FROM next WHERE place <= %(per_chat)s ORDER BY id LIMIT %(limit)s)
                RETURNING id, update_id, chat_id, raw, attempts
                """,
                {**values, "window": WINDOW, "per_chat": PER_CHAT},
            )
            return sorted(await cursor.fetchall(), key=lambda row: int(row["id"]))

    async def extend(self, claim: uuid.UUID, ids: list[int], lease: float) -> None:
        await self._all(
            """
            UPDATE updates SET lease_until = now() + make_interval(secs => %(lease)s)
            WHERE id = ANY(%(ids)s) AND claim = %(claim)s AND status = 'open'
            """,
            {"claim": claim, "ids": ids, "lease": lease},
        )

    async def done(self, claim: uuid.UUID, ids: list[int]) -> None:
        await self._all(
            """
            UPDATE updates SET status = 'done', raw = '', error = NULL, closed_at = now(),
                claim = NULL, lease_until = NULL
            WHERE id = ANY(%(ids)s) AND claim = %(claim)s AND status = 'open'
            """,
            {"claim": claim, "ids": ids},
        )

    async def failed(self, claim: uuid.UUID, row_id: int, error: str) -> None:
        """For good, but for `replay`."""
        await self._all(
            """
            UPDATE updates SET status = 'failed', error = %(error)s, attempts = attempts + 1,
                closed_at = now(), claim = NULL, lease_until = NULL
            WHERE id = %(id)s AND claim = %(claim)s AND status = 'open'
            """,
            {"claim": claim, "id": row_id, "error": _text(error)},
        )

    async def again(self, claim: uuid.UUID, row_id: int, delay: float, error: str) -> None:
        await self._all(
            """
            UPDATE updates SET error = %(error)s, attempts = attempts + 1,
                due_at = now() + make_interval(secs => %(delay)s),
                claim = NULL, lease_until = NULL
            WHERE id = %(id)s AND claim = %(claim)s AND status = 'open'
            """,
            {"claim": claim, "id": row_id, "delay": delay, "error": _text(error)},
        )

    async def release(self, claim: uuid.UUID, ids: list[int]) -> None:
        await self._all(
            """
            UPDATE updates SET claim = NULL, lease_until = NULL
            WHERE id = ANY(%(ids)s) AND claim = %(claim)s AND status = 'open'
            """,
            {"claim": claim, "ids": ids},
        )

    async def counts(self, bot_id: int) -> DictRow:
        """Open rows, the oldest one's age in seconds, failed rows."""
        [row] = await self._all(
            """
            SELECT (SELECT count(*) FROM updates WHERE bot_id = %(bot)s AND status = 'open')
                    AS open,
                (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float
                    FROM updates WHERE bot_id = %(bot)s AND status = 'open') AS oldest,
                (SELECT count(*) FROM updates WHERE bot_id = %(bot)s AND status = 'failed')
                    AS failed
            """,
            {"bot": bot_id},
        )
        return row

    async def prune(self, done_hours: float, failed_hours: float, limit: int = 1000) -> int:
        rows = await self._all(
            """
            DELETE FROM updates WHERE id IN (
                SELECT id FROM updates
                WHERE status <> 'open' AND closed_at < now() - make_interval(secs => CASE
                    WHEN status = 'done' THEN %(done)s ELSE %(failed)s END)
                LIMIT %(limit)s)
            RETURNING id
            """,
            {"done": done_hours * 3600, "failed": failed_hours * 3600, "limit": limit},
        )
        return len(rows)


def _text(error: str) -> str:
    return error.replace("\x00", "")[:ERROR_LENGTH]

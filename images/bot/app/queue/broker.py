"""The queue: two Redis streams with a consumer group each, every key below the prefix.

Long work (what ffmpeg does) and short work (answers, notifications) wait in streams of their own
and have places of their own in each worker, so that two long files don't hold back everybody. An
entry is only a row's number. Losing one costs time: the row is the truth, and the sweeper brings it
back.
"""

import asyncio
import contextlib
import json
import secrets
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError, ResponseError

from app.core.backoff import Backoff
from app.core.config import Settings
from app.core.errors import Again
from app.core.logs import log
from app.storage.repository import Table

Lane = Literal["long", "short"]
LANES: tuple[Lane, ...] = ("long", "short")
# The former release has one stream: its entries are still taken, and it takes what is put there.
STREAMS: dict[Lane, str] = {"long": "jobs", "short": "jobs:short"}
TASKS: dict[Table, str] = {"messages": "process_message", "callbacks": "process_callback"}
TABLES_OF_TASKS: dict[str, Table] = {name: table for table, name in TASKS.items()}
LANE_OF: dict[Table, Lane] = {"messages": "long", "callbacks": "short"}

BLOCK_MS = 500
CLAIM_EVERY_S = 30.0
KICK_SECONDS = 3.0
# What nobody takes must not fill Redis: the oldest entries go, and the sweeper brings them back.
STREAM_LENGTH = 100_000
# A consumer is one life of one worker: what is left of it goes when it has nothing pending.
CONSUMER_IDLE_MS = 3_600_000
NETWORK = (RedisError, OSError, TimeoutError)


def identity(settings: Settings) -> str:
    """Who takes work, in Redis and in the rows: no other host's worker, no former life of ours."""
    return f"{settings.instance_id}@{socket.gethostname()}/{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Delivery:
    """One entry of a stream: a row's number, and how to say that it was dealt with."""

    table: Table
    row_id: int
    ack: Callable[[], Awaitable[None]]


def entry(table: Table, row_id: int) -> bytes:
    """In the form of taskiq, which the former release reads and writes."""
    task = {
        "task_id": f"{table}-{row_id}",
        "task_name": TASKS[table],
        "labels": {},
        "labels_types": {},
        "args": [row_id],
        "kwargs": {},
    }
    return json.dumps(task).encode()


def parse_entry(data: bytes | None) -> tuple[Table, int] | None:
    try:
        task: Any = json.loads(data or b"")
        table, row_id = TABLES_OF_TASKS[task["task_name"]], task["args"][0]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return (table, row_id) if type(row_id) is int else None


class Broker:
    """The connections to Redis, the names of all streams, and who we are."""

    def __init__(self, settings: Settings) -> None:
        self.prefix = settings.redis_prefix
        self.group = f"{self.prefix}workers"
        self.consumer = identity(settings)
        # Above the longest job, or running jobs would be delivered again.
        self.idle_ms = int((settings.transcode_seconds + 240) * 1000)
        self._pool: Any = BlockingConnectionPool.from_url(
            settings.reveal("redis_url"),
            max_connections=settings.worker_concurrency + settings.short_concurrency + 6,
            timeout=5,
            protocol=2,
            socket_timeout=BLOCK_MS / 1000 + 4,
            socket_connect_timeout=3,
            socket_keepalive=True,
            health_check_interval=15,
            retry=Retry(ConstantBackoff(0.2), 1),
            client_name=settings.instance_id.replace(" ", "-"),
        )
        self.redis: Any = Redis(connection_pool=self._pool)

    def stream(self, lane: Lane) -> str:
        return f"{self.prefix}{STREAMS[lane]}"

    async def startup(self) -> None:
        """Nothing: a process must start while Redis is away."""

    async def shutdown(self) -> None:
        await self._pool.disconnect()


def make_broker(settings: Settings) -> Broker:
    return Broker(settings)


class Consumer:
    """The reading side of one stream; it never ends for an error."""

    def __init__(
        self, broker: Broker, lane: Lane, on_read: Callable[[str | None], None] = lambda _: None
    ) -> None:
        self._broker = broker
        self._redis = broker.redis
        self._stream = broker.stream(lane)
        self._on_read = on_read
        self._backoff = Backoff(0.5, 5.0)
        self._claim_at = 0.0
        self._in_hand: set[bytes] = set()
        # After a lost connection: what was given to us and did not arrive.
        self._again: str | None = None

    async def take(self, count: int) -> list[Delivery]:
        """Up to `count` entries; an empty list after half a second without any."""
        try:
            entries = await self._entries(count)
        except ResponseError as error:
            if str(error).startswith("NOGROUP"):
                await self._make_group()
            else:
                await self._trouble(error)
            return []
        except NETWORK as error:
            await self._trouble(error)
            self._again = "0"
            return []
        if self._backoff.failures:
            log.info("the queue is back", attempts=self._backoff.failures)
            self._backoff.reset()
        self._on_read(None)
        deliveries = []
        for message_id, fields in entries:
            if message_id in self._in_hand:
                continue
            found = parse_entry((fields or {}).get(b"data"))
            if found is None:
                log.error("an entry of the queue can't be read", stream=self._stream)
                await self._ack(message_id)
                continue
            self._in_hand.add(message_id)
            deliveries.append(Delivery(*found, self._acker(message_id)))
        return deliveries

    async def _entries(self, count: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        if self._again is not None:
            entries = await self._read(self._again, count, None)
            self._again = entries[-1][0].decode() if entries else None
            return entries
        if time.monotonic() >= self._claim_at:
            answer = await self._redis.xautoclaim(
                self._stream,
                self._broker.group,
                self._broker.consumer,
                min_idle_time=self._broker.idle_ms,
                count=count,
            )
            if not answer[1]:
                await self._forget_consumers()
                self._claim_at = time.monotonic() + CLAIM_EVERY_S
            return list(answer[1])
        return await self._read(">", count, BLOCK_MS)

    async def _read(self, start: str, count: int, block: int | None) -> list[Any]:
        answer = await self._redis.xreadgroup(
            self._broker.group, self._broker.consumer, {self._stream: start}, count, block
        )
        return [entry for _, entries in answer or [] for entry in entries]

    async def _forget_consumers(self) -> None:
        for consumer in await self._redis.xinfo_consumers(self._stream, self._broker.group):
            if consumer["pending"] == 0 and consumer["idle"] > CONSUMER_IDLE_MS:
                await self._redis.xgroup_delconsumer(
                    self._stream, self._broker.group, consumer["name"]
                )

    def _acker(self, message_id: bytes) -> Callable[[], Awaitable[None]]:
        async def ack() -> None:
            await self._ack(message_id)
            self._in_hand.discard(message_id)

        return ack

    async def _ack(self, message_id: bytes) -> None:
        # Not being able to say so is harmless: the row says that the job is done.
        with contextlib.suppress(*NETWORK):
            async with asyncio.timeout(KICK_SECONDS):
                pipe = self._redis.pipeline(transaction=False)
                pipe.xack(self._stream, self._broker.group, message_id)
                pipe.xdel(self._stream, message_id)
                await pipe.execute()

    async def _make_group(self) -> None:
        with contextlib.suppress(*NETWORK):
            await self._redis.xgroup_create(self._stream, self._broker.group, "0", mkstream=True)

    async def _trouble(self, error: Exception) -> None:
        delay = self._backoff.next()
        text = f"{type(error).__name__}: {error}"
        self._on_read(text)
        log.warning("the queue can't be read", error=text, retry_in_s=round(delay, 1))
        await asyncio.sleep(delay)


class JobQueue:
    """The sending side. A lost job costs only time: its row stays due for the sweeper."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def put(self, table: Table, row_id: int, lane: Lane | None = None) -> None:
        """Without a lane: messages are to be converted, callbacks are short."""
        stream = self._broker.stream(lane or LANE_OF[table])
        try:
            async with asyncio.timeout(KICK_SECONDS):
                await self._broker.redis.xadd(
                    stream, {"data": entry(table, row_id)}, maxlen=STREAM_LENGTH, approximate=True
                )
        except NETWORK as error:
            raise Again(f"Redis: {type(error).__name__}: {error}") from error

    async def length(self, lane: Lane) -> int:
        async with asyncio.timeout(KICK_SECONDS):
            return int(await self._broker.redis.xlen(self._broker.stream(lane)))

    async def ping(self) -> None:
        async with asyncio.timeout(KICK_SECONDS):
            await self._broker.redis.ping()


class Witness:
    """Remembers in Redis which answers were sent, for the time when PostgreSQL can't be told."""

    SECONDS = 24 * 3600

    def __init__(self, broker: Broker, prefix: str) -> None:
        self._redis = broker.redis
        self._prefix = prefix

    def _key(self, job: uuid.UUID) -> str:
        return f"{self._prefix}answered:{job}"

    async def seen(self, job: uuid.UUID) -> int | None:
        with contextlib.suppress(*NETWORK):
            async with asyncio.timeout(KICK_SECONDS):
                value = await self._redis.get(self._key(job))
                return int(value) if value is not None else None
        return None

    async def remember(self, job: uuid.UUID, message_id: int) -> None:
        with contextlib.suppress(*NETWORK):
            async with asyncio.timeout(KICK_SECONDS):
                await self._redis.set(self._key(job), message_id, ex=self.SECONDS)

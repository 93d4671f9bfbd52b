"""The queue: a Redis stream with a consumer group, every key below the prefix."""

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError, ResponseError

from app.core.backoff import Backoff
from app.core.config import Settings
from app.core.errors import Again
from app.core.logs import log
from app.storage.repository import Table

# taskiq-dependencies imports FastAPI where it is installed, only to know two of its classes: a
# sixth of the start of a primary or worker, which have no use for it.
_fastapi = sys.modules.setdefault("fastapi", None)  # type: ignore[arg-type]
from taskiq import AckableMessage, AsyncBroker  # noqa: E402
from taskiq.acks import AcknowledgeType  # noqa: E402
from taskiq.kicker import AsyncKicker  # noqa: E402
from taskiq.receiver import Receiver  # noqa: E402
from taskiq_redis import RedisStreamBroker  # noqa: E402

if _fastapi is None:
    del sys.modules["fastapi"]


BLOCK_MS = 2000
CLAIM_EVERY_S = 30.0
KICK_SECONDS = 3.0
TASKS: dict[Table, str] = {"messages": "process_message", "callbacks": "process_callback"}


class StreamBroker(RedisStreamBroker):
    """taskiq-redis's broker with a listener of its own.

    The inherited one takes its autoclaim lock at a key without our prefix (the ACL refuses it),
    claims abandoned jobs only when a new one arrives, and ends for good at the first error.
    """

    def __init__(self, *args: Any, on_read: Callable[[str | None], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_read = on_read

    async def startup(self) -> None:
        # The listener makes the group: a process must start while Redis is away.
        await AsyncBroker.startup(self)

    def _ack_and_delete(self, message_id: bytes) -> Callable[[], Awaitable[None]]:
        async def ack() -> None:
            # Not being able to say so is harmless: the row says that the job is done.
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(KICK_SECONDS):
                    redis = Redis(connection_pool=self.connection_pool)
                    pipe = redis.pipeline(transaction=True)
                    pipe.xack(self.queue_name, self.consumer_group_name, message_id)
                    pipe.xdel(self.queue_name, message_id)
                    await pipe.execute()

        return ack

    async def _read(self, redis: Any, start: str, block: int | None) -> list[Any]:
        answer = await redis.xreadgroup(
            self.consumer_group_name,
            self.consumer_name,
            {self.queue_name: start},
            count=1,
            block=block,
        )
        return [entry for _, entries in answer or [] for entry in entries]

    async def listen(self) -> AsyncGenerator[AckableMessage]:
        redis: Any = Redis(connection_pool=self.connection_pool)
        backoff = Backoff(0.5, 5.0)
        # First what a former life of this consumer was given and never finished.
        mine: str | None = "0"
        claim_at = 0.0
        while True:
            try:
                if mine is not None:
                    entries = await self._read(redis, mine, None)
                    mine = entries[-1][0].decode() if entries else None
                elif time.monotonic() >= claim_at:
                    answer = await redis.xautoclaim(
                        self.queue_name,
                        self.consumer_group_name,
                        self.consumer_name,
                        min_idle_time=self.idle_timeout,
                        count=1,
                    )
                    entries = answer[1]
                    if not entries:
                        claim_at = time.monotonic() + CLAIM_EVERY_S
                else:
                    entries = await self._read(redis, ">", BLOCK_MS)
            except ResponseError as error:
                if str(error).startswith("NOGROUP"):
                    await self._make_group(redis)
                else:
                    await self._trouble(error, backoff)
                continue
            except (RedisError, OSError, TimeoutError) as error:
                await self._trouble(error, backoff)
                mine = "0"
                continue
            if backoff.failures:
                log.info("the queue is back", attempts=backoff.failures)
                backoff.reset()
            self._on_read(None)
            for message_id, fields in entries:
                ack = self._ack_and_delete(message_id)
                if not fields or b"data" not in fields:
                    await ack()
                    continue
                yield AckableMessage(data=fields[b"data"], ack=ack)

    async def _make_group(self, redis: Any) -> None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await redis.xgroup_create(
                self.queue_name, self.consumer_group_name, id="0", mkstream=True
            )

    async def _trouble(self, error: Exception, backoff: Backoff) -> None:
        delay = backoff.next()
        text = f"{type(error).__name__}: {error}"
        self._on_read(text)
        log.warning("the queue can't be read", error=text, retry_in_s=round(delay, 1))
        await asyncio.sleep(delay)


def _ignore(_: str | None) -> None:
    return None


def make_broker(
    settings: Settings, on_read: Callable[[str | None], None] = _ignore
) -> StreamBroker:
    prefix = settings.redis_prefix
    return StreamBroker(
        settings.reveal("redis_url"),
        queue_name=f"{prefix}jobs",
        consumer_group_name=f"{prefix}workers",
        consumer_name=settings.instance_id,
        max_connection_pool_size=settings.worker_concurrency + 6,
        # Above the longest job, or running jobs would be delivered again.
        idle_timeout=int((settings.transcode_seconds + 240) * 1000),
        on_read=on_read,
        protocol=2,
        socket_timeout=BLOCK_MS / 1000 + 3,
        socket_connect_timeout=3,
        socket_keepalive=True,
        health_check_interval=15,
        timeout=5,
        retry=Retry(ConstantBackoff(0.2), 1),
        client_name=settings.instance_id.replace(" ", "-"),
    )


def make_receiver(broker: StreamBroker, settings: Settings) -> Receiver:
    return Receiver(
        broker,
        max_async_tasks=settings.worker_concurrency,
        # A worker that dies leaves its jobs unacknowledged.
        ack_type=AcknowledgeType.WHEN_EXECUTED,
        run_startup=False,
        wait_tasks_timeout=settings.stop_seconds,
    )


class JobQueue:
    """The sending side. A lost job costs only time: its row stays due for the sweeper."""

    def __init__(self, broker: StreamBroker) -> None:
        self._broker = broker
        self._redis: Any = Redis(connection_pool=broker.connection_pool)

    async def put(self, table: Table, row_id: int) -> None:
        kicker: AsyncKicker[[int], None] = AsyncKicker(TASKS[table], self._broker, {})
        try:
            async with asyncio.timeout(KICK_SECONDS):
                await kicker.kiq(row_id)
        except Exception as error:
            # taskiq wraps whatever the client raises in its own exception.
            cause = error.__cause__ or error
            raise Again(f"Redis: {type(cause).__name__}: {cause}") from error

    async def length(self) -> int:
        async with asyncio.timeout(KICK_SECONDS):
            return int(await self._redis.xlen(self._broker.queue_name))

    async def ping(self) -> None:
        async with asyncio.timeout(KICK_SECONDS):
            await self._redis.ping()


class Witness:
    """Remembers in Redis which answers were sent, for the time when PostgreSQL can't be told."""

    SECONDS = 24 * 3600

    def __init__(self, broker: StreamBroker, prefix: str) -> None:
        self._redis: Any = Redis(connection_pool=broker.connection_pool)
        self._prefix = prefix

    def _key(self, job: uuid.UUID) -> str:
        return f"{self._prefix}answered:{job}"

    async def seen(self, job: uuid.UUID) -> int | None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(KICK_SECONDS):
                value = await self._redis.get(self._key(job))
                return int(value) if value is not None else None
        return None

    async def remember(self, job: uuid.UUID, message_id: int) -> None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(KICK_SECONDS):
                await self._redis.set(self._key(job), message_id, ex=self.SECONDS)

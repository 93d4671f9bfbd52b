"""How fast the bot may send, and the pauses that the Bot API asks for (429): one for all processes.

Kept in Redis, by Redis's own clock. While Redis is away each process keeps its own.

What 429 does not say is whether the chat has had too much or the whole bot. So it stops that chat;
when another chat is refused while one is stopped, all stop.
"""

import asyncio
import math
import random
import time
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.core.config import Settings
from app.core.logs import log
from app.storage.batch import Batcher

# Who would have to wait for longer is sent away, and comes again.
AHEAD_SECONDS = 2.0
REDIS_SECONDS = 0.5
# Then Redis is asked again.
ALONE_SECONDS = 5.0
LONGEST_PAUSE = 3600.0
# A group of other processes' jobs must not wake up in one instant.
JITTER = 0.25


@dataclass(frozen=True)
class Rates:
    """Seconds between two messages, 0 for as fast as it goes."""

    every: float
    every_of_chat: float


@dataclass(frozen=True)
class Turn:
    """`wait` seconds; then it is our turn, or, unless `ours`, time to ask again."""

    wait: float
    ours: bool


@dataclass
class Alone:
    """The rules, for one process. The script below does the same for all."""

    rates: Rates
    all_paused: float = -math.inf
    all_next: float = -math.inf
    paused: dict[str, float] = field(default_factory=dict)
    next: dict[str, float] = field(default_factory=dict)

    def turn(self, chat: str | None, now: float, *, paced: bool) -> Turn:
        self._forget(now)
        pause = max(self.all_paused, self.paused.get(chat or "", -math.inf)) - now
        if pause > 0:
            return Turn(pause, ours=False)
        if chat is None or not paced:
            return Turn(0.0, ours=True)
        early = self.next.get(chat, -math.inf) - now
        if early > 0:
            return Turn(early, ours=False)
        at = max(now, self.all_next)
        if at - now > AHEAD_SECONDS:
            return Turn(at - now, ours=False)
        self.all_next = at + self.rates.every
        if self.rates.every_of_chat:
            self.next[chat] = at + self.rates.every_of_chat
        return Turn(at - now, ours=True)

    def flood(self, chat: str | None, seconds: float, now: float) -> None:
        self._forget(now)
        others = any(name != chat for name in self.paused)
        if chat is not None:
            self.paused[chat] = max(self.paused.get(chat, -math.inf), now + seconds)
        if chat is None or others:
            self.all_paused = max(self.all_paused, now + seconds)

    def _forget(self, now: float) -> None:
        for times in (self.paused, self.next):
            if len(times) > 100 or times is self.paused:
                for name in [name for name, until in times.items() if until <= now]:
                    del times[name]


# Redis's TIME in milliseconds. Every key ends by itself.
TURN = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local pause = math.max(redis.call('PTTL', KEYS[1]), redis.call('PTTL', KEYS[2]))
if pause > 0 then return {pause, 0} end
if ARGV[1] == '0' then return {0, 1} end
local every, of_chat = tonumber(ARGV[2]), tonumber(ARGV[3])
local early = (tonumber(redis.call('GET', KEYS[4])) or 0) - now
if early > 0 then return {math.ceil(early), 0} end
local at = math.max(now, tonumber(redis.call('GET', KEYS[3])) or 0)
if at - now > tonumber(ARGV[4]) then return {math.ceil(at - now), 0} end
if every > 0 then
    redis.call('SET', KEYS[3], at + every, 'PX', math.ceil(at + every - now) + 1000)
end
if of_chat > 0 then
    redis.call('SET', KEYS[4], at + of_chat, 'PX', math.ceil(at + of_chat - now) + 1000)
end
return {math.ceil(at - now), 1}
"""
FLOOD = """
local function pause(key, ms)
    if redis.call('PTTL', key) < ms then redis.call('SET', key, 1, 'PX', ms) end
end
local ms = tonumber(ARGV[2])
local other = redis.call('GET', KEYS[3])
if ARGV[1] ~= '' then
    pause(KEYS[2], ms)
    if redis.call('PTTL', KEYS[3]) < ms or other == ARGV[1] then
        redis.call('SET', KEYS[3], ARGV[1], 'PX', ms)
    end
end
if ARGV[1] == '' or (other and other ~= ARGV[1]) then pause(KEYS[1], ms) end
return 0
"""


class Shared:
    """The same, for all processes of this bot."""

    def __init__(self, redis: Any, prefix: str, rates: Rates) -> None:
        self._prefix = f"{prefix}send:"
        self._rates = rates
        self._redis = redis
        self._turn = redis.register_script(TURN)
        self._turns = Batcher(self._ask, everybodys=(Exception,))
        self._flood = redis.register_script(FLOOD)

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)

    async def turn(self, chat: str | None, *, paced: bool) -> Turn:
        wait, ours = await self._turns((chat, paced))
        return Turn(int(wait) / 1000, ours=bool(ours))

    async def _ask(self, items: list[tuple[str | None, bool]]) -> list[Any]:
        """Those who ask at a time ask together, each in its turn."""
        pipe = self._redis.pipeline(transaction=False)
        for chat, paced in items:
            name = chat or ""
            keys = [self._key("paused"), self._key("paused", name), self._key("next")]
            await self._turn(
                keys=[*keys, self._key("next", name)],
                args=[
                    int(paced and chat is not None),
                    self._rates.every * 1000,
                    self._rates.every_of_chat * 1000,
                    AHEAD_SECONDS * 1000,
                ],
                client=pipe,
            )
        return list(await pipe.execute())

    async def flood(self, chat: str | None, seconds: float) -> None:
        await self._flood(
            keys=[self._key("paused"), self._key("paused", chat or ""), self._key("refused")],
            args=[chat or "", math.ceil(seconds * 1000)],
        )


class Limiter:
    """Says how long to wait before a request. Decides by Redis, or alone while that is away."""

    def __init__(self, settings: Settings) -> None:
        rates = Rates(
            1 / settings.send_per_second if settings.send_per_second else 0.0,
            1 / settings.send_per_chat_second if settings.send_per_chat_second else 0.0,
        )
        self._settings = settings
        self._rates = rates
        self._alone = Alone(rates)
        self._shared: Shared | None = None
        self._redis: Any = None
        self._alone_until = -math.inf

    def _open(self) -> Shared:
        if self._shared is None:
            self._redis = Redis.from_url(
                self._settings.reveal("redis_url"),
                protocol=2,
                socket_timeout=REDIS_SECONDS,
                socket_connect_timeout=REDIS_SECONDS,
                socket_keepalive=True,
                health_check_interval=15,
                client_name=f"{self._settings.instance_id}-limiter".replace(" ", "-"),
                retry=Retry(NoBackoff(), 0),
            )
            self._shared = Shared(self._redis, self._settings.redis_prefix, self._rates)
        return self._shared

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    async def turn(self, chat: str | None, *, paced: bool) -> Turn:
        now = time.monotonic()
        if self._settings.redis_url is not None and now >= self._alone_until:
            try:
                async with asyncio.timeout(2 * REDIS_SECONDS):
                    return await self._open().turn(chat, paced=paced)
            except (RedisError, OSError, TimeoutError) as error:
                self._without(now, error)
        return self._alone.turn(chat, now, paced=paced)

    async def flood(self, chat: str | None, seconds: float) -> None:
        now = time.monotonic()
        seconds = min(max(seconds, 0.1), LONGEST_PAUSE)
        log.warning("429: a pause for all processes", of_one_chat=chat is not None, for_s=seconds)
        self._alone.flood(chat, seconds, now)
        if self._settings.redis_url is None or now < self._alone_until:
            return
        try:
            async with asyncio.timeout(2 * REDIS_SECONDS):
                await self._open().flood(chat, seconds)
        except (RedisError, OSError, TimeoutError) as error:
            self._without(now, error)

    def _without(self, now: float, error: Exception) -> None:
        self._alone_until = now + ALONE_SECONDS
        log.warning(
            "the pace is this process's own: Redis is away",
            error=f"{type(error).__name__}: {error}",
            again_in_s=ALONE_SECONDS,
        )


def spread(seconds: float) -> float:
    """A little later, and not in step with the others."""
    return seconds * (1 + random.uniform(0, JITTER)) + random.uniform(0, JITTER)  # noqa: S311

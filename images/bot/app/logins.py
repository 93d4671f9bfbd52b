"""Whether a new login still works with this process's credentials.

A password that was changed behind a running process breaks nothing at first: its open connections
go on, and everything looks healthy until they end. So each role logs in anew from time to time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError

from app.core.backoff import sleep_or
from app.core.config import Settings
from app.core.errors import LoginRefused
from app.core.health import Heartbeat
from app.core.logs import log
from app.storage.postgres import refused_by_postgres
from app.telegram.client import ApiError, BotApi

# A refusal after a login that worked is asked for a second time, this much later: a service that
# starts may refuse before it has read its users.
CONFIRM_SECONDS = 5.0
ATTEMPT_SECONDS = 8.0

Attempt = Callable[[], Awaitable[None]]


def postgres_login(settings: Settings) -> Attempt:
    async def attempt() -> None:
        try:
            async with await psycopg.AsyncConnection.connect(
                settings.reveal("database_url"),
                autocommit=True,
                connect_timeout=5,
                application_name=f"{settings.instance_id[:57]}-login",
            ) as connection:
                await connection.execute("SELECT count(*) FROM messages WHERE id < 0")
        except psycopg.Error as error:
            why = refused_by_postgres(error)
            if why is not None:
                raise LoginRefused(
                    f"PostgreSQL refuses the login in DATABASE_URL_FILE: {why}"
                ) from None
            raise

    return attempt


def redis_login(settings: Settings) -> Attempt:
    async def attempt() -> None:
        redis = Redis.from_url(
            settings.reveal("redis_url"),
            protocol=2,
            socket_timeout=3,
            socket_connect_timeout=3,
            client_name=f"{settings.instance_id}-login",
            retry=Retry(NoBackoff(), 0),
        )
        try:
            await redis.xlen(f"{settings.redis_prefix}jobs")
        except (AuthenticationError, NoPermissionError) as error:
            raise LoginRefused(f"Redis refuses the login in REDIS_URL_FILE: {error}") from None
        finally:
            await redis.aclose()

    return attempt


def bot_api_login(settings: Settings) -> Attempt:
    async def attempt() -> None:
        # A connection that ends with the answer: only a poller is connected all the time.
        api = BotApi(settings)
        try:
            await api.call("getMe", 5)
        except ApiError as error:
            if error.code == 401:
                raise LoginRefused(
                    f"the Bot API refuses the token in BOT_TOKEN_FILE: {error}"
                ) from None
            raise
        finally:
            await api.close()

    return attempt


class Logins:
    """When a refused login counts; the heartbeat tells the health check."""

    def __init__(self, heartbeat: Heartbeat, clock: Callable[[], float] = time.monotonic) -> None:
        self._heartbeat = heartbeat
        self._clock = clock
        self._accepted: set[str] = set()
        self._since: dict[str, float] = {}
        self._told: set[str] = set()
        self._expected: set[str] = set()

    def expect_answers(self, name: str, max_age: float, what: str) -> None:
        """Away is no health, either, for a service that nothing else of this role asks."""
        self._expected.add(name)
        self._heartbeat.expect(name, max_age, what)

    def away(self, name: str, error: Exception) -> None:
        log.debug("no answer to a login", login=name, error=str(error))
        if name in self._expected:
            self._heartbeat.fail(name, str(error))

    def accepted(self, name: str) -> None:
        if name in self._expected:
            self._heartbeat.beat(name)
        self._accepted.add(name)
        self._since.pop(name, None)
        if name in self._told:
            self._told.remove(name)
            self._heartbeat.accept(name)
            log.info("the login works again", login=name)

    def refused(self, name: str, error: LoginRefused) -> bool:
        """True once it is certain."""
        now = self._clock()
        since = self._since.setdefault(name, now)
        if name in self._accepted and now - since < CONFIRM_SECONDS:
            return False
        if name not in self._told:
            log.error("a login is refused", login=name, error=str(error))
        self._told.add(name)
        self._heartbeat.refuse(name, str(error))
        return True


def attempts_of(settings: Settings) -> dict[str, Attempt]:
    """The logins that this process's role has. The object storage is not among them: the worker
    asks it all the time, and each request is signed anew."""
    attempts = {"database": postgres_login(settings), "redis": redis_login(settings)}
    if settings.bot_role != "webhook":
        attempts["bot_api"] = bot_api_login(settings)
    return attempts


async def watch_logins(settings: Settings, logins: Logins, stop: asyncio.Event) -> None:
    """Log in anew every LOGIN_CHECK_SECONDS, to each service for itself, until `stop`."""
    seconds = settings.login_check_seconds
    if settings.bot_role == "worker":
        # The primary's polls say that by themselves.
        logins.expect_answers("bot_api", 2 * (seconds + ATTEMPT_SECONDS), "answer of the Bot API")
    await asyncio.gather(
        *(
            _watch(name, attempt, logins, seconds, stop)
            for name, attempt in attempts_of(settings).items()
        )
    )


async def _watch(
    name: str, attempt: Attempt, logins: Logins, seconds: float, stop: asyncio.Event
) -> None:
    while True:
        certain = True
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await attempt()
        except LoginRefused as error:
            certain = logins.refused(name, error)
        except Exception as error:
            # Away is not refused: the role's own work tells how long that may last.
            logins.away(name, error)
        else:
            logins.accepted(name)
        if await sleep_or(stop, seconds if certain else CONFIRM_SECONDS):
            return

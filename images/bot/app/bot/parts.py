"""All of the primary but its poller. Imports what takes long: the first poll is parked before."""

import asyncio
import contextlib

from app.bot.dispatch import make_feed
from app.bot.inbox import Inbox
from app.bot.intake import Feed
from app.core.config import Settings
from app.core.health import Heartbeat
from app.core.metrics import serve_metrics
from app.logins import Logins, watch_logins
from app.queue.broker import JobQueue, Witness, make_broker
from app.storage.files import FileStore
from app.storage.postgres import Pool
from app.storage.repository import Repository
from app.telegram.client import BotApi
from app.workers.jobs import Jobs

DRAIN_SECONDS = 4.0


class Parts:
    """What handlers need, and what they left to be done behind their back."""

    def __init__(self, settings: Settings, heartbeat: Heartbeat, api: BotApi, pool: Pool) -> None:
        serve_metrics(settings.metrics_port)
        self._settings = settings
        self._heartbeat = heartbeat
        self._broker = make_broker(settings)
        repository = Repository(pool)
        files = FileStore(settings.temp_dir, settings.audio_dir)
        jobs = Jobs(
            settings=settings,
            repository=repository,
            api=api,
            files=files,
            witness=Witness(self._broker, settings.redis_prefix),
            owner=self._broker.consumer,
        )
        self._inbox = Inbox(settings, api, repository, JobQueue(self._broker), files, jobs)
        self.feed: Feed = make_feed(settings, self._inbox, api)

    async def watch(self, stop: asyncio.Event) -> None:
        await watch_logins(self._settings, Logins(self._heartbeat), stop)

    async def close(self) -> None:
        await self._inbox.drain(DRAIN_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._broker.shutdown()

"""The role primary: polls, records, downloads, queues. Exactly one of a fleet.

A primary that starts is a gap in polling. So the first poll is parked before the rest is imported,
which takes some seconds; the poller and this file import nothing that they don't need for that.
"""

import asyncio
import contextlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from app.bot.checks import HANDLERS, POLLS, STUCK_SECONDS
from app.bot.poller import Poller
from app.core.backoff import Backoff
from app.core.config import Settings
from app.core.errors import Again
from app.core.health import Heartbeat
from app.core.logs import log
from app.telegram.client import BotApi

if TYPE_CHECKING:
    from app.bot.intake import Intake
    from app.bot.parts import Parts
    from app.storage.postgres import Pool

# Then the rest is loaded, even if the Bot API is away.
FIRST_POLL_SECONDS = 2.0


class Primary:
    def __init__(self, settings: Settings, heartbeat: Heartbeat, stop: asyncio.Event) -> None:
        self._settings = settings
        self._heartbeat = heartbeat
        self._stop = stop
        self._api = BotApi(settings, heartbeat)
        self._intake: asyncio.Future[Intake] = asyncio.get_running_loop().create_future()
        self._pool: Pool | None = None

    async def run(self) -> None:
        settings = self._settings
        self._heartbeat.expect(POLLS, settings.stale_poll_seconds, "successful getUpdates")
        self._heartbeat.expect(HANDLERS, STUCK_SECONDS, "look for updates to handle")
        # No deleteWebhook: a webhook that is set is somebody's decision, and its conflict tells.
        poller = Poller(
            self._api,
            self._store,
            self._heartbeat,
            self._stop,
            poll_timeout=settings.poll_timeout,
            backoff=Backoff(1.0, settings.poll_backoff_seconds),
        )
        log.info("primary is ready", poll_timeout=settings.poll_timeout, bot_id=settings.bot_id)
        polling = asyncio.create_task(poller.run())
        handling = asyncio.create_task(self._handle())
        try:
            # Neither ends before the stop, but by an error: then the other has to end, too.
            await asyncio.wait({polling, handling}, return_when=asyncio.FIRST_COMPLETED)
            self._stop.set()
            await asyncio.wait({polling, handling})
            for task in (polling, handling):
                task.result()
        finally:
            for task in (polling, handling):
                task.cancel()
            await asyncio.gather(polling, handling, return_exceptions=True)
            await self._close()

    async def _store(self, raws: list[dict[str, Any]]) -> None:
        intake = await asyncio.shield(self._intake)
        await intake.store(raws)

    async def _handle(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_POLL_SECONDS):
                await self._api.polling.wait()
        try:
            intake, pool = await self._load_storage()
        except Exception as error:
            self._intake.set_exception(Again(f"the storage can't be loaded: {error}"))
            raise
        self._intake.set_result(intake)
        if self._stop.is_set():
            return
        parts = await self._load_parts(pool)
        watching = asyncio.create_task(parts.watch(self._stop))
        try:
            await intake.run(parts.feed)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await parts.close()

    async def _load_storage(self) -> "tuple[Intake, Pool]":
        """What writes updates down: soon there, so that none waits for the handlers' import."""
        await asyncio.to_thread(import_module, "app.bot.intake")
        from app.bot.intake import Intake
        from app.storage.postgres import make_pool
        from app.storage.updates import Updates

        settings = self._settings
        self._pool = make_pool(settings.reveal("database_url"), settings.instance_id, 8)
        await self._pool.open(wait=False)
        return Intake(settings, Updates(self._pool), self._heartbeat, self._stop), self._pool

    async def _load_parts(self, pool: "Pool") -> "Parts":
        await asyncio.to_thread(import_module, "app.bot.parts")
        from app.bot.parts import Parts

        parts = Parts(self._settings, self._heartbeat, self._api, pool)
        log.info("handlers are loaded")
        return parts

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._api.close()
                if self._pool is not None:
                    await self._pool.close(timeout=1)


async def run_primary(settings: Settings, heartbeat: Heartbeat, stop: asyncio.Event) -> None:
    await Primary(settings, heartbeat, stop).run()

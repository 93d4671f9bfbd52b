"""The role primary: polls, records, downloads, queues. Exactly one of a fleet."""

import asyncio
import contextlib
import secrets
from typing import Any

from app.bot.client import BotApi, explain
from app.bot.inbox import Inbox
from app.bot.poller import CHECK, Feed, Poller
from app.core.backoff import Backoff, sleep_or
from app.core.config import Settings
from app.core.errors import Again
from app.core.health import Heartbeat
from app.core.logins import Logins, watch_logins
from app.core.logs import log
from app.core.metrics import serve_metrics
from app.storage.files import FileStore
from app.storage.postgres import make_pool
from app.storage.repository import Repository
from app.workers.broker import JobQueue, Witness, make_broker
from app.workers.jobs import Jobs

DRAIN_SECONDS = 8.0


async def _identify(api: BotApi, heartbeat: Heartbeat, stop: asyncio.Event) -> int | None:
    """The bot's id from getMe, which disturbs no poller; None when stopped before."""
    backoff = Backoff(0.5, 15.0)
    while not stop.is_set():
        try:
            me = await api.call("getMe", 5)
        except Exception as error:
            delay = backoff.next()
            text = explain(error)
            log.warning("getMe failed", error=text, retry_in_s=round(delay, 1))
            heartbeat.fail(CHECK, f"getMe: {text}")
            await sleep_or(stop, delay)
        else:
            log.info("this bot", bot_id=me["id"], username=me.get("username"))
            return int(me["id"])
    return None


def _load_feed(settings: Settings, inbox: Inbox, bot_id: int) -> Feed:
    import app.bot.aiogram_lazy  # noqa: F401 - must come before aiogram
    from app.bot.dispatch import make_feed

    return make_feed(settings, inbox, bot_id)


async def run_primary(settings: Settings, heartbeat: Heartbeat, stop: asyncio.Event) -> None:
    heartbeat.expect(CHECK, settings.stale_poll_seconds, "successful getUpdates")
    serve_metrics(settings.metrics_port)
    api = BotApi(settings)
    broker = make_broker(settings)
    pool = make_pool(settings.reveal("database_url"), settings.instance_id, 8)
    await pool.open(wait=False)
    repository = Repository(pool)
    files = FileStore(settings.temp_dir, settings.audio_dir)
    jobs = Jobs(
        settings=settings,
        repository=repository,
        api=api,
        files=files,
        witness=Witness(broker, settings.redis_prefix),
        owner=f"{settings.instance_id}/{secrets.token_hex(3)}",
    )
    inbox = Inbox(settings, api, repository, JobQueue(broker), files, jobs)
    watching = asyncio.create_task(watch_logins(settings, Logins(heartbeat), stop))
    try:
        bot_id = await _identify(api, heartbeat, stop)
        if bot_id is None:
            return
        # aiogram takes a second to import. The first poll is parked meanwhile: a primary that
        # starts is a gap in polling, and whatever comes in waits for this only.
        loading = asyncio.create_task(asyncio.to_thread(_load_feed, settings, inbox, bot_id))

        def loaded(task: asyncio.Task[Feed]) -> None:
            if not task.cancelled() and task.exception() is not None:
                stop.set()

        loading.add_done_callback(loaded)

        async def feed(raw: dict[str, Any]) -> None:
            try:
                handle = await asyncio.shield(loading)
            except Exception as error:
                raise Again(f"the handlers can't be loaded: {error}") from error
            await handle(raw)

        # No deleteWebhook: a webhook that is set is somebody's decision, and its conflict tells.
        poller = Poller(
            api,
            feed,
            heartbeat,
            stop,
            poll_timeout=settings.poll_timeout,
            backoff=Backoff(1.0, settings.poll_backoff_seconds),
        )
        log.info("primary is ready", poll_timeout=settings.poll_timeout)
        await poller.run()
        if loading.done():
            loading.result()
        await inbox.drain(DRAIN_SECONDS)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await api.close()
                await broker.shutdown()
                await pool.close(timeout=1)

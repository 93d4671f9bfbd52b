"""The worker: takes jobs from the stream, sweeps up rows that were left, keeps the disks tidy."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from app.bot.client import BotApi
from app.core.backoff import sleep_or
from app.core.config import Settings
from app.core.errors import Again, LoginRefused
from app.core.health import Heartbeat
from app.core.logins import Logins, watch_logins
from app.core.logs import log
from app.core.metrics import REQUEUED, serve_metrics
from app.storage.files import FileStore
from app.storage.postgres import TRANSIENT, describe, make_pool
from app.storage.repository import TABLES, Repository
from app.storage.s3 import ObjectStore
from app.workers.broker import TASKS, JobQueue, Witness, make_broker, make_receiver
from app.workers.jobs import Jobs

SWEEP_LIMIT = 100
# More than this in the stream means that workers are behind, not that jobs were lost.
BACKLOG = 1000
TIDY_SECONDS = 60.0
TEMP_HOURS = 6.0
STORE_SECONDS = 15.0


class BackgroundWorker:
    """One worker process. `run` returns once `stop` is set and the jobs in hand are finished."""

    def __init__(self, settings: Settings, heartbeat: Heartbeat) -> None:
        self._settings = settings
        self._heartbeat = heartbeat
        self._logins = Logins(heartbeat)
        self._running: dict[asyncio.Task[None], float] = {}
        self._broker = make_broker(settings, self._on_read)
        self._pool = make_pool(
            settings.reveal("database_url"),
            settings.instance_id,
            settings.worker_concurrency * 2 + 2,
        )
        self._repository = Repository(self._pool)
        self._store = ObjectStore(settings)
        self._api = BotApi(settings)
        self._queue = JobQueue(self._broker)
        self._jobs = Jobs(
            settings=settings,
            repository=self._repository,
            api=self._api,
            files=FileStore(settings.temp_dir, settings.audio_dir),
            witness=Witness(self._broker, settings.redis_prefix),
            # Told apart from its own former lives.
            owner=f"{settings.instance_id}/{secrets.token_hex(3)}",
            store=self._store,
        )
        self._register(TASKS["messages"], self._jobs.process_message)
        self._register(TASKS["callbacks"], self._jobs.process_callback)

    def _register(self, name: str, work: Callable[[int], Awaitable[None]]) -> None:
        async def task(row_id: int) -> None:
            current = asyncio.current_task()
            if current is None:
                return
            self._running[current] = time.monotonic()
            try:
                await work(row_id)
            finally:
                del self._running[current]

        self._broker.register_task(task, task_name=name)

    def _on_read(self, error: str | None) -> None:
        if error is None:
            self._heartbeat.beat("queue")
        else:
            self._heartbeat.fail("queue", error)

    async def run(self, stop: asyncio.Event) -> None:
        settings = self._settings
        self._heartbeat.expect("queue", 10, "read of the job queue in Redis")
        sweep_age = max(20.0, settings.sweep_seconds * 3)
        self._heartbeat.expect("database", sweep_age, "PostgreSQL query")
        self._heartbeat.expect("store", STORE_SECONDS * 3, "answer of the object storage")
        serve_metrics(settings.metrics_port)
        await self._pool.open(wait=False)
        await self._broker.startup()
        finish = asyncio.Event()
        receiver = make_receiver(self._broker, settings)
        helpers = [
            asyncio.create_task(watch_logins(settings, self._logins, stop)),
            asyncio.create_task(self._sweep(stop)),
            asyncio.create_task(self._tidy(stop)),
            asyncio.create_task(self._watch_store(stop)),
            asyncio.create_task(self._vouch_when_full(stop)),
        ]
        listening = asyncio.create_task(receiver.listen(finish))
        waiting = asyncio.ensure_future(stop.wait())
        log.info("worker is ready", concurrency=settings.worker_concurrency)
        try:
            await asyncio.wait({waiting, listening, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            loops: list[asyncio.Task[None]] = [listening, *helpers]
            for task in loops:
                # A loop that ends by itself is a defect: end loudly, be restarted.
                if task.done() and not stop.is_set():
                    await task
                    raise RuntimeError("a loop of the worker ended by itself")
            log.info("finishing jobs", running=len(self._running))
            finish.set()
            await listening
            await self._cancel_running()
        finally:
            ending: list[asyncio.Task[Any]] = [*helpers, listening, waiting]
            for every in ending:
                every.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await self._close()

    async def _cancel_running(self) -> None:
        left = list(self._running)
        if not left:
            return
        log.warning("jobs did not end in time; their rows go back to the queue", jobs=len(left))
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=3)

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await self._api.close()
                await self._broker.shutdown()
                await self._pool.close(timeout=1)

    async def _vouch_when_full(self, stop: asyncio.Event) -> None:
        """While every place is taken nothing is read: then the jobs' own time limit vouches."""
        limit = self._settings.transcode_seconds + 180
        while not await sleep_or(stop, 2):
            if len(self._running) < self._settings.worker_concurrency:
                continue
            if time.monotonic() - min(self._running.values()) > limit:
                self._heartbeat.fail("queue", "a job runs longer than its time limit")
                continue
            try:
                await self._queue.ping()
            except Exception as error:
                self._heartbeat.fail("queue", f"{type(error).__name__}: {error}")
            else:
                self._heartbeat.beat("queue")

    async def _sweep(self, stop: asyncio.Event) -> None:
        """Queue open rows that nobody works on. With this a lost Redis loses nothing."""
        failing = False
        while True:
            try:
                await self._repository.ping()
                self._heartbeat.beat("database")
                if await self._queue.length() < BACKLOG:
                    await self._sweep_once()
                if failing:
                    log.info("the sweeper is back")
                failing = False
            except Exception as error:
                text = describe(error)
                if isinstance(error, TRANSIENT):
                    self._heartbeat.fail("database", text)
                if not failing:
                    log.warning("the sweeper waits", error=f"{type(error).__name__}: {text}")
                failing = True
            if await sleep_or(stop, self._settings.sweep_seconds):
                return

    async def _sweep_once(self) -> None:
        for table in TABLES:
            due = await self._repository.due(table, self._settings.requeue_seconds, SWEEP_LIMIT)
            for row_id in due:
                await self._queue.put(table, row_id)
                REQUEUED.labels(table).inc()
            if due:
                log.info("queued again", table=table, rows=len(due), first=due[0])

    async def _tidy(self, stop: asyncio.Event) -> None:
        files = FileStore(self._settings.temp_dir, self._settings.audio_dir)
        while True:
            for directory, hours in (
                (files.temp_dir, TEMP_HOURS),
                (files.audio_dir, self._settings.keep_audio_hours),
            ):
                try:
                    removed = await asyncio.to_thread(files.prune, directory, hours * 3600)
                except OSError as error:
                    log.warning("can't tidy up", directory=str(directory), error=str(error))
                    continue
                if removed:
                    log.info("tidied up", directory=str(directory), removed=removed)
            if await sleep_or(stop, TIDY_SECONDS):
                return

    async def _watch_store(self, stop: asyncio.Event) -> None:
        failing = False
        while True:
            try:
                await self._store.ping()
                self._heartbeat.beat("store")
                # Each request is signed, so each is a login.
                self._logins.accepted("store")
                failing = False
            except Again as error:
                if isinstance(error, LoginRefused):
                    self._logins.refused("store", error)
                self._heartbeat.fail("store", str(error))
                if not failing:
                    log.warning("the object storage does not answer", error=str(error))
                failing = True
            if await sleep_or(stop, 2 if failing else STORE_SECONDS):
                return

"""The worker: takes jobs from the stream, sweeps up rows that were left, keeps the disks tidy."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from app.core.backoff import sleep_or
from app.core.config import Settings
from app.core.errors import Again, LoginRefused
from app.core.health import Heartbeat
from app.core.logs import log
from app.core.metrics import OLDEST_ROW, OPEN_ROWS, REQUEUED, serve_metrics
from app.logins import Logins, watch_logins
from app.queue.broker import LANES, Consumer, Delivery, JobQueue, Lane, Witness, make_broker
from app.storage.files import FileStore
from app.storage.postgres import TRANSIENT, describe, make_pool
from app.storage.repository import TABLES, Repository
from app.storage.s3 import ObjectStore
from app.telegram.client import BotApi
from app.workers.jobs import Jobs
from app.workers.outlook import FORGET_SECONDS, Outlook
from app.workers.retention import Retention
from app.workers.turnstile import Turnstile

SWEEP_LIMIT = 100
# More than this in the stream means that workers are behind, not that jobs were lost.
BACKLOG = 1000
TIDY_SECONDS = 60.0
TEMP_HOURS = 6.0
STORE_SECONDS = 15.0
DISK_SECONDS = 10.0
# Download, storing and answering, on top of what ffmpeg may take.
REST_SECONDS = 180.0


class BackgroundWorker:
    """One worker process. `run` returns once `stop` is set and the jobs in hand are finished."""

    def __init__(self, settings: Settings, heartbeat: Heartbeat) -> None:
        self._settings = settings
        self._heartbeat = heartbeat
        self._logins = Logins(heartbeat)
        self._running: set[asyncio.Task[None]] = set()
        self._reading: set[Lane] = set()
        self._broker = make_broker(settings)
        self._pool = make_pool(
            settings.reveal("database_url"), settings.instance_id, settings.worker_concurrency + 6
        )
        self._repository = Repository(self._pool)
        self._store = ObjectStore(settings)
        self._api = BotApi(settings, heartbeat)
        self._queue = JobQueue(self._broker)
        self._files = FileStore(settings.temp_dir, settings.audio_dir)
        self._retention = Retention(settings, self._repository, self._store)
        self._outlook = Outlook(self._say("jobs", FORGET_SECONDS))
        self._turnstile = Turnstile(
            {"long": settings.worker_concurrency, "short": settings.short_concurrency}
        )
        self._jobs = Jobs(
            settings=settings,
            repository=self._repository,
            api=self._api,
            files=self._files,
            witness=Witness(self._broker, settings.redis_prefix),
            owner=self._broker.consumer,
            store=self._store,
            turnstile=self._turnstile,
            outlook=self._outlook,
        )

    def _say(self, name: str, seconds: float) -> Callable[[str | None], None]:
        """Unhealthy at once, until it is taken back or nobody has said it for `seconds`."""
        told = False

        def say(problem: str | None) -> None:
            nonlocal told
            self._heartbeat.failing(name, problem, seconds)
            if problem is not None and not told:
                log.error("the worker can't work", problem=name, error=problem)
            if problem is None and told:
                log.info("the worker can work again", problem=name)
            told = problem is not None

        return say

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
        helpers = [
            asyncio.create_task(watch_logins(settings, self._logins, stop)),
            asyncio.create_task(self._sweep(stop)),
            asyncio.create_task(self._tidy(stop)),
            asyncio.create_task(self._watch_store(stop)),
            asyncio.create_task(self._watch_disk(stop)),
            asyncio.create_task(self._vouch_when_full(stop)),
        ]
        serving = [asyncio.create_task(self._serve(lane)) for lane in LANES]
        waiting = asyncio.ensure_future(stop.wait())
        log.info("worker is ready", concurrency=settings.worker_concurrency)
        try:
            await asyncio.wait({waiting, *serving, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            for task in [*serving, *helpers]:
                # A loop that ends by itself is a defect: end loudly, be restarted.
                if task.done() and not stop.is_set():
                    await task
                    raise RuntimeError("a loop of the worker ended by itself")
            log.info("finishing jobs", running=len(self._running))
            await self._turnstile.shut()
            ends = asyncio.get_running_loop().time() + settings.stop_seconds
            await asyncio.wait(serving, timeout=settings.stop_seconds)
            if self._running:
                left = max(0.0, ends - asyncio.get_running_loop().time())
                await asyncio.wait(self._running.copy(), timeout=left)
            await self._cancel_running()
        finally:
            ending: list[asyncio.Task[Any]] = [*helpers, *serving, waiting]
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

    async def _serve(self, lane: Lane) -> None:
        """Take from one stream as long as there are places, and nobody wants to be alone."""
        consumer = Consumer(self._broker, lane, self._on_read)
        while await self._turnstile.enter(lane):
            self._reading.add(lane)
            try:
                # The place that was taken by entering, and what is free beside it.
                deliveries = await consumer.take(1 + self._turnstile.free(lane))
            except BaseException:
                await self._turnstile.leave(lane)
                raise
            finally:
                self._reading.discard(lane)
            for number, delivery in enumerate(deliveries):
                if number:
                    self._turnstile.join(lane)
                task = asyncio.create_task(self._do(delivery, lane))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if not deliveries:
                await self._turnstile.leave(lane)

    async def _do(self, delivery: Delivery, lane: Lane) -> None:
        try:
            await self._jobs.process(delivery.table, delivery.row_id, lane)
            await delivery.ack()
        except Exception:
            # Not acknowledged: it comes again, as does its row.
            log.exception("a job's own handling failed", row=delivery.row_id)
        finally:
            await self._turnstile.leave(lane)

    async def _vouch_when_full(self, stop: asyncio.Event) -> None:
        """While nothing is read, as every place is taken, the jobs' own time limit vouches."""
        limit = self._settings.transcode_seconds + REST_SECONDS
        while not await sleep_or(stop, 2):
            began = min(self._jobs.working.values(), default=time.monotonic())
            if time.monotonic() - began > limit:
                self._heartbeat.fail("queue", "a job runs longer than its time limit")
                continue
            if self._reading:
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
                await self._count()
                for lane in LANES:
                    if await self._queue.length(lane) < BACKLOG:
                        await self._sweep_once(lane)
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

    async def _count(self) -> None:
        """Gauges, and facts beside the heartbeat: what is open, and since when."""
        number, oldest = 0, 0.0
        for table in TABLES:
            found = await self._repository.open_rows(table)
            OPEN_ROWS.labels(table).set(found.number)
            OLDEST_ROW.labels(table).set(found.age)
            number, oldest = number + found.number, max(oldest, found.age)
        self._heartbeat.beat("database", open_rows=number, oldest_open_s=round(oldest))

    async def _sweep_once(self, lane: Lane) -> None:
        for table in TABLES:
            due = await self._repository.due(
                table, self._settings.requeue_seconds, SWEEP_LIMIT, long=lane == "long"
            )
            for row_id in due:
                await self._queue.put(table, row_id, lane)
                REQUEUED.labels(table).inc()
            if due:
                log.info("queued again", table=table, rows=len(due), first=due[0])

    async def _tidy(self, stop: asyncio.Event) -> None:
        # Nobody makes or stores a file for longer than this without touching it.
        in_work = self._settings.transcode_seconds + REST_SECONDS
        while True:
            for directory, hours in (
                (self._files.temp_dir, TEMP_HOURS),
                (self._files.audio_dir, self._settings.keep_audio_hours),
            ):
                try:
                    removed = await asyncio.to_thread(
                        self._files.prune, directory, hours * 3600, in_work
                    )
                except OSError as error:
                    log.warning("can't tidy up", directory=str(directory), error=str(error))
                    continue
                if removed:
                    log.info("tidied up", directory=str(directory), removed=removed)
            await self._forget()
            self._outlook.look()
            if await sleep_or(stop, TIDY_SECONDS):
                return

    async def _forget(self) -> None:
        try:
            number = await self._retention.once()
        except TRANSIENT as error:
            log.warning("can't forget what is old", error=describe(error))
            return
        if number:
            log.info("forgot what is old", rows=number)

    async def _watch_disk(self, stop: asyncio.Event) -> None:
        say = self._say("disk", 3 * DISK_SECONDS)
        while True:
            problem: str | None = None
            for directory in (self._files.temp_dir, self._files.audio_dir):
                problem = problem or await asyncio.to_thread(self._files.probe, directory)
            say(problem)
            if await sleep_or(stop, DISK_SECONDS):
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

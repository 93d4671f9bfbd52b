"""The webhook API. Not Telegram's webhook: signed callbacks of outside services."""

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.core.config import Settings
from app.core.errors import Again
from app.core.health import Heartbeat
from app.core.logins import Logins, watch_logins
from app.core.logs import log
from app.core.metrics import CALLBACKS
from app.storage.postgres import TRANSIENT, describe, make_pool
from app.storage.repository import Repository
from app.webhook.signature import problem_with
from app.workers.broker import JobQueue, make_broker

BODY_LIMIT = 1024 * 1024
DRAIN = 8
SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
DELIVERY = re.compile(r"[\x21-\x7e]{1,200}")
READY_SECONDS = 2.0


async def read_body(request: Request, limit: int) -> bytes | None:
    """The raw body, or None when it is over the limit, however it was announced.

    A little more than the limit is read and thrown away: a caller who is still sending would see
    a broken connection, not our answer.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > DRAIN * limit:
        return None
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            body += chunk
        elif size > DRAIN * limit:
            return None
    return bytes(body) if size <= limit else None


class WebhookApi:
    def __init__(self, settings: Settings, repository: Repository, queue: JobQueue) -> None:
        self._settings = settings
        self._secret = settings.reveal("webhook_secret")
        self._repository = repository
        self._queue = queue
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self.app.add_api_route("/callbacks/{source}", self.callback, methods=["POST"])
        self.app.add_api_route("/healthz", self.healthz, methods=["GET"])
        self.app.add_api_route("/readyz", self.readyz, methods=["GET"])
        self.app.add_api_route("/metrics", self.metrics, methods=["GET"])

    def _answer(self, status: int, result: str, **fields: Any) -> JSONResponse:
        CALLBACKS.labels(result).inc()
        headers = {"Retry-After": "5"} if status == 503 else None
        return JSONResponse({"result": result, **fields}, status_code=status, headers=headers)

    async def callback(self, source: str, request: Request) -> Response:
        if not SOURCE.fullmatch(source):
            return self._answer(404, "unknown_source")
        body = await read_body(request, BODY_LIMIT)
        if body is None:
            return self._answer(413, "too_large", limit=BODY_LIMIT)
        headers = request.headers
        timestamp = headers.get("x-aisha-timestamp")
        problem = problem_with(
            self._secret, timestamp, headers.get("x-aisha-signature"), body, time.time()
        )
        if problem is not None:
            log.warning("callback refused", source=source, reason=problem)
            return self._answer(401, "unauthorized", reason=problem)
        # Without an id of its own a call is told apart by its signed content.
        delivery = headers.get("x-aisha-delivery")
        if delivery is None:
            delivery = hashlib.sha256(f"{timestamp}.".encode() + body).hexdigest()
        if not DELIVERY.fullmatch(delivery):
            return self._answer(400, "bad_delivery", reason="X-Aisha-Delivery: 1-200 characters")
        try:
            row_id = await self._repository.add_callback(
                source,
                delivery,
                body,
                self._settings.instance_id,
                min(5.0, self._settings.requeue_seconds),
            )
        except TRANSIENT as error:
            log.error("callback not stored", source=source, error=describe(error))
            return self._answer(503, "try_again", reason="the database is away")
        if row_id is None:
            return self._answer(200, "known", delivery=delivery)
        log.info("callback stored", source=source, delivery=delivery, row=row_id, size=len(body))
        # Stored is enough to accept: the sweeper queues what Redis could not take.
        task = asyncio.create_task(self._enqueue(row_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._answer(202, "accepted", delivery=delivery)

    async def _enqueue(self, row_id: int) -> None:
        try:
            await self._queue.put("callbacks", row_id)
        except Again as error:
            log.warning("left to the sweeper", row=row_id, error=str(error))

    async def healthz(self) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(self) -> Response:
        if self.draining:
            return PlainTextResponse("stopping\n", status_code=503)
        results = await asyncio.gather(
            self._probe("database", self._repository.ping()),
            self._probe("redis", self._queue.ping()),
        )
        problems = [text for text in results if text]
        if problems:
            return PlainTextResponse("; ".join(problems) + "\n", status_code=503)
        return PlainTextResponse("ready: database and redis answer\n")

    async def _probe(self, name: str, ping: Any) -> str | None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await ping
        except Exception as error:
            # Not the error's text: anybody may ask, and it names hosts and users.
            log.warning("not ready", part=name, error=f"{type(error).__name__}: {error}")
            return f"{name} does not answer"
        return None

    async def metrics(self) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def drain(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=3)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves SIGTERM to the process, which drains before it closes the port."""
        yield


async def run_webhook(settings: Settings, heartbeat: Heartbeat, stop: asyncio.Event) -> None:
    broker = make_broker(settings)
    pool = make_pool(settings.reveal("database_url"), settings.instance_id, 8)
    await pool.open(wait=False)
    api = WebhookApi(settings, Repository(pool), JobQueue(broker))
    server = _Server(
        uvicorn.Config(
            api.app,
            host=settings.webhook_host,
            port=settings.webhook_port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=8,
            limit_concurrency=200,
            h11_max_incomplete_event_size=16 * 1024,
        )
    )
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(stop.wait())
    watching = asyncio.create_task(watch_logins(settings, Logins(heartbeat), stop))
    log.info("webhook is ready", port=settings.webhook_port)
    try:
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
            port = settings.webhook_port
            raise RuntimeError(f"the web server ended by itself: is port {port} free?")
        api.draining = True
        await asyncio.sleep(settings.webhook_drain_seconds)
        server.should_exit = True
        await serving
        await api.drain()
    finally:
        for task in (serving, waiting, watching):
            task.cancel()
        await asyncio.gather(serving, waiting, watching, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await broker.shutdown()
                await pool.close(timeout=1)

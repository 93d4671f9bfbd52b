"""The webhook API. Not Telegram's webhook: signed callbacks of outside services.

Two listeners: callers reach one of them, and only through the front; what is asked about this
process (/healthz, /readyz, /metrics) is answered on the other, whatever callers do.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.core.config import Settings
from app.core.errors import Again
from app.core.health import Heartbeat
from app.core.logs import log
from app.core.metrics import CALLBACKS
from app.core.webhook_secrets import keys_of
from app.logins import Logins, watch_logins
from app.queue.broker import JobQueue, make_broker
from app.storage.postgres import TRANSIENT, describe, make_pool
from app.storage.repository import Repository
from app.webhook.deadlines import Deadlines
from app.webhook.signature import claim_of, proven

READY_SECONDS = 2.0
# More than a front needs.
CONNECTIONS = 1000
# A body over SMALL_BYTES may wait for its turn: the few that are read at once bound the memory.
SMALL_BYTES = 64 * 1024
LARGE_AT_ONCE = 16
# What is refused before it is read is thrown away up to here, so that its caller sees the answer
# and not a broken connection.
DRAINED_BYTES = 8 * 1024 * 1024
SAY_SECONDS = 10.0


class Slow(Exception):
    """The body did not come in time."""


async def read_body(request: Request, length: int, seconds: float) -> bytearray:
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
    except TimeoutError:
        raise Slow(f"{len(body)} of {length} bytes came within {seconds:g} s") from None
    return body


class Sayer:
    """Says the same thing once in a while, with how often it was: a flood must not fill the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}

    def count(self, what: str) -> int | None:
        """How many since it was last said, this one with them; None while it is too early."""
        now = self._clock()
        said, unsaid = self._seen.get(what, (float("-inf"), 0))
        if now - said < SAY_SECONDS:
            self._seen[what] = (said, unsaid + 1)
            return None
        self._seen[what] = (now, 0)
        return unsaid + 1


class WebhookApi:
    def __init__(self, settings: Settings, repository: Repository, queue: JobQueue) -> None:
        self._settings = settings
        self._keys = keys_of(settings.reveal("webhook_secrets"))
        self._repository = repository
        self._queue = queue
        self._tasks: set[asyncio.Task[None]] = set()
        self._large = 0
        self._sayer = Sayer()
        self.draining = False
        self.callbacks = Starlette(
            routes=[Route("/callbacks/{source}", self.callback, methods=["POST"])]
        )
        self.health = Starlette(
            routes=[
                Route("/healthz", self.healthz),
                Route("/readyz", self.readyz),
                Route("/metrics", self.metrics),
            ]
        )

    def _answer(
        self, status: int, result: str, headers: dict[str, str] | None = None, **fields: Any
    ) -> JSONResponse:
        CALLBACKS.labels(result).inc()
        if status == 503:
            headers = {"Retry-After": "5"}
        return JSONResponse({"result": result, **fields}, status_code=status, headers=headers)

    def _refuse(self, status: int, result: str, source: str, reason: str, **more: Any) -> Response:
        count = self._sayer.count(result + reason)
        if count is not None:
            log.warning("callback refused", source=source, reason=reason, times=count)
        return self._answer(status, result, reason=reason, **more)

    async def callback(self, request: Request) -> Response:
        source = request.path_params["source"]
        keys = self._keys.get(source)
        if keys is None:
            return self._refuse(404, "unknown_source", "?", "this source has no secret here")
        claim = claim_of(request.headers, time.time())
        if isinstance(claim, str):
            return self._refuse(401, "unauthorized", source, claim)
        limit = self._settings.webhook_body_limit
        announced = request.headers.get("content-length")
        # With both, the first one decides how much comes.
        if "transfer-encoding" in request.headers or announced is None:
            reason = "Content-Length is required: a body of unknown size is not read"
            return self._refuse(411, "length_required", source, reason)
        # h11 lets only digits through.
        length = int(announced)
        if length > limit:
            close = {"Connection": "close"} if length > DRAINED_BYTES else None
            reason = f"the body is over {limit} bytes"
            return self._refuse(413, "too_large", source, reason, headers=close, limit=limit)
        large = length > SMALL_BYTES
        if large and self._large >= LARGE_AT_ONCE:
            return self._refuse(503, "try_again", source, "other large bodies are being read")
        self._large += large
        try:
            body = await read_body(request, length, self._settings.webhook_body_seconds)
            if not proven(claim, keys, body):
                reason = "the signature does not match"
                return self._refuse(401, "unauthorized", source, reason)
            return await self._store(source, claim.delivery, bytes(body))
        except Slow:
            close = {"Connection": "close"}
            return self._refuse(408, "too_slow", source, "the body came too slowly", headers=close)
        except ClientDisconnect:
            CALLBACKS.labels("gone").inc()
            return Response(status_code=400)
        finally:
            self._large -= large

    async def _store(self, source: str, delivery: str, body: bytes) -> Response:
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

    async def healthz(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
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
            # Not the error's text: it names hosts and users.
            log.warning("not ready", part=name, error=f"{type(error).__name__}: {error}")
            return f"{name} does not answer"
        return None

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def drain(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=3)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves SIGTERM to the process, which drains before it closes the port."""
        yield


def _server(settings: Settings, app: Starlette, port: int, connections: int) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            host=settings.webhook_host,
            port=port,
            http=Deadlines,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            # Longer than a front keeps one that it does not use.
            timeout_keep_alive=60,
            timeout_graceful_shutdown=8,
            limit_concurrency=connections,
            h11_max_incomplete_event_size=16 * 1024,
        )
    )


async def run_webhook(settings: Settings, heartbeat: Heartbeat, stop: asyncio.Event) -> None:
    broker = make_broker(settings)
    pool = make_pool(settings.reveal("database_url"), settings.instance_id, 8)
    await pool.open(wait=False)
    api = WebhookApi(settings, Repository(pool), JobQueue(broker))
    ports = (settings.webhook_port, settings.webhook_health_port)
    servers = (
        _server(settings, api.callbacks, ports[0], CONNECTIONS),
        _server(settings, api.health, ports[1], 100),
    )
    serving = [asyncio.create_task(server.serve()) for server in servers]
    waiting = asyncio.create_task(stop.wait())
    watching = asyncio.create_task(watch_logins(settings, Logins(heartbeat), stop))
    log.info("webhook is ready", port=ports[0], health_port=ports[1])
    try:
        await asyncio.wait({*serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for task, port in zip(serving, ports, strict=True):
            if task.done():
                await task
                raise RuntimeError(f"the web server ended by itself: is port {port} free?")
        api.draining = True
        await asyncio.sleep(settings.webhook_drain_seconds)
        # Asked about until the last caller has its answer.
        for server, task in zip(servers, serving, strict=True):
            server.should_exit = True
            await task
        await api.drain()
    finally:
        for each in (*serving, waiting, watching):
            each.cancel()
        await asyncio.gather(*serving, waiting, watching, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await broker.shutdown()
                await pool.close(timeout=1)

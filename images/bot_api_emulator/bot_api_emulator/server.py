"""HTTP in front of the state machine: the Bot API's paths, files, and the control API's."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from . import control
from .arguments import Arguments, Upload
from .bodies import MAX_PARAMETER_BYTES, TooLargeError, read_body
from .bot import Held
from .clock import SECOND
from .core import Core, Request
from .envelope import LOST, Answer, Refusal, failure
from .local_files import attach_local_files, names_local_file
from .logs import AccessLogger
from .methods import too_large
from .stats import Client
from .webhook_client import WebhookClient

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 2.0


class Driver:
    """Calls `tick` when something is due."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._timer: asyncio.TimerHandle | None = None
        core.on_timer = self.arm

    def arm(self) -> None:
        self.stop()
        due = self._core.next_due()
        if due is not None:
            delay = max(0, due - self._core.now()) / SECOND
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._core.tick()
        self.arm()


def make_app(core: Core) -> web.Application:
    app = web.Application(client_max_size=MAX_PARAMETER_BYTES, middlewares=[_errors])
    bot_api = BotApi(core)
    control.add_routes(app, core)
    app.router.add_route("*", "/{path:.*}", bot_api.handle)
    driver = Driver(core)

    webhooks = WebhookClient(core)

    async def start(_: web.Application) -> None:
        driver.arm()

    async def stop(_: web.Application) -> None:
        driver.stop()
        await webhooks.stop()

    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    return app


def make_runner(core: Core) -> web.AppRunner:
    # A handler is cancelled when its client goes away: that is how a vanished poller is seen.
    return web.AppRunner(
        make_app(core),
        handler_cancellation=True,
        access_log_class=AccessLogger,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except (TooLargeError, web.HTTPRequestEntityTooLarge):
        return respond(too_large())
    except web.HTTPException:
        raise
    except Exception:
        log.exception("a request failed; this is a defect of the emulator")
        return respond(failure(500, "Internal Server Error"))


def respond(answer: Answer) -> web.Response:
    headers = {"Retry-After": str(answer.retry_after)} if answer.retry_after else None
    return web.json_response(
        answer.body,
        status=answer.status,
        headers=headers,
        dumps=lambda body: json.dumps(body, ensure_ascii=False, separators=(",", ":")),
    )


class BotApi:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.rel_url.raw_path)
        if path.startswith("/file/bot"):
            return await self._download(request, path.removeprefix("/file/bot"))
        if not path.startswith("/bot"):
            return respond(failure(404, "Not Found"))
        if request.method not in ("GET", "POST"):
            return respond(failure(501, "Not Implemented"))
        token, slash, method = path.removeprefix("/bot").partition("/")
        if method.startswith("test/"):
            # The test environment is another world, where no bot is registered.
            token, method = f"{token}/test", method.removeprefix("test/")
        if not slash:
            return respond(failure(404, "Not Found"))
        try:
            arguments, files = await self._read(request)
        except ValueError as error:
            return respond(failure(400, f"Bad Request: {error}"))
        name = method or arguments.text("method")
        held = self._core.call(Request(token, name, arguments, files, _client(request)))
        answer = await self._answer(held)
        return _hang_up(request) if answer is LOST else respond(answer)

    async def _read(self, request: web.Request) -> tuple[Arguments, dict[str, Upload]]:
        query = request.rel_url.raw_query_string
        arguments = Arguments(parse_qsl(query, keep_blank_values=True))
        files: dict[str, Upload] = {}
        keep, most = self._core.keep, self._core.most
        if request.body_exists:
            files = await read_body(
                request.headers, request.content, arguments, keep=keep, most=most
            )
        if self._core.modes.local and names_local_file(arguments):
            await asyncio.to_thread(attach_local_files, arguments, files, keep=keep, most=most)
        return arguments, files

    async def _answer(self, held: Held) -> Answer:
        if held.answer is not None:
            return held.answer
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        held.on_answer = lambda answer: None if future.done() else future.set_result(answer)
        try:
            return await future
        except asyncio.CancelledError:
            self._core.vanished(held)
            raise

    async def _download(self, request: web.Request, rest: str) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return respond(failure(501, "Not Implemented"))
        token, _, path = rest.partition("/")
        answer = await self._answer(self._core.approach_file(token, _client(request)))
        if answer is LOST:
            return _hang_up(request)
        if answer.status != 200:
            return respond(answer)
        try:
            file = self._core.download(token, path)
        except Refusal as refusal:
            return respond(refusal.answer)
        return web.Response(body=file.data, content_type="application/octet-stream")


def _client(request: web.Request) -> Client:
    return Client(request.remote or "", request.headers.get("User-Agent", ""))


def _hang_up(request: web.Request) -> web.Response:
    """End the connection without a word; the status is for the log only."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=444)

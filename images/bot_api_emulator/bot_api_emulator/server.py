"""HTTP in front of the state machine: the Bot API's paths, files, and the control API's."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import BodyPartReader, web

from . import control
from .arguments import Arguments, Upload
from .clock import SECOND
from .core import Core, Request
from .envelope import Answer, Refusal, failure
from .files import MAX_DOWNLOAD, MAX_UPLOAD
from .forms import read_upload
from .logs import AccessLogger
from .methods import too_large
from .stats import Client

log = logging.getLogger(__name__)

MAX_PARAMETER_BYTES = 1 << 20
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

    async def start(_: web.Application) -> None:
        driver.arm()

    async def stop(_: web.Application) -> None:
        driver.stop()

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
    except web.HTTPRequestEntityTooLarge:
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
            return self._download(request, path.removeprefix("/file/bot"))
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
            arguments, files = await _read_arguments(request)
        except ValueError as error:
            return respond(failure(400, f"Bad Request: {error}"))
        return respond(await self._call(request, token, method, arguments, files))

    async def _call(
        self,
        request: web.Request,
        token: str,
        method: str,
        arguments: Arguments,
        files: dict[str, Upload],
    ) -> Answer:
        client = Client(request.remote or "", request.headers.get("User-Agent", ""))
        held = self._core.call(
            Request(token, method or arguments.text("method"), arguments, files, client)
        )
        if held.answer is not None:
            return held.answer
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        held.on_answer = lambda answer: None if future.done() else future.set_result(answer)
        try:
            return await future
        except asyncio.CancelledError:
            self._core.vanished(held)
            raise

    def _download(self, request: web.Request, rest: str) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return respond(failure(501, "Not Implemented"))
        token, _, path = rest.partition("/")
        try:
            file = self._core.download(token, path)
        except Refusal as refusal:
            return respond(refusal.answer)
        return web.Response(body=file.data, content_type="application/octet-stream")


async def _read_arguments(request: web.Request) -> tuple[Arguments, dict[str, Upload]]:
    query = request.rel_url.raw_query_string
    arguments = Arguments(parse_qsl(query, keep_blank_values=True))
    files: dict[str, Upload] = {}
    content_type = request.headers.get("Content-Type", "").lower()
    if not request.body_exists:
        return arguments, files
    if "multipart/form-data" in content_type:
        await _read_multipart(request, arguments, files)
    elif "application/x-www-form-urlencoded" in content_type:
        body = (await request.read()).decode("utf-8", "replace")
        for name, value in parse_qsl(body, keep_blank_values=True):
            arguments.add(name, value)
    elif "application/json" in content_type:
        _read_json(await request.read(), arguments)
    return arguments, files


def _read_json(body: bytes, arguments: Arguments) -> None:
    """A body that is no JSON object is passed over, as the server does."""
    try:
        values = json.loads(body)
    except ValueError:
        return
    if isinstance(values, dict):
        for name, value in values.items():
            arguments.add_json(name, value)


async def _read_multipart(
    request: web.Request, arguments: Arguments, files: dict[str, Upload]
) -> None:
    room = MAX_PARAMETER_BYTES
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or not part.name:
            raise ValueError("field name in multipart/form-data not found")
        if part.filename is not None:
            upload = await read_upload(part, keep=MAX_DOWNLOAD)
            if upload.size > MAX_UPLOAD:
                raise web.HTTPRequestEntityTooLarge(MAX_UPLOAD, upload.size)
            files.setdefault(part.name, upload)
            continue
        value = bytes(await part.read(decode=False))
        room -= len(value)
        if room < 0:
            raise web.HTTPRequestEntityTooLarge(MAX_PARAMETER_BYTES, MAX_PARAMETER_BYTES - room)
        arguments.add(part.name, value.decode("utf-8", "replace"))

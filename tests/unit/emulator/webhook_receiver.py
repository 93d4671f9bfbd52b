"""A bot's end of a webhook: a real HTTP server that keeps what it gets and answers as told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from aiohttp import web
from emulator_harness import until

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def ok(_: web.Request) -> web.StreamResponse:
    return web.Response()


class Receiver:
    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.updates: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answers: list[Answer] = []
        self.open = 0
        self.port = 0
        self.connections: set[object] = set()
        self._release = asyncio.Event()

    async def __aenter__(self) -> Receiver:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
        await self._runner.setup()
        await self.listen()
        return self

    async def listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def deaf(self) -> None:
        """Nobody listens on the port any more."""
        await self._site.stop()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release.set()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook"

    @property
    def texts(self) -> list[str]:
        return [update["message"]["text"] for update in self.updates]

    def then(self, *answers: Answer | int) -> None:
        """What the next updates are answered; 200 after that."""
        self.answers += [status(a) if isinstance(a, int) else a for a in answers]

    async def hold(self, _: web.Request) -> web.StreamResponse:
        await self._release.wait()
        return web.Response()

    def release(self) -> None:
        self._release.set()
        self._release = asyncio.Event()

    async def got(self, count: int) -> None:
        await until(lambda: len(self.updates) >= count)
        assert len(self.updates) == count

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(request.transport)
        self.paths.append(request.path_qs)
        self.headers.append(dict(request.headers))
        body = await request.read()
        answer = self.answers.pop(0) if self.answers else ok
        self.open += 1
        self.updates.append(json.loads(body))
        try:
            return await answer(request)
        finally:
            self.open -= 1


def status(code: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, headers=named)

    return answer


def says(**response: Any) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(**response)

    return answer


def says_json(body: Any) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()

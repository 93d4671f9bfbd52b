"""A running emulator and the clients that fight over it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import web
from bot_api_emulator.clock import Clock
from bot_api_emulator.core import Core
from bot_api_emulator.server import make_runner

BOT_ID = 4242
TOKEN = f"{BOT_ID}:AAbbccddeeffgghhiijjkkllmmnnooppqqr"
OTHER_TOKEN = "4343:ZZyyxxwwvvuuttssrrqqppoonnmmllkkjjh"

C1 = (
    "Conflict: terminated by other getUpdates request; "
    "make sure that only one bot instance is running"
)
C2 = (
    "Conflict: can't use getUpdates method while webhook is active; "
    "use deleteWebhook to delete the webhook first"
)
C3 = "Conflict: terminated by setWebhook request"
C4 = "Conflict: terminated by other setWebhook"

HOOK = "https://hook.example.com/bot"

# Long enough for a loaded machine; nothing waits for it unless it fails.
PATIENCE = 10.0


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def result(self) -> Any:
        assert self.body["ok"] is True, self.body
        return self.body["result"]

    @property
    def ids(self) -> list[int]:
        return [update["update_id"] for update in self.result]

    def assert_conflict(self, description: str) -> None:
        assert self.status == 409
        assert self.body == {"ok": False, "error_code": 409, "description": description}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


class Emulator:
    """The emulator under test, over real HTTP, with one bot registered."""

    def __init__(self, clock: Clock) -> None:
        self.core = Core(clock)
        self.core.register(TOKEN)
        self.base = ""
        self.port = 0
        self._runner: web.AppRunner = make_runner(self.core)
        self._tasks: list[asyncio.Task[Reply]] = []

    async def __aenter__(self) -> Emulator:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self.base = f"http://127.0.0.1:{self.port}"
        self._http = aiohttp.ClientSession(headers={"User-Agent": "tests"})
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.core.shutdown()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()
        await self._runner.cleanup()

    # Requests

    async def request(self, verb: str, path: str, **options: Any) -> Reply:
        session: aiohttp.ClientSession = options.pop("session", None) or self._http
        async with session.request(verb, self.base + path, **options) as response:
            raw = await response.read()
            is_json = response.content_type == "application/json"
            return Reply(
                response.status, json.loads(raw) if is_json else raw, dict(response.headers)
            )

    async def call(self, method: str, token: str = TOKEN, /, **arguments: Any) -> Reply:
        return await self.request("POST", f"/bot{token}/{method}", json=arguments)

    async def control(self, path: str, body: Any = None, **options: Any) -> Any:
        """A call that must succeed: POST with a body or form, else GET."""
        if body is not None:
            options["json"] = body
        reply = await self.request("POST" if options else "GET", f"/control{path}", **options)
        assert reply.status == 200, reply.body
        return reply.body

    # One bot's life

    async def poll(self, offset: int = 0, timeout: int = 0, **arguments: Any) -> Reply:
        return await self.call("getUpdates", offset=offset, timeout=timeout, **arguments)

    async def start_poll(
        self, offset: int = 0, timeout: int = 30, **arguments: Any
    ) -> asyncio.Task[Reply]:
        """Begin a poll, and come back when the server has taken it in."""
        before = self.polls
        session = arguments.pop("session", None)
        query = {"offset": offset, "timeout": timeout, **arguments}
        task = asyncio.create_task(
            self.request("POST", f"/bot{TOKEN}/getUpdates", json=query, session=session)
        )
        self._tasks.append(task)
        await until(lambda: self.polls > before)
        return task

    def keep(self, task: asyncio.Task[Reply]) -> asyncio.Task[Reply]:
        self._tasks.append(task)
        return task

    @property
    def polls(self) -> int:
        return self.core.bots[BOT_ID].stats.polls

    async def push(self, text: str = "hello") -> int:
        return await self.push_update({"message": {"chat": {"id": 77}, "text": text}})

    async def push_update(self, body: Any) -> int:
        update_id = (await self.control(f"/bots/{BOT_ID}/updates", body))["update_id"]
        assert isinstance(update_id, int)
        return update_id

    async def advance(self, seconds: float) -> None:
        await self.control("/clock", {"advance": seconds})

    async def stats(self) -> Any:
        return await self.control(f"/bots/{BOT_ID}/stats")

    async def parked(self) -> int:
        parked = (await self.stats())["parked"]
        assert isinstance(parked, int)
        return parked

    async def conflicts(self) -> dict[str, int]:
        return {kind: n for kind, n in (await self.stats())["conflicts"].items() if n}

    async def still_waits(self, *tasks: asyncio.Task[Reply]) -> bool:
        """Whether the server holds these open: it has done all that is due, and keeps so many."""
        # Its clock stands still, so once it has answered another call there is nothing to wait for.
        await self.stats()
        held = len(self.core._unanswered)
        return held >= len(tasks) > 0 and not any(task.done() for task in tasks)

    async def sent(self) -> list[Any]:
        sent = await self.control(f"/bots/{BOT_ID}/sent")
        assert isinstance(sent, list)
        return sent


async def answer_of(task: asyncio.Task[Reply]) -> Reply:
    async with asyncio.timeout(PATIENCE):
        return await task

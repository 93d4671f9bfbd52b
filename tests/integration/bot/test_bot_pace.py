"""One pace and one pause for all processes: by the real Redis, and in front of a Bot API that
refuses."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis.asyncio
from app.telegram.limiter import Alone, Rates, Shared, Turn
from bot_harness import Redis, Servers, Stack, until

RATES = Rates(0.04, 0.5)


@pytest.fixture
def server(servers: Servers) -> Redis:
    return servers[1]


def client(server: Redis) -> Any:
    """The bot's own user: what its rights don't allow fails here."""
    return redis.asyncio.Redis.from_url(server.url, protocol=2)


class Both:
    """The rules of one process beside the script of all; they must say the same."""

    def __init__(self, connection: Any, prefix: str) -> None:
        self._alone = Alone(RATES)
        self._shared = Shared(connection, prefix, RATES)

    async def turn(self, chat: str | None, *, paced: bool = True) -> Turn:
        here = self._alone.turn(chat, time.monotonic(), paced=paced)
        there = await self._shared.turn(chat, paced=paced)
        assert here.ours == there.ours, (here, there)
        assert there.wait == pytest.approx(here.wait, abs=0.1)
        return there

    async def flood(self, chat: str | None, seconds: float) -> None:
        self._alone.flood(chat, seconds, time.monotonic())
        await self._shared.flood(chat, seconds)


async def test_the_script_and_the_rules_say_the_same(server: Redis) -> None:
    async with client(server) as connection:
        both = Both(connection, f"aisha:{time.monotonic_ns()}:")
        assert (await both.turn("a")).ours
        assert not (await both.turn("a")).ours, "the same chat"
        assert (await both.turn("a", paced=False)).ours
        assert (await both.turn(None)).ours
        for chat in range(10):
            assert (await both.turn(str(chat))).ours
        await asyncio.sleep(0.6)
        assert (await both.turn("a")).ours
        await both.flood("a", 30)
        assert not (await both.turn("a")).ours
        assert not (await both.turn("a", paced=False)).ours
        assert (await both.turn("b")).ours
        await both.flood("a", 5)
        assert (await both.turn("a")).wait > 28, "it does not get shorter"
        assert (await both.turn("c")).ours
        await both.flood("d", 2)
        assert not (await both.turn("e")).ours, "two chats: it is all of us"
        assert not (await both.turn(None)).ours
        await asyncio.sleep(2.2)
        assert (await both.turn("e")).ours
        await both.flood(None, 1)
        assert not (await both.turn("f")).ours


async def test_many_processes_keep_one_pace_and_leave_no_key_for_ever(server: Redis) -> None:
    prefix = f"aisha:{time.monotonic_ns()}:"
    connections = [client(server) for _ in range(4)]
    all_of_them = [Shared(connection, prefix, RATES) for connection in connections]
    began = time.monotonic()
    sent: list[float] = []

    async def send(number: int) -> None:
        limiter = all_of_them[number % 4]
        while not (turn := await limiter.turn(str(number), paced=True)).ours:
            await asyncio.sleep(turn.wait)
        await asyncio.sleep(turn.wait)
        sent.append(time.monotonic() - began)

    await asyncio.gather(*(send(number) for number in range(100)))
    for start in sent:
        assert len([at for at in sent if start <= at < start + 1]) <= 28
    for key in [key async for key in connections[0].scan_iter(f"{prefix}*")]:
        # -1 is a key for ever; one that ended meanwhile is -2.
        assert -1 != await connections[0].pttl(key) < 60_000, key
    for connection in connections:
        await connection.aclose()


def sends(stack: Stack) -> int:
    return sum(fault["struck"] for fault in stack.control("GET", f"/bots/{stack.bot_id}/faults"))


def test_a_flood_wait_stops_all_processes(stack: Stack) -> None:
    """Answers of the primary and notifications of a worker, 40 a second, all refused for 6 s."""
    for role in ("primary", "worker"):
        stack.start(role, POLL_TIMEOUT="10")
        stack.wait_healthy(role)
    fault = {"method": "sendMessage", "error_code": 429, "description": "Too Many Requests"}
    stack.control("POST", f"/bots/{stack.bot_id}/faults", fault | {"retry_after": 6, "for_s": 6})
    began = time.monotonic()
    ids = []
    for chat in range(100, 160):
        ids.append(stack.push_message(chat_id=chat, text="/start"))
        time.sleep(0.05)
    assert time.monotonic() - began < 6
    assert sends(stack) <= 8, "a storm"
    for update_id in ids:
        stack.wait_closed(update_id, 60)
    assert sorted(int(answer["chat_id"]) for answer in stack.answers()) == list(range(100, 160))
    assert sends(stack) <= 8
    assert stack.health("primary")[0]


def test_health_tells_that_answers_fail(stack: Stack) -> None:
    stack.start("primary")
    stack.wait_healthy("primary")
    fault = {"method": "sendMessage", "error_code": 500, "description": "Internal Server Error"}
    stack.control("POST", f"/bots/{stack.bot_id}/faults", fault | {"for_s": 3600})
    ids = [stack.push_message(chat_id=chat, text="/start") for chat in range(1, 4)]
    until("it is told", lambda: "answers can't be sent" in stack.health("primary")[1], 30)
    stack.control("DELETE", f"/bots/{stack.bot_id}/faults")
    stack.start("worker")
    for update_id in ids:
        assert stack.wait_closed(update_id)["status"] == "done"
    ids = [stack.push_message(chat_id=9, text="/start")]
    stack.wait_closed(ids[0])
    stack.wait_healthy("primary")


def test_a_worker_says_that_the_bot_api_is_away(stack: Stack) -> None:
    stack.start("worker", LOGIN_CHECK_SECONDS="1")
    stack.wait_healthy("worker")
    fault = {"method": "getMe", "error_code": 502, "description": "Bad Gateway"}
    stack.control("POST", f"/bots/{stack.bot_id}/faults", fault | {"for_s": 3600})
    until("it is told", lambda: "answer of the Bot API" in stack.health("worker")[1], 40, 0.5)
    stack.control("DELETE", f"/bots/{stack.bot_id}/faults")
    stack.wait_healthy("worker")

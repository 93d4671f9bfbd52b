"""The worker's decisions: who works beside whom, what is put off, whose file it is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web
from app.core.config import load_settings
from app.core.errors import Again, ConfigError, Refused
from app.queue.broker import entry, identity, parse_entry
from app.storage.batch import Batcher
from app.storage.files import FileStore
from app.telegram.client import BotApi
from app.telegram.local_files import shared_file
from app.workers.outlook import FORGET_SECONDS, Outlook
from app.workers.turnstile import Turnstile


async def soon() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_long_work_takes_no_place_of_short_work() -> None:
    turnstile = Turnstile({"long": 1, "short": 2})
    assert await turnstile.enter("long")
    second = asyncio.create_task(turnstile.enter("long"))
    await soon()
    assert not second.done()
    assert await turnstile.enter("short")
    assert turnstile.free("short") == 1
    await turnstile.leave("long")
    assert await second


async def test_one_alone_waits_for_all_and_all_wait_for_it() -> None:
    turnstile = Turnstile({"long": 2, "short": 2})
    for lane in ("long", "long", "short"):
        assert await turnstile.enter(lane)
    events = []

    async def suspect(name: str) -> None:
        async with turnstile.alone("long") as mine:
            assert mine
            assert turnstile.running == 0
            events.append(f"{name} in")
            await asyncio.sleep(0.01)
            events.append(f"{name} out")
        await turnstile.leave("long")

    first = asyncio.create_task(suspect("a"))
    await soon()
    assert events == []
    # One long job is left: no other is begun, while short work goes on.
    late = asyncio.create_task(turnstile.enter("long"))
    assert await turnstile.enter("short")
    await soon()
    assert not late.done()
    second = asyncio.create_task(suspect("b"))
    await soon()
    short = asyncio.create_task(turnstile.enter("short"))
    await soon()
    assert not short.done(), "only suspects are left of the long work"
    await turnstile.leave("short")
    await turnstile.leave("short")
    await asyncio.gather(first, second)
    assert events in (
        ["a in", "a out", "b in", "b out"],
        ["b in", "b out", "a in", "a out"],
    )
    assert await late
    assert await short


async def test_nobody_comes_in_when_it_is_shut() -> None:
    turnstile = Turnstile({"long": 1, "short": 1})
    assert await turnstile.enter("long")
    assert await turnstile.enter("short")
    waiting = asyncio.create_task(turnstile.enter("short"))

    async def suspect() -> bool:
        async with turnstile.alone("long") as mine:
            return mine

    wanting = asyncio.create_task(suspect())
    await soon()
    await turnstile.shut()
    assert not await waiting
    assert not await wanting
    assert turnstile.running == 2


async def test_a_suspect_that_is_cancelled_leaves_the_way_free() -> None:
    turnstile = Turnstile({"long": 2, "short": 1})
    assert await turnstile.enter("long")
    assert await turnstile.enter("long")

    async def suspect() -> None:
        async with turnstile.alone("long"):
            pass

    wanting = asyncio.create_task(suspect())
    await soon()
    wanting.cancel()
    await asyncio.gather(wanting, return_exceptions=True)
    assert turnstile.running == 2
    await turnstile.leave("long")
    assert await turnstile.enter("long")


def test_everything_in_retry_is_said_and_one_job_in_retry_is_not() -> None:
    said: list[str | None] = []
    now = [0.0]
    outlook = Outlook(said.append, lambda: now[0])
    for _ in range(50):
        now[0] += 10
        outlook.note(1, "retry", "no luck")
    assert said == [], "one job may have its own trouble"
    outlook.note(2, "lost")
    outlook.note(2, "error", "x")
    outlook.note(3, "retry", "the disk is full")
    assert len(said) == 1
    assert "3 jobs" in str(said[0])
    assert "the disk is full" in str(said[0])
    outlook.note(4, "done")
    assert said[1:] == [None]
    for job in range(5):
        outlook.note(job, "retry", "x")
    assert len(said) == 2, "not before some time has gone by"
    now[0] += 31
    outlook.note(9, "retry", "x")
    assert len(said) == 3
    now[0] += FORGET_SECONDS + 1
    outlook.look()
    assert said[3:] == [None]
    outlook.note(1, "failed")
    assert len(said) == 4


def test_entries_are_those_of_the_former_release() -> None:
    assert json.loads(entry("messages", 5))["task_name"] == "process_message"
    assert parse_entry(entry("messages", 5)) == ("messages", 5)
    assert parse_entry(entry("callbacks", 7)) == ("callbacks", 7)
    taskiq = b'{"task_id":"a","task_name":"process_callback","labels":{},"args":[3],"kwargs":{}}'
    assert parse_entry(taskiq) == ("callbacks", 3)
    for wrong in (
        None,
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"task_name": "process_message", "args": []}',
        b'{"task_name": "process_message", "args": ["1"]}',
        b'{"task_name": "process_message", "args": [true]}',
        b'{"task_name": "rm", "args": [1]}',
        b'{"task_name": [], "args": [1]}',
    ):
        assert parse_entry(wrong) is None


@pytest.mark.usefixtures("environment")
def test_two_lives_of_a_worker_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    names = set()
    for host in ("one", "one", "two"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        names.add(identity(settings))
        assert identity(settings).startswith(f"aisha-worker-1@{host}/")
    assert len(names) == 3


@pytest.mark.usefixtures("environment")
def test_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load_settings().keep_messages_days, load_settings().keep_callbacks_days) == (90, 30)
    monkeypatch.setenv("KEEP_MESSAGES_DAYS", "0")
    assert load_settings().keep_messages_days == 0
    for value in ("1", "-1", "nan"):
        monkeypatch.setenv("KEEP_MESSAGES_DAYS", value)
        with pytest.raises(ConfigError, match="KEEP_MESSAGES_DAYS"):
            load_settings()


def test_files_of_a_local_bot_api_server(tmp_path: Path) -> None:
    server = Path("/var/lib/telegram-bot-api")
    here = tmp_path / "shared"
    voice = here / "1:AAE" / "voice" / "file_0.oga"
    voice.parent.mkdir(parents=True)
    voice.write_bytes(b"12345")
    path = f"{server}/1:AAE/voice/file_0.oga"
    assert shared_file(path, server, here, 5) == voice
    with pytest.raises(Refused, match="5 bytes"):
        shared_file(path, server, here, 4)
    with pytest.raises(Again, match="BOT_API_FILES_DIR"):
        shared_file(path, server, None, 5)
    with pytest.raises(Again, match="BOT_API_SERVER_DIR"):
        shared_file(path, Path("/data"), here, 5)
    (tmp_path / "outside").write_bytes(b"1")
    (here / "link").symlink_to(tmp_path / "outside")
    for out in (f"{server}/../etc/passwd", f"{server}/link", f"{server}/../../x"):
        with pytest.raises(Again) as again:
            shared_file(out, server, here, 5)
        assert "BOT_API_SERVER_DIR" in str(again.value)
    with pytest.raises(Again) as again:
        shared_file(f"{server}/1:AAE/gone", server, here, 5)
    assert "1:AAE" not in str(again.value), "the path holds the token"


@pytest.mark.parametrize("local", [False, True])
async def test_a_file_is_had_by_the_rules_of_the_server(
    local: bool, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As telegram-bot-api answers with --local and without."""
    token = (environment / "bot_token").read_text().strip()
    shared, temp = environment / "shared", environment / "temp"
    temp.mkdir()
    kept = shared / token / "voice/file_0.oga"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"sound")
    asked: list[str] = []

    async def get_file(_: web.Request) -> web.Response:
        path = f"/srv/api/{token}/voice/file_0.oga" if local else "voice/file_0.oga"
        result: dict[str, Any] = {"file_id": "f", "file_size": 5, "file_path": path}
        return web.json_response({"ok": True, "result": result})

    async def file(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=b"sound")

    server = web.Application()
    server.router.add_post(f"/bot{token}/getFile", get_file)
    server.router.add_get("/file/{path:.*}", file)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    monkeypatch.setenv("BOT_API_URL", f"http://{host}:{port}")
    monkeypatch.setenv("BOT_API_SERVER_DIR", "/srv/api")
    monkeypatch.setenv("BOT_API_FILES_DIR", str(shared))
    api = BotApi(load_settings())
    store = FileStore(temp, temp)
    target = store.source(1, 2)
    try:
        await api.download("f", store, target, 5, 1)
    finally:
        await api.close()
        await runner.cleanup()
    assert target.read_bytes() == b"sound"
    assert asked == ([] if local else [f"/file/bot{token}/voice/file_0.oga"])
    assert target.is_symlink() is local
    store.remove(target)
    assert kept.exists()


async def test_what_comes_together_shares_a_statement() -> None:
    statements: list[list[int]] = []

    async def work(items: list[int]) -> list[int]:
        statements.append(items)
        await asyncio.sleep(0.001)
        if 13 in items:
            raise ValueError("13")
        return [item * 2 for item in items]

    batcher = Batcher(work)
    assert await batcher(1) == 2
    assert await asyncio.gather(*map(batcher, range(2, 6))) == [4, 6, 8, 10]
    assert statements[:2] == [[1], [2, 3, 4, 5]]
    # One that can't be written does not take the others with it, nor one that nobody waits for.
    given_up = asyncio.create_task(batcher(7))
    tasks = [asyncio.create_task(batcher(item)) for item in (12, 13, 14)]
    await soon()
    given_up.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(item) for item in found] == [int, ValueError, int]
    assert len(await asyncio.gather(*map(batcher, range(200, 500)))) == 300
    assert max(map(len, statements)) == 100


async def test_an_outage_is_everybodys() -> None:
    async def work(_: list[int]) -> list[int]:
        raise psycopg.OperationalError("away")

    batcher = Batcher(work)
    found = await asyncio.gather(batcher(1), batcher(2), return_exceptions=True)
    assert [type(item) for item in found] == [psycopg.OperationalError] * 2

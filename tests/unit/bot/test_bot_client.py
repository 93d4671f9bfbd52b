"""One client for all: where it connects, how fast it goes, what it leaves behind. Real sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramRetryAfter
from aiogram.types import BufferedInputFile
from aiohttp import web
from app.bot.dispatch import make_feed
from app.bot.inbox import Inbox
from app.bot.intake import BadUpdate
from app.bot.session import OneClient
from app.core.config import Settings
from app.core.errors import Again, BotApiFailed, FloodWait, Refused
from app.core.health import Heartbeat
from app.storage.repository import NewMessage
from app.telegram.client import ApiUnreachable, BotApi
from app.telegram.limiter import AHEAD_SECONDS, Alone, Rates, Turn

TOKEN = f"123456789:AAE{token_hex(16)}"
ME = {"id": 123456789, "is_bot": True, "first_name": "b", "username": "our_bot"}
SENT = {"message_id": 1, "date": 1, "chat": {"id": 5, "type": "private"}, "text": "x"}
Answer = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]


class FakeApi:
    """A Bot API on loopback that answers as told and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[tuple[float, str, dict[str, Any]]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        _, method = request.path.rsplit("/", 1)
        json_body = request.content_type == "application/json"
        data = dict(await request.json() if json_body else await request.post())
        self.calls.append((time.monotonic(), method, data))
        status, body = self.answer(method, data)
        return web.json_response(body, status=status)

    def methods(self) -> list[str]:
        return [method for _, method, _ in self.calls]


def fine(method: str, _: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"ok": True, "result": ME if method.lower() == "getme" else SENT}


def refusal(code: int, seconds: int | None = None) -> tuple[int, dict[str, Any]]:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": f"refused {code}"}
    if seconds is not None:
        body["parameters"] = {"retry_after": seconds}
    return code, body


@asynccontextmanager
async def fake_api(answer: Answer = fine) -> AsyncIterator[FakeApi]:
    fake = FakeApi(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        fake.url = f"http://127.0.0.1:{port}"
        yield fake
    finally:
        await runner.cleanup()


def settings_for(url: str, **extra: Any) -> Settings:
    return Settings(bot_role="primary", bot_token=TOKEN, bot_api_url=url, redis_url=None, **extra)


@asynccontextmanager
async def client(
    answer: Answer = fine, heartbeat: Heartbeat | None = None, **extra: Any
) -> AsyncIterator[tuple[BotApi, FakeApi]]:
    async with fake_api(answer) as fake:
        api = BotApi(settings_for(fake.url, **extra), heartbeat)
        try:
            yield api, fake
        finally:
            await api.close()


@pytest.fixture
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Any other connection or look-up of a name fails; gives the list of those."""
    tried: list[str] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] != "127.0.0.1":
            tried.append(str(address))
            raise ConnectionRefusedError(f"not to be connected to: {address}")
        connect(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("127.0.0.1", None):
            tried.append(str(host))
            raise socket.gaierror(f"not to be looked up: {host}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    return tried


# Where it connects


class Taken:
    """What the handlers hand over."""

    def __init__(self) -> None:
        self.rows: list[NewMessage] = []

    async def accept(self, new: NewMessage) -> None:
        self.rows.append(new)


def text_update(text: str, chat_id: int = 5) -> dict[str, Any]:
    who = {"id": chat_id, "is_bot": False, "first_name": "x"}
    chat = {"id": chat_id, "type": "private"}
    length = len(text.split()[0])
    entities = [{"type": "bot_command", "offset": 0, "length": length}]
    message = {"message_id": 2, "date": 3, "chat": chat, "from": who, "text": text}
    return {"update_id": 1, "message": message | {"entities": entities}}


@pytest.mark.parametrize("text", ["/x@y", "/start@our_bot", "/start@another_bot", "/start"])
async def test_commands_go_nowhere_but_to_the_bot_api(only_loopback: list[str], text: str) -> None:
    taken = Taken()
    async with client() as (api, fake):
        feed = make_feed(settings_for(fake.url), cast(Inbox, taken), api)
        await feed(text_update(text))
    assert only_loopback == []
    assert len(taken.rows) == 1
    assert set(fake.methods()) <= {"getMe"}


async def test_everything_that_aiogram_can_goes_through_the_client(
    only_loopback: list[str],
) -> None:
    async with client() as (api, fake):
        bot = Bot(TOKEN, session=OneClient(api))
        assert (await bot.me()).username == "our_bot"
        assert (await bot.send_message(5, "hello")).message_id == 1
        await bot.send_document(5, BufferedInputFile(b"content", "a.txt"))
        with pytest.raises(ApiUnreachable):
            await anext(bot.session.stream_content("https://files.example.com/file"))
        fake.answer = lambda *_: refusal(429, 7)
        with pytest.raises(TelegramRetryAfter):
            await bot.send_message(6, "hello")
        asked = len(fake.calls)
        with pytest.raises(FloodWait):
            await bot.send_message(6, "hello")
        assert len(fake.calls) == asked, "it was asked in spite of the pause"
    assert fake.methods() == ["getMe", "sendMessage", "sendDocument", "sendMessage"]
    assert only_loopback == []


async def test_failures_of_handlers_have_kinds(only_loopback: list[str]) -> None:
    taken = Taken()
    async with client(lambda *_: refusal(502)) as (api, fake):
        feed = make_feed(settings_for(fake.url), cast(Inbox, taken), api)
        with pytest.raises(BotApiFailed):
            await feed(text_update("/x@y"))
        with pytest.raises(BadUpdate):
            await feed({"update_id": 1, "message": {"chat": "of another shape"}})
    assert only_loopback == []


# How fast it goes

RATES = Rates(0.04, 1.0)


def test_pace() -> None:
    alone = Alone(RATES)
    now = 100.0
    turns = [alone.turn(str(chat), now, paced=True) for chat in range(60)]
    assert turns[0] == Turn(0.0, ours=True)
    kept = [turn.wait for turn in turns if turn.ours]
    assert kept == pytest.approx([0.04 * place for place in range(len(kept))])
    assert kept[-1] <= AHEAD_SECONDS < turns[-1].wait
    assert not turns[-1].ours
    later = now + kept[-1]
    assert alone.turn("0", later + 1, paced=True).ours
    again = alone.turn("0", later + 1.5, paced=True)
    assert (again.wait, again.ours) == (pytest.approx(0.5), False)
    assert alone.turn("0", later + 1.5, paced=False).ours, "not a message"
    assert alone.turn(None, later + 1.5, paced=True).ours


def test_pauses() -> None:
    alone = Alone(RATES)
    alone.flood("a", 30, 0)
    assert alone.turn("a", 1, paced=True) == Turn(29, ours=False)
    assert alone.turn("a", 1, paced=False) == Turn(29, ours=False)
    assert alone.turn("b", 1, paced=True).ours, "it may be that chat's own"
    alone.flood("a", 5, 2)
    assert alone.turn("a", 3, paced=True) == Turn(27, ours=False), "it does not get shorter"
    assert alone.turn("b", 3, paced=True).ours
    alone.flood("b", 10, 4)
    assert alone.turn("c", 5, paced=True) == Turn(9, ours=False), "two chats: it is all of us"
    assert alone.turn(None, 5, paced=False) == Turn(9, ours=False)
    assert alone.turn("c", 14, paced=True).ours
    alone.flood(None, 3, 20)
    assert alone.turn("d", 21, paced=True) == Turn(2, ours=False)
    alone.flood("x", 1, 40)
    assert alone.turn("y", 40, paced=True).ours, "what is over counts no more"


def test_no_limits_of_ours() -> None:
    alone = Alone(Rates(0.0, 0.0))
    assert {alone.turn("a", 1, paced=True) for _ in range(100)} == {Turn(0.0, ours=True)}
    alone.flood("a", 2, 1)
    assert not alone.turn("a", 1, paced=True).ours, "the Bot API's own still hold"


async def test_a_flood_wait_is_no_storm() -> None:
    """58 requests a second once: each message that came during it found out for itself."""
    began = time.monotonic()

    def flood(*_: Any) -> tuple[int, dict[str, Any]]:
        left = began + 2 - time.monotonic()
        return refusal(429, max(1, round(left))) if left > 0 else fine("sendMessage", {})

    async with client(flood, send_per_second=1000) as (api, fake):

        async def send(chat: int) -> None:
            await asyncio.sleep(0.05 * chat)
            while True:
                try:
                    await api.send(chat, "hello", None)
                except Again as error:
                    await asyncio.sleep(error.delay if error.delay is not None else 0.1)
                else:
                    return

        await asyncio.gather(*(send(chat) for chat in range(30)))
        refused = [at for at, _, _ in fake.calls if at < began + 2]
        sent = len(fake.calls) - len(refused)
    assert sent == 30
    # Two that say that it is all of us, those on their way, and who comes when the pause is over.
    assert len(refused) <= 6


async def test_messages_leave_at_the_pace_that_is_set() -> None:
    async with client(send_per_second=50, send_per_chat_second=4) as (api, fake):
        began = time.monotonic()
        chats = [*range(20), 0, 0]
        await asyncio.gather(*(api.send(chat, "x", None) for chat in chats))
        times = sorted(at - began for at, _, _ in fake.calls)
        of_one = sorted(at for at, _, data in fake.calls if data["chat_id"] == 0)
    assert times[19] >= 19 / 50 - 0.02
    assert min(b - a for a, b in itertools.pairwise(of_one)) >= 0.25 - 0.02


# What it says about itself


async def test_health_tells_that_answers_fail(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    beat = Heartbeat(path, role="worker", instance="w")
    beat.expect("x", 10, "x")

    def failing() -> str:
        found = json.loads(path.read_text())["failing"]
        return str(found.get("answers", {}).get("error", ""))

    async def send(api: BotApi, chat: int) -> None:
        with pytest.raises((Again, Refused)):
            await api.send(chat, "x", None)

    extra = {"send_per_second": 0, "send_per_chat_second": 0}
    async with client(lambda *_: refusal(502), beat, **extra) as (api, fake):
        for _ in range(2):
            await send(api, 1)
        assert failing() == ""
        await send(api, 1)
        assert failing() == "answers can't be sent: 3 in a row, the last: sendMessage: HTTP 502"
        fake.answer = fine
        await api.send(1, "x", None)
        assert failing() == ""
        for answer in (refusal(403), refusal(400)):
            fake.answer = lambda *_, answer=answer: answer
            for _ in range(5):
                await send(api, 1)
        assert failing() == "", "one user who blocked us, or whose chat is gone"
        for chat in (2, 3):
            await send(api, chat)
        assert "HTTP 400" in failing()


# What it leaves behind


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Of a server on loopback, which the client trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key)]
    subprocess.run([*command, "-out", str(certificate)], check=True, capture_output=True)
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("given_up", ["timeout", "cancelled", "closed"])
async def test_a_poll_that_is_given_up_leaves_nothing_to_be_delivered(
    given_up: str, scheme: str, certificate: ssl.SSLContext
) -> None:
    """Closed by reset: the kernel sends nothing of it any more, were the network back or not."""
    asked = asyncio.Event()
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        try:
            while await reader.read(1000):
                pass
            ended.set_result("end of file: what was not delivered would be tried on")
        except ConnectionResetError:
            ended.set_result("reset")
        finally:
            writer.close()

    secure = certificate if scheme == "https" else None
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=secure)
    port = server.sockets[0].getsockname()[1]
    api = BotApi(settings_for(f"{scheme}://127.0.0.1:{port}"))
    poll = asyncio.ensure_future(api.call("getUpdates", 1 if given_up == "timeout" else 30))
    await asyncio.wait_for(asked.wait(), 5)
    if given_up == "cancelled":
        poll.cancel()
    if given_up == "closed":
        await api.close()
    await asyncio.wait({poll}, timeout=5)
    assert poll.done()
    assert await asyncio.wait_for(ended, 5) == "reset"
    await api.close()
    server.close()

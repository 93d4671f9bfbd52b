"""Unmodified bots of a framework live on the emulator's webhooks, in local mode."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiogram
import pytest
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.methods import SendMessage, SendVoice, TelegramMethod
from aiogram.webhook.aiohttp_server import SimpleRequestHandler, setup_application
from aiohttp import FormData, web
from emulator_harness import BOT_ID, TOKEN, Emulator, until

pytestmark = pytest.mark.asyncio

VOICE = bytes(range(256)) * 40
SECRET = secrets.token_urlsafe()


@asynccontextmanager
async def aiogram_webhook(emulator: Emulator, background: bool) -> AsyncIterator[None]:
    api = TelegramAPIServer.from_base(emulator.base, is_local=True)
    bot = aiogram.Bot(TOKEN, session=AiohttpSession(api=api))
    dispatcher = aiogram.Dispatcher()

    @dispatcher.message(aiogram.F.voice)
    async def voice(message: aiogram.types.Message) -> TelegramMethod[aiogram.types.Message]:
        assert message.voice is not None
        content = await bot.download(message.voice)
        assert content is not None
        answer = aiogram.types.BufferedInputFile(content.read(), "answer.ogg")
        return SendVoice(chat_id=message.chat.id, voice=answer)

    @dispatcher.message()
    async def echo(message: aiogram.types.Message) -> TelegramMethod[aiogram.types.Message]:
        return SendMessage(chat_id=message.chat.id, text=message.text or "")

    app = web.Application()
    handler = SimpleRequestHandler(
        dispatcher, bot, handle_in_background=background, secret_token=SECRET
    )
    handler.register(app, path="/hook")
    setup_application(app, dispatcher, bot=bot)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        await bot.set_webhook(url, secret_token=SECRET)
        yield
    finally:
        await runner.cleanup()
        await bot.session.close()


@pytest.mark.parametrize("background", [True, False], ids=["by a call", "by its answer"])
async def test_aiogram(live: Emulator, background: bool) -> None:
    bot = live.core.bots[BOT_ID]
    await live.control("/mode", {"local": True})
    async with aiogram_webhook(live, background):
        await live.push("grüße")
        await until(lambda: any(sent["method"] == "sendMessage" for sent in bot.sent))
        form = FormData({"chat_id": "77", "duration": "3"})
        form.add_field("voice", VOICE, filename="hello.ogg", content_type="audio/ogg")
        await live.control(f"/bots/{BOT_ID}/updates", data=form)
        await until(lambda: any(sent["method"] == "sendVoice" for sent in bot.sent))
        await until(lambda: len(bot.queue) == 0)
    text, voice = (sent["parameters"] for sent in bot.sent)
    assert text["text"] == "grüße"
    stored = live.core.files.by_id(BOT_ID, voice["voice"]["file_id"])
    assert stored is not None
    assert stored.data == VOICE
    stats = await live.stats()
    assert (stats["delivered"], stats["redelivered"], stats["confirmed"]) == (2, 0, 2)
    assert stats["webhook"]["failed"] == 0
    assert stats["polls"] == 0

"""Unmodified bots of three frameworks live on the emulator."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiogram
import pytest
import telebot
import telegram.ext
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiohttp import FormData
from emulator_harness import BOT_ID, PATIENCE, TOKEN, Emulator, until

pytestmark = pytest.mark.asyncio

VOICE = bytes(range(256)) * 40


async def push_voice(emulator: Emulator) -> None:
    form = FormData({"chat_id": "77", "duration": "3"})
    form.add_field("voice", VOICE, filename="hello.ogg", content_type="audio/ogg")
    await emulator.control(f"/bots/{BOT_ID}/updates", data=form)


async def conversation(emulator: Emulator) -> None:
    """A command, a text and a voice message; the bot answers each, then the last is confirmed."""
    bot = emulator.core.bots[BOT_ID]
    # Frameworks take what is pending at their start, too: no need to wait for the first poll.
    await emulator.push("/start")
    await until(lambda: any(sent["method"] == "sendMessage" for sent in bot.sent))
    await emulator.push("echo me")
    await push_voice(emulator)
    await until(lambda: any(sent["method"] == "sendVoice" for sent in bot.sent))
    await until(lambda: len(bot.queue) == 0)

    texts = [sent["parameters"]["text"] for sent in bot.sent if sent["method"] == "sendMessage"]
    assert texts == ["welcome", "echo me"]
    voice = next(sent for sent in bot.sent if sent["method"] == "sendVoice")
    assert voice["parameters"]["chat_id"] == 77
    stored = emulator.core.files.by_id(BOT_ID, voice["parameters"]["voice"]["file_id"])
    assert stored is not None
    assert stored.data == VOICE
    stats = await emulator.stats()
    assert (stats["delivered"], stats["redelivered"], stats["confirmed"]) == (3, 0, 3)
    assert sum(stats["conflicts"].values()) == 0
    assert len(stats["pollers"]) == 1


async def time_flies_until(emulator: Emulator, end: Coroutine[Any, Any, None]) -> None:
    """Await the end of a bot that waits for a poll of its own to run out."""
    task = asyncio.create_task(end)
    while not (await asyncio.wait([task], timeout=0.05))[0]:
        await emulator.advance(3)
    await task


def aiogram_bot(emulator: Emulator) -> tuple[aiogram.Bot, aiogram.Dispatcher]:
    api = TelegramAPIServer.from_base(emulator.base)
    bot = aiogram.Bot(TOKEN, session=AiohttpSession(api=api))
    dispatcher = aiogram.Dispatcher()

    @dispatcher.message(aiogram.filters.CommandStart())
    async def start(message: aiogram.types.Message) -> None:
        await message.answer("welcome")

    @dispatcher.message(aiogram.F.voice)
    async def voice(message: aiogram.types.Message) -> None:
        assert message.voice is not None
        content = await bot.download(message.voice)
        assert content is not None
        answer = aiogram.types.BufferedInputFile(content.read(), "answer.ogg")
        sent = await message.reply_voice(answer)
        assert sent.voice is not None
        await bot.send_chat_action(message.chat.id, "typing")

    @dispatcher.message()
    async def echo(message: aiogram.types.Message) -> None:
        await message.send_copy(message.chat.id)

    return bot, dispatcher


@asynccontextmanager
async def aiogram_running(emulator: Emulator) -> AsyncIterator[None]:
    bot, dispatcher = aiogram_bot(emulator)
    task = asyncio.create_task(dispatcher.start_polling(bot, handle_signals=False))
    try:
        yield
    finally:
        await dispatcher.stop_polling()
        await task


async def test_aiogram(live: Emulator) -> None:
    async with aiogram_running(live):
        await conversation(live)


async def test_two_fighting_aiogram_bots_show_in_the_counts(live: Emulator) -> None:
    counts = live.core.bots[BOT_ID].stats
    async with aiogram_running(live), aiogram_running(live):
        await until(lambda: counts.conflicts["C1"] >= 2)
    stats = await live.stats()
    assert stats["conflicts"]["C1"] >= 2
    assert stats["max_open"] == 2
    assert stats["max_parked"] == 1


async def test_python_telegram_bot(live: Emulator) -> None:
    application = (
        telegram.ext.ApplicationBuilder()
        .token(TOKEN)
        .base_url(f"{live.base}/bot")
        .base_file_url(f"{live.base}/file/bot")
        .build()
    )

    async def start(update: telegram.Update, context: Any) -> None:
        assert update.message is not None
        await update.message.reply_text("welcome")

    async def voice(update: telegram.Update, context: Any) -> None:
        assert update.message is not None
        assert update.message.voice is not None
        file = await update.message.voice.get_file()
        await update.message.reply_voice(bytes(await file.download_as_bytearray()))

    async def echo(update: telegram.Update, context: Any) -> None:
        assert update.message is not None
        await update.message.reply_text(update.message.text or "")

    application.add_handlers(
        [
            telegram.ext.CommandHandler("start", start),
            telegram.ext.MessageHandler(telegram.ext.filters.VOICE, voice),
            telegram.ext.MessageHandler(telegram.ext.filters.TEXT, echo),
        ]
    )
    async with application:
        await application.bot.set_my_commands([("start", "begin")])
        assert application.updater is not None
        await application.updater.start_polling()
        await application.start()
        await conversation(live)
        await time_flies_until(live, application.updater.stop())
        await application.stop()
    assert (await live.call("getMyCommands")).result == [
        {"command": "start", "description": "begin"}
    ]


async def test_py_telegram_bot_api(live: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telebot.apihelper, "API_URL", live.base + "/bot{0}/{1}")
    monkeypatch.setattr(telebot.apihelper, "FILE_URL", live.base + "/file/bot{0}/{1}")
    bot = telebot.TeleBot(TOKEN, threaded=False)

    @bot.message_handler(commands=["start"])  # type: ignore[untyped-decorator]
    def start(message: telebot.types.Message) -> None:
        bot.send_message(message.chat.id, "welcome")

    @bot.message_handler(content_types=["voice"])  # type: ignore[untyped-decorator]
    def voice(message: telebot.types.Message) -> None:
        assert message.voice is not None
        path = bot.get_file(message.voice.file_id).file_path
        assert path is not None
        bot.send_voice(message.chat.id, io.BytesIO(bot.download_file(path)))

    @bot.message_handler()  # type: ignore[untyped-decorator]
    def echo(message: telebot.types.Message) -> None:
        bot.reply_to(message, message.text or "")

    thread = threading.Thread(target=bot.polling, kwargs={"long_polling_timeout": 20})
    thread.start()
    try:
        await conversation(live)
    finally:
        bot.stop_polling()  # type: ignore[no-untyped-call]
        await time_flies_until(live, asyncio.to_thread(thread.join, PATIENCE))
    assert not thread.is_alive()


async def test_python_telegram_bot_and_aiogram_fight(live: Emulator) -> None:
    counts = live.core.bots[BOT_ID].stats
    application = (
        telegram.ext.ApplicationBuilder().token(TOKEN).base_url(f"{live.base}/bot").build()
    )
    async with aiogram_running(live), application:
        assert application.updater is not None
        await application.updater.start_polling()
        await until(lambda: counts.conflicts["C1"] >= 1)
        await until(lambda: len(counts.pollers) == 2)
        await time_flies_until(live, application.updater.stop())
    agents = {poller["user_agent"].split("/")[0] for poller in (await live.stats())["pollers"]}
    assert len(agents) == 2

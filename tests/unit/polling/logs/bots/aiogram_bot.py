"""An echo bot of aiogram 3."""

from __future__ import annotations

import asyncio
import logging

import settings
from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import Message

settings.set_up()
log = logging.getLogger("echo")
dispatcher = Dispatcher()


@dispatcher.message()
async def echo(message: Message) -> None:
    text = message.text or ""
    log.info("user %s said: %s", message.chat.id, text, extra={"text": text})
    await message.answer(text)


async def main() -> None:
    api = TelegramAPIServer.from_base(settings.API)
    bot = Bot(settings.TOKEN, session=AiohttpSession(api=api, timeout=settings.PATIENCE))
    await dispatcher.start_polling(bot, polling_timeout=settings.POLL)


asyncio.run(main())

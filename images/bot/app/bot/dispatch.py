"""Hands raw updates to aiogram's dispatcher and its handlers."""

from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.exceptions import TelegramNetworkError, TelegramRetryAfter, TelegramServerError
from aiogram.types import Update
from pydantic import ValidationError

from app.bot.handlers import make_router
from app.bot.inbox import Inbox
from app.bot.intake import BadUpdate, Feed
from app.bot.session import OneClient
from app.core.config import Settings
from app.core.errors import BotApiFailed, FloodWait
from app.telegram.client import BotApi


def make_feed(settings: Settings, inbox: Inbox, api: BotApi) -> Feed:
    bot = Bot(settings.reveal("bot_token"), session=OneClient(api))
    dispatcher = Dispatcher(disable_fsm=True)
    dispatcher.include_router(make_router(inbox, settings.bot_id, settings.max_file_bytes))

    async def feed(raw: dict[str, Any]) -> None:
        try:
            update = Update.model_validate(raw, context={"bot": bot})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadUpdate(f"{where}: {first['msg']}") from error
        try:
            await dispatcher.feed_update(bot, update)
        except TelegramRetryAfter as error:
            raise FloodWait(f"Bot API: {error}", error.retry_after) from error
        except (TelegramNetworkError, TelegramServerError) as error:
            raise BotApiFailed(f"Bot API: {error}") from error

    return feed

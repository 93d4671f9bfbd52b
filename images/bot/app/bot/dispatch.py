"""Hands raw updates to aiogram's dispatcher and its handlers."""

from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.types import Update
from pydantic import ValidationError

from app.bot.handlers import make_router
from app.bot.inbox import Inbox
from app.bot.poller import BadUpdate, Feed
from app.core.config import Settings


def make_feed(settings: Settings, inbox: Inbox, bot_id: int) -> Feed:
    # For the context of aiogram's types; all requests go through our own client.
    bot = Bot(settings.reveal("bot_token"))
    dispatcher = Dispatcher(disable_fsm=True)
    dispatcher.include_router(make_router(inbox, bot_id, settings.max_file_bytes))

    async def feed(raw: dict[str, Any]) -> None:
        try:
            update = Update.model_validate(raw, context={"bot": bot})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadUpdate(f"{where}: {first['msg']}") from error
        await dispatcher.feed_update(bot, update)

    return feed

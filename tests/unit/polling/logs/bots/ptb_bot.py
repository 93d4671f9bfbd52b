"""An echo bot of python-telegram-bot. BOT_HANDLER=1: with an error handler of its own."""

from __future__ import annotations

import logging
import os
import traceback

import settings
from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters

settings.set_up()
log = logging.getLogger("echo")


async def echo(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    if update.message is not None:
        text = update.message.text or ""
        log.info("user %s said: %s", update.message.chat.id, text, extra={"text": text})
        await update.message.reply_text(text)


async def on_error(update: object, context: ContextTypes.DEFAULT_TYPE) -> None:
    """As many bots do: one line of its own, and the traceback."""
    error = context.error
    if error is not None:
        print("Exception while handling an update:", error)
        traceback.print_exception(type(error), error, error.__traceback__)


application = (
    Application.builder()
    .token(settings.TOKEN)
    .base_url(settings.API + "/bot")
    .get_updates_read_timeout(settings.PATIENCE)
    .build()
)
application.add_handler(MessageHandler(filters.TEXT, echo))
if os.environ.get("BOT_HANDLER"):
    application.add_error_handler(on_error)
application.run_polling(timeout=settings.POLL)

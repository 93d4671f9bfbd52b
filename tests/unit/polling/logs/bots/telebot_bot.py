"""An echo bot of pyTelegramBotAPI.

BOT_LOOP: infinity (infinity_polling), loop (polling with none_stop, threaded) or once (polling as
it is). BOT_STYLE=own: its own logger in colours, at level DEBUG for tracebacks.
"""

from __future__ import annotations

import logging
import os

import settings
import telebot

settings.set_up()
log = logging.getLogger("echo")
telebot.apihelper.API_URL = settings.API + "/bot{0}/{1}"
own = settings.STYLE == "own"
bot = telebot.TeleBot(settings.TOKEN, colorful_logs=own)


@bot.message_handler()  # type: ignore[untyped-decorator]
def echo(message: telebot.types.Message) -> None:
    text = message.text or ""
    log.info("user %s said: %s", message.chat.id, text, extra={"text": text})
    bot.send_message(message.chat.id, text)


how = {
    "timeout": settings.PATIENCE,
    "long_polling_timeout": settings.POLL,
    "logger_level": logging.DEBUG if own else logging.ERROR,
}
loop = os.environ.get("BOT_LOOP", "infinity")
if loop == "infinity":
    bot.infinity_polling(**how)
elif loop == "loop":
    bot.polling(none_stop=True, **how)
else:
    bot.polling(**how)

"""Small bots of three frameworks that echo what they are sent, and others that hold a token.

python3 -m bots aiogram|ptb|telebot|primary|worker|crash [where its token is]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import unquote

API = os.environ.get("BOT_API_URL", "http://bot-api:8081")
# Its time is that of the last getUpdates that succeeded; the health check looks at it.
HEARTBEAT = Path(os.environ.get("HEARTBEAT", "/tmp/heartbeat"))  # noqa: S108  a container's own
# While it is there, the primary does not end: as with work that takes long.
BUSY = Path("/tmp/busy")  # noqa: S108
# Short: a test that looks whether others come forward waits for some that nobody answers.
POLL_SECONDS = 2

log = logging.getLogger("bots")


def token_in(text: str) -> str:
    """The token somewhere in a text: alone, in a configuration of any format, in an address."""
    match = re.search(r"[0-9]+:[A-Za-z0-9_-]{30,}", unquote(text))
    if match is None:
        raise SystemExit("bots: there is no token where it was said to be")
    return match[0]


def call(token: str, method: str, seconds: float = 2) -> bool:
    """Call a method without a framework; whether the Bot API agreed."""
    try:
        urllib.request.urlopen(f"{API}/bot{token}/{method}", timeout=seconds).close()  # noqa: S310
    except OSError as error:
        log.info("%s failed: %s", method, getattr(error, "code", type(error).__name__))
        return False
    return True


def wait_for_the_api(token: str) -> None:
    """Frameworks give up where the first call fails, as it does before the bot is registered."""
    while not call(token, "getMe"):
        time.sleep(0.5)


def run_aiogram(token: str) -> None:
    import aiogram
    from aiogram.client.session.aiohttp import AiohttpSession
    from aiogram.client.telegram import TelegramAPIServer

    async def main() -> None:
        session = AiohttpSession(api=TelegramAPIServer.from_base(API))
        bot = aiogram.Bot(token, session=session)
        dispatcher = aiogram.Dispatcher()

        @session.middleware
        async def beat(make_request: Any, bot: aiogram.Bot, method: Any) -> Any:
            answer = await make_request(bot, method)
            if isinstance(method, aiogram.methods.GetUpdates):
                HEARTBEAT.touch()
            return answer

        @dispatcher.message()
        async def echo(message: aiogram.types.Message) -> None:
            await message.answer(message.text or "")

        await dispatcher.start_polling(bot, polling_timeout=POLL_SECONDS)

    asyncio.run(main())


def run_ptb(token: str) -> None:
    from telegram import Update
    from telegram.ext import ApplicationBuilder, ContextTypes, MessageHandler, filters

    async def echo(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        if update.message:
            await update.message.reply_text(update.message.text or "")

    application = ApplicationBuilder().token(token).base_url(f"{API}/bot").build()
    application.add_handler(MessageHandler(filters.TEXT, echo))
    application.run_polling(timeout=POLL_SECONDS, bootstrap_retries=-1)


def run_telebot(token: str) -> None:
    """It does not see to SIGTERM, which process 1 of a container then never gets: it is killed."""
    import telebot

    telebot.apihelper.API_URL = f"{API}/bot{{0}}/{{1}}"  # type: ignore[assignment]  # None by default
    bot: Any = telebot.TeleBot(token)

    @bot.message_handler()  # type: ignore[untyped-decorator]
    def echo(message: Any) -> None:
        bot.send_message(message.chat.id, message.text)

    bot.infinity_polling(timeout=POLL_SECONDS, long_polling_timeout=POLL_SECONDS)


class Ended(BaseException):
    """SIGTERM came while nothing was being handled."""


def ask(token: str, method: str, **parameters: Any) -> Any:
    """The result of a method."""
    request = urllib.request.Request(  # noqa: S310
        f"{API}/bot{token}/{method}",
        json.dumps(parameters).encode(),
        # Who asks, as the emulator shows it: containers of one host share an address.
        {"Content-Type": "application/json", "User-Agent": f"primary {socket.gethostname()}"},
    )
    with urllib.request.urlopen(request, timeout=POLL_SECONDS + 10) as answer:  # noqa: S310
        return json.load(answer)["result"]


def run_primary(token: str) -> None:
    """As the reference bot's primary: what it has answered it confirms before it ends.

    PROGRAM in the environment says which of the programs to run in its stead (a bad release).
    """
    offset = 0
    parked = ending = False

    def end(*_: object) -> None:
        nonlocal ending
        ending = True
        if parked:
            raise Ended

    signal.signal(signal.SIGTERM, end)
    log.info("primary is ready")
    with contextlib.suppress(Ended):
        while not ending:
            parked = True
            try:
                seconds = POLL_SECONDS if HEARTBEAT.exists() else 1
                updates = ask(token, "getUpdates", offset=offset, timeout=seconds)
            except urllib.error.HTTPError as error:
                log.error("getUpdates failed: %s", json.load(error)["description"])
                time.sleep(1)
                continue
            except OSError as error:
                # A machine that is busy enough makes anything late.
                log.error("getUpdates failed: %s", error)
                continue
            parked = False
            HEARTBEAT.touch()
            for update in updates:
                message = update["message"]
                ask(token, "sendMessage", chat_id=message["chat"]["id"], text=message["text"])
                offset = update["update_id"] + 1
    parked = False
    if offset:  # Always: of a poll that was cut short nobody knows whether it arrived.
        ask(token, "getUpdates", offset=offset, limit=1, timeout=0)
        log.info("last batch confirmed")
    while BUSY.exists():
        time.sleep(0.1)


def run_worker(token: str) -> None:
    """Holds the token and uses it, without a poll."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        call(token, "getMe")
        time.sleep(1)


def run_crash(token: str) -> None:
    """Polls once and ends, with the token in its log, as clients do that show what they asked."""
    call(token, "getUpdates?timeout=0", 0.3)
    raise SystemExit(f"bots: crashing, as told, after {API}/bot{token}/getUpdates")


PROGRAMS = {
    "aiogram": run_aiogram,
    "ptb": run_ptb,
    "telebot": run_telebot,
    "primary": run_primary,
    "worker": run_worker,
    "crash": run_crash,
}


def run(program: str, token: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    # It writes the addresses that it asks, and they hold the token.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    HEARTBEAT.unlink(missing_ok=True)
    BUSY.unlink(missing_ok=True)
    if program in ("aiogram", "ptb", "telebot", "primary"):
        wait_for_the_api(token)
    PROGRAMS[program](token)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bots")
    parser.add_argument("program", choices=PROGRAMS)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--token")
    where.add_argument("--env", default="BOT_TOKEN", help="a variable that holds it")
    where.add_argument("--config", type=Path, help="a file that holds it")
    where.add_argument("--config-env", help="a variable that names such a file")
    given = parser.parse_args()
    if given.config_env:
        given.config = Path(os.environ[given.config_env])
    text = given.token or (given.config.read_text() if given.config else os.environ[given.env])
    run(os.environ.get("PROGRAM", given.program), token_in(text))


if __name__ == "__main__":
    main()

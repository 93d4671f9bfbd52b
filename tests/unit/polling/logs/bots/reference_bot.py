"""The poller of the reference bot (images/bot) with its own logging, without its services."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import settings
from app.bot.poller import CHECK, Poller
from app.core.backoff import Backoff
from app.core.health import Heartbeat
from app.core.logs import log, setup_logging
from app.core.redaction import Redactor
from app.telegram.client import BotApi


class Settings:
    """The two values that the client asks for."""

    def reveal(self, name: str) -> str:
        return {"bot_api_url": settings.API, "bot_token": settings.TOKEN}[name]


async def feed(update: dict[str, Any]) -> None:
    log.info("message", text=update["message"]["text"])


async def main() -> None:
    setup_logging(
        level="INFO",
        role="primary",
        instance="aisha-primary",
        redactor=Redactor([settings.TOKEN]),
        logs_dir=None,
    )
    heartbeat = Heartbeat(Path("heartbeat.json"), role="primary", instance="aisha-primary")
    heartbeat.expect(CHECK, 120, "polls")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    api = BotApi(Settings())  # type: ignore[arg-type]
    backoff = Backoff(0.5, 4.0)
    await Poller(api, feed, heartbeat, stop, poll_timeout=settings.POLL, backoff=backoff).run()
    await api.close()


asyncio.run(main())

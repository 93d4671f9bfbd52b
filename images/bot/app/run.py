"""Starts the role: settings, write-probes, logging, then the role's own loop until SIGTERM."""

import asyncio
import signal
import sys
import time
from pathlib import Path

from app.core.config import Role, Settings, load_settings
from app.core.errors import ConfigError, StorageError
from app.core.health import Heartbeat
from app.core.logs import log, setup_logging
from app.core.paths import require_writable
from app.core.redaction import Redactor

EXIT_CONFIG = 2
EXIT_STORAGE = 78


def _paths(settings: Settings) -> list[Path]:
    paths: dict[Role, list[Path]] = {
        "primary": [settings.temp_dir, settings.logs_dir],
        "worker": [settings.temp_dir, settings.audio_dir, settings.logs_dir],
        "webhook": [settings.logs_dir],
        "migrate": [],
    }
    return paths[settings.bot_role]


async def _run_role(settings: Settings, redactor: Redactor) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        log.info("stopping", signal=name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    settings.heartbeat_file.unlink(missing_ok=True)
    heartbeat = Heartbeat(
        settings.heartbeat_file,
        role=settings.bot_role,
        instance=settings.instance_id,
        redact=redactor,
    )
    try:
        if settings.bot_role == "primary":
            from app.bot.primary import run_primary

            await run_primary(settings, heartbeat, stop)
        elif settings.bot_role == "worker":
            from app.workers.background_worker import BackgroundWorker

            await BackgroundWorker(settings, heartbeat).run(stop)
        else:
            from app.webhook.server import run_webhook

            await run_webhook(settings, heartbeat, stop)
    finally:
        heartbeat.remove()


def main(role: Role | None = None) -> int:
    began = time.monotonic()
    try:
        settings = load_settings(role)
        require_writable(_paths(settings))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except StorageError as error:
        print(error, file=sys.stderr)
        return EXIT_STORAGE
    redactor = Redactor(settings.secrets())
    setup_logging(
        level=settings.log_level,
        role=settings.bot_role,
        instance=settings.instance_id,
        redactor=redactor,
        logs_dir=None if role == "migrate" else settings.logs_dir,
    )
    if settings.bot_role == "migrate":
        from app.migrations.runner import migrate

        return migrate(settings)
    log.info("starting", bot_api=settings.bot_api_url, since_exec_ms=_ms(began))
    try:
        asyncio.run(_run_role(settings, redactor))
    except Exception:
        log.critical("stopped by an error that nothing handles", exc_info=True)
        return 1
    log.info("stopped")
    return 0


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)

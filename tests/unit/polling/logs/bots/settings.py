"""What every Python bot here reads from its environment, and how it logs (BOT_STYLE)."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

API = os.environ["BOT_API_URL"]
TOKEN = Path(os.environ["BOT_TOKEN_FILE"]).read_text(encoding="ascii").strip()
STYLE = os.environ.get("BOT_STYLE", "none")
# Seconds: how long a poll may last, and how long the bot waits for its answer beyond that.
POLL = int(os.environ.get("BOT_POLL", "20"))
PATIENCE = int(os.environ.get("BOT_PATIENCE", "20"))


def _structlog(colours: bool) -> logging.Handler:
    import structlog

    end: structlog.typing.Processor
    end = (
        structlog.dev.ConsoleRenderer(colors=True, force_colors=True)
        if colours
        else structlog.processors.JSONRenderer()
    )
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    if not colours:
        before.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, end],
        )
    )
    return handler


def _json() -> logging.Handler:
    from pythonjsonlogger.json import JsonFormatter

    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    return handler


def _rich() -> logging.Handler:
    from rich.console import Console
    from rich.logging import RichHandler

    return RichHandler(console=Console(force_terminal=True, width=80), rich_tracebacks=True)


def _colorlog() -> logging.Handler:
    import colorlog

    handler = logging.StreamHandler()
    words = (
        "%(log_color)s%(levelname)-8s%(reset)s %(blue)s%(name)s%(reset)s %(bold_red)s%(message)s"
    )
    handler.setFormatter(colorlog.ColoredFormatter(words, force_color=True))
    return handler


class _Loguru(logging.Handler):
    """The recipe of loguru's own documentation for records of the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        from loguru import logger

        logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())


def _loguru() -> logging.Handler:
    from loguru import logger

    logger.remove()
    logger.add(sys.stderr, colorize=True, diagnose=False)
    return _Loguru()


def set_up() -> None:
    """Log as BOT_STYLE says; `none` leaves the logging of Python as it is."""
    if STYLE == "none":
        return
    level = logging.DEBUG if STYLE == "debug" else logging.INFO
    makers = {
        "structlog": lambda: _structlog(colours=False),
        "console": lambda: _structlog(colours=True),
        "json": _json,
        "rich": _rich,
        "colorlog": _colorlog,
        "loguru": _loguru,
    }
    if STYLE in makers:
        logging.basicConfig(level=level, handlers=[makers[STYLE]()], format="%(message)s")
    else:
        logging.basicConfig(
            level=level, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s"
        )

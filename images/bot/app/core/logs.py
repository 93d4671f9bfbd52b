"""JSON log lines on stdout and in a rotating file, with every secret removed."""

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from app.core.redaction import Redactor

FILE_BYTES = 5 * 1024 * 1024
FILE_COUNT = 3
log = structlog.stdlib.get_logger("app")


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line: message, fields and traceback alike."""

    def __init__(self, redactor: Redactor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        # One line for all handlers: with its own time stamp each, they could not be compared.
        line: str | None = getattr(record, "redacted_line", None)
        if line is None:
            line = self._redactor(super().format(record))
            record.redacted_line = line
        return line


def _readable_order(_: Any, __: str, event: EventDict) -> EventDict:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


class _RotatingFile(logging.handlers.RotatingFileHandler):
    """A full disk must not fill stderr with a traceback per line: stdout has the line anyway."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def setup_logging(
    *, level: str, role: str, instance: str, redactor: Redactor, logs_dir: Path | None
) -> None:
    def add_identity(_: Any, __: str, event: EventDict) -> EventDict:
        event["role"] = role
        event["instance"] = instance
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_identity,
        structlog.processors.format_exc_info,
    ]
    formatter = _RedactingFormatter(
        redactor,
        foreign_pre_chain=[*shared[:3], structlog.stdlib.ExtraAdder(), *shared[4:]],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _readable_order,
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ],
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if logs_dir is not None:
        handlers.append(
            _RotatingFile(
                logs_dir / f"{instance}.log",
                maxBytes=FILE_BYTES,
                backupCount=FILE_COUNT,
                encoding="utf-8",
            )
        )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(level)
    # These say at INFO what our own lines say better, once per update, job or request.
    for name in ("aiogram", "taskiq", "uvicorn", "alembic"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.captureWarnings(True)

    def uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        log.critical("uncaught exception", exc_info=(kind, error, trace))

    sys.excepthook = uncaught

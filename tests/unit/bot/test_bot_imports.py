"""What is imported when: start-up time is downtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BOT = Path(__file__).resolve().parents[3] / "images/bot"
ANSWER = """
import app.queue.broker
from aiogram import Bot
from aiogram.types import Update
update = Update.model_validate({
    "update_id": 1,
    "message": {
        "message_id": 2, "date": 3, "chat": {"id": 4, "type": "private"},
        "from": {"id": 4, "is_bot": False, "first_name": "x"},
        "voice": {"file_id": "f", "file_unique_id": "u", "duration": 1},
        "reply_to_message": {"message_id": 1, "date": 3, "chat": {"id": 4, "type": "private"},
            "entities": [{"type": "bold", "offset": 0, "length": 1}], "text": "t"},
    },
}, context={"bot": Bot("1:AAE")})
print(update.message.voice.file_id, update.message.reply_to_message.entities[0].type,
    update.event_type, type(update.message.answer("hello")).__name__)
"""


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(BOT), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def modules(statement: str) -> set[str]:
    return set(python(f"import sys; {statement}; print(' '.join(sys.modules))").split())


def test_background_worker_can_be_imported_without_any_setting() -> None:
    """Its absence took production down once."""
    loaded = modules("from app.workers.background_worker import BackgroundWorker")
    assert not loaded & {"aiogram", "sqlalchemy", "uvicorn"}


def test_primary_polls_before_aiogram_is_there() -> None:
    assert not modules("import app.bot.primary") & {"aiogram", "sqlalchemy"}


def test_health_check_needs_the_standard_library_only() -> None:
    heavy = {"app", "asyncio", "pydantic", "logging", "http.client", "ssl", "email"}
    check = BOT / "app/core/healthcheck.py"
    code = f"import runpy, sys; runpy.run_path({str(check)!r}); print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert not heavy & set(done.stdout.split())


def test_a_handler_may_use_whatever_aiogram_has() -> None:
    """Its models were half built once, so that the import took less time."""
    assert python(ANSWER) == "f bold message SendMessage"

"""What `python -m app replay` says, without a database."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from app.replay import line, parser

BOT = Path(__file__).resolve().parents[3] / "images/bot"


def test_a_line_has_what_is_needed_and_nothing_that_a_user_wrote() -> None:
    row = {
        "id": 17,
        "update_id": 900,
        "chat_id": None,
        "closed_at": datetime(2026, 11, 27, 5, 0, tzinfo=UTC),
        "attempts": 5,
        "error": "KeyError:\n'x'",
        "raw": '{"message": {"text": "a secret"}}',
    }
    assert line(row) == (
        "17\tupdate 900\tchat -\t2026-11-27T05:00:00Z\ttried 5 times\tKeyError: 'x'"
    )


@pytest.mark.parametrize(
    ("arguments", "do", "ids"),
    [
        ([], "list", None),
        (["list", "--limit", "5"], "list", None),
        (["run"], "run", []),
        (["run", "1", "2"], "run", [1, 2]),
        (["show", "3"], "show", None),
    ],
)
def test_its_arguments(arguments: list[str], do: str, ids: list[int] | None) -> None:
    options = parser().parse_args(arguments)
    assert (options.do or "list", getattr(options, "ids", None)) == (do, ids)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["replay", "undo"], 2, "invalid choice: 'undo'"),
        (["replay"], 2, "DATABASE_URL_FILE is not set"),
        (["--help"], 0, "python -m app replay"),
    ],
)
def test_what_can_not_be_done_is_said(arguments: list[str], code: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        env={"PYTHONPATH": str(BOT), "BOT_ROLE": "primary"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert words in done.stderr

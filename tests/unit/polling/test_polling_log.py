"""The log reader on real logs of real bots (logs/capture.py made them), and on any text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling.log import (
    events,
    split_engine_log,
)
from hypothesis import given
from hypothesis import strategies as st

LOGS = Path(__file__).parent / "logs"
EXPECTED: dict[str, Any] = json.loads((LOGS / "expected.json").read_text())
CONFLICTS = ("conflict", "webhook_conflict")
BAD = (*CONFLICTS, "unauthorized", "unreachable")
# A framework that says nothing of the kind; see the module's docstring.
SILENT = ("telegraf-unreachable", "grammy-unreachable")
AT = "2026-11-24T05:00:00.000000000Z"

# Every spelling of the Bot API server, old and new.
SPELLINGS = {
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is "
    "running": "conflict",
    "Conflict: terminated by other long poll or webhook": "conflict",
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete "
    "the webhook first": "webhook_conflict",
    "Conflict: can't use getUpdates method while webhook is active": "webhook_conflict",
    "Conflict: terminated by setWebhook request": "webhook_conflict",
    "Conflict: terminated by other setWebhook": "webhook_conflict",
    "Unauthorized: invalid token specified": "unauthorized",
}


def kinds(text: str) -> list[str]:
    return [event.kind for event in events(split_engine_log(text))]


def read(capture: str) -> list[str]:
    return [
        kind
        for name in EXPECTED[capture]["logs"]
        for kind in kinds((LOGS / name).read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("capture", EXPECTED)
def test_every_conflict_that_was_answered_is_found(capture: str) -> None:
    expected = EXPECTED[capture]
    answered = sum(expected["conflicts"].values())
    found = [kind for kind in read(capture) if kind in CONFLICTS]
    assert len(found) <= answered
    if expected["exact"] and answered:
        # A bot that is ended has no time to log its last answer; and C2 at once after C3 is told
        # from C3 in other words by nothing.
        unseen = len(expected["logs"]) + (len(expected["conflicts"]) > 1)
        assert len(found) >= max(1, answered - unseen)


@pytest.mark.parametrize("capture", [name for name in EXPECTED if name.endswith("healthy")])
def test_a_healthy_bot_shows_nothing_bad(capture: str) -> None:
    """Also where a user writes to it what looks like an error."""
    assert not [kind for kind in read(capture) if kind in BAD]


@pytest.mark.parametrize(
    "capture", [name for name in EXPECTED if name.endswith(("unauthorized", "revoked"))]
)
def test_a_refused_token_is_found(capture: str) -> None:
    assert "unauthorized" in read(capture)


@pytest.mark.parametrize(
    "capture", [name for name in EXPECTED if name.endswith(("unreachable", "dns"))]
)
def test_a_bot_api_out_of_reach_is_no_conflict(capture: str) -> None:
    found = read(capture)
    assert not [kind for kind in found if kind in CONFLICTS]
    assert "unreachable" in found or capture in SILENT or not EXPECTED[capture]["exact"]


@pytest.mark.parametrize("log", sorted(LOGS.glob("*.log")), ids=lambda log: log.stem)
def test_no_log_shows_a_secret(log: Path) -> None:
    assert not re.search(r"[0-9]{5,}:[A-Za-z0-9_-]{30,}", log.read_text(encoding="utf-8"))


@pytest.mark.parametrize("description", SPELLINGS)
def test_every_spelling_is_known(description: str) -> None:
    code = 401 if SPELLINGS[description] == "unauthorized" else 409
    lines = [
        f"ERROR aiogram.dispatcher: Failed to fetch updates - TelegramConflictError: {description}",
        "A request to the Telegram API was unsuccessful. "
        f"Error code: {code}. Description: {description}",
        json.dumps({"level": "error", "event": "getUpdates failed", "error": description}),
        "\x1b[31mERROR\x1b[0m telegram.error.Conflict: "
        f"{description[:12]}\x1b[1m{description[12:]}\x1b[0m",
    ]
    for line in lines:
        assert kinds(f"{AT} {line}\n") in ([SPELLINGS[description]], ["conflict"]), line


def test_each_conflict_of_the_own_bot_counts() -> None:
    line = json.dumps(
        {"level": "error", "event": "409 Conflict: somebody else polls with this token"}
    )
    text = "".join(
        f"2026-11-24T05:00:{second:02}.000000000Z {line}\n" for second in range(0, 30, 10)
    )
    assert kinds(text) == ["conflict"] * 3


def test_what_a_user_wrote_is_no_conflict() -> None:
    said = "Conflict: terminated by other getUpdates request"
    for line in (
        json.dumps({"level": "info", "event": "message", "text": said}),
        f"INFO:bot:user 77 said: {said}",
    ):
        assert kinds(f"{AT} {line}\n") == []


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    assert split_engine_log(f"{AT} one\ntwo\n") == [(1795496400.0, "one"), (1795496400.0, "two")]


@given(st.text(), st.integers(0, 5))
def test_nothing_makes_it_fail(text: str, lines: int) -> None:
    for each in (text, f"ERROR Conflict: terminated by other getUpdates request {text}"):
        found = list(events([(float(n), each) for n in range(lines)]))
        assert [event for event in found if len(event.text) > 300] == []
        assert found or each is text or not lines
    split_engine_log(text)


@given(st.lists(st.integers(0, 60), max_size=6))
def test_colours_hide_nothing(places: list[int]) -> None:
    line = "ERROR: Conflict: terminated by other getUpdates request; make sure that only one runs"
    for place in sorted(places, reverse=True):
        line = f"{line[:place]}\x1b[1;31m{line[place:]}"
    assert kinds(f"{AT} {line}\n") == ["conflict"]

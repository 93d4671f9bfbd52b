"""The poller against a Bot API that answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from app.bot.client import ApiError, ApiUnreachable, BotApi
from app.bot.poller import BadUpdate, Poller
from app.core.backoff import Backoff
from app.core.health import Heartbeat

Answer = list[int] | Exception | None


class Script:
    """Answers getUpdates from a list; parks for ever after its end, then asks for the stop."""

    def __init__(self, answers: list[Answer], stop: asyncio.Event) -> None:
        self.answers = answers
        self.stop = stop
        self.calls: list[dict[str, Any]] = []

    async def call(self, method: str, seconds: float, **arguments: Any) -> Any:
        assert method == "getUpdates"
        self.calls.append(arguments)
        if arguments["timeout"] == 0:
            return []
        if not self.answers:
            self.stop.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [{"update_id": n, "message": {"chat": {"id": n % 2}}} for n in answer or []]


async def run(
    tmp_path: Path,
    answers: list[Answer],
    feed: Callable[[int], Exception | None] = lambda _: None,
    stop_at: int | None = None,
) -> tuple[list[dict[str, Any]], list[int]]:
    stop = asyncio.Event()
    script = Script(answers, stop)
    handled: list[int] = []

    async def handle(raw: dict[str, Any]) -> None:
        if raw["update_id"] == stop_at:
            stop.set()
        if error := feed(raw["update_id"]):
            raise error
        handled.append(raw["update_id"])

    heartbeat = Heartbeat(tmp_path / "heartbeat", role="primary", instance="p")
    heartbeat.expect("getUpdates", 25, "successful getUpdates")
    poller = Poller(
        cast(BotApi, script), handle, heartbeat, stop, poll_timeout=10, backoff=Backoff(0.01, 0.02)
    )
    await asyncio.wait_for(poller.run(), 10)
    return script.calls, handled


async def test_offset_moves_only_past_what_was_handled(tmp_path: Path) -> None:
    calls, handled = await run(tmp_path, [[], [7, 8], [9]])
    assert [call["offset"] for call in calls] == [0, 0, 9, 10]
    assert handled == [7, 8, 9]
    assert [call["timeout"] for call in calls] == [1, 10, 10, 10], "the first returns soon"
    assert all(call["allowed_updates"] == ["message"] for call in calls)


async def test_stop_in_a_batch_confirms_it_once_and_at_once(tmp_path: Path) -> None:
    calls, handled = await run(tmp_path, [[], [7, 8]], stop_at=7)
    assert handled == [7, 8]
    assert calls[-1] == {
        "offset": 9,
        "limit": 1,
        "timeout": 0,
        "allowed_updates": ["message"],
    }
    assert [call["offset"] for call in calls] == [0, 0, 9]


async def test_stop_while_parked_asks_nothing_more(tmp_path: Path) -> None:
    calls, _ = await run(tmp_path, [[7]])
    assert [call["offset"] for call in calls] == [0, 8]
    assert calls[-1]["timeout"] == 10


async def test_offset_follows_the_server_back_to_smaller_ids(tmp_path: Path) -> None:
    calls, _ = await run(tmp_path, [[900], [5]])
    assert [call["offset"] for call in calls] == [0, 901, 6]


async def test_failures_are_tried_again_with_the_same_offset(tmp_path: Path) -> None:
    failures: list[Answer] = [
        ApiError(409, "Conflict: terminated by other getUpdates request"),
        ApiError(401, "Unauthorized"),
        ApiError(429, "Too Many Requests", 0.01),
        ApiError(502, "Bad Gateway"),
        ApiUnreachable("getUpdates: no answer"),
    ]
    calls, handled = await run(tmp_path, [[7], *failures, [8]])
    assert [call["offset"] for call in calls] == [0, 8, 8, 8, 8, 8, 8, 9]
    assert handled == [7, 8]


async def test_a_database_that_is_away_holds_the_batch(tmp_path: Path) -> None:
    tries: list[int] = []

    def feed(update_id: int) -> Exception | None:
        tries.append(update_id)
        return psycopg.OperationalError("away") if len(tries) < 3 else None

    calls, handled = await run(tmp_path, [[7]], feed)
    assert tries == [7, 7, 7]
    assert handled == [7]
    assert [call["offset"] for call in calls] == [0, 8]


async def test_stop_while_the_database_is_away_confirms_only_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7 is recorded, 8 can't be, 9 (another chat) is: only 7 may be confirmed."""
    monkeypatch.setattr("app.bot.poller.GRACE_SECONDS", 0.1)

    def feed(update_id: int) -> Exception | None:
        return psycopg.OperationalError("away") if update_id == 8 else None

    calls, handled = await run(tmp_path, [[7, 8, 9]], feed, stop_at=9)
    assert sorted(handled) == [7, 9]
    assert calls[-1]["offset"] == 8
    assert calls[-1]["timeout"] == 0


async def test_updates_that_can_never_be_handled_block_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.bot.poller.MAX_ATTEMPTS", 2)

    def feed(update_id: int) -> Exception | None:
        return {7: BadUpdate("shape"), 8: KeyError("a bug")}.get(update_id)

    calls, handled = await run(tmp_path, [[7, 8, 9]], feed)
    assert handled == [9]
    assert calls[-1]["offset"] == 10

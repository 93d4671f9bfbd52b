"""The poller against a Bot API that answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from app.bot.poller import Poller
from app.core.backoff import Backoff
from app.core.errors import Again
from app.core.health import Heartbeat
from app.telegram.client import ApiError, ApiUnreachable, BotApi

Answer = list[int] | Exception | str | None


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
        if isinstance(answer, str):
            return answer
        return [{"update_id": n, "message": {"chat": {"id": n % 2}}} for n in answer or []]


async def run(
    tmp_path: Path,
    answers: list[Answer],
    trouble: Callable[[list[int]], Exception | None] = lambda _: None,
    stop_at: int | None = None,
) -> tuple[list[dict[str, Any]], list[int]]:
    stop = asyncio.Event()
    script = Script(answers, stop)
    stored: list[int] = []

    async def store(raws: list[dict[str, Any]]) -> None:
        ids = [raw["update_id"] for raw in raws]
        if stop_at in ids:
            stop.set()
        if error := trouble(ids):
            raise error
        stored.extend(ids)

    heartbeat = Heartbeat(tmp_path / "heartbeat", role="primary", instance="p")
    heartbeat.expect("getUpdates", 25, "successful getUpdates")
    poller = Poller(
        cast(BotApi, script), store, heartbeat, stop, poll_timeout=10, backoff=Backoff(0.01, 0.02)
    )
    await asyncio.wait_for(poller.run(), 10)
    return script.calls, stored


async def test_offset_moves_only_past_what_was_stored(tmp_path: Path) -> None:
    calls, stored = await run(tmp_path, [[], [7, 8], [9]])
    assert [call["offset"] for call in calls] == [0, 0, 9, 10]
    assert stored == [7, 8, 9]
    assert [call["timeout"] for call in calls] == [1, 10, 10, 10], "the first returns soon"
    assert all(call["allowed_updates"] == ["message"] for call in calls)


async def test_stop_in_a_batch_confirms_it_once_and_at_once(tmp_path: Path) -> None:
    calls, stored = await run(tmp_path, [[], [7, 8]], stop_at=7)
    assert stored == [7, 8]
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
    calls, stored = await run(tmp_path, [[7], *failures, [8]])
    assert [call["offset"] for call in calls] == [0, 8, 8, 8, 8, 8, 8, 9]
    assert stored == [7, 8]


async def test_what_is_no_list_of_updates_is_a_failure(tmp_path: Path) -> None:
    calls, stored = await run(tmp_path, ["maintenance", [7]])
    assert [call["offset"] for call in calls] == [0, 0, 8]
    assert stored == [7]


@pytest.mark.parametrize("error", [Again("away"), KeyError("a defect")])
async def test_what_is_not_stored_is_not_confirmed(tmp_path: Path, error: Exception) -> None:
    tries: list[list[int]] = []

    def trouble(ids: list[int]) -> Exception | None:
        tries.append(ids)
        return error if len(tries) < 3 else None

    calls, stored = await run(tmp_path, [[7, 8]], trouble)
    assert tries == [[7, 8]] * 3
    assert stored == [7, 8]
    assert [call["offset"] for call in calls] == [0, 9]


async def test_stop_while_nothing_can_be_stored_confirms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.bot.poller.GRACE_SECONDS", 0.1)
    calls, stored = await run(tmp_path, [[7, 8]], lambda _: Again("away"), stop_at=8)
    assert stored == []
    assert [call["offset"] for call in calls] == [0]

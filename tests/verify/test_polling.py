"""Exactly one process polls: as the Bot API sees it, which here is the emulator."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from target import Target

pytestmark = pytest.mark.group("bot_api_emulator")


def stats(target: Target, url: str) -> dict[str, Any]:
    (answer,) = target.call(["request", "GET", url])
    assert answer["status"] == 200, answer["body"]
    found: dict[str, Any] = json.loads(answer["body"])
    return found


def test_exactly_one_process_polls(target: Target) -> None:
    """Over a window with two new polls, which take up to 50 s each where a bot asks for that."""
    (emulator,) = target.names("bot_api")
    target.used.update([emulator, *target.names("primary")])
    url = f"{target.published(emulator, 8081)}/control/bots/{target.variables['bot_id']}/stats"
    before = after = stats(target, url)
    deadline = time.monotonic() + 110
    while after["polls"] < before["polls"] + 2:
        assert time.monotonic() < deadline, "nobody polls: no new getUpdates came in 110 s"
        time.sleep(1)
        after = stats(target, url)
    assert after["conflicts"] == before["conflicts"], "the Bot API answered 409 Conflict meanwhile"
    assert after["parked"] <= 1
    pollers = [p for p in after["pollers"] if p["last"] >= before["now"]]
    assert len(pollers) == 1, pollers
    assert pollers[0]["polls"] >= after["polls"] - before["polls"], "polls of somebody else"
    # Where the primary is on this host its address is known; from another host it comes translated.
    for name in target.names("primary"):
        networks = target.containers[name]["NetworkSettings"]["Networks"].values()
        assert pollers[0]["peer"] in [network["IPAddress"] for network in networks]

"""Exactly one process polls: as the Bot API sees it, which here is the emulator."""

from __future__ import annotations

import pytest
from target import Target

pytestmark = pytest.mark.group("bot_api_emulator")


def test_exactly_one_process_polls(target: Target) -> None:
    """Over a window with two new polls, which take up to 50 s each where a bot asks for that."""
    emulator = target.one("bot_api")
    target.used.update([emulator, *target.names("primary")])
    url = f"{target.published(emulator, 8081)}/control/bots/{target.variables['bot_id']}/stats"
    ((before, after),) = target.call(["watch", url, 2, 105])
    assert "polls" in before, f"the emulator does not know this bot: {before}"
    assert after["polls"] >= before["polls"] + 2, "nobody polls"
    assert after["conflicts"] == before["conflicts"], "the Bot API answered 409 Conflict meanwhile"
    assert after["parked"] <= 1
    pollers = [p for p in after["pollers"] if p["last"] >= before["now"]]
    assert len(pollers) == 1, pollers
    assert pollers[0]["polls"] >= after["polls"] - before["polls"], "polls of somebody else"
    # Where the primary is on this host its address is known; from another host it comes translated.
    for name in target.names("primary"):
        networks = target.containers[name]["NetworkSettings"]["Networks"].values()
        assert pollers[0]["peer"] in [network["IPAddress"] for network in networks]

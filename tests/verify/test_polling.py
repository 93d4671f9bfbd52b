"""Exactly one process polls: as the hosts show it, and as the emulator does where it is there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from target import Target

# As playbooks/poller_status.yml asks. The secret is not in it: Ansible fills it in.
BOT = "verify_bot"
LOOK = {
    "name": f"{{{{ {BOT}.bot_stack_name | default('aisha') }}}}",
    "token": f"{{{{ {BOT}.bot_token }}}}",
    "holder": f"{{{{ {BOT}.bot_name | default('aisha') ~ '-primary' if is_of_bot else '' }}}}",
    "allowed": f"{{{{ {BOT}.bot_allowed | default([]) }}}}",
    "bot_api_url": f"{{{{ {BOT}.bot_host_api_url | default({BOT}.bot_api_url | default(omit)) }}}}",
}


def look(target: Target) -> dict[str, Any]:
    """Who may poll on this host, by polling_singleton_info, which never calls getUpdates."""
    if not target.variables["fleet"]:
        pytest.skip("no host is in the group bot")
    options = LOOK | target.variables["docker_host_engine"]
    more = {BOT: "{{ hostvars[groups['bot'] | first] }}", "is_of_bot": "{{ 'bot' in group_names }}"}
    module = "aisha.bot_stack.polling_singleton_info"
    return dict(target.host.ansible(module, json.dumps(options), extra_vars=more))


def holder_here(target: Target) -> str:
    """The container that is meant to poll, if this host is the holder's."""
    v = target.variables
    mine = v["bot_state"] == "present" and target.host.backend.host == (
        v["bot_holder"] or v["fleet"][0]
    )
    return f"{v['bot_name']}-primary" if mine else ""


def test_nothing_else_on_this_host_may_poll(target: Target) -> None:
    found = look(target)
    target.used.update(target.names("primary"))
    assert found["unread_files"] == 0, "not all that may hold the token could be read"
    assert [each["name"] for each in found["suspects"]] == []
    holder = holder_here(target)
    assert [each["name"] for each in found["pollers"]] == ([holder] if holder else [])
    assert found["webhook"] in ("", None), "a webhook is set: nobody can poll"


@pytest.mark.group("bot")
def test_the_holder_polls(target: Target) -> None:
    """By what it shows itself, so with any Bot API: a poll succeeds, and none is refused."""
    holder = holder_here(target)
    if not holder:
        pytest.skip("the holder is on another host")
    target.used.add(holder)
    ((before, after),) = target.call(["heartbeats", holder, 105])
    found = look(target)
    assert found["conflicts"]["count"] == 0, found["conflicts"]["text"]
    if before is None:
        # A bot that writes no heartbeat: its log must tell of a poll, and no updates pile up.
        assert found["polling_since"], f"{holder} shows no sign of a poll"
        later = look(target)
        assert not 0 < found["pending_updates"] <= later["pending_updates"], "updates pile up"
        return
    assert after["last_success"] > before["last_success"], f"no getUpdates of {holder} succeeded"
    assert after["conflicts"] == before["conflicts"], "the Bot API answered 409 Conflict meanwhile"


@pytest.mark.group("bot_api_emulator")
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

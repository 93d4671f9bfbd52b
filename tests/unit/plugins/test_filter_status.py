"""What status, poller_status and verify say of the hosts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter import status

Row = dict[str, Any]


def row(name: str, state: str = "running", health: str = "healthy", **more: Any) -> Row:
    return {
        "id": name,
        "name": name,
        "role": re.split(r"[-.]", name)[1],
        "image": f"registry.example.com:5000/aisha/bot@sha256:{'a' * 64}",
        "state": state,
        "health": health,
        "started_at": "2026-01-02T03:04:05.678Z",
        "restarts": 0,
        **more,
    }


def host(*rows: Row, error: str = "") -> Row:
    return {"engine": {"reachable": not error, "error": error}, "containers": list(rows)}


PRIMARY = row("aisha-primary")
ASIDE = "aisha-primary.disabled-0123456789ab"
WELL: dict[str, tuple[Row, str]] = {
    "well": (host(PRIMARY), ""),
    "without a health check": (host(row("aisha-front", health="")), ""),
    "unhealthy": (
        host(PRIMARY, row("aisha-worker-1", health="unhealthy")),
        "a: not healthy: aisha-worker-1 (running, unhealthy).",
    ),
    "starting": (host(row("aisha-front", health="starting")), "aisha-front (running, starting)"),
    "exited": (host(row("aisha-front", "exited", "")), "aisha-front (exited)"),
    "restarting": (host(row("aisha-front", "restarting", "")), "aisha-front (restarting)"),
    "paused": (host(row("aisha-front", "paused")), "aisha-front (paused, healthy)"),
    "aside": (host(PRIMARY, row(ASIDE, "exited", "unhealthy")), ""),
    "aside, and it came back": (host(PRIMARY, row(ASIDE, "restarting", "")), ASIDE),
    "nothing": (host(), "a: no container of the stack runs here."),
    "no engine": (host(error="no socket"), "a: the Docker Engine does not answer: no socket"),
}


@pytest.mark.parametrize(("found", "part"), WELL.values(), ids=list(WELL))
def test_what_is_not_well(found: Row, part: str) -> None:
    problems = status.host_problems(found, "a")
    assert len(problems) == bool(part)
    assert part in "".join(problems)


PRIMARIES: dict[str, tuple[dict[str, Row], str]] = {
    "one": ({"a": {"found": host(PRIMARY)}, "b": {"found": host()}}, ""),
    "one engine is two hosts": ({"a": {"found": host(PRIMARY)}, "b": {"found": host(PRIMARY)}}, ""),
    "one is aside": ({"a": {"found": host(PRIMARY, row(ASIDE, "exited"))}}, ""),
    "none": ({"a": {"found": host()}, "b": {}}, "0 primaries instead of one."),
    "two": (
        {"a": {"found": host(PRIMARY)}, "b": {"found": host(row("aisha-primary", id="2"))}},
        "2 primaries instead of one: aisha-primary on a, aisha-primary on b.",
    ),
    "one that is aside runs": (
        {"a": {"found": host(PRIMARY, row(ASIDE))}},
        f"2 primaries instead of one: aisha-primary on a, {ASIDE} on a.",
    ),
}


@pytest.mark.parametrize(("results", "said"), PRIMARIES.values(), ids=list(PRIMARIES))
def test_the_fleet_has_one_primary(results: dict[str, Row], said: str) -> None:
    assert "".join(status.primary_problems(results)) == said


def test_the_table() -> None:
    local = row(
        "aisha-front", started_at="", state="created", health="", image="sha256:" + "b" * 64
    )
    results = {
        "a": {"found": host(PRIMARY, local)},
        "b": {"found": {"unreachable": True, "msg": "No route."}},
        "c": {"found": host(error="no socket")},
    }
    since = ("2026-01-02", "03:04:05")
    lines = [line.split() for line in status.status_table("abcd", results).splitlines()]
    assert lines == [
        ["SERVICE", "INSTANCE", "HOST", "IMAGE", "STATE", "HEALTH", "SINCE", "RESTARTS"],
        ["primary", "aisha-primary", "a", "bot@" + "a" * 12, "running", "healthy", *since, "0"],
        ["front", "aisha-front", "a", "bbbbbbbbbbbb", "created", "0"],
        ["?", "?", "b", "?", "unreachable", "No", "route."],
        ["?", "?", "c", "?", "unreachable", "no", "socket"],
        ["?", "?", "d", "?", "unreachable"],
    ]


def finding(role: str, name: str, **more: Any) -> Row:
    return {
        "kind": "container",
        "host": "host-a",
        "name": name,
        "role": role,
        "state": "running",
        "restart_policy": "always",
        "same_token": True,
        "where": "file",
        "field": "/run/secrets/bot_token",
        "live": True,
        **more,
    }


def looked(*findings: Row, **more: Any) -> Row:
    return {
        "findings": list(findings),
        "pollers": [each for each in findings if each["role"] in ("holder", "poller")],
        "suspects": [each for each in findings if each["role"] == "suspect"],
        "holder": next((each for each in findings if each["role"] == "holder"), None),
        "webhook": None,
        "pending_updates": None,
        "polling_since": None,
        "conflicts": {"count": 0, "text": ""},
        **more,
    }


def test_who_polls() -> None:
    program = finding("suspect", "python3", kind="process", pid=70, same_token=False)
    aside = finding("poller", ASIDE, live=False, state="exited")
    answered = {"webhook": "", "pending_updates": 3, "polling_since": 1767323045.0}
    results = {
        "a": {"found": looked(finding("holder", "aisha-primary"), aside, **answered)},
        "b": {"found": looked(program)},
        "c": {"found": {"unreachable": True, "msg": "No route."}},
    }
    said = status.poller_status(["a", "b", "c", "d"], results)
    assert [" ".join(line.split()) for line in said.splitlines()] == [
        # What is aside is of this stack, and does not poll.
        "1 of this stack polls, 1 unknown holder of the token",
        "PART HOST NAME STATE RESTARTS TOKEN FOUND IN",
        "poller a aisha-primary running always this file /run/secrets/bot_token",
        "suspect b python3 (pid 70) running always older file /run/secrets/bot_token",
        "? c No route.",
        "? d unreachable",
        "webhook: none, 3 pending updates",
        "aisha-primary on host-a polls since 2026-01-02 03:04:05 UTC, "
        "0 conflicts in the last 2 minutes",
    ]


def test_conflicts_and_a_webhook_are_shown() -> None:
    answered = {
        "webhook": "https://example.com/hook",
        "pending_updates": 0,
        "polling_since": 1767323045.0,
        "conflicts": {"count": 2, "text": "Conflict: terminated by other getUpdates request"},
    }
    found = looked(finding("holder", "aisha-primary"), **answered)
    said = status.poller_status(["a"], {"a": {"found": found}})
    assert "webhook: https://example.com/hook, 0 pending updates" in said
    assert "2 conflicts in the last 2 minutes: Conflict: terminated by other getUpdates" in said

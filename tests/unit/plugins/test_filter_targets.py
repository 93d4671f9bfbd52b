"""Which containers an operator means by a target, and what is said where there are none."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter.targets import target_problems, targeted

ROWS = [
    {"name": name, "role": role}
    for name, role in (
        ("aisha-bot-api", "bot_api"),
        ("aisha-front", "front"),
        ("aisha-migrate", "task"),
        ("aisha-postgres", "postgres"),
        ("aisha-primary", "primary"),
        ("aisha-primary.disabled-0123456789ab", "primary"),
        ("aisha-webhook-1", "webhook"),
        ("aisha-worker-1", "worker"),
        ("aisha-worker-2", "worker"),
    )
]
WORKERS = ["aisha-worker-1", "aisha-worker-2"]
RESTARTED = ["aisha-postgres", "aisha-webhook-1", *WORKERS, "aisha-primary"]


@pytest.mark.parametrize(
    ("target", "logs", "restart"),
    [
        ("worker", WORKERS, WORKERS),
        ("workers", WORKERS, WORKERS),
        ("aisha-worker-2", ["aisha-worker-2"], ["aisha-worker-2"]),
        ("webhook", ["aisha-webhook-1", "aisha-front"], ["aisha-webhook-1"]),
        ("webhooks", ["aisha-webhook-1", "aisha-front"], ["aisha-webhook-1"]),
        ("front", ["aisha-front"], ["aisha-front"]),
        ("postgres", ["aisha-postgres"], ["aisha-postgres"]),
        ("postgresql", ["aisha-postgres"], ["aisha-postgres"]),
        (
            "primary",
            ["aisha-primary", "aisha-primary.disabled-0123456789ab"],
            ["aisha-primary"],
        ),
        (
            "aisha-primary.disabled-0123456789ab",
            ["aisha-primary.disabled-0123456789ab"],
            [],
        ),
        ("emulator", ["aisha-bot-api"], []),
        ("bot_api", ["aisha-bot-api"], []),
        ("aisha-bot-api", ["aisha-bot-api"], []),
        ("aisha-migrate", [], []),
        ("redis", [], []),
        ("worker-1", [], []),
        ("", [], []),
    ],
)
def test_a_target_is_a_part_or_one_container(
    target: str, logs: list[str], restart: list[str]
) -> None:
    for purpose, expected in (("logs", logs), ("restart", restart)):
        found = targeted(ROWS, target, purpose)
        assert [each["name"] for rows in found.values() for each in rows] == expected
        assert bool(target_problems(on_hosts(ROWS), target, purpose)) == (not expected)


def test_all_is_in_the_order_in_which_it_is_restarted() -> None:
    found = targeted(ROWS, "all", "restart")
    assert [each["name"] for rows in found.values() for each in rows] == RESTARTED
    assert len([each for rows in targeted(ROWS, "all", "logs").values() for each in rows]) == 8


def on_hosts(*rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"bot{number}": {"found": {"containers": each}} for number, each in enumerate(rows, 1)}


def test_one_container_is_on_one_host_only() -> None:
    results = on_hosts(ROWS[:3], ROWS[3:])
    assert target_problems(results, "aisha-worker-2", "restart") == []
    assert target_problems(results, "redis", "logs") == [
        "target is redis, and no such container is on bot1, bot2."
    ]
    (said,) = target_problems(results, "workes", "restart")
    assert said.startswith(
        "target is workes. Say all, registry, minio, postgres, redis, webhook, front, worker,"
        " primary, or the name of a container: aisha-front, aisha-postgres, "
    )
    assert "bot-api" not in said
    assert "disabled" not in said
    (said,) = target_problems(results, "", "restart")
    assert said.startswith("target is not set. Say all, ")


@pytest.mark.parametrize("results", [on_hosts([], []), {"bot1": {}, "bot2": {"found": {}}}])
def test_nothing_is_there(results: dict[str, Any]) -> None:
    assert target_problems(results, "all", "logs") == [
        "No container of the stack is on bot1, bot2: make up makes them."
    ]

"""The bot's containers: who gets which secrets, and who is swapped when, and how."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter import bot

ROLES = ("primary", "worker", "webhook", "task")
SECRETS = {name: f"text of {name}" for name in bot.FILES}
# What each role uses: a list of its own, so that nobody gets more by a slip.
ALLOWED = {
    "primary": {"bot_token", "database_url", "redis_url"},
    "worker": {"bot_token", "database_url", "redis_url", "s3_secret_key"},
    "webhook": {"database_url", "redis_url", "webhook_secret"},
    "task": {"bot_token", "database_url", "redis_url", "s3_secret_key"},
}
FRONT = {"name": "aisha-front", "role": "front"}
VOLUMES = [
    {"type": "volume", "source": "aisha-temp", "target": "/app/temp"},
    {"type": "volume", "source": "aisha-audio", "target": "/app/audio"},
]


def settings(**more: Any) -> dict[str, Any]:
    return {
        "name": "aisha", "image": "bot@1", "webhook_image": "webhook@1", "user": "10001:10002",
        "workers": "2", "webhooks": "2", "networks": ["aisha-data"], "volumes": VOLUMES,
        "memory": {"primary": "1m", "worker": "2m", "webhook": "3m"}, "front": FRONT,
        "folders": {role: {"path": f"/etc/{role}", "checksum": f"sum of {role}"} for role in ROLES},
        "env": {"LOG_LEVEL": "INFO", "S3_BUCKET": "audio", "S3_ACCESS_KEY": "key"},
        "labels": {"l": "1"}, "stop_timeout": 40, "wait_timeout": 50, **more,
    }  # fmt: skip


def all_of(**more: Any) -> dict[str, dict[str, Any]]:
    """By their roles, one of each."""
    given = settings(**more)
    found = [*bot.primary(given), *bot.replicas(given), bot.bot_task(given, "migrate", ["migrate"])]
    return {each["role"]: each for each in found}


def test_each_role_has_the_secrets_that_it_uses() -> None:
    folders = bot.secret_folders(SECRETS)
    assert {folder["name"] for folder in folders} == set(ROLES)
    for folder in folders:
        assert {file["name"] for file in folder["files"]} == ALLOWED[folder["name"]]
        assert all(file["content"] == SECRETS[file["name"]] for file in folder["files"])
    without = bot.secret_folders(SECRETS, webhook=False)
    assert {folder["name"] for folder in without} == set(ROLES) - {"webhook"}


@pytest.mark.parametrize("role", ROLES)
def test_a_container_finds_its_own_secrets_and_cannot_write_them(role: str) -> None:
    made = all_of()[role]
    files = {key: value for key, value in made["env"].items() if key.endswith("_FILE")}
    assert files == {
        f"{name.upper()}_FILE": f"/run/secrets/{name}" for name in sorted(ALLOWED[role])
    }
    assert made["mounts"][-1] == {
        "type": "bind", "source": f"/etc/{role}", "target": "/run/secrets", "read_only": True,
    }  # fmt: skip
    # Another secret is another container.
    assert made["config_hash"] == f"sum of {role}"
    assert not [text for text in SECRETS.values() if text in repr(made)]


@pytest.mark.parametrize("role", ROLES)
def test_only_who_stores_files_knows_the_object_storage(role: str) -> None:
    env = all_of()[role]["env"]
    assert env["LOG_LEVEL"] == "INFO"
    stores = role in ("worker", "task")
    assert ({"S3_BUCKET", "S3_ACCESS_KEY"} <= env.keys()) is stores
    assert any(key.startswith("S3_") for key in env) is stores
    # What runs once is told that it works.
    assert env["BOT_ROLE"] == ("worker" if role == "task" else role)


def test_the_operators_environment_does_not_replace_ours() -> None:
    env = all_of(env={"BOT_TOKEN_FILE": "/mine", "BOT_ROLE": "mine", "INSTANCE_ID": "mine"})
    assert env["primary"]["env"]["BOT_TOKEN_FILE"] == "/run/secrets/bot_token"
    assert env["primary"]["env"]["BOT_ROLE"] == "primary"
    assert env["primary"]["env"]["INSTANCE_ID"] == "aisha-primary"


def test_callers_are_served_first_and_one_of_them_always_answers() -> None:
    made = bot.replicas(settings())
    assert [(each["name"], each.get("image"), each.get("swap")) for each in made] == [
        ("aisha-webhook-1", "webhook@1", "start_first"),
        ("aisha-webhook-2", "webhook@1", "start_first"),
        ("aisha-front", None, None),
        ("aisha-worker-1", "bot@1", None),
        ("aisha-worker-2", "bot@1", None),
    ]
    (primary,) = bot.primary(settings())
    assert (primary["name"], primary["image"]) == ("aisha-primary", "bot@1")
    # It may not run twice.
    assert "swap" not in primary


def test_without_webhooks_there_is_no_front() -> None:
    assert [each["name"] for each in bot.replicas(settings(webhooks=0, workers=1))] == [
        "aisha-worker-1"
    ]


@pytest.mark.parametrize(
    ("role", "memory"), [("primary", "1m"), ("worker", "2m"), ("webhook", "3m"), ("task", "2m")]
)
def test_what_all_have(role: str, memory: str) -> None:
    made = all_of()[role]
    assert (made["memory"], made["user"]) == (memory, "10001:10002")
    assert (made["networks"], made["labels"]) == (["aisha-data"], {"l": "1"})
    assert made["stop_timeout"] == 40
    # One that runs once has its own time.
    assert made["wait_timeout"] == (0 if role == "task" else 50)
    assert made["mounts"][:-1] == VOLUMES


def test_an_image_is_checked_beside_what_runs() -> None:
    """It is new: it must not touch the volumes of the one that runs."""
    made = bot.image_check("bot@2", settings(), ["-c", "check"])
    assert (made["image"], made["entrypoint"], made["command"]) == (
        "bot@2", ["python"], ["-c", "check"],
    )  # fmt: skip
    assert [mount["target"] for mount in made["mounts"]] == ["/run/secrets"]
    assert made["tmpfs"][2:] == [
        "/app/temp:size=16m,mode=0755,uid=10001,gid=10002",
        "/app/audio:size=16m,mode=0755,uid=10001,gid=10002",
    ]
    other = bot.image_check("webhook@1", settings(), ["x"])
    assert {made["name"], other["name"]} == {"aisha-preflight", "aisha-preflight-webhook"}


def test_what_runs_once_has_the_volumes_unless_told_otherwise() -> None:
    made = bot.bot_task(settings(), "migrate", ["migrate"])
    assert (made["name"], made["image"], made["role"]) == ("aisha-migrate", "bot@1", "task")
    assert made["command"] == ["migrate"]
    assert "entrypoint" not in made
    assert "tmpfs" not in made

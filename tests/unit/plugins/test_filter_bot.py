"""The containers of the bot stack: which, in which order, and what each one gets."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter import bot

S3 = {"S3_BUCKET": "audio", "S3_ACCESS_KEY": "parrot"}
FILES = {
    "primary": {"BOT_TOKEN_FILE", "DATABASE_URL_FILE", "REDIS_URL_FILE"},
    "worker": {"BOT_TOKEN_FILE", "DATABASE_URL_FILE", "REDIS_URL_FILE", "S3_SECRET_KEY_FILE"},
    "webhook": {"DATABASE_URL_FILE", "REDIS_URL_FILE", "WEBHOOK_SECRETS_FILE"},
    "task": {"BOT_TOKEN_FILE", "DATABASE_URL_FILE", "REDIS_URL_FILE", "S3_SECRET_KEY_FILE"},
}


def settings(**more: Any) -> dict[str, Any]:
    return {
        "name": "aisha",
        "image": "bot@sha256:1",
        "webhook_image": "webhook@sha256:2",
        "user": "10001:10001",
        "workers": 2,
        # As a template gives it.
        "webhooks": "2",
        "networks": ["aisha"],
        "volumes": [{"type": "volume", "source": "aisha-temp", "target": "/app/storage/temp"}],
        "memory": {"primary": "1m", "worker": "2m", "webhook": "3m"},
        "stop_timeout": 30,
        "wait_timeout": 0,
        "secrets_dir": "/etc/aisha/bot/secrets",
        "labels": {},
        "env": S3 | {"THREADS": "4"},
        "front": {"name": "aisha-front"},
        **more,
    }


@pytest.mark.parametrize(
    ("webhooks", "workers", "names"),
    [
        (2, 1, ["aisha-webhook-1", "aisha-webhook-2", "aisha-front", "aisha-worker-1"]),
        ("0", "2", ["aisha-worker-1", "aisha-worker-2"]),
        (1, 0, ["aisha-webhook-1", "aisha-front"]),
        (0, 0, []),
    ],
)
def test_callers_first_then_who_works(webhooks: Any, workers: Any, names: list[str]) -> None:
    made = bot.replicas(settings(webhooks=webhooks, workers=workers))
    assert [each["name"] for each in made] == names
    # One of them always answers; a worker takes up the jobs of the one whose name it has.
    swaps = {each["name"]: each.get("swap") for each in made}
    assert swaps == {name: "start_first" if "webhook" in name else None for name in names}


@pytest.mark.parametrize("role", sorted(FILES))
def test_each_role_gets_its_own(role: str) -> None:
    given = settings()
    made = {
        "primary": lambda: bot.primary(given)[0],
        "worker": lambda: bot.replicas(given)[-1],
        "webhook": lambda: bot.replicas(given)[0],
        "task": lambda: bot.bot_task(given, "migrate", ["migrate"]),
    }[role]()
    environment = made["env"]
    assert {name for name in environment if name.endswith("_FILE")} == FILES[role]
    assert all(environment[name].startswith("/run/secrets/") for name in FILES[role])
    assert environment["THREADS"] == "4"
    assert (environment.items() >= S3.items()) == ("S3_SECRET_KEY_FILE" in FILES[role])
    assert environment["INSTANCE_ID"] == made["name"]
    assert environment["BOT_ROLE"] == ("worker" if role == "task" else role)
    assert made["image"] == given["webhook_image" if role == "webhook" else "image"]
    assert made["memory"] == given["memory"]["worker" if role == "task" else role]
    assert made["mounts"][-1] == {
        "type": "bind",
        "source": f"/etc/aisha/bot/secrets/{role}",
        "target": "/run/secrets",
        "read_only": True,
    }


def test_the_folders_hold_what_the_environment_names() -> None:
    secrets = {name: f"the {name}" for name in bot.FILES}
    given = bot.secret_folders(secrets, "/etc/aisha/bot/secrets", 10001)
    folders = {each["path"].rpartition("/")[2]: each["files"] for each in given}
    assert {
        role: {bot.FILES[file["name"]] for file in files} for role, files in folders.items()
    } == FILES
    assert all(file["content"] == secrets[file["name"]] for file in folders["worker"])
    # A folder without files goes, with what an earlier run wrote for it.
    without = bot.secret_folders(secrets, "/etc/aisha/bot/secrets", 10001, webhook=False)
    assert [each["path"] for each in without] == [each["path"] for each in given]
    assert [each["path"].rpartition("/")[2] for each in without if not each["files"]] == ["webhook"]


def test_a_task_without_volumes_has_their_folders_in_memory() -> None:
    made = bot.image_check("webhook@sha256:2", settings(), ["-c", "1"])
    assert (made["name"], made["entrypoint"]) == ("aisha-preflight-webhook", ["python"])
    assert [mount["target"] for mount in made["mounts"]] == ["/run/secrets"]
    assert "/app/storage/temp:size=16m,mode=0755,uid=10001,gid=10001" in made["tmpfs"]


def test_only_the_webhook_api_is_told_about_its_port_and_limit() -> None:
    own = {"WEBHOOK_HEALTH_PORT": "8081", "WEBHOOK_BODY_LIMIT": "1048576"}
    given = settings(env=S3 | own | {"WEBHOOK_URL": "an operator's"})
    replica, worker = bot.replicas(given)[0]["env"], bot.replicas(given)[-1]["env"]
    assert own.items() <= replica.items()
    assert not own.keys() & worker.keys()
    assert not own.keys() & bot.primary(given)[0]["env"].keys()
    assert worker["WEBHOOK_URL"] == "an operator's"

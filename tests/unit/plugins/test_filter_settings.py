"""Names of settings that are typed wrongly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter.settings import (
    known_settings,
    misspelt_settings,
)

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("inventory", "molecule", "playbooks", "roles", "tests/integration")
NAME = re.compile(r"^[ -]*(\w+):", flags=re.M)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bot_wokers", "bot_workers"),
        ("bot_worker", "bot_workers"),
        ("bot_webhook_replica", "bot_webhook_replicas"),
        ("bot_image_", "bot_image"),
        ("redis_maxmemory", "redis_maxmemory_mb"),
        ("postgres_database", "postgres_databases"),
        ("docker_host_registry", "docker_host_registries"),
        ("bot_webhook_secret", "bot_webhook_secrets"),
    ],
)
def test_a_typing_error_is_told_with_what_was_meant(name: str, meant: str) -> None:
    (said,) = misspelt_settings([name, meant, "ansible_host"])
    assert said.startswith(f"{name} is no setting: is it {meant}?")


@pytest.mark.parametrize("name", ["bot_channel", "postgres", "wokers", "shop_bot_wokers", "vault"])
def test_a_variable_of_ones_own_is_left_alone(name: str) -> None:
    assert misspelt_settings([name]) == []


def test_no_variable_of_this_project_is_taken_for_one() -> None:
    """Inventories, playbooks, and what roles and tests set besides."""
    roles, settings = known_settings()
    assert "bot" in roles
    assert "bot_workers" in settings
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.yml")]
    names = {name for path in paths for name in NAME.findall(path.read_text())}
    assert set(settings) & names
    assert misspelt_settings(names) == []

"""Names of settings that are typed wrongly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.aisha.bot_stack.plugins.filter.settings import (
    misspelt_settings,
    setting_problems,
    wrong_settings,
)
from ansible_collections.aisha.bot_stack.plugins.plugin_utils import role_settings

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
    settings = {name for options in role_settings.specs().values() for name in options}
    assert "bot_workers" in settings
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.yml")]
    names = {name for path in paths for name in NAME.findall(path.read_text())}
    assert settings & names
    assert misspelt_settings(names) == []


SECRET = "hush"
USERS = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "required": True},
        "keys": {"type": "list", "elements": "str"},
    },
}
GOOD_USER = {"name": "a", "password": SECRET}


@pytest.mark.parametrize(
    ("spec", "value", "said"),
    [
        ({"type": "int"}, 3, []),
        ({"type": "int"}, "3", []),
        ({"type": "int"}, "many", ["it must be a whole number, and is text"]),
        ({"type": "int"}, "", ["it must be a whole number, and is an empty text"]),
        ({"type": "int"}, [3], ["it must be a whole number, and is a list"]),
        ({"type": "int"}, None, ["it has no value: it must be a whole number"]),
        ({"type": "bool"}, "yes", []),
        ({"type": "bool"}, "perhaps", ["it must be true or false, and is text"]),
        ({"type": "str"}, 512, []),
        ({"type": "str"}, ["512m"], ["it must be text, and is a list"]),
        ({"type": "path"}, {"a": 1}, ["it must be a path, and is a dictionary"]),
        ({"type": "str", "choices": ["fail", "stop"]}, "stop", []),
        (
            {"type": "str", "choices": ["fail", "stop"]},
            "kill",
            ["it is kill: it must be fail or stop"],
        ),
        ({"type": "list", "elements": "str"}, [], []),
        (
            {"type": "list", "elements": "str"},
            "one,two",
            ["it must be a list, as in [first, second], and is text"],
        ),
        (
            {"type": "list", "elements": "str"},
            ["one", None, {"two": 2}],
            [
                "Entry 2 of it must be text, and is empty",
                "Entry 3 of it must be text, and is a dictionary",
            ],
        ),
        ({"type": "dict"}, {"any": ["thing", None]}, []),
        ({"type": "dict"}, "a=b", ["it must be a dictionary, as in {name: value}, and is text"]),
        ({"type": "raw"}, "one,two", []),
        (USERS, [GOOD_USER, GOOD_USER | {"keys": ["a:*"]}], []),
        (USERS, [GOOD_USER | {"keys": None}], []),
        (USERS, [{"name": "a", "password": None}], ["Entry 1 of it has no password"]),
        (
            USERS,
            [GOOD_USER, {"name": "a", "pasword": SECRET}],
            [
                "Entry 2 of it has pasword, which is none of its keys (name, password, keys):"
                " is it password?",
                "Entry 2 of it has no password",
            ],
        ),
        (
            USERS,
            [GOOD_USER | {"keys": SECRET}],
            ["Entry 1 of it: keys must be a list, as in [first, second], and is text"],
        ),
    ],
)
def test_what_is_of_the_wrong_kind_is_said(
    spec: dict[str, Any], value: Any, said: list[str]
) -> None:
    assert setting_problems("it", spec, value) == said
    assert SECRET not in repr(said)
    if not said:
        # A role's own check, with its long output, never speaks.
        assert not ArgumentSpecValidator({"it": spec}).validate({"it": value}).error_messages


class Variables(Mapping[str, Any]):
    """Variables as Ansible gives them: what has no value raises when it is asked for."""

    def __init__(self, **values: Any) -> None:
        self.values_ = values

    def __getitem__(self, name: str) -> Any:
        if name == "bot_token":
            raise AnsibleUndefinedVariable("'vault_bot_token' is undefined")
        return self.values_[name]

    def __contains__(self, name: object) -> bool:
        return name in self.values_

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def test_the_settings_of_a_hosts_roles_are_compared() -> None:
    hosts = {"a": Variables(bot_workers="x", redis_memory=[1], bot_token=None, bot_channel=[1])}
    assert wrong_settings(hosts, "a", ["bot"]) == [
        "bot_token can't be evaluated: 'vault_bot_token' is undefined. Correct it where it is set.",
        "bot_workers must be a whole number, and is text. Correct it where it is set.",
    ]


def test_every_default_is_of_its_kind() -> None:
    for options in role_settings.specs().values():
        for name, spec in options.items():
            if "default" in spec:
                assert setting_problems(name, spec, spec["default"]) == []

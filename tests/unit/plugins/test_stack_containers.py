"""The names of all containers that the roles will have on a host, and who else has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.aisha.bot_stack.plugins.filter import bot
from ansible_collections.aisha.bot_stack.plugins.filter.stack_containers import (
    stack_containers,
    taken_problems,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import host_facts
from ansible_collections.aisha.bot_stack.plugins.plugin_utils import role_settings

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


def hostvars(groups: dict[str, list[str]], **variables: Any) -> dict[str, dict[str, Any]]:
    hosts = sorted({host for members in groups.values() for host in members})
    return {
        host: {
            "groups": groups,
            "group_names": [group for group, members in groups.items() if host in members],
            **variables,
        }
        for host in hosts
    }


def names(found: list[dict[str, str]]) -> set[str]:
    return {each["name"] for each in found}


def plain(found: list[dict[str, str]]) -> set[str]:
    """Without those that are there for a while."""
    ends = (".next", ".previous", "-volumes")
    return {name for name in names(found) if not name.endswith(ends)}


@pytest.mark.parametrize(
    ("groups", "variables", "expected"),
    [
        ({"postgres": ["a"]}, {}, {"aisha-postgres"}),
        ({"postgres": ["a"]}, {"postgres_container_name": "rows"}, {"rows"}),
        ({"postgres": ["a"], "redis": ["a"]}, {"postgres_state": "absent"}, {"aisha-redis"}),
        ({"bot_api_emulator": ["a"]}, {}, {"aisha-bot-api"}),
        ({"docker_hosts": ["a"]}, {}, set()),
        (
            {"bot": ["a"]},
            {"bot_name": "parrot", "bot_webhook_replicas": 0, "bot_workers": "2"},
            {"parrot-primary", "parrot-worker-1", "parrot-worker-2"}
            | {f"parrot-{task}" for task in bot.TASKS},
        ),
        (
            {"bot": ["b", "a"]},
            {"bot_workers": 0, "bot_webhook_replicas": 1},
            {"aisha-webhook-1", "aisha-front"} | {f"aisha-{task}" for task in bot.TASKS},
        ),
        (
            {"bot": ["b", "a"]},
            {"bot_workers": 0, "bot_webhook_replicas": 0, "bot_move_to": "a"},
            {"aisha-primary"} | {f"aisha-{task}" for task in bot.TASKS},
        ),
    ],
)
def test_all_that_is_on_a_host(
    groups: dict[str, list[str]], variables: dict[str, Any], expected: set[str]
) -> None:
    assert plain(stack_containers(hostvars(groups, **variables), "a")) == expected


def test_what_is_there_for_a_while_is_among_them() -> None:
    found = stack_containers(hostvars({"postgres": ["a"], "bot": ["a"]}), "a")
    for name in ("aisha-postgres", "aisha-primary", "aisha-worker-1"):
        assert {name + end for end in ("", ".next", ".previous", "-volumes")} <= names(found)
    # It has no volume.
    assert "aisha-front-volumes" not in names(found)
    assert "aisha-front.next" in names(found)


def test_each_has_the_stack_and_the_setting_of_its_role() -> None:
    variables = {"bot_stack_name": "one", "redis_stack_name": "two"}
    found = stack_containers(hostvars({"redis": ["a"], "bot": ["a"]}, **variables), "a")
    rows = {each["name"]: each for each in found}
    assert rows["aisha-redis.next"] == {
        "name": "aisha-redis.next", "stack": "two", "setting": "redis_container_name",
    }  # fmt: skip
    assert (rows["aisha-worker-1"]["stack"], rows["aisha-worker-1"]["setting"]) == (
        "one",
        "bot_name",
    )


def described(role: str) -> Iterator[Any]:
    """What the tasks of a role give to the module containers as containers."""

    def walk(tasks: list[dict[str, Any]]) -> Iterator[Any]:
        for task in tasks:
            for key in ("block", "rescue", "always"):
                yield from walk(task.get(key) or [])
            assert "community.docker.docker_container" not in task
            given = task.get("aisha.bot_stack.containers") or {}
            if "containers" in given:
                yield given["containers"]

    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        yield from walk(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("role", [role for role in ROLES if role != "bot"])
def test_a_role_describes_the_container_that_its_setting_names(role: str) -> None:
    """So that the filter, which reads that setting, names what is there."""
    all_names = {each["name"] for containers in described(role) for each in containers}
    setting = f"{role}_container_name"
    expected = {f"{{{{ {setting} }}}}"} if setting in role_settings.specs()[role] else set()
    assert all_names == expected


def test_the_bot_describes_nothing_but_what_is_named() -> None:
    """Its descriptions come from functions that the filter calls as well."""
    functions = {"bot_primary", "bot_replicas", "bot_task", "image_check"}
    variables = yaml.safe_load((ROOT / "roles/bot/vars/main.yml").read_text())
    whole = []
    for containers in described("bot"):
        text = str(containers)
        for _round in range(3):
            text = re.sub(r"__bot_\w+", lambda found: str(variables.get(found[0], "")), text)
        whole.append(text)
    used = set(re.findall(r"aisha\.bot_stack\.(\w+)", " ".join(whole)))
    assert functions <= used
    given = [text for text in whole if not functions.intersection(re.findall(r"\w+", text))]
    # What is removed: a successor, and what is aside.
    assert len(given) == 2
    assert all(
        ".next" in text or "__bot_former" in str(text) or "dict_kv" in text for text in given
    )
    with pytest.raises(AnsibleFilterError, match="dump is none of the tasks"):
        bot.bot_task({"name": "aisha"}, "dump", [])


NAME = {"name": "aisha-postgres", "stack": "aisha", "setting": "postgres_container_name"}
PORT = {
    "address": "127.0.0.1",
    "port": 8080,
    "container": "aisha-front",
    "setting": "bot_publish_port",
}


def listed(name: str, stack: str = "", port: int = 0) -> dict[str, Any]:
    """As the engine lists a container."""
    return {
        "Names": [f"/{name}", f"/other/{name}"],
        "Labels": {"aisha.bot_stack.name": stack} if stack else None,
        "Image": "postgres:17",
        "State": "exited",
        "Ports": [{"IP": "127.0.0.1", "PublicPort": port, "PrivatePort": 80}] if port else [],
    }


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (listed("aisha-postgres", "aisha"), []),
        (listed("aisha-postgres2"), []),
        (
            listed("aisha-postgres"),
            [
                "the name aisha-postgres is taken by a container that is not of the stack aisha"
                " (its image is postgres:17, it is exited): rename it"
                " (docker rename aisha-postgres OTHER) or remove it, or set"
                " postgres_container_name to another name."
            ],
        ),
        (
            listed("aisha-postgres", "second"),
            ["not of the stack aisha (it is of the stack second, its image is postgres:17"],
        ),
    ],
)
def test_a_name_is_taken_only_by_somebody_else(container: dict[str, Any], said: list[str]) -> None:
    taken = host_facts.taken_names([NAME], [host_facts.listed(container)])
    told = taken_problems({"taken_names": taken, "taken_ports": [], "containers": []})
    assert len(told) == len(said)
    assert all(text in sentence for text, sentence in zip(said, told, strict=True))


@pytest.mark.parametrize(
    ("own", "others", "said"),
    [
        (
            [],
            [],
            "taken by another process or container: set bot_publish_port to a free port, or stop",
        ),
        (
            [],
            [listed("web", port=8080)],
            "taken by container web: set bot_publish_port to a free port, or stop that container.",
        ),
        (
            [],
            [listed("second-front", "second", 8080)],
            "taken by container second-front of the stack second: set bot_publish_port to a free",
        ),
        (
            [{"name": "parrot-front", "stack": "aisha", "ports": [["127.0.0.1", 8080]]}],
            [listed("parrot-front", "aisha", 8080)],
            "taken by parrot-front, a container of this stack, and docker_host_ports gives it to"
            " aisha-front: set bot_publish_port to a port that nothing of the stack has; or, where"
            " parrot-front is what should have it, correct the name there",
        ),
    ],
)
def test_the_advice_on_a_port_is_for_who_has_it(
    own: list[dict[str, Any]], others: list[dict[str, Any]], said: str
) -> None:
    rows = [host_facts.listed(found) for found in others]
    taken = host_facts.taken_ports([PORT], {("127.0.0.1", 8080)}, own, rows)
    (told,) = taken_problems({"taken_names": [], "taken_ports": taken, "containers": own})
    assert told.startswith("port 127.0.0.1:8080 is ")
    assert said in told

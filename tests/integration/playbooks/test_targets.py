"""`make logs` and `make restart` take a part of the stack, or one container by its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import docker  # type: ignore[import-untyped]
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = f"{os.environ.get('TEST_NAME', 'test')}-targets-{token_hex(3)}"
ROLES = {"worker-1": "worker", "worker-2": "worker", "front": "front", "postgres": "postgres"}


@pytest.fixture(scope="module")
def containers() -> Iterator[dict[str, Any]]:
    client = docker.from_env()
    images = [image for image in client.api.images("aisha/base") if image["RepoTags"]]
    assert images, "no image aisha/base is here: the role images builds it"
    made = {
        end: client.containers.run(
            images[0]["Id"],
            ["sh", "-c", f"echo this is {end}; trap 'exit 0' TERM; while :; do sleep 0.1; done"],
            name=f"{NAME}-{end}",
            detach=True,
            labels={"aisha.bot_stack.name": NAME, "aisha.bot_stack.role": role},
        )
        for end, role in ROLES.items()
    }
    yield made
    for container in made.values():
        container.remove(force=True)


def playbook(folder: Path, name: str, target: str, stack: str = NAME) -> tuple[int, str]:
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "bot_stack_name": stack,
    }
    hosts = {"hosts": {"here": here}}
    (folder / "hosts.json").write_text(json.dumps({"bot": hosts, "postgres": hosts}))
    done = subprocess.run(
        [
            *("ansible-playbook", f"playbooks/{name}.yml", "-i", folder / "hosts.json"),
            *("-e", f"target={target}"),
        ],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("worker", {"worker-1", "worker-2"}),
        ("front", {"front"}),
        (f"{NAME}-worker-2", {"worker-2"}),
    ],
)
def test_logs_are_those_of_the_target(
    containers: dict[str, Any], tmp_path: Path, target: str, expected: set[str]
) -> None:
    code, output = playbook(tmp_path, "logs", target)
    assert code == 0, output
    assert {end for end in ROLES if f"this is {end}" in output} == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [("postgresql", {"postgres"}), ("front", {"front"}), (f"{NAME}-worker-2", {"worker-2"})],
)
def test_the_target_is_restarted_and_nothing_else(
    containers: dict[str, Any], tmp_path: Path, target: str, expected: set[str]
) -> None:
    def started() -> dict[str, str]:
        for container in containers.values():
            container.reload()
        return {end: each.attrs["State"]["StartedAt"] for end, each in containers.items()}

    before = started()
    code, output = playbook(tmp_path, "restart", target)
    assert code == 0, output
    assert {end for end, at in started().items() if at != before[end]} == expected


@pytest.mark.parametrize("name", ["logs", "restart"])
def test_a_target_that_is_none_is_refused(
    containers: dict[str, Any], tmp_path: Path, name: str
) -> None:
    code, output = playbook(tmp_path, name, "worker-2")
    assert code != 0
    assert "target is worker-2. Say all, registry, minio, postgres, redis, webhook, front" in output
    assert f"or the name of a container: {NAME}-front, {NAME}-postgres, {NAME}-worker-1" in output
    code, output = playbook(tmp_path, name, "worker", stack=f"{NAME}-none")
    assert code != 0
    assert "No container of the stack is on here: make up makes them." in output

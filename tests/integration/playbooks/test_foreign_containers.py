"""A container of somebody else with one of our names is refused before anything is changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import docker  # type: ignore[import-untyped]
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = f"{os.environ.get('TEST_NAME', 'test')}-foreign-{token_hex(3)}"
SERVICES = ("registry", "postgres", "redis", "minio", "bot_api_emulator")
NOBODYS = {
    f"{NAME}-postgres": "postgres_container_name",
    f"{NAME}-worker-1": "bot_name",
    f"{NAME}-front.next": "bot_name",
    f"{NAME}-migrate": "bot_name",
    f"{NAME}-registry-volumes": "registry_container_name",
}
OURS = f"{NAME}-redis"
OTHER_STACKS = f"{NAME}-minio"
UNLIKE = f"{NAME}-postgres-of-somebody"


@pytest.fixture
def containers() -> Iterator[None]:
    client = docker.from_env()
    images = [image for image in client.api.images("aisha/base") if image["RepoTags"]]
    assert images, "no image aisha/base is here: the role images builds it"
    stacks = dict.fromkeys([*NOBODYS, UNLIKE]) | {OURS: NAME, OTHER_STACKS: f"{NAME}-other"}
    made = [
        client.containers.create(
            images[0]["Id"],
            ["true"],
            name=name,
            labels={"aisha.bot_stack.name": stack} if stack else {},
        )
        for name, stack in stacks.items()
    ]
    yield
    for container in made:
        container.remove(force=True)


def site(folder: Path) -> str:
    """What site.yml prints where it refuses, in one line; in check mode: nothing changes."""
    inventory = shutil.copytree(
        ROOT / "inventory/local", folder / "local", ignore=shutil.ignore_patterns(".secrets")
    )
    settings: dict[str, Any] = {
        f"{role}_container_name": f"{NAME}-{role.replace('_', '-')}" for role in SERVICES
    }
    settings |= {f"{role}_stack_name": NAME for role in (*SERVICES, "bot", "docker_host")}
    settings |= {
        "bot_name": NAME,
        # Of no interest here, and maybe taken.
        "docker_host_ports": [],
        "docker_host_min_free_mb": 0,
    }
    done = subprocess.run(
        ["ansible-playbook", "site.yml", "--check", "-i", inventory, "-e", json.dumps(settings)],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    return " ".join(output.split())


def test_each_is_named_before_anything_is_changed(containers: None, tmp_path: Path) -> None:
    output = site(tmp_path)
    for name, setting in NOBODYS.items():
        assert f"the name {name} is taken by a container that is not of the stack {NAME}" in output
        assert f"(docker rename {name} OTHER) or remove it, or set {setting} to another" in output
    assert f"the name {OTHER_STACKS} is taken" in output
    assert f"it is of the stack {NAME}-other" in output
    assert OURS not in output
    assert UNLIKE not in output
    assert "changed=0" in output
    # The play that looks at each host is the last one.
    plays = output.split("PLAY [")
    assert plays[-1].startswith("Prepare the hosts]"), plays[-1]

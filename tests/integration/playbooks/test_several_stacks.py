"""Two stacks on one machine, by the steps of docs/several-stacks.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import docker  # type: ignore[import-untyped]
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/several-stacks.md").read_text()
LOCAL = ROOT / "inventory/local"
NAME = f"{os.environ.get('TEST_NAME', 'test')}-stacks-{token_hex(3)}"
# Not a stack's own: images are found by what they are made of.
SHARED = {"images_namespace", "images_build_dir", "docker_host_python_dir", "minio_root_user"}
WRITE = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{ dict(names | zip(names | map('extract', mine))) | to_json }}"
        dest: "{{ dest }}"
        mode: "0600"
      vars: {mine: "{{ hostvars[inventory_hostname] }}"}
"""


def defaults() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted((ROOT / "roles").glob("*/defaults/main.yml")):
        found |= yaml.safe_load(path.read_text())
    return found


def steps(folder: Path, name: str) -> Path:
    """Carries out the page's first block; returns the inventory that it makes."""
    (folder / "inventory").mkdir()
    shutil.copytree(LOCAL, folder / "inventory/local", ignore=shutil.ignore_patterns(".secrets"))
    block = re.findall(r"^```\n(.*?)^```$", PAGE, flags=re.M | re.S)[0]
    subprocess.run(
        ["sh", "-euc", block.replace("stack_name: second", f"stack_name: {name}")],
        cwd=folder,
        check=True,
    )
    return folder / "inventory/second"


def of_second(default: Any) -> Any:
    text = json.dumps(default).replace("aisha", "second")
    return json.loads(text.replace("/etc/second", "/etc/aisha-second"))


def playbook(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ansible-playbook", *arguments],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def values(inventory: Path, names: list[str], folder: Path) -> dict[str, Any]:
    (folder / "write.yml").write_text(WRITE)
    dest = folder / "values.json"
    extra = json.dumps({"names": names, "dest": str(dest)})
    done = playbook(folder / "write.yml", "-i", inventory, "-e", extra)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(dest.read_text()))


def test_a_second_stack_has_nothing_of_the_first(tmp_path: Path) -> None:
    whole = defaults()
    own = [name for name, value in whole.items() if "aisha" in str(value) and name not in SHARED]
    ports = ["registry_publish_port", "bot_publish_port", "bot_api_emulator_publish_port"]
    names = [*own, *ports]
    second = values(steps(tmp_path, "second"), [*names, "bot_token", "docker_host_ports"], tmp_path)
    first = values(tmp_path / "inventory/local", [*names, "bot_token"], tmp_path)
    # What runs already has the defaults of the roles.
    assert {name: first[name] for name in names} == {name: whole[name] for name in names}
    assert own
    assert {name: second[name] for name in own} == {name: of_second(whole[name]) for name in own}
    assert not {second[port] for port in ports} & {first[port] for port in ports}
    assert second["bot_token"].split(":")[0] != first["bot_token"].split(":")[0]
    published = {(port["container"], port["port"]) for port in second["docker_host_ports"]}
    assert published == {
        ("second-registry", 5100),
        ("second-front", 8180),
        ("second-bot-api", 8181),
    }


@pytest.fixture
def stacks(tmp_path: Path) -> Iterator[list[Path]]:
    """Two inventories with Redis only, whose image is here."""
    client = docker.from_env()
    found = [image for image in client.api.images("aisha/redis") if image["RepoTags"]]
    assert found, "no image aisha/redis is here: the role images builds it"
    made = []
    for end in "ab":
        folder = tmp_path / end
        folder.mkdir()
        inventory = steps(folder, f"{NAME}-{end}")
        hosts = yaml.safe_load((inventory / "hosts.yml").read_text())
        hosts["all"]["children"] = {"redis": hosts["all"]["children"]["redis"]}
        (inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
        (inventory / "group_vars/all/this_test.yml").write_text(
            yaml.safe_dump(
                {
                    "redis_image": found[0]["Id"],
                    "images_names": [],
                    "images_push": False,
                    "docker_host_registries": [],
                    "docker_host_min_free_mb": 0,
                }
            )
        )
        made.append(inventory)
    yield made
    for inventory in made:
        playbook("playbooks/teardown.yml", "-i", inventory, "-e", "teardown_data=true")


def ran(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def containers() -> dict[str, str]:
    found = docker.from_env().api.containers(all=True, filters={"name": NAME})
    return {row["Names"][0].lstrip("/"): row["Id"] for row in found}


def test_two_run_beside_each_other_and_one_goes(stacks: list[Path]) -> None:
    a, b = stacks
    ran(playbook("site.yml", "-i", a))
    first = f"{NAME}-a-redis"
    refused = playbook("site.yml", "-i", b, "-e", f"redis_container_name={first}")
    said = " ".join((refused.stdout + refused.stderr).split())
    assert f"the name {first} is taken by a container that is not of the stack {NAME}-b" in said
    assert f"it is of the stack {NAME}-a" in said
    assert "changed=0" in said
    ran(playbook("site.yml", "-i", b))
    both = containers()
    assert sorted(both) == [first, f"{NAME}-b-redis"]
    ran(playbook("playbooks/teardown.yml", "-i", stacks.pop(0), "-e", "teardown_data=true"))
    assert containers() == {f"{NAME}-b-redis": both[f"{NAME}-b-redis"]}
    assert not Path(f"/etc/aisha-{NAME}-a").exists()
    # Nothing of the other one went with it.
    assert "changed=0" in ran(playbook("site.yml", "-i", b))

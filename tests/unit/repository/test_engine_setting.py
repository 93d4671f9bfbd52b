"""One setting for the engine, in every play; and the collections that are used."""

from __future__ import annotations

import json
import re
import sysconfig
from pathlib import Path
from typing import Any

import yaml

COLLECTIONS = Path(sysconfig.get_path("purelib")) / "ansible_collections"
SETTING = "{{ docker_host_engine | default({}) }}"


def test_every_play_gives_the_engine_to_every_module(playbook: Path) -> None:
    for play in yaml.safe_load(playbook.read_text()):
        if play.get("hosts") == "localhost":
            continue
        assert play.get("module_defaults") == {
            "group/aisha.bot_stack.engine": SETTING,
            "group/community.docker.docker": SETTING,
        }, play.get("name")


def test_the_group_has_every_module_that_asks_an_engine(root: Path) -> None:
    group = yaml.safe_load((root / "meta/runtime.yml").read_text())["action_groups"]["engine"]
    asking = {
        path.stem
        for path in (root / "plugins/modules").glob("*.py")
        if re.search(r"^ +- aisha\.bot_stack\.engine$", path.read_text(), re.MULTILINE)
    }
    assert len(asking) >= 4
    assert asking <= set(group)


def test_no_task_names_an_engine_of_its_own(root: Path) -> None:
    for folder in ("roles", "playbooks"):
        for path in (root / folder).rglob("*.yml"):
            if path.parent.name not in ("meta", "defaults"):
                assert not re.search(
                    r"^\s+docker_host: *[\"\'\w]", path.read_text(), re.MULTILINE
                ), path


def used(root: Path, *folders: str) -> set[str]:
    """Collections whose modules, filters, lookups, tests or connections are named in full."""
    found = set()
    for folder in folders:
        for path in (root / folder).rglob("*"):
            if path.suffix in (".yml", ".j2", ".py") and path.is_file():
                for name in re.findall(r"\b([a-z_]+\.[a-z_]+)\.[a-z]\w+", path.read_text()):
                    if (COLLECTIONS / name.replace(".", "/") / "MANIFEST.json").is_file():
                        found.add(name)
    return found


def covers(wanted: str, version: str) -> bool:
    """Whether ">=3.5.0,<4.0.0" takes the version, and no other major one."""
    bounds = re.fullmatch(r">=([\d.]+),<(\d+)\.0\.0", wanted)
    assert bounds, wanted
    numbers = [int(part) for part in version.split(".")]
    oldest = [int(part) for part in bounds[1].split(".")]
    return oldest <= numbers and oldest[0] == numbers[0] and int(bounds[2]) == numbers[0] + 1


def installed(name: str) -> str:
    manifest: dict[str, Any] = json.loads(
        (COLLECTIONS / name.replace(".", "/") / "MANIFEST.json").read_text()
    )
    return str(manifest["collection_info"]["version"])


def test_requirements_list_the_collections_that_are_used(root: Path) -> None:
    listed = {
        each["name"]: each["version"]
        for each in yaml.safe_load((root / "requirements.yml").read_text())["collections"]
    }
    assert set(listed) == used(root, "roles", "playbooks", "molecule", "plugins")
    for name, wanted in listed.items():
        assert covers(wanted, installed(name)), f"{name} {wanted}, and {installed(name)} is tested"


def test_the_collection_depends_on_those_that_operators_use(root: Path) -> None:
    wanted = yaml.safe_load((root / "galaxy.yml").read_text())["dependencies"]
    assert set(wanted) == used(root, "roles", "playbooks", "plugins")
    for name, version in wanted.items():
        assert covers(version, installed(name)), name

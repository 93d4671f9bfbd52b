"""The collection that `ansible-galaxy` builds works where no checkout is."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def run(command: list[str], cwd: Path, collections: Path) -> str:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "PATH": PATH,
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_FORCE_COLOR": "0",
    }
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def archive(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    command = ["ansible-galaxy", "collection", "build", "--output-path", str(folder)]
    run(command, root, folder)
    (archive,) = folder.glob("aisha-bot_stack-*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of collections with the built one in it, and no checkout near."""
    folder = tmp_path_factory.mktemp("collections")
    command = ["ansible-galaxy", "collection", "install", "--offline", "--no-deps", "--force"]
    # --force: the environment's own collection is this checkout, and would do.
    run([*command, "--collections-path", str(folder), str(archive)], folder, folder)
    assert (folder / "ansible_collections/aisha/bot_stack/MANIFEST.json").is_file()
    return folder


def test_the_archive_has_what_calls_by_fqcn_need(archive: Path, root: Path) -> None:
    with tarfile.open(archive) as tar:
        names = set(tar.getnames())
    tracked = subprocess.run(
        ["git", "ls-files", "meta", "plugins", "roles", "playbooks", "images"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert tracked
    assert not [name for name in tracked if name not in names and (root / name).exists()]


def test_the_archive_has_nothing_made_at_run_time(archive: Path, root: Path) -> None:
    with tarfile.open(archive) as tar:
        names = [member.name for member in tar.getmembers() if member.isfile()]
    # One that is, so that a look that finds nothing is not taken for a good one.
    known = "plugins/__pycache__/x.pyc"
    ignored = subprocess.run(
        ["git", "check-ignore", "--stdin", "--no-index"],
        cwd=root, input="\n".join([*names, known]), capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert ignored == [known]


def test_a_playbook_is_found_and_parsed_by_fqcn(playbook: Path, installed: Path) -> None:
    inventory = installed / "hosts"
    inventory.write_text("")
    plays = yaml.safe_load(playbook.read_text())
    assert plays
    command = ["ansible-playbook", "--syntax-check", "-i", str(inventory)]
    run([*command, f"aisha.bot_stack.{playbook.stem}"], installed, installed)


def test_ansible_doc_shows_every_module(module: Path, installed: Path) -> None:
    name = f"aisha.bot_stack.{module.stem}"
    shown = json.loads(run(["ansible-doc", "--json", name], installed, installed))[name]
    assert shown["doc"]["filename"].startswith(str(installed)), "not the installed collection's"
    assert shown["doc"]["description"]
    assert shown["examples"], "no EXAMPLES"
    assert shown["return"], "no RETURN"
    for key, value in shown["return"].items():
        assert value.get("description"), f"RETURN: {key} is not described"


def test_ansible_doc_shows_every_role(role: Path, installed: Path) -> None:
    name = f"aisha.bot_stack.{role.name}"
    shown = json.loads(run(["ansible-doc", "--json", "-t", "role", name], installed, installed))
    assert shown[name]["entry_points"]["main"]["short_description"]


def test_code_of_hosts_passes_no_argument_that_python_3_9_does_not_know(root: Path) -> None:
    """Sanity only imports it there."""
    files = [
        *(root / "plugins/modules").glob("*.py"),
        *(root / "plugins/module_utils").rglob("*.py"),
    ]
    assert files
    later = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "zip"
        and any(keyword.arg == "strict" for keyword in node.keywords)
    ]
    assert not later

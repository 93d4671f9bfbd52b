"""What the first look at a host decides: its Python, and its engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter import host_look

ROOT = Path(__file__).resolve().parents[3]
LOOK = ROOT / "roles/docker_host/files/look.py"
NEW = host_look.PACKAGES[(3, 10)]
OLD = host_look.PACKAGES[(3, 9)]

SEEN_BY_SSH = {"address": "ssh://root@bot1.example.com", "environment": "3.11.2"}


def looked(**seen: Any) -> dict[str, Any]:
    found = {
        "python": "3.11.2", "venv": True, "manager": "apt", "environment": "", "packages": [],
        "host": "bot1", "engine": None,
    } | seen  # fmt: skip
    return {"rc": 0, "stdout": "Welcome!\r\n" + json.dumps(found) + "\r\n", "stderr": ""}


def python(result: dict[str, Any], path: str = "/usr/bin/python3") -> dict[str, Any]:
    plan: dict[str, Any] = host_look.host_look(result, path, "/opt/python")["python"]
    return plan


@pytest.mark.parametrize(
    ("version", "packages"),
    [("3.9.18", OLD), ("3.10.13", NEW), ("3.11.2", NEW), ("3.12.3", NEW), ("3.14.0rc1", NEW)],
)
def test_each_python_gets_what_it_can_install(version: str, packages: list[str]) -> None:
    plan = python(looked(python=version))
    assert (plan["make"], plan["packages"], plan["problem"]) == (True, packages, "")


def test_an_engine_at_ssh_takes_what_the_sdk_wants_for_it() -> None:
    plan = python(looked(**SEEN_BY_SSH, packages=NEW))
    assert (plan["make"], plan["packages"]) == (True, sorted([*NEW, host_look.SSH]))
    assert not python(looked(**SEEN_BY_SSH, packages=plan["packages"]))["make"]


@pytest.mark.parametrize("version", ["2.7.18", "3.6.8", "3.8.10", "3.15.0"])
def test_another_python_is_refused_by_its_version(version: str) -> None:
    result = host_look.host_look(looked(python=version), "/usr/bin/python3", "/opt/python")
    assert f"/usr/bin/python3 is Python {version}." in result["problems"][0]
    assert "docker_host_system_python" in result["problems"][0]
    ready = host_look.host_look(looked(python=version), "/usr/bin/python3", "/opt/python", False)
    assert ready["problems"] == []


@pytest.mark.parametrize(
    ("environment", "packages", "make"),
    [
        ("3.11.2", NEW, False),
        ("3.11.9", NEW, False),
        ("3.9.2", NEW, True),
        ("", NEW, True),
        ("3.11.2", OLD, True),
        ("3.11.2", [], True),
    ],
    ids=["there", "patched", "another Python", "does not run", "other libraries", "half made"],
)
def test_the_environment_is_made_anew_when_it_must(
    environment: str, packages: list[str], make: bool
) -> None:
    assert python(looked(environment=environment, packages=packages))["make"] is make


@pytest.mark.parametrize(
    ("manager", "path", "install"),
    [
        ("apt", "/usr/bin/python3", ["python3-venv"]),
        ("apt", "/usr/bin/python3.12", ["python3.12-venv"]),
        ("dnf", "/usr/bin/python3", ["python3-libs"]),
    ],
)
def test_what_venv_needs_is_installed(manager: str, path: str, install: list[str]) -> None:
    plan = python(looked(venv=False, manager=manager), path)
    assert (plan["manager"], plan["install"], plan["problem"]) == (manager, install, "")


def test_without_venv_and_a_known_manager_it_is_refused() -> None:
    assert "has no modules venv" in python(looked(venv=False, manager=""))["problem"]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"rc": 127, "stdout": ""}, "there is no Python at /usr/bin/python3"),
        ({"rc": 1, "stdout": "", "stderr": "Killed"}, "could not be run: Killed"),
        ({}, "could not be run"),
    ],
)  # fmt: skip
def test_a_python_that_does_not_run_is_refused(result: dict[str, Any], said: str) -> None:
    assert said in python(result)["problem"]


def test_a_real_look_is_understood(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    (tmp_path / ".packages").write_text("\n".join(NEW))
    engine = json.dumps({"docker_host": f"unix://{tmp_path}/no.sock"})
    done = subprocess.run(
        [sys.executable, LOOK, tmp_path, engine], capture_output=True, text=True, check=True
    )
    result = host_look.host_look(vars(done), sys.executable, str(tmp_path))
    assert result["python"]["make"] is False
    assert (result["engine"], result["problems"]) == (None, [])


def test_the_engine_is_judged() -> None:
    answer = {
        "address": "unix:///run/podman/podman.sock",
        "info": {"ServerVersion": "4.3.1"},
        "version": {"Components": [{"Name": "Podman Engine"}]},
    }
    result = host_look.host_look(looked(engine=answer), "/usr/bin/python3", "/opt/python")
    assert result["engine"]["kind"] == "podman"
    assert "is Podman" in result["problems"][0]

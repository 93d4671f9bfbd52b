"""The folder of a build is exactly the sources, whatever an earlier build has left in it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder of images with one image, and what must not get into a build of it."""
    folder = tmp_path / "images" / "redis"
    (folder / "app" / "__pycache__").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "app" / "main.py").write_text("print()\n")
    (folder / "app" / "old.py").write_text("print()\n")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o700)
    (folder / "app" / "__pycache__" / "main.pyc").write_bytes(b"1")
    (folder / "build-ca.crt").write_text("another certificate")
    (tmp_path / "ca.crt").write_text("certificate")
    return folder


def send(sources: Path, *more: str) -> dict[str, Any]:
    """As the role does, by its own file of tasks; returns the statistics of the run."""
    play = sources.parents[1] / "play.yml"
    settings = {
        "images_path": str(sources.parent),
        "images_build_dir": str(sources.parents[1] / "build"),
        "images_build_ca": str(sources.parents[1] / "ca.crt"),
        "__images_name": "redis",
    }
    role = {"name": "aisha.bot_stack.images", "tasks_from": "sources"}
    task = {"ansible.builtin.include_role": role, "vars": settings}
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-c", "local", str(play), *more],
        env=os.environ | {"ANSIBLE_CONFIG": "", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    statistics: dict[str, Any] = json.loads(done.stdout)["stats"]["localhost"]
    return statistics


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_is_deleted_from_the_sources_is_gone_from_the_build(sources: Path) -> None:
    build = sources.parents[1] / "build" / "redis"
    assert send(sources, "--check")["changed"] == 1
    assert not build.exists()
    assert send(sources)["changed"] == 1
    expected = ["Dockerfile", "app/main.py", "app/old.py", "build-ca.crt", "run"]
    assert names(build) == expected
    assert (build / "build-ca.crt").read_text() == "certificate"
    assert stat.S_IMODE((build / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((build / "Dockerfile").stat().st_mode) == 0o644
    assert send(sources)["changed"] == 0
    (sources / "app" / "old.py").unlink()
    (build / "left").mkdir()
    (build / "left" / "by a build").write_text("x")
    assert send(sources)["changed"] == 1
    assert names(build) == ["Dockerfile", "app/main.py", "build-ca.crt", "run"]
    (sources / "run").chmod(0o644)
    assert send(sources)["changed"] == 1
    assert stat.S_IMODE((build / "run").stat().st_mode) == 0o644

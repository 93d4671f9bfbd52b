"""config_files, run as Ansible runs it: a process with its arguments on standard input."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SECRET = "not-to-be-seen-7f3a"


def run(path: Path, files: dict[str, str], /, check: bool = False, **more: Any) -> dict[str, Any]:
    arguments = {
        "path": str(path),
        "group": os.getgid(),
        "files": [{"name": name, "content": content} for name, content in files.items()],
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        "_ansible_remote_tmp": str(path.parent),
        "_ansible_tracebacks_for": [],
    } | more
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.aisha.bot_stack.plugins.modules.config_files"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env=os.environ | {"ANSIBLE_MODULE_ARGS_PROFILE": "legacy"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert SECRET not in done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "parent" / "secrets"


def test_files_are_written_once_and_read_by_the_group_only(folder: Path) -> None:
    first = run(folder, {"token": SECRET, "url": "x"})
    assert (first["changed"], first["written"]) == (True, ["token", "url"])
    assert (folder / "token").read_text(encoding="utf-8") == SECRET
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o640
    again = run(folder, {"token": SECRET, "url": "x"})
    assert (again["changed"], again["written"]) == (False, [])


def test_check_mode_says_the_same_and_writes_nothing(folder: Path) -> None:
    predicted = run(folder, {"token": SECRET}, check=True)
    assert not folder.exists()
    real = run(folder, {"token": SECRET})
    for key in ("changed", "written", "removed"):
        assert predicted[key] == real[key]


def test_drift_is_mended(folder: Path) -> None:
    run(folder, {"token": SECRET})
    (folder / "token").chmod(0o644)
    (folder / "stale").write_text("old", encoding="utf-8")
    (folder / "somebody's").mkdir()
    mended = run(folder, {"token": SECRET})
    assert (mended["written"], mended["removed"]) == (["token"], ["stale"])
    assert not (folder / "stale").exists()
    assert (folder / "somebody's").is_dir()
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o640


def test_the_diff_names_files_and_shows_no_content(folder: Path) -> None:
    assert run(folder, {"token": SECRET})["diff"]["after"] == "token differs\n"


def test_a_name_with_a_folder_is_refused(folder: Path) -> None:
    failed = run(folder, {"../token": SECRET})
    assert failed["failed"] is True
    assert "Give plain names" in failed["msg"]
    assert not folder.exists()

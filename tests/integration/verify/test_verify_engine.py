"""`make verify` reaches the engine that the inventory names, and shows no secret of a log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Any

import docker  # type: ignore[import-untyped]
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = f"aisha-test-verify-{token_hex(3)}"
TOKEN = f"712345678:{token_urlsafe(26)[:35]}"
PASSWORD = token_hex(12)


@pytest.fixture
def worker() -> Iterator[None]:
    client = docker.from_env()
    images = [image for image in client.api.images("aisha/base") if image["RepoTags"]]
    assert images, "no image aisha/base is here: the role images builds it"
    container = client.containers.run(
        images[0]["Id"],
        ["sh", "-c", f"echo POST /bot{TOKEN}/getMe; echo login {PASSWORD}; exit 3"],
        name=f"{NAME}-worker-1",
        detach=True,
        labels={"aisha.bot_stack.name": NAME, "aisha.bot_stack.role": "worker"},
    )
    container.wait()
    yield
    container.remove(force=True)


@pytest.mark.usefixtures("worker")
def test_it_asks_the_engine_of_the_inventory_and_hides_secrets(tmp_path: Path) -> None:
    (tmp_path / "bot/secrets/worker").mkdir(parents=True)
    (tmp_path / "bot/secrets/worker/redis_url").write_text(f"redis://a:{PASSWORD}@b:6379")
    here: dict[str, Any] = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "docker_host_engine": {"docker_host": "unix:///var/run/docker.sock"},
        "docker_host_stack_name": NAME,
        "docker_host_config_dir": str(tmp_path / "host"),
        "bot_name": NAME,
        "bot_stack_name": NAME,
        "bot_config_dir": str(tmp_path / "bot"),
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"bot": {"hosts": {"here": here}}}))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            "tests/verify/test_containers.py",
            *("-k", "is_there_and_healthy"),
            *("--hosts=ansible://all", f"--ansible-inventory={tmp_path / 'hosts.json'}"),
        ],
        cwd=ROOT,
        # Whoever does not take the setting finds no engine.
        env=os.environ | {"DOCKER_HOST": "unix:///nowhere.sock"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert f"container {NAME}-worker-1" in output, output
    assert "POST /bot712345678:***/getMe" in output
    assert "login ***" in output
    assert TOKEN.partition(":")[2] not in output
    assert PASSWORD not in output

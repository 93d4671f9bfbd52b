"""`make smoke` says why it can't see what became of a message, without a secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import docker  # type: ignore[import-untyped]
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = f"aisha-test-smoke-{token_hex(3)}"
PASSWORD = f"{token_hex(8)}x"
# Nobody listens at port 1 of a container.
URL = f"postgresql://aisha:{PASSWORD}@127.0.0.1:1/aisha"


@pytest.fixture
def worker() -> Iterator[Any]:
    client = docker.from_env()
    images = client.api.images()
    images = [i for i in images for tag in i["RepoTags"] or [] if "aisha/bot:" in tag]
    assert images, "no image aisha/bot is here: the role images builds it"
    container = client.containers.run(
        images[0]["Id"],
        ["-c", f"printf %s '{URL}' >/tmp/url; exec sleep 300"],
        entrypoint="sh",
        name=f"{NAME}-worker-1",
        detach=True,
        environment={"DATABASE_URL_FILE": "/tmp/url"},  # noqa: S108
        healthcheck={"test": ["NONE"]},
    )
    yield container
    container.remove(force=True)


def smoke(folder: Path) -> str:
    """What the second half of the playbook prints when it fails, in one line."""
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "bot_name": NAME,
        "bot_database_url": URL,
    }
    (folder / "hosts.json").write_text(json.dumps({"bot": {"hosts": {"here": here}}}))
    sent = {"smoke_sent": {"update_id": 4711, "answered_ms": 1, "answer": "x"}}
    done = subprocess.run(
        [
            *("ansible-playbook", "playbooks/smoke.yml", "-i", folder / "hosts.json"),
            *("--start-at-task", "Read its row and its object, as the bot", "-e", json.dumps(sent)),
        ],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    output = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert done.returncode != 0, output
    assert PASSWORD not in output
    assert "Unknown error" not in output
    return output


def test_it_says_why_there_is_no_evidence(worker: Any, tmp_path: Path) -> None:
    output = smoke(tmp_path)
    assert f"The bot answered update 4711, and what became of it can't be read in {NAME}" in output
    assert "reading its row in PostgreSQL: OperationalError: connection failed" in output


def test_it_says_that_there_is_no_worker(tmp_path: Path) -> None:
    assert f'Could not find container "{NAME}-worker-1"' in smoke(tmp_path)

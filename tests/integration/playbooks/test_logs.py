"""`make logs` shows no secret of a container that logs its own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Any
from urllib.parse import quote

import docker  # type: ignore[import-untyped]
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = f"aisha-test-logs-{token_hex(3)}"
TOKEN = f"712345678:{token_urlsafe(26)[:35]}"
PASSWORD = f"{token_hex(4)}/'\"\\ {token_hex(4)}"
KEY = f"{token_hex(9)}"
LINES = [
    f'HTTP Request: POST https://api.telegram.org/bot{TOKEN}/sendMessage "HTTP/1.1 200 OK"',
    f"psycopg: postgresql://aisha:{quote(PASSWORD, safe='')}@db.example.com:5432/aisha",
    f"plain {PASSWORD} and {json.dumps(PASSWORD)} and {PASSWORD!r}",
    f"basic {base64.b64encode(f'aisha:{PASSWORD}'.encode()).decode()}",
    f"vendor {KEY}",
    f"image example.com:5000/aisha/bot@sha256:{'ab' * 32} at 2026-11-26T21:24:58Z",
]


@pytest.fixture
def worker() -> Iterator[Any]:
    client = docker.from_env()
    images = [image for image in client.api.images("aisha/base") if image["RepoTags"]]
    assert images, "no image aisha/base is here: the role images builds it"
    container = client.containers.run(
        images[0]["Id"],
        ["sh", "-c", 'printf "%s\\n" "$@"', "sh", *LINES],
        name=NAME,
        detach=True,
        labels={"aisha.bot_stack.name": NAME, "aisha.bot_stack.role": "worker"},
    )
    container.wait()
    yield container
    container.remove(force=True)


def test_logs_show_no_secret(worker: Any, tmp_path: Path) -> None:
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "bot_stack_name": NAME,
        "bot_token": TOKEN,
        "postgres_users": [{"name": "aisha", "password": PASSWORD}],
        "bot_env": {"VENDOR_API_KEY": KEY},
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"bot": {"hosts": {"here": variables}}}))
    raw = worker.logs().decode()
    assert all(line in raw for line in LINES)
    for more in ([], ["-vvv"]):
        done = subprocess.run(
            ["ansible-playbook", "playbooks/logs.yml", "-i", tmp_path / "hosts.json", *more],
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        assert "/bot712345678:***/sendMessage" in output
        assert "postgresql://aisha:***@db.example.com:5432/aisha" in output
        assert "vendor ***" in output
        assert LINES[-1] in output
        secrets = [TOKEN.partition(":")[2], KEY, *PASSWORD.split("/'\"\\ ")]
        secrets.append(base64.b64encode(f"aisha:{PASSWORD}".encode()).decode()[8:16])
        assert not [number for number, secret in enumerate(secrets) if secret in output]

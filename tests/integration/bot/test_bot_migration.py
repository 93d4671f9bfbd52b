"""The role's migration, with an image whose `migrate` says and does what the test wants."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import docker
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = f"botimage-{token_hex(3)}"
PASSWORD = f"p@ss/{token_hex(8)}"
NOTHING = "No container of the bot was touched."
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: aisha.bot_stack.bot, tasks_from: migrate}
"""

Migrate = Callable[[str], tuple[bool, str]]


@pytest.fixture
def migrate(tmp_path: Path) -> Iterator[Migrate]:
    """Run it with a script as the image's program: whether it ended well, and the output."""
    client = docker.from_env()
    bases = [image for image in client.api.images("aisha/base") if image["RepoTags"]]
    assert bases, "no image aisha/base: make upstream builds it"
    made = []
    (tmp_path / "play.yml").write_text(PLAY)

    def run(script: str) -> tuple[bool, str]:
        file = f"FROM {bases[0]['RepoTags'][0]}\nENTRYPOINT {json.dumps(['sh', '-c', script])}\n"
        image, _ = client.images.build(fileobj=io.BytesIO(file.encode()), rm=True)
        made.append(image.id)
        here = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "bot_name": NAME,
            "bot_stack_name": NAME,
            "bot_image": image.id,
            "bot_networks": [],
            "bot_webhook_replicas": 0,
            "bot_database_url": f"postgresql://aisha:{PASSWORD}@db.example.com/aisha",
            "bot_s3_secret_key": PASSWORD,
            "bot_config_dir": str(tmp_path / "bot"),
        }
        (tmp_path / "hosts.json").write_text(json.dumps({"bot": {"hosts": {"here": here}}}))
        done = subprocess.run(
            ["ansible-playbook", str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.json")],
            cwd=ROOT,
            env=os.environ
            | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert client.containers.list(all=True, filters={"name": NAME}, ignore_removed=True) == []
        return done.returncode == 0, re.sub(r"\s+", " ", done.stdout + done.stderr)

    yield run
    for image in made:
        client.images.remove(image, force=True)


def test_a_failing_migration_is_one_sentence_without_a_secret(migrate: Migrate) -> None:
    record = {"level": "critical", "event": "no database", "error": f"wrong: {PASSWORD}"}
    good, said = migrate(f"echo starting; echo '{json.dumps(record)}'; exit 69")
    assert not good
    sentence = r"here: the command migrate of the image sha256:\w+ ended with status 69: "
    assert re.search(f"{sentence}no database: wrong: \\*\\*\\*. {NOTHING}", said), said
    assert PASSWORD not in said


def test_what_a_migration_says_that_worked(migrate: Migrate) -> None:
    good, said = migrate('echo \'{"event": "up to date", "changed": true}\'')
    assert good, said
    assert "changed=1 " in said
    good, said = migrate('echo \'{"event": "up to date", "changed": false}\'')
    assert good, said
    assert "changed=0 " in said

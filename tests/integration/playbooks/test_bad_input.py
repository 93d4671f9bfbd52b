"""Bad input: one clear sentence that names the setting and the way out, before any change.

Every run is in check mode, so that a check that fails to refuse changes nothing on this machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
GOOD_TOKEN = "7000000002:" + "Aa1" * 12


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_local(tmp_path_factory.mktemp("inventory"))


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    return copy_of_local(tmp_path)


def copy_of_local(folder: Path) -> Path:
    """A copy of inventory/local, with secrets of its own."""
    return Path(
        shutil.copytree(
            ROOT / "inventory" / "local", folder / "local",
            ignore=shutil.ignore_patterns(".secrets"),
        )
    )  # fmt: skip


def refused(inventory: Path, **settings: Any) -> str:
    """What site.yml prints when it refuses the settings, in one line; nothing may have changed."""
    return " ".join(run(inventory, settings).split())


def run(inventory: Path, settings: dict[str, Any], **more: str) -> str:
    done = subprocess.run(
        [
            "ansible-playbook",
            "site.yml",
            "--check",
            "-i",
            str(inventory),
            "-e",
            json.dumps(settings),
        ],
        cwd=ROOT,
        env=os.environ
        | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
        | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0, f"site.yml did not refuse {settings}:\n{output}"
    changes = set(re.findall(r"changed=\d+", output))
    assert changes == {"changed=0"}, f"something was changed before the refusal:\n{output}"
    return output


# By what refuses them, which is one task: each is the setting of a host of its own, in one run.
# What is asked once in a run has a run of its own.
BAD: dict[str, list[tuple[dict[str, Any], str]]] = {
    "registry": [
        (
            {"registry_password": "CHANGE_ME_CHANGE_ME"},
            "registry_password is still a placeholder. Set",
        ),
        ({"registry_password": "ß" * 40}, "registry_password is longer than the 72 bytes"),
    ],
    "postgres": [
        ({"secret_postgres_bot": "changeme-changeme"}, "The password of aisha in postgres_users"),
    ],
    "redis": [
        ({"secret_redis_bot": "short"}, "The password of aisha in redis_users is shorter than 16"),
        ({"secret_redis_bot": "line\n" * 8}, "aisha in redis_users has a line break"),
        ({"redis_publish_address": "cache1"}, "redis_publish_address (cache1) can't be used"),
    ],
    "minio": [
        ({"secret_minio_bot": "placeholder-of-a-key"}, "The secret_key of aisha in minio_users"),
    ],
    "bot": [
        ({"bot_token": ""}, "bot_token is empty. Set it in the inventory's secrets"),
        ({"bot_token": "123"}, "bot_token is no token of a bot"),
        (
            {"bot_token": "7000000002:" + "CHANGE_ME_" * 4},
            "still a placeholder. Set it in the inventory's secrets to what BotFather gave you",
        ),
        (
            {"bot_api_url": "api.telegram.org"},
            "bot_api_url (api.telegram.org) can't be used: it does",
        ),
        ({"bot_api_url": "https://api.telegram .org"}, "can't be used: it has a blank"),
        ({"bot_host_api_url": f"http://h/bot{GOOD_TOKEN}"}, "it must end before /bot"),
        ({"bot_database_url": f"postgresql://a:b/{GOOD_TOKEN}@h/a"}, "ends the login too early"),
        (
            {"bot_redis_url": f"redis://a:b@{GOOD_TOKEN}@h"},
            "bot_redis_url can't be used: its login",
        ),
        (
            {"bot_s3_endpoint_url": "http://my_store:9000"},
            "(http://my_store:9000) can't be used: the",
        ),
        ({"bot_publish_address": "[::1]"}, "it is written without brackets"),
        ({"bot_env": {"HOSTS": ["a"]}}, "bot_env has HOSTS, whose value is no text, number or"),
        ({"bot_env": {"HOSTS": None}}, "bot_env has HOSTS, whose value is empty"),
        ({"bot_env": {"BOT_TOKEN": GOOD_TOKEN}}, "BOT_TOKEN, which the role sets itself"),
        ({"bot_image": "example.com/bot:latest"}, "An image is not named by its digest"),
    ],
    "docker_host": [
        (
            {
                "docker_host_registries": [
                    {"address": "http://127.0.0.1:5000", "username": "a", "password": GOOD_TOKEN}
                ]
            },
            "docker_host_registries (http://127.0.0.1:5000) can't be used: it has a scheme",
        ),
        (
            {
                "docker_host_ports": [
                    {"address": "localhost", "port": 1, "container": "a", "setting": "a"}
                ]
            },
            "docker_host_ports (localhost) can't be used",
        ),
    ],
    "alone": [
        ({"images_registry_address": "http://127.0.0.1:5000"}, "can't be used: it has a scheme"),
        ({"images_names": ["nonsense"]}, "images_names has nonsense, which is no image of this"),
        ({"images_namespace": "Team"}, "images_namespace is Team, which can't begin an image's"),
        ({"bot_workers": "many"}, "argument 'bot_workers' is of type"),
        ({"bot_holder": "nobody"}, "bot_holder is nobody, which is no host of the group bot"),
        (
            {"docker_host_min_free_mb": 999_999_999},
            "docker_host_min_free_mb asks for 999999999. Free some",
        ),
    ],
}


class Refusals:
    """What each host of a run printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, list[str]] = {}

    def said(self, kind: str, number: int) -> str:
        if kind not in self.known:
            self.known[kind] = self.run([settings for settings, _sentence in BAD[kind]])
        return self.known[kind][number]

    def run(self, cases: list[dict[str, Any]]) -> list[str]:
        inventory = yaml.safe_load((ROOT / "inventory/local/hosts.yml").read_text())
        ((_, here),) = inventory["all"]["hosts"].items()
        names = [f"bad{number}" for number in range(len(cases))]
        hosts = {name: here | case for name, case in zip(names, cases, strict=True)}
        groups = {group: {"hosts": dict.fromkeys(names)} for group in inventory["all"]["children"]}
        text = json.dumps({"all": {"hosts": hosts, "children": groups}})
        (self.folder / "hosts.yml").write_text(text)
        output = run(self.folder, {}, ANSIBLE_CALLBACK_RESULT_FORMAT="json")
        assert "Aa1Aa1" not in output
        said = dict(re.findall(r"^fatal: \[(\w+)\]: FAILED! => (.*)", output, flags=re.M))
        assert sorted(said) == sorted(names), output
        return [str(json.loads(said[name])["msg"]) for name in names]


@pytest.fixture(scope="session")
def refusals(local: Path) -> Refusals:
    return Refusals(local)


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        pytest.param(kind, number, id=next(iter(settings)))
        for kind, cases in BAD.items()
        for number, (settings, _sentence) in enumerate(cases)
    ],
)
def test_a_bad_setting_is_named(
    refusals: Refusals, inventory: Path, kind: str, number: int
) -> None:
    settings, sentence = BAD[kind][number]
    if kind == "alone":
        assert sentence in refused(inventory, **settings)
    else:
        assert sentence in refusals.said(kind, number)


def test_a_refusal_shows_no_secret(inventory: Path) -> None:
    output = refused(inventory, bot_token=GOOD_TOKEN, registry_password="CHANGE_ME_" + "Bb2" * 9)
    assert "Aa1Aa1" not in output
    assert "Bb2Bb2" not in output


def test_two_hosts_declared_as_holder(inventory: Path) -> None:
    (inventory / "hosts.yml").write_text(
        """---
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    docker_host_manage_python: false
  children:
    registry: {hosts: {one: {}}}
    bot:
      hosts:
        one: {bot_holder: one}
        two: {bot_holder: two}
""",
        encoding="utf-8",
    )
    output = refused(inventory)
    assert "Several hosts are declared as holder: one, two. Only one may poll." in output


def test_a_port_that_somebody_has(inventory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        output = refused(inventory, bot_publish_port=port)
    assert f"port 127.0.0.1:{port} is taken by another process or container" in output
    assert "set bot_publish_port to a free port" in output


def test_an_engine_that_does_not_answer(inventory: Path, tmp_path: Path) -> None:
    output = refused(inventory, docker_host_engine={"docker_host": f"unix://{tmp_path}/no.sock"})
    assert "no Docker Engine answers" in output
    assert "Start it (systemctl start docker), or set docker_host_install_engine" in output


def test_make_names_an_engine_that_does_not_answer(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "engine"],
        env=os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "no Docker Engine answers at DOCKER_HOST=unix://" in done.stderr


def test_make_names_a_python_that_is_too_old() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "find-python"],
        env=os.environ | {"PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "PYTHON=/bin/false is not a Python 3.12 to 3.14" in done.stderr

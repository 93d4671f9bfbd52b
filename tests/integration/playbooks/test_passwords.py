"""Whatever can be typed into a password works: from the inventory to real servers and back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import docker  # type: ignore[import-untyped]
import psycopg
import pytest
import redis
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import redis_acl
from psycopg.sql import SQL, Literal

ROOT = Path(__file__).resolve().parents[3]
# Of another checkout's tests, another name.
NAME = f"aisha-{os.environ.get('TEST_NAME', 'test')}-passwords"
NASTY = [
    f"{token_hex(4)}/+=@:%#?'\"\\$ &<>!*()[]|;,`^~{token_hex(4)}",
    f"/{token_hex(8)}/",
    f"@{token_hex(8)}:@",
    f"#{token_hex(8)}#",
    f"%2F{token_hex(8)}%",
    f"'{token_hex(8)}\"",
    f"\\{token_hex(8)}\\",
    f"${{HOME}}$(id)`id`{token_hex(4)}",
    f"= {token_hex(8)} ?",
    f"пароль-ß-{token_hex(8)}",
    f">{token_hex(8)} ~*",
    f"- {token_hex(8)}: [",
]
INVENTORIES = {
    "local": ["secret_postgres_bot", "secret_redis_bot", "registry_password"],
    "example": ["vault_postgres_bot_password", "vault_redis_bot_password", "registry_password"],
}
PLAYBOOK = """
- hosts: nasty
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        {name: aisha.bot_stack.redis, tasks_from: validate, public: true}
    - ansible.builtin.include_role:
        {name: aisha.bot_stack.postgres, tasks_from: validate, public: true}
    - ansible.builtin.include_role:
        {name: aisha.bot_stack.registry, tasks_from: validate, public: true}
    - name: Write what the roles would
      ansible.builtin.copy:
        dest: "{{ rendered }}/{{ inventory_hostname }}.json"
        mode: "0600"
        content: "{{ {'database': bot_database_url, 'redis': bot_redis_url, 'logins': redis_users,
          'htpasswd': (__registry_files | selectattr('name', 'eq', 'htpasswd') | first).content,
          'auth': (docker_host_registries[0].username ~ ':' ~ docker_host_registries[0].password)
                  | b64encode,
          'problems': {'bot_database_url': bot_database_url, 'bot_redis_url': bot_redis_url}
                      | aisha.bot_stack.address_problems} | to_json }}"
"""


def rendered(name: str, folder: Path) -> list[dict[str, Any]]:
    """What the inventory and the roles make of each password."""
    inventory = shutil.copytree(ROOT / "inventory" / name, folder / "inventory")
    hosts = {
        f"nasty{number}": {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "private_address": "127.0.0.1",
            "registry_publish_address": "127.0.0.1",
            "registry_tls_certificate": "",
            "registry_tls_key": "",
            "stack_authority": "",
            "postgres_superuser_password": {"__ansible_unsafe": password},
            "registry_username": f"user{number}",
            **{variable: {"__ansible_unsafe": password} for variable in INVENTORIES[name]},
        }
        for number, password in enumerate(NASTY)
    }
    (inventory / "nasty.json").write_text(json.dumps({"nasty": {"hosts": hosts}}))
    (folder / "play.yml").write_text(PLAYBOOK)
    done = subprocess.run(
        ["ansible-playbook", folder / "play.yml", "-i", inventory, "-e", f"rendered={folder}"],
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads((folder / f"nasty{n}.json").read_text()) for n in range(len(NASTY))]


@pytest.fixture(scope="module", params=INVENTORIES)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    return rendered(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    for container in client.containers.list(
        all=True, filters={"name": f"^/{NAME}"}, ignore_removed=True
    ):
        container.remove(force=True, v=True)


def image(engine: docker.DockerClient, name: str) -> str:
    """The newest image of this collection of that name, as the role images built it."""
    images = engine.api.images()
    found = [i for i in images for tag in i["RepoTags"] or [] if f"aisha/{name}:" in tag]
    assert found, f"no image aisha/{name} is here: the role images builds it"
    return str(max(found, key=lambda image: image["Created"])["Id"])


def run(
    engine: docker.DockerClient, name: str, files: dict[str, str], folder: Path, **more: Any
) -> str:
    """A server with its files in /run/secrets; its address."""
    folder.mkdir(mode=0o755, exist_ok=True)
    for parent in list(folder.parents)[:2]:
        parent.chmod(0o755)
    for file, content in files.items():
        (folder / file).write_text(content, encoding="utf-8")
    more |= {"name": f"{NAME}-{name}-{token_hex(3)}", "tmpfs": {"/tmp": ""}}  # noqa: S108
    container = engine.containers.create(image(engine, name), **more)
    archive = subprocess.run(
        ["tar", "-C", folder, "-cf", "-", "."], check=True, capture_output=True
    ).stdout
    container.put_archive("/etc/ssl", archive)
    container.start()
    container.reload()
    return str(container.attrs["NetworkSettings"]["IPAddress"])


def until(works: Any, what: str) -> Any:
    end = time.monotonic() + 60
    while True:
        try:
            return works()
        except Exception as error:
            if time.monotonic() > end:
                raise AssertionError(f"{what} does not answer: {error}") from error
            time.sleep(0.3)


def test_redis_takes_each_password(
    made: list[dict[str, Any]], engine: docker.DockerClient, tmp_path: Path
) -> None:
    # All of them are passwords of one user: each has the login that its own inventory makes.
    (bot,) = [login for login in made[0]["logins"] if login["name"] == "aisha"]
    hashes = [
        redis_acl.hashed(login["password"])
        for one in made
        for login in one["logins"]
        if login["name"] == "aisha"
    ]
    assert len(set(hashes)) == len(NASTY)
    acl, _kept = redis_acl.render([{**bot, "passwords": hashes, "rules": "~* +@all"}], "", True)
    address = run(
        engine,
        "redis",
        {"users.acl": acl},
        tmp_path / "redis",
        command=["redis-server", "--aclfile", "/etc/ssl/users.acl", "--dir", "/tmp"],  # noqa: S108
    )
    for one in made:
        assert one["problems"] == []
        url = one["redis"].rpartition("@")[0] + f"@{address}:6379/0"
        client = until(lambda url=url: redis.Redis.from_url(url), "Redis")
        key = f"aisha:{token_hex(4)}"
        until(lambda client=client, key=key: client.set(key, "1"), "Redis")
        assert client.get(key) == b"1"
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host=address, username="aisha", password=token_hex(8)).ping()


def test_the_registry_takes_each_password(
    made: list[dict[str, Any]], engine: docker.DockerClient, tmp_path: Path
) -> None:
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": "/tmp"}},  # noqa: S108
        "http": {"addr": ":5000"},
        "auth": {"htpasswd": {"realm": "x", "path": "/etc/ssl/htpasswd"}},
    }
    files = {"htpasswd": "".join(one["htpasswd"] for one in made), "c.yml": json.dumps(config)}
    command = ["serve", "/etc/ssl/c.yml"]
    address = run(engine, "registry", files, tmp_path / "registry", command=command)

    def status(auth: str) -> int:
        request = urllib.request.Request(
            f"http://{address}:5000/v2/", headers={"Authorization": f"Basic {auth}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert until(lambda: status("eDp5"), "the registry") == 401
    assert [status(one["auth"]) for one in made] == [200] * len(NASTY)


def test_postgresql_takes_each_password(
    request: pytest.FixtureRequest,
    made: list[dict[str, Any]],
    engine: docker.DockerClient,
    tmp_path: Path,
) -> None:
    # Of the superuser, who comes from no inventory, one with each.
    superuser = NASTY[0 if "local" in request.node.name else 6]
    address = run(
        engine,
        "postgres",
        {"superuser": superuser},
        tmp_path / "postgres",
        command=["postgres", "--listen_addresses=*"],
        environment={
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD_FILE": "/etc/ssl/superuser",
            "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256 --locale=C.UTF-8",
        },
    )
    login: dict[str, Any] = {
        "host": address, "user": "postgres", "password": superuser, "autocommit": True,
    }  # fmt: skip
    root = until(lambda: psycopg.connect(**login), "PostgreSQL")
    root.execute("CREATE ROLE aisha LOGIN")
    root.execute("CREATE DATABASE aisha OWNER aisha")
    for password, one in zip(NASTY, made, strict=True):
        root.execute(SQL("ALTER ROLE aisha PASSWORD {}").format(Literal(password)))
        url = one["database"].rpartition("@")[0] + f"@{address}:5432/aisha"
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("aisha",)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host=address, user="aisha", password=token_hex(8), dbname="aisha")
    root.close()

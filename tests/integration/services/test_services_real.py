"""PostgreSQL, Redis and object store as containers: new passwords, and data of other versions."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import psycopg
import pytest
import redis
import yaml
from ansible_collections.aisha.bot_stack.plugins.lookup.tree_hash import tree_hash

ROOT = Path(__file__).resolve().parents[3]
SERVICES_PLAY = ROOT / "tests/integration/services/services.yml"
POLLER = ROOT / "playbooks/poller.yml"
# All that can be typed.
SIGNS = "/+=@:%#?&'\"\\ {}$`~"


def docker(*words: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


def image(name: str) -> str:
    """The newest image of this name that a run of site.yml built here."""
    rows = docker("images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}").splitlines()
    found = [row.split()[1] for row in rows if re.search(rf"(^|/)aisha/{name} ", row)]
    assert found, f"no image of {name} on this machine: make up builds it"
    return found[0]


def own_image(name: str) -> str:
    """The image as `images/` has it now; upstream's shape has the same name."""
    made_of = "".join(tree_hash(ROOT / "images" / context) for context in (name, "base"))
    tag = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    found = docker("images", "--no-trunc", "--quiet", f"aisha/{name}:{tag}").splitlines()
    assert found, f"no image aisha/{name}:{tag} on this machine: make upstream builds it"
    return found[0]


def password() -> str:
    return secrets.token_hex(12) + SIGNS


class Stack:
    """The services of one test, and its settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = name = "data-" + secrets.token_hex(3)
        self.printed = ""
        self.images: list[str] = []
        self.settings: dict[str, Any] = {"test_network": name, "bot_stack_name": name}
        for service in ("postgres", "redis", "minio"):
            self.settings |= {
                f"{service}_image": image(service),
                f"{service}_volumes_image": image("volumes"),
                f"{service}_container_name": f"{name}-{service}",
                f"{service}_config_dir": str(folder / service),
                f"{service}_volume": f"{name}-{service}",
                f"{service}_networks": [name],
                f"{service}_stack_name": name,
            }
        self.settings |= {
            "postgres_superuser_password": password(),
            "postgres_databases": [{"name": "bot_db", "owner": "bot_1"}],
            "minio_root_password": password(),
            "minio_buckets": [{"name": "bucket"}],
        }
        self.bot_password = ""
        self.new_password()

    def new_password(self) -> None:
        self.bot_password = password()
        self.settings |= {
            "postgres_users": [{"name": "bot_1", "password": self.bot_password}],
            "redis_users": [{"name": "bot_1", "password": self.bot_password, "keys": ["bot:*"]}],
            "minio_users": [
                {"name": "bot_1", "secret_key": self.bot_password, "buckets": ["bucket"]}
            ],
        }

    def run(self, *groups: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """The services, then a bot that may fail, then what site.yml has at its end."""
        last = self.folder / "last.yml"
        last.write_text(
            yaml.safe_dump(yaml.safe_load((ROOT / "playbooks/site.yml").read_text())[-1:])
        )
        return self.play(*groups, books=[SERVICES_PLAY, last], **settings)

    def move(self) -> subprocess.CompletedProcess[str]:
        """What poller.yml asks of the services, and says of it to the bot's role."""
        plays = {each["name"]: each for each in yaml.safe_load(POLLER.read_text())}
        hand_over = plays["Hand over"]
        words = "logins: {{ bot_logins.database | to_json }} {{ bot_logins.s3.values() | to_json }}"
        say = {"ansible.builtin.debug": {"msg": words}}
        book = self.folder / "move.yml"
        variables = {"bot_logins": hand_over["vars"]["bot_logins"]}
        bots = {"hosts": "bot", "gather_facts": False, "vars": variables, "tasks": [say]}
        book.write_text(yaml.safe_dump([plays["Ask the services which logins work"], bots]))
        return self.play(books=[book])

    def refused(self, service: str, *cases: dict[str, Any]) -> list[str]:
        """What a run says of each: all fail at the same task, each as a host of its own."""
        hosts = {f"case{number}": self.settings | case for number, case in enumerate(cases)}
        form = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
        done = self.playbook({service: {"hosts": hosts}}, SERVICES_PLAY, **form)
        assert done.returncode != 0
        assert set(re.findall(r"changed=\d+", done.stdout)) == {"changed=0"}, done.stdout
        said = re.findall(r"^fatal: \[(\w+)\]: FAILED! => ", done.stdout, flags=re.M)
        assert sorted(said) == sorted(hosts), done.stdout
        texts = re.split(r"^fatal: \[\w+\]: FAILED! => ", done.stdout, flags=re.M)[1:]
        messages = {
            host: str(json.JSONDecoder().raw_decode(text)[0]["msg"])
            for host, text in zip(said, texts, strict=True)
        }
        return [messages[host] for host in hosts]

    def play(
        self, *groups: str, books: list[Path], **settings: Any
    ) -> subprocess.CompletedProcess[str]:
        # Two hosts by name, so that the bot's may fail while those of the services go on.
        names = {name: "bots" if name == "bot" else "services" for name in groups or SERVICES}
        variables = self.folder / "settings.json"
        variables.write_text(json.dumps(self.settings | settings))
        children = {name: {"hosts": {host: {}}} for name, host in names.items()}
        return self.playbook(children, "-e", f"@{variables}", *books)

    def playbook(
        self, children: dict[str, Any], *words: str | Path, **more: str
    ) -> subprocess.CompletedProcess[str]:
        inventory = self.folder / "hosts.yml"
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory.write_text(json.dumps({"all": {"vars": local, "children": children}}))
        own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
        done = subprocess.run(
            ["ansible-playbook", "-vv", "-i", inventory, *words],
            env=os.environ | own | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        self.printed += done.stdout + done.stderr
        return done

    def address(self, service: str) -> str:
        networks = docker(
            "inspect", "-f", "{{json .NetworkSettings.Networks}}", f"{self.name}-{service}"
        )
        return str(json.loads(networks)[self.name]["IPAddress"])

    def container(self, service: str) -> str:
        return docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", f"{self.name}-{service}")

    def variant(self, service: str, line: str) -> str:
        """The service's image with one line more."""
        (self.folder / "Dockerfile").write_text(
            f"FROM {self.settings[f'{service}_image']}\n{line}\n"
        )
        self.images.append(docker("build", "-q", str(self.folder)))
        return self.images[-1]

    def remove(self) -> None:
        for service in CLIENTS:
            for suffix in ("", "-version"):
                docker("rm", "-f", "-v", f"{self.name}-{service}{suffix}", check=False)
            docker("volume", "rm", f"{self.name}-{service}", check=False)
        for made in self.images:
            docker("rmi", "-f", made, check=False)
        docker("network", "rm", self.name, check=False)


SERVICES = ("postgres", "redis", "minio", "bot")


def by_postgres(address: str, login: str, key: str) -> None:
    with psycopg.connect(
        host=address, user=login, password=key, dbname="bot_db", connect_timeout=5
    ) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS seen (id int)")
        connection.execute("INSERT INTO seen VALUES (1)")


def by_redis(address: str, login: str, key: str) -> None:
    client = redis.Redis(host=address, username=login, password=key, protocol=2, socket_timeout=5)
    try:
        client.incr("bot:seen")
    finally:
        client.close()


@functools.cache
def s3_client(address: str, login: str, key: str) -> Any:
    """To make one takes longer than all else; it signs each request by its key."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://{address}:9000",
        aws_access_key_id=login,
        aws_secret_access_key=key,
        region_name="us-east-1",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=5),
    )


def by_s3(address: str, login: str, key: str) -> None:
    s3_client(address, login, key).put_object(Bucket="bucket", Key="seen", Body=b"1")


CLIENTS = {"postgres": by_postgres, "redis": by_redis, "minio": by_s3}
REFUSED = (psycopg.OperationalError, redis.RedisError, botocore.exceptions.ClientError)


class Bot:
    """What a bot does: new connections all the time, each with a write."""

    def __init__(self, stack: Stack) -> None:
        self.key = stack.bot_password
        self.addresses = {service: stack.address(service) for service in CLIENTS}
        self.done = dict.fromkeys(CLIENTS, 0)
        self.refused: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._go, args=(service,)) for service in CLIENTS]

    def _go(self, service: str) -> None:
        while not self._end.is_set():
            try:
                CLIENTS[service](self.addresses[service], "bot_1", self.key)
                self.done[service] += 1
            except Exception as error:
                self.refused.append(f"{service}: {error}")
            time.sleep(0.02)

    def __enter__(self) -> Bot:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_what: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def services() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="services-") as folder:
        made = Stack(Path(folder))
        try:
            yield made
        finally:
            made.remove()


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    """All of them, by one run; each test leaves them well."""
    with services() as made:
        first = made.run()
        assert first.returncode == 0, first.stdout
        yield made


def assert_no_secret(stack: Stack) -> None:
    for name, value in stack.settings.items():
        assert not name.endswith("password") or value not in stack.printed
    assert stack.bot_password not in stack.printed


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    yield running
    assert_no_secret(running)


@pytest.fixture
def new_stack() -> Iterator[Stack]:
    with services() as made:
        yield made
        assert_no_secret(made)


def login_of(printed: str, service: str) -> str:
    found = re.findall(r"logins: ({.*?}) (\[.*?\])", printed)[-1]
    return str(json.loads(found[0])["bot_1"] if service == "postgres" else json.loads(found[1])[0])


def assert_all(stack: Stack, login: str, key: str) -> None:
    for service, client in CLIENTS.items():
        client(stack.address(service), "bot_1" if service == "redis" else login, key)


def test_postgres_on_data_of_another_version_is_refused_while_the_old_one_runs(
    stack: Stack,
) -> None:
    before = stack.container("postgres")
    other = stack.variant("postgres", "ENV PG_MAJOR=18")
    cases = [
        ({"postgres_major": 18}, ["postgres_image is PostgreSQL 17", "postgres_major is 18"]),
        (
            {"postgres_major": 18, "postgres_image": other},
            ["PostgreSQL 17 in its top folder", "postgres_major is 18"],
        ),
        ({"postgres_superuser": "foo"}, ["is postgres, but postgres_superuser is foo"]),
    ]
    said = stack.refused("postgres", *(settings for settings, _words in cases))
    for (_settings, words), text in zip(cases, said, strict=True):
        for word in [*words, f"Not touched: {stack.name}-postgres."]:
            assert word in text
    assert stack.container("postgres") == before
    with psycopg.connect(
        host=stack.address("postgres"), user="bot_1", password=stack.bot_password, dbname="bot_db"
    ) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_redis_data_that_the_image_does_not_read_is_refused_while_the_old_one_runs(
    stack: Stack,
) -> None:
    before = stack.container("redis")
    root = Path(docker("volume", "inspect", "-f", "{{.Mountpoint}}", f"{stack.name}-redis"))
    base = next(root.glob("appendonlydir/*.base.rdb"))
    other = stack.variant("redis", "LABEL other=1")
    real = base.read_bytes()
    try:
        base.write_bytes(b"REDIS0012" + real[9:])
        (said,) = stack.refused("redis", {"redis_image": other})
        assert "written by Redis 7.4 to 8.0 (RDB version 12), and redis_image is Valkey 8.1" in said
        assert stack.container("redis") == before
        by_redis(stack.address("redis"), "bot_1", stack.bot_password)
    finally:
        base.write_bytes(real)
    stack.settings["redis_image"] = other
    done = stack.run("redis")
    assert done.returncode == 0, done.stdout
    assert stack.container("redis") != before


def test_an_adopted_volume_of_another_shape_is_used(new_stack: Stack) -> None:
    """Data in a sub-folder, and a superuser of another name, as upstream's image makes them."""
    stack = new_stack
    volume = stack.settings["postgres_volume"]
    superuser = stack.settings["postgres_superuser_password"]
    docker("volume", "create", volume)
    docker(
        *["run", "--rm", "-u", "0", "-v", f"{volume}:/v", "--entrypoint", "sh"],
        *["-e", f"WORD={superuser}", stack.settings["postgres_image"], "-c"],
        "install -d -o 999 -g 999 /v/pgdata && printf '%s' \"$WORD\" > /tmp/word "
        "&& chmod 644 /tmp/word && chown 999:999 /v"
        " && setpriv --reuid 999 --regid 999 --clear-groups"
        " initdb -D /v/pgdata -U foo --pwfile=/tmp/word"
        " --auth-local=trust --auth-host=scram-sha-256 --no-sync"
        " && echo 'host all all all scram-sha-256' >> /v/pgdata/pg_hba.conf",
    )
    done = stack.run("postgres")
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert "is foo, but postgres_superuser is postgres. Set postgres_superuser to foo." in said
    stack.settings["postgres_superuser"] = "foo"
    done = stack.run("postgres")
    assert done.returncode == 0, done.stdout
    assert docker("exec", f"{stack.name}-postgres", "sh", "-c", "echo $PGDATA").endswith(
        "data/pgdata"
    )
    by_postgres(stack.address("postgres"), "bot_1", stack.bot_password)
    stack.settings["postgres_superuser_password"] = password()
    done = stack.run("postgres")
    assert done.returncode == 0, done.stdout
    assert "changed=0" in stack.run("postgres").stdout


def test_a_superuser_of_another_name_gets_a_new_password(new_stack: Stack) -> None:
    stack = new_stack
    stack.settings |= {"postgres_superuser": "foo", "postgres_image": own_image("postgres")}
    assert stack.run("postgres").returncode == 0, stack.printed
    stack.settings["postgres_superuser_password"] = password()
    done = stack.run("postgres")
    assert done.returncode == 0, done.stdout
    assert "changed=0" in stack.run("postgres").stdout


def test_a_new_password_works_beside_the_old_one_until_the_run_is_through(stack: Stack) -> None:
    again = stack.run()
    assert "changed=0" in again.stdout, again.stdout
    assert "Shut what works" not in again.stdout
    before = {service: stack.container(service) for service in CLIENTS}

    with Bot(stack) as bot:
        former = stack.bot_password
        stack.new_password()
        failed = stack.run(test_bot_fails=True)
        assert failed.returncode != 0
        assert "The bot's part failed" in failed.stdout, failed.stdout
        assert login_of(failed.stdout, "postgres") == login_of(failed.stdout, "minio") == "bot_1.1"
        assert_all(stack, "bot_1.1", stack.bot_password)
        # It comes again, and nothing is left to do.
        failed = stack.run(test_bot_fails=True)
        assert "changed=0" in failed.stdout, failed.stdout
    assert bot.refused == []
    assert min(bot.done.values()) > 20, bot.done
    assert {service: stack.container(service) for service in CLIENTS} == before

    # Tables that the new login makes belong to the old one's owner.
    with psycopg.connect(
        host=stack.address("postgres"), user="bot_1.1", password=stack.bot_password, dbname="bot_db"
    ) as connection:
        connection.execute("CREATE TABLE made_by_new (id int)")
        owner = connection.execute(
            "SELECT tableowner FROM pg_tables WHERE tablename = 'made_by_new'"
        ).fetchone()
        assert owner == ("bot_1",)

    done = stack.run()
    assert done.returncode == 0, done.stdout
    assert {service: stack.container(service) for service in CLIENTS} == before
    # Both names have the new password, neither the old one.
    assert_all(stack, "bot_1.1", stack.bot_password)
    assert_all(stack, "bot_1", stack.bot_password)
    for service, client in CLIENTS.items():
        with pytest.raises(REFUSED):
            client(stack.address(service), "bot_1", former)
    again = stack.run()
    assert "changed=0" in again.stdout, again.stdout
    assert login_of(again.stdout, "postgres") == login_of(again.stdout, "minio") == "bot_1.1"

    # A move of the right to poll uses it, too, and changes nothing.
    moved = stack.move()
    assert moved.returncode == 0, moved.stdout
    assert "changed=0" in moved.stdout
    assert login_of(moved.stdout, "postgres") == login_of(moved.stdout, "minio") == "bot_1.1"

    # And the next one, while what runs uses the login beside it.
    second = stack.bot_password
    stack.new_password()
    failed = stack.run(test_bot_fails=True)
    assert_all(stack, "bot_1.1", second)
    assert login_of(failed.stdout, "postgres") == login_of(failed.stdout, "minio") == "bot_1.2"
    done = stack.run()
    assert done.returncode == 0, done.stdout
    for service, client in CLIENTS.items():
        if service != "redis":
            client(stack.address(service), "bot_1.2", stack.bot_password)
        for login in ("bot_1.1", "bot_1"):
            with pytest.raises(REFUSED):
                client(stack.address(service), login, second)

"""The roles with images of upstream's shapes: on new volumes, and on what root left in old ones.

tests/upstream_images says what the images are, and what they are not.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import json
import os
import re
import secrets
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # it has no types
import minio
import psycopg
import pytest
import redis
import urllib3
from docker.models.containers import Container  # type: ignore[import-untyped]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
# Another folder of images by the same names, such as the collection's own, can be tried by hand.
SHAPES = Path(os.environ.get("UPSTREAM_SHAPES", ROOT / "tests/upstream_images"))
REGISTRIES = ["registry", "registry_v3"]
DATABASES = ["postgres", "postgres_18"]
CACHES = ["redis", "redis_original"]
GROUPS = {
    "registry": REGISTRIES,
    "postgres": DATABASES,
    "redis": CACHES,
    "minio": ["minio"],
    "front": ["front"],
}
SERVICES = [service for services in GROUPS.values() for service in services]
# Of another checkout's tests, another name.
NAME = os.environ.get("TEST_NAME", "test") + "-upstream"
KINDS = ["new", "of root"]
CLIENT = docker.from_env(timeout=120)


def logs() -> str:
    """Of all containers of this test: state, the health check's words, and the last log lines."""
    texts = []
    for found in CLIENT.containers.list(
        all=True, filters={"name": f"^/?{NAME}-"}, ignore_removed=True
    ):
        state = found.attrs["State"]
        health = state.get("Health") or {}
        checks = [f"{c['ExitCode']} {c['Output'].strip()}" for c in health.get("Log") or []]
        texts += [
            f"-- {found.name}: {state['Status']}, {health.get('Status')}, {checks[-2:]}",
            found.logs(tail=20).decode(errors="replace"),
        ]
    return "\n".join(texts)


def run(*command: str | Path) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command[:3]}: {done.stdout[-6000:]}{done.stderr}\n{logs()}"
    return done.stdout


def remove() -> None:
    """What this test made, or an earlier one that was cut off."""
    for found in CLIENT.containers.list(
        all=True, filters={"name": f"^/?{NAME}-"}, ignore_removed=True
    ):
        found.remove(force=True, v=True)
    for volume in CLIENT.volumes.list(filters={"name": f"{NAME}-"}):
        volume.remove()
    for network in CLIENT.networks.list(names=[f"{NAME}-"]):
        network.remove()


class Stack:
    """Each service once, in a network of their own on this machine's engine."""

    def __init__(self, kind: str, made: Made, ports: list[int]) -> None:
        self.kind = kind
        self.name = f"{NAME}-{kind.replace(' ', '-')}"
        self.password, self.images = made.password, made.images
        self.ports = dict(zip([*REGISTRIES, "front"], ports, strict=True))

    def container(self, service: str) -> Container:
        return CLIENT.containers.get(f"{self.name}-{service}")

    def address(self, service: str) -> str:
        network = self.container(service).attrs["NetworkSettings"]["Networks"][self.name]
        return str(network["IPAddress"])

    def login(self, service: str) -> tuple[str, dict[str, str]]:
        """A registry's address, and what authenticates there."""
        config = {"username": "quartermaster", "password": self.password}
        return f"127.0.0.1:{self.ports[service]}", config

    def objects(self, user: str) -> minio.Minio:
        pool = urllib3.PoolManager(timeout=5, retries=urllib3.Retry(2, backoff_factor=0.2))
        return minio.Minio(
            f"{self.address('minio')}:9000",
            access_key=user,
            secret_key=self.password,
            secure=False,
            http_client=pool,
        )


class Made:
    """The images, and a stack of each kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(24)
        self.images: dict[str, str] = {}
        self.stacks: dict[str, Stack] = {}
        run(
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=registry.example.com", "-keyout", folder / "tls.key"),
            *("-out", folder / "tls.crt"),
        )

    def make(self) -> None:
        self.play("images.yml")
        self.images = json.loads((self.folder / "images.json").read_text())
        # At once, so that no two are the same.
        ports = free_ports(3 * len(KINDS))
        for number, kind in enumerate(KINDS):
            self.stacks[kind] = Stack(kind, self, ports[3 * number : 3 * number + 3])
            CLIENT.networks.create(self.stacks[kind].name, driver="bridge")
        plant(self.stacks["of root"])
        self.play("services.yml")

    def inventory(self) -> dict[str, Any]:
        here = "{{ ansible_playbook_python }}"
        local = {"ansible_connection": "local", "ansible_python_interpreter": here}
        groups: dict[str, Any] = {"upstream": {"hosts": {"images": {}}}}
        for group, services in GROUPS.items():
            groups[group] = {
                "hosts": {
                    f"{stack.name}-{service}": {
                        "service": service,
                        "service_port": stack.ports.get(service, 0),
                        "stack_name": stack.name,
                    }
                    for stack in self.stacks.values()
                    for service in services
                }
            }
        return {"all": {"vars": local, "children": groups}}

    def play(self, playbook: str) -> str:
        settings = {
            "upstream_folder": str(self.folder),
            "upstream_shapes": str(SHAPES),
            "upstream_password": self.password,
            "upstream_images": self.images,
        }
        (self.folder / "hosts.yml").write_text(json.dumps(self.inventory()))
        path = self.folder / "settings.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(settings))
        environment = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
        with _environment(environment):
            return run(
                *("ansible-playbook", "--forks", "6", "-i", self.folder / "hosts.yml"),
                *("-e", f"@{path}", HERE / playbook),
            )


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


def until_it_answers(what: Any, seconds: float = 40) -> Any:
    end = time.monotonic() + seconds
    while True:
        try:
            return what()
        except Exception as error:
            if time.monotonic() > end:
                raise AssertionError(f"{error}\n{logs()}") from error
            time.sleep(0.3)


def plant(stack: Stack) -> None:
    """What an earlier stack that ran as root left: folders, images, objects and keys of root."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        planted = [
            *(pool.submit(plant_database, stack, service) for service in DATABASES),
            *(pool.submit(plant_registry, stack, service) for service in REGISTRIES),
            *(pool.submit(plant_cache, stack, service) for service in CACHES),
            pool.submit(plant_objects, stack),
        ]
    for each in planted:
        each.result()


def plant_database(stack: Stack, service: str) -> None:
    target = "/var/lib/postgresql" + ("" if service == "postgres_18" else "/data")
    password = {"POSTGRES_PASSWORD": stack.password}
    started = as_root(stack, service, None, target, network=stack.name, environment=password)
    at = f"host={stack.address(f'old-{service}')} user=postgres dbname=postgres"
    until_it_answers(lambda: leave_a_row(at, stack.password))
    started.stop(timeout=30)
    started.remove()
    # Its entry point gives it to 999, so this is what a copy by root leaves.
    as_root(stack, service, ["chown", "-R", "0:0", target], target)


def plant_registry(stack: Stack, service: str) -> None:
    started = as_root(
        *(stack, service, None, "/var/lib/registry"),
        ports={"5000/tcp": ("127.0.0.1", stack.ports[service])},
    )
    reference = f"127.0.0.1:{stack.ports[service]}/old/thing"
    until_it_answers(lambda: push(reference, None))
    started.remove(force=True)


def plant_cache(stack: Stack, service: str) -> None:
    argv = ["redis-server", "--dir", "/data", "--appendonly", "yes", "--protected-mode", "no"]
    started = as_root(stack, service, argv, "/data", network=stack.name)
    at = stack.address(f"old-{service}")
    until_it_answers(lambda: redis.Redis(at, protocol=2).set("parrot:old", "root's"))
    started.stop(timeout=10)
    started.remove()


def plant_objects(stack: Stack) -> None:
    started = as_root(
        *(stack, "minio", ["silo", "server", "/data"], "/data"),
        network=stack.name,
        environment={"MINIO_ROOT_USER": "captain", "MINIO_ROOT_PASSWORD": stack.password},
    )
    started.rename(f"{stack.name}-minio")
    until_it_answers(lambda: stack.objects("captain").make_bucket("old"))
    stack.objects("captain").put_object("old", "thing", io.BytesIO(b"root's"), 6)
    started.stop(timeout=10)
    started.remove()


def as_root(
    stack: Stack, service: str, argv: list[str] | None, target: str, **more: Any
) -> Container:
    """Run an image as root on its service's volume, and what ends by itself to its end."""
    name = f"{stack.name}-{service}"
    volume = [docker.types.Mount(target, name, type="volume")]
    entry = {"entrypoint": argv[:1], "command": argv[1:]} if argv else {}
    started = CLIENT.containers.run(
        *(stack.images[service],),
        name=f"{stack.name}-old-{service}",
        user="0:0",
        mounts=volume,
        detach=True,
        **entry,
        **more,
    )
    if argv and argv[0] == "chown":
        assert started.wait(timeout=60)["StatusCode"] == 0, started.logs()
        started.remove()
    else:
        started.reload()
    return started


def leave_a_row(at: str, password: str) -> None:
    with psycopg.connect(at, password=password, connect_timeout=3) as connection:
        connection.execute("CREATE TABLE old AS SELECT 'root''s' AS what")


def push(reference: str, login: dict[str, str] | None) -> str:
    """Push a new and tiny image; its digest."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        content = secrets.token_bytes(2000)
        member = tarfile.TarInfo("file")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    CLIENT.api.import_image_from_data(stream.getvalue(), repository=reference, tag="1")
    try:
        answer = CLIENT.images.push(reference, tag="1", auth_config=login)
        digest = re.search(r"sha256:[0-9a-f]{64}", answer.splitlines()[-1])
        assert digest, answer
        return f"{reference}@{digest[0]}"
    finally:
        CLIENT.images.remove(f"{reference}:1", force=True)


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    """All services, by one run of their roles, on volumes that are new and on some of root."""
    remove()
    with tempfile.TemporaryDirectory(prefix="upstream-") as name:
        made = Made(Path(name))
        try:
            made.make()
            yield made
        finally:
            remove()


@pytest.fixture(params=KINDS)
def stack(request: pytest.FixtureRequest, made: Made) -> Stack:
    return made.stacks[request.param]


@pytest.fixture
def left_by_root(stack: Stack) -> bool:
    return stack.kind == "of root"


@pytest.fixture(autouse=True)
def logs_of_a_failure(request: pytest.FixtureRequest) -> Generator[None]:
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(logs())


@pytest.mark.parametrize("service", SERVICES)
def test_it_is_healthy_as_a_numeric_user(stack: Stack, service: str) -> None:
    found = stack.container(service)
    assert found.attrs["State"]["Health"]["Status"] == "healthy"
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", found.attrs["Config"]["User"])
    assert found.attrs["Image"] == stack.images[service]
    assert found.attrs["RestartCount"] == 0


@pytest.mark.parametrize("service", REGISTRIES)
def test_an_image_is_pushed_and_pulled(stack: Stack, service: str, left_by_root: bool) -> None:
    registry, login = stack.login(service)
    reference = push(f"{registry}/new/thing", login)
    with pytest.raises(docker.errors.APIError, match="no basic auth credentials"):
        CLIENT.images.pull(reference)
    CLIENT.images.pull(reference, auth_config=login)
    CLIENT.images.remove(reference, force=True)
    if left_by_root:
        CLIENT.images.pull(f"{registry}/old/thing", tag="1", auth_config=login)
        CLIENT.images.remove(f"{registry}/old/thing:1", force=True)


def test_an_object_is_stored_and_read(stack: Stack, left_by_root: bool) -> None:
    polly = stack.objects("polly")
    polly.put_object("parrot-songs", "song", io.BytesIO(b"ahoy"), 4)
    assert polly.get_object("parrot-songs", "song").data == b"ahoy"
    if left_by_root:
        assert stack.objects("captain").get_object("old", "thing").data == b"root's"
        with pytest.raises(minio.error.S3Error):
            polly.get_object("old", "thing")


@pytest.mark.parametrize("service", DATABASES)
def test_a_row_is_written_and_read(stack: Stack, service: str, left_by_root: bool) -> None:
    at = f"host={stack.address(service)} dbname=treasure user=flint"
    with psycopg.connect(at, password=stack.password, connect_timeout=5) as connection:
        connection.execute("CREATE TABLE chest (what text)")
        connection.execute("INSERT INTO chest VALUES ('gold')")
    with psycopg.connect(at, password=stack.password, connect_timeout=5) as connection:
        assert connection.execute("SELECT what FROM chest").fetchall() == [("gold",)]
        version = connection.info.server_version // 10000
    if left_by_root:
        at = f"host={stack.address(service)} dbname=postgres user=postgres"
        with psycopg.connect(at, password=stack.password, connect_timeout=5) as connection:
            assert connection.execute("SELECT what FROM old").fetchall() == [("root's",)]
    assert version == (18 if service == "postgres_18" else 17)


@pytest.mark.parametrize("service", CACHES)
def test_a_key_is_written_and_read(stack: Stack, service: str, left_by_root: bool) -> None:
    client = redis.Redis(
        *(stack.address(service),),
        username="silver",
        password=stack.password,
        protocol=2,
        socket_timeout=5,
        decode_responses=True,
    )
    assert client.set("parrot:new", "gold")
    assert client.get("parrot:new") == "gold"
    if left_by_root:
        assert client.get("parrot:old") == "root's"


def test_the_front_serves_a_request(stack: Stack) -> None:
    """Of a replica that is there later than the front, as in every swap of replicas."""
    replica = CLIENT.containers.run(
        stack.images["registry"],
        entrypoint=["busybox", "sh", "-c"],
        command=[
            "mkdir -p /www/callbacks; echo ready > /www/readyz; echo ahoy > /www/callbacks/shop; "
            "exec busybox httpd -f -p 8080 -h /www"
        ],
        name=f"{stack.name}-webhook-1",
        network=stack.name,
        detach=True,
    )
    try:
        url = f"http://127.0.0.1:{stack.ports['front']}"
        assert until_it_answers(lambda: get(f"{url}/callbacks/shop")) == "ahoy"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(f"{url}/www")
    finally:
        replica.remove(force=True, v=True)


def test_the_front_ends_by_itself_when_it_is_told_to(stack: Stack) -> None:
    front = stack.container("front")
    assert front.attrs["Config"]["StopSignal"] == "SIGUSR1"
    begun = time.monotonic()
    front.stop(timeout=30)
    front.reload()
    assert time.monotonic() - begun < 20
    assert front.attrs["State"]["ExitCode"] == 0, front.logs(tail=10)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  http on loopback
        return str(answer.read().decode().strip())

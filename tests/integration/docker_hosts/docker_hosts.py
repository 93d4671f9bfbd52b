"""Docker hosts that are containers, their engines, and what polls on them, for tests."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import docker  # type: ignore[import-untyped]  # it has no types
import requests
from docker.models.containers import Container  # type: ignore[import-untyped]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
API_PORT = 8081
MODULES_PYTHON = "/opt/aisha/python/bin/python"
PATIENCE = 60.0


def until[T](
    condition: Callable[[], T | None], what: str | Callable[[], str], seconds: float = PATIENCE
) -> T:
    """Wait until a condition gives something true, and return it."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(
                f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}"
            )
        time.sleep(0.2)


def new_token(bot_id: int) -> str:
    return f"{bot_id}:{secrets.token_urlsafe(40)[:35]}"


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


Files = dict[str, str | bytes | Link]


def emulator_files() -> Files:
    """The emulator's package in /opt/emulator, for a host that has its requirements."""
    package = ROOT / "images/bot_api_emulator/bot_api_emulator"
    return {
        f"/opt/emulator/{path.relative_to(package.parent)}": path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def archive(files: Files, mode: int = 0o644) -> bytes:
    """A tar of files, by their path."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.mode, member.mtime = mode, int(time.time())
            if isinstance(content, Link):
                member.type, member.linkname = tarfile.SYMTYPE, content.target
                tar.addfile(member)
            else:
                data = content.encode() if isinstance(content, str) else content
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


class Relay(socketserver.ThreadingUnixStreamServer):
    """A socket on this machine that leads to the engine inside the host.

    Each connection is a `docker system dial-stdio` there: the inner engine is on no network.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: Path, outer: docker.DockerClient, name: str) -> None:
        self.outer = outer
        self.name = name
        super().__init__(str(path), RelayedConnection)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The host restarts in these tests: its connections break then, and both ends know it."""
        if not isinstance(sys.exception(), (OSError, docker.errors.APIError)):
            super().handle_error(request, client_address)


class RelayedConnection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        relay = cast(Relay, self.server)
        api = relay.outer.api
        command = ["docker", "system", "dial-stdio"]
        created = api.exec_create(relay.name, command, stdin=True, stdout=True, stderr=True)
        started = api.exec_start(created["Id"], socket=True)
        inner: socket.socket = started._sock
        inner.settimeout(None)
        threading.Thread(target=self.upwards, args=(inner,), daemon=True).start()
        # The answer comes in frames: 4 bytes that say which stream, 4 that say how long.
        with contextlib.suppress(EOFError, OSError):
            while True:
                stream, length = struct.unpack(">BxxxL", exactly(inner, 8))
                data = exactly(inner, length)
                if stream == 1:
                    self.request.sendall(data)
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)
        started._response.close()

    def upwards(self, inner: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                inner.sendall(data)
            inner.shutdown(socket.SHUT_WR)


def keep_connections(client: docker.DockerClient) -> None:
    """The SDK keeps them for each address that it asks: a new one for every container and call."""
    adapter = client.api.get_adapter("http+docker://localhost")
    connection = adapter.get_connection
    adapter.get_connection = lambda url, proxies=None: connection("http+docker://localhost")


def exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


@dataclass
class Emulator:
    """The control API, from this machine."""

    base: str
    http: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str) -> Any:
        answer = self.http.get(f"{self.base}/control{path}", timeout=10)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self.http.post(f"{self.base}/control{path}", json=body or {}, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def call(self, token: str, method: str, **parameters: Any) -> Any:
        answer = self.http.post(f"{self.base}/bot{token}/{method}", json=parameters, timeout=10)
        return answer.json()

    def answers(self) -> bool:
        try:
            self.get("/health")
        except requests.RequestException:
            return False
        return True

    def register(self, *tokens: str) -> None:
        for token in tokens:
            self.post("/bots", {"token": token})

    def stats(self, token: str) -> dict[str, Any]:
        return dict(self.get(f"/bots/{bot_id(token)}/stats"))

    def reset(self, token: str) -> None:
        self.post(f"/bots/{bot_id(token)}/reset")

    def push(self, token: str, text: str) -> None:
        message = {"chat": {"id": 77}, "text": text}
        self.post(f"/bots/{bot_id(token)}/updates", {"message": message})

    def answered(self, token: str) -> list[str]:
        sent = self.get(f"/bots/{bot_id(token)}/sent")
        return [s["parameters"]["text"] for s in sent if s["method"] == "sendMessage"]


def bot_id(token: str) -> int:
    return int(token.split(":")[0])


class Machine:
    """One host: a container with an engine of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.outer = docker.from_env()
        self._numbers = iter(range(10_000))

    # Life

    def start(self) -> None:
        """Start the host once more, and all that starts with it."""
        self.thaw()
        self.container.restart(timeout=60)
        self.came_up()

    def crash(self) -> None:
        """As a power cut: nothing gets time to end."""
        self.cut_off()
        self.container.start()
        self.came_up()

    def cut_off(self) -> None:
        """The first half of a power cut."""
        self.thaw()
        self.container.kill()

    def thaw(self) -> None:
        """Wake paused containers: with cgroups of version 1 nothing can end them, or this host."""
        if self.container.status != "running":
            return
        script = "for f in $(find /sys/fs/cgroup -name freezer.state); do echo THAWED > $f; done"
        self.run(["/bin/sh", "-c", script], check=False)

    def came_up(self) -> None:
        self.container.reload()
        networks = self.container.attrs["NetworkSettings"]["Networks"].values()
        self.address = next(network["IPAddress"] for network in networks)
        self.connect()

    def connect(self) -> None:
        """Make a client of the inner engine; the one before has lost its connections."""
        path = self.folder / f"{self.name}-{next(self._numbers)}.sock"
        relay = Relay(path, self.outer, self.name)

        def answers() -> docker.DockerClient | None:
            try:
                client = docker.DockerClient(base_url=f"unix://{path}", version="auto", timeout=60)
                keep_connections(client)
                client.ping()
            except (docker.errors.DockerException, requests.RequestException):
                return None
            return client

        self.relay = relay
        self.engine = until(answers, lambda: f"the engine answers\n{self.log()[-2000:]}")

    # What is on it

    @property
    def container(self) -> Container:
        return self.outer.containers.get(self.name)

    def log(self) -> str:
        """Of its process 1, and so of the engine."""
        return str(self.container.logs(), "utf-8", "replace")

    def run(
        self, argv: list[str], *, check: bool = True, environment: dict[str, str] | None = None
    ) -> str:
        code, output = self.container.exec_run(argv, environment=environment)
        text = str(output, "utf-8", "replace")
        assert code == 0 or not check, f"{argv} on the host ended with {code}: {text}"
        return text

    def write(self, files: Files, mode: int = 0o644) -> None:
        self.container.put_archive("/", archive(files, mode))


class Scenario:
    """The hosts of one inventory, made as Molecule makes its own, and runs of Ansible over them."""

    def __init__(self, name: str, folder: Path, containers: Mapping[str, str]) -> None:
        """containers: the name of its container, by each host's name in the inventory."""
        self.name = name
        self.folder = folder
        self.containers = containers
        self.network = f"aisha-molecule-{name}"
        self.inventory = folder / "inventory.json"
        self.write_inventory({})

    def write_inventory(
        self, groups: dict[str, dict[str, Any]], may_be_off: Collection[str] = ()
    ) -> None:
        """groups: by its name, what an inventory says of a group.

        may_be_off: hosts that must be unreachable when they are off, as by SSH. By docker_api they
        are; by docker their modules fail, but each task takes half of the time.
        """
        hosts = {
            host: {
                "ansible_connection": "community.docker.docker"
                + ("_api" if host in may_be_off else ""),
                "ansible_host": container,
                "ansible_python_interpreter": MODULES_PYTHON,
                "secret_dir": str(self.folder / "secrets"),
            }
            for host, container in self.containers.items()
        }
        self.inventory.touch(mode=0o600)
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts, "children": groups}}))

    def make(self) -> None:
        """Make the hosts, with the images of the bots: self.bots, and self.primary as a holder."""
        context = self.folder / "bots"
        shutil.copytree(HERE / "image", context, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "requirements-dev.txt", context / "constraints.txt")
        content = b"".join(path.read_bytes() for path in sorted(context.iterdir()))
        base = b"".join(path.read_bytes() for path in sorted((ROOT / "images/base").iterdir()))
        self.bots = f"aisha/test-bots:{hashlib.sha256(content + base).hexdigest()[:16]}"
        self.primary = self.bots.replace("-bots:", "-primary:")
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", context / "build-ca.crt")
        self.destroy()
        create = ROOT / "molecule/resources/create.yml"
        images = {"bots": self.bots, "primary": self.primary}
        self.playbook(create, HERE / "prepare.yml", test_images=images)

    def destroy(self) -> None:
        """As molecule/resources/destroy.yml; also the hosts of a run that was broken off."""
        outer = docker.from_env()
        for container in self.containers.values():
            with contextlib.suppress(docker.errors.APIError):
                Machine(container, self.folder).thaw()
            with contextlib.suppress(docker.errors.NotFound):
                outer.containers.get(container).remove(force=True)
            with contextlib.suppress(docker.errors.NotFound):
                outer.volumes.get(container).remove()
        with contextlib.suppress(docker.errors.NotFound):
            outer.networks.get(self.network).remove()

    def playbook(self, *playbooks: Path, **variables: Any) -> None:
        done = self.ansible(*map(str, playbooks), "-e", json.dumps(variables))
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

    def ansible(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        settings = {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_FORCE_COLOR": "0",
            "MOLECULE_EPHEMERAL_DIRECTORY": str(self.folder),
            "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
            "MOLECULE_SCENARIO_NAME": self.name,
        }
        return subprocess.run(
            [program, "-i", str(self.inventory), *arguments],
            cwd=ROOT,
            env=os.environ | settings | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )

"""Releases that fail at their start, and a good one, while callers call through the real front.

What changes containers is the role bot, with its descriptions and its configuration of the front.
Only the bot's own image is a stand-in: it is broken as a test wants it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import io
import json
import os
import secrets
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # it has no types
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
# Of another checkout's tests, another name.
STACK = os.environ.get("TEST_NAME", "test") + "-deploys"
CALLS_PER_SECOND = 50
CALLERS = 10
FRONT = f"{STACK}-front"
WEBHOOKS = [f"{STACK}-webhook-1", f"{STACK}-webhook-2"]
WORKER = f"{STACK}-worker-1"
VENDOR_KEY = secrets.token_hex(12)
CLIENT = docker.from_env(timeout=120)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Callers:
    """Calls at a steady pace, half of them over a connection that is kept; nobody tries again."""

    def __init__(self, port: int, secret: bytes) -> None:
        self.port, self.secret = port, secret
        self.statuses: Counter[str] = Counter()
        self.failed: list[tuple[float, str]] = []
        self.slowest = 0.0
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.call, args=(n,)) for n in range(CALLERS)]

    def __enter__(self) -> Callers:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def call(self, number: int) -> None:
        keeps = number % 2 == 0
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        pause = CALLERS / CALLS_PER_SECOND
        due = time.monotonic() + pause * number / CALLERS
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + pause, time.monotonic() - pause)
            body = json.dumps({"caller": number, "at": due}).encode()
            delivery, stamp = f"{number}-{due}".replace(".", "-"), str(int(time.time()))
            signed = f"{delivery}.{stamp}.".encode() + body
            digest = hmac.new(self.secret, signed, hashlib.sha256).digest()
            headers = {
                "Webhook-Id": delivery,
                "Webhook-Timestamp": stamp,
                "Webhook-Signature": f"v1,{base64.b64encode(digest).decode()}",
            }
            if not keeps:
                headers["Connection"] = "close"
            began = time.monotonic()
            try:
                connection.request("POST", "/callbacks/test", body, headers)
                answer = connection.getresponse()
                answer.read()
                said = str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                said = type(error).__name__
                connection.close()
            if not keeps:
                connection.close()
            with self.lock:
                self.statuses[said] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                if said != "202":
                    self.failed.append((time.time(), said))
        connection.close()

    @property
    def gap(self) -> float:
        """Seconds between the first and the last call that failed."""
        return self.failed[-1][0] - self.failed[0][0] if self.failed else 0.0

    def summary(self) -> str:
        return f"{dict(self.statuses)}, slowest {self.slowest:.2f} s, gap {self.gap:.2f} s"


class Stack:
    """The replicas of one host, as the role bot runs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.secret = secrets.token_bytes(32)
        networks = [f"{STACK}-data", f"{STACK}-edge"]
        self.settings: dict[str, Any] = {
            "bot_name": STACK,
            "bot_stack_name": STACK,
            "bot_config_dir": str(folder / "bot"),
            "bot_docker_config": str(folder / "docker"),
            "bot_token": f"7000000003:{secrets.token_urlsafe(40)[:35]}",
            "bot_webhook_secrets": {"test": [f"whsec_{base64.b64encode(self.secret).decode()}"]},
            "bot_database_url": "postgresql://none.example.com/a",
            "bot_redis_url": "redis://none.example.com",
            "bot_s3_secret_key": secrets.token_urlsafe(24),
            "bot_publish_port": self.port,
            "bot_networks": networks,
            "bot_front_networks": networks[1:],
            "bot_wait_timeout": 12,
            "bot_env": {"VENDOR_API_KEY": VENDOR_KEY},
        }

    def make(self) -> None:
        for name in self.settings["bot_networks"]:
            CLIENT.networks.create(name, driver="bridge")
        done = self.playbook(
            "build.yml", deploys_folder=str(self.folder), deploys_image=f"{STACK}/bot"
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr
        images = json.loads((self.folder / "images.json").read_text())
        self.bot, self.front = images["bot"], images["front"]
        # It ends at once. The releases after it say for 2 s that they will.
        self.current = self.image(self.bot, "ENV DRAIN_SECONDS=0")

    def playbook(self, name: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory, variables = self.folder / "hosts.json", self.folder / "variables.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"here": here}}}))
        variables.touch(mode=0o600)
        variables.write_text(json.dumps({**self.settings, **settings}))
        program = Path(sys.executable).with_name("ansible-playbook")
        own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
        return subprocess.run(
            [program, "-i", inventory, "-e", f"@{variables}", HERE / name],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
            env=os.environ | own,
        )  # fmt: skip

    def release(self, image: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        images = {"bot_image": image, "bot_webhook_image": image, "bot_front_image": self.front}
        return self.playbook("deploy.yml", **(images | settings))

    def good(self, image: str, **settings: Any) -> None:
        done = self.release(image, **settings)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr

    def bad(self, image: str, **settings: Any) -> str:
        """What a release that must fail has printed, in one line."""
        done = self.release(image, **settings)
        assert done.returncode == 2, done.stdout[-6000:] + done.stderr
        return " ".join(done.stdout.split())

    def image(self, parent: str, *lines: str) -> str:
        """A release: the ID of an image of its own."""
        text = "\n".join([f"FROM {parent}", f"LABEL made={secrets.token_hex(4)}", *lines]).encode()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            member = tarfile.TarInfo("Dockerfile")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        packed.seek(0)
        tag = f"{STACK}/release:{secrets.token_hex(4)}"
        made, _log = CLIENT.images.build(fileobj=packed, custom_context=True, tag=tag, rm=True)
        return str(made.id)

    def ids(self) -> dict[str, str]:
        """From the name of each container to its ID; those that don't run are an error."""
        found = CLIENT.containers.list(
            all=True, filters={"name": f"^/?{STACK}-"}, ignore_removed=True
        )
        assert {each.status for each in found} == {"running"}, [(e.name, e.status) for e in found]
        return {each.name: each.id for each in found}

    def is_well(self) -> bool:
        """Whether each replica is of the current release, and runs."""
        found = CLIENT.containers.list(filters={"name": f"^/?{STACK}-"}, ignore_removed=True)
        images = {each.name: each.attrs["Image"] for each in found}
        return FRONT in images and all(images.get(n) == self.current for n in [*WEBHOOKS, WORKER])

    def callers(self) -> Callers:
        return Callers(self.port, self.secret)

    def remove(self) -> None:
        for container in CLIENT.containers.list(
            all=True, filters={"name": f"^/?{STACK}-"}, ignore_removed=True
        ):
            container.remove(force=True, v=True)
        for volume in CLIENT.volumes.list(filters={"name": f"{STACK}-"}):
            volume.remove(force=True)
        for network in CLIENT.networks.list(names=[f"{STACK}-data", f"{STACK}-edge"]):
            network.remove()
        for image in CLIENT.api.images(f"{STACK}/release"):
            for tag in image["RepoTags"] or []:
                CLIENT.images.remove(tag, force=True)


@pytest.fixture(scope="module")
def made() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="deploys-") as folder:
        stack = Stack(Path(folder))
        stack.remove()
        try:
            stack.make()
            yield stack
        finally:
            stack.remove()


@pytest.fixture
def stack(made: Stack) -> Stack:
    """With a release that runs: each test leaves one that does, or fails."""
    if not made.is_well():
        made.good(made.current)
    return made


@pytest.mark.parametrize("fault", ["crash", "ill"])
def test_a_webhook_that_fails_at_its_start_costs_no_call(stack: Stack, fault: str) -> None:
    before = stack.ids()
    with stack.callers() as callers:
        # An ill one is waited for as long as that.
        broken = stack.image(stack.bot, f"ENV BREAKS=webhook:{fault}")
        said = stack.bad(broken, bot_wait_timeout=5)
        time.sleep(3)
    print(callers.summary())
    assert f"Container {WEBHOOKS[0]} on" in said
    assert f"Not touched: {WEBHOOKS[1]}, {WORKER}." in said
    assert callers.statuses["202"] > CALLS_PER_SECOND
    assert callers.failed == []
    assert stack.ids() == before


@pytest.mark.parametrize("fault", ["image", "configuration"])
def test_a_front_that_fails_at_its_start_costs_no_call(stack: Stack, fault: str) -> None:
    """It publishes a port, so two of it can't run: the new one is tried without."""
    before = stack.ids()
    faults: dict[str, dict[str, Any]] = {
        "image": {"bot_front_image": stack.image(stack.front, 'ENTRYPOINT ["false"]')},
        "configuration": {"__bot_front_files": [{"name": "haproxy.cfg", "content": "frontend\n"}]},
    }
    with stack.callers() as callers:
        said = stack.bad(stack.current, **faults[fault])
        time.sleep(3)
    print(callers.summary())
    assert f"Container {FRONT} on" in said
    assert "The former one was not touched" in said
    assert callers.failed == []
    assert stack.ids() == before


def test_a_worker_that_fails_and_a_good_release_after_it_cost_no_call(stack: Stack) -> None:
    before = stack.ids()
    with stack.callers() as callers:
        said = stack.bad(stack.image(stack.bot, "ENV BREAKS=worker:crash"))
        between = stack.ids()
        stack.current = stack.image(stack.bot)
        stack.good(stack.current)
        time.sleep(3)
    print(callers.summary())
    # What the inventory calls secret is none of the log that is shown.
    assert "this release falls over at its start, with ***" in said
    assert VENDOR_KEY not in said
    assert "was put back and is well" in said
    assert between.keys() == before.keys()
    assert between[WORKER] == before[WORKER]
    after = stack.ids()
    assert {name for name in after if after[name] != between[name]} == {*WEBHOOKS, WORKER}
    assert callers.statuses["202"] > 10 * CALLS_PER_SECOND
    assert callers.failed == []


def test_a_front_that_is_swapped_is_away_for_a_moment(stack: Stack) -> None:
    """docs/getting-started.md says so."""
    with stack.callers() as callers:
        stack.good(stack.current, bot_front_image=stack.image(stack.front, "ENV FRONT=2"))
        time.sleep(3)
    print(callers.summary())
    assert 0 < callers.gap < 5
    assert callers.statuses["202"] > CALLS_PER_SECOND

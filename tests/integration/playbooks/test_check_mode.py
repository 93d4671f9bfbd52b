"""`site.yml --check --diff` on a host that has nothing yet: to its end, without a change."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "docker_hosts"))
from docker_hosts import MODULES_PYTHON, ROOT, Machine, Scenario

# Of another checkout's tests, other names.
NAME = os.environ.get("TEST_NAME", "tests") + "-check"
HOST = f"aisha-{NAME}-host"
GROUPS = ("registry", "postgres", "redis", "minio", "bot_api_emulator", "bot")
# Ansible's own files come and go in the last two.
UNSEEN = " -o ".join(f"-path {path}" for path in ("/proc", "/sys", "/dev", "/tmp", "/root"))  # noqa: S108
LISTING = rf"""
find / -xdev \( {UNSEEN} \) -prune -o -printf '%p %T@ %s %m %U:%G %l\n' | sort
docker ps -aq; docker images -aq; docker volume ls -q; docker network ls -q
"""
CONTAINERS = [
    *("registry", "postgres", "redis", "minio", "bot-api"),
    *("webhook-1", "webhook-2", "front", "worker-1"),
]


class NewHost:
    """A Docker host that no play has seen, with the settings of inventory/local."""

    def __init__(self, folder: Path) -> None:
        self.scenario = Scenario(NAME, folder, {"new": HOST})
        self.machine = Machine(HOST, folder)

    def make(self) -> None:
        self.scenario.write_inventory({group: {"hosts": {"new": {}}} for group in GROUPS})
        self.scenario.playbook(ROOT / "molecule/resources/create.yml")
        settings = ROOT / "inventory/local/group_vars"
        shutil.copytree(settings, self.scenario.folder / "group_vars", symlinks=False)

    def destroy(self) -> None:
        self.scenario.playbook(ROOT / "molecule/resources/destroy.yml")

    def listing(self) -> list[str]:
        said: str = self.machine.run(["/bin/sh", "-c", LISTING])
        return said.splitlines()

    def check(self) -> subprocess.CompletedProcess[str]:
        return self.scenario.ansible(str(ROOT / "site.yml"), "--check", "--diff")


@pytest.fixture(scope="module")
def host() -> Iterator[NewHost]:
    with tempfile.TemporaryDirectory(prefix="aisha-check-") as folder:
        made = NewHost(Path(folder))
        with contextlib.suppress(AssertionError):
            made.destroy()
        made.make()
        yield made
        made.destroy()


def works_and_changes_nothing(host: NewHost) -> str:
    before = host.listing()
    assert len(before) > 1000
    done = host.check()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    after = host.listing()
    assert sorted(set(before) ^ set(after)) == []
    assert len(before) == len(after)
    return done.stdout


def test_without_the_modules_python_it_says_what_it_could_not_look_at(host: NewHost) -> None:
    """Nor can it make one, and there are no lists of packages, as on a new machine in a cloud."""
    host.machine.run(["apt-get", "-qq", "remove", "-y", "python3-venv", "python3.13-venv"])
    said = " ".join(works_and_changes_nothing(host).split())
    assert "new has no Python environment for the modules yet, and check mode makes none" in said


def test_with_it_every_container_is_predicted(host: NewHost) -> None:
    """No network, no registry and no image is there."""
    host.machine.run(["mkdir", "-p", "/opt/aisha"])
    host.machine.run(["ln", "-s", "/opt/modules", str(Path(MODULES_PYTHON).parents[1])])
    said = works_and_changes_nothing(host)
    for name in CONTAINERS:
        assert f"+aisha-{name}: running" in said, name
    # Its right to poll comes last: until then it is only there.
    assert "+aisha-primary.next: created" in said

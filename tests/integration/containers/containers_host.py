"""Calls the module `containers` as Ansible does, in a stack of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import docker

MODULE = "ansible_collections.aisha.bot_stack.plugins.modules.containers"
# Of each process its own, so that several can run at once.
STACK = os.environ.get("CONTAINERS_STACK", "containers-test")
USER = "10001:10001"
# A check that is healthy as soon as the file is there.
HEALTH = {"test": ["CMD", "test", "-e", "/tmp/well"], "interval": "1s", "retries": 2}  # noqa: S108
WELL = ["sh", "-c", "touch /tmp/well; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
ILL = ["sh", "-c", "echo it has no heart; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
CRASH = ["sh", "-c", "echo it falls over; sleep 1; exit 3"]


class Host:
    """This machine's engine, with the stack's containers."""

    def __init__(self) -> None:
        self.engine = docker.from_env()
        images = [image for image in self.engine.api.images("aisha/base") if image["RepoTags"]]
        assert images, "no image aisha/base: make upstream builds it"
        self.image = images[0]["Id"]

    def call(self, *containers: dict[str, Any], check: bool = False, **options: Any) -> Any:
        """The module's result, with "failed" where it failed."""
        return self.end(self.begin(*containers, check=check, **options))

    def begin(
        self, *containers: dict[str, Any], check: bool = False, **options: Any
    ) -> subprocess.Popen[str]:
        """The module at work; end() gives its result."""
        arguments = {
            "stack_name": STACK, "containers": list(containers), "_ansible_check_mode": check,
            "_ansible_diff": True, **options,
        }  # fmt: skip
        run = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        assert run.stdin
        run.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        run.stdin.close()
        run.stdin = None
        return run

    @staticmethod
    def end(run: subprocess.Popen[str]) -> Any:
        output, errors = run.communicate(timeout=300)
        assert output, errors
        return json.loads(output)

    def good(self, *containers: dict[str, Any], **options: Any) -> Any:
        """The result of a call that must succeed."""
        result = self.call(*containers, **options)
        assert not result.get("failed"), result["msg"]
        return result

    def bad(self, *containers: dict[str, Any], **options: Any) -> Any:
        """The result of a call that must fail."""
        result = self.call(*containers, **options)
        assert result.get("failed"), result
        return result

    def describe(self, name: str = f"{STACK}-a", **more: Any) -> dict[str, Any]:
        """A description that is well by default."""
        return {
            "name": name, "role": "worker", "image": self.image, "user": USER, "command": WELL,
            "healthcheck": HEALTH, "stop_timeout": 2, "memory": "32m", "wait_timeout": 8, **more,
        }  # fmt: skip

    def inspect(self, name: str = f"{STACK}-a") -> Any:
        return self.engine.api.inspect_container(name)

    def names(self) -> list[str]:
        found = self.engine.containers.list(
            all=True, filters={"label": f"aisha.bot_stack.name={STACK}"}, ignore_removed=True
        )
        return sorted(container.name for container in found)

    def clear(self) -> None:
        for container in self.engine.containers.list(
            all=True, filters={"name": STACK}, ignore_removed=True
        ):
            container.remove(force=True, v=True)
        for volume in self.engine.volumes.list(filters={"name": STACK}):
            volume.remove(force=True)
        for network in self.engine.networks.list(names=[STACK]):
            if network.name.startswith(STACK):
                network.remove()

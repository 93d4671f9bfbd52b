"""Calls the module `containers` as Ansible does, in a stack of the test's own.

As a program it carries out one description when it is told to, so that it can be killed meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import (
    apply,
    description,
    plan,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import Scrubber

MODULE = "ansible_collections.aisha.bot_stack.plugins.modules.containers"
# Of each process its own, so that several can run at once.
STACK = os.environ.get("CONTAINERS_STACK", "containers-test")
USER = "10001:10001"
# A check that is healthy as soon as the file is there.
HEALTH = {"test": ["CMD", "test", "-e", "/tmp/well"], "interval": "300ms", "retries": 2}  # noqa: S108
WELL = ["sh", "-c", "touch /tmp/well; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
ILL = ["sh", "-c", "echo it has no heart; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
CRASH = ["sh", "-c", "echo it falls over; sleep 1; exit 3"]


class Host:
    """This machine's engine, with the stack's containers."""

    def __init__(self, stack: str = STACK) -> None:
        self.stack = stack
        self.a, self.b, self.c = (f"{stack}-{letter}" for letter in "abc")
        self.next, self.previous = self.a + ".next", self.a + ".previous"
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
            "stack_name": self.stack, "containers": list(containers), "_ansible_check_mode": check,
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

    def describe(self, name: str = "", **more: Any) -> dict[str, Any]:
        """A description that is well by default."""
        return {
            "name": name or self.a, "role": "worker", "image": self.image, "user": USER,
            "command": WELL, "healthcheck": HEALTH, "stop_timeout": 2, "memory": "32m",
            "wait_timeout": 8, **more,
        }  # fmt: skip

    def inspect(self, name: str = "") -> Any:
        return self.engine.api.inspect_container(name or self.a)

    def names(self) -> list[str]:
        label = f"aisha.bot_stack.name={self.stack}"
        found = self.engine.api.containers(all=True, filters={"label": label})
        return sorted(row["Names"][0].lstrip("/") for row in found)

    def clear(self) -> None:
        for container in self.engine.containers.list(
            all=True, filters={"name": f"^/?{self.stack}-"}, ignore_removed=True
        ):
            container.remove(force=True, v=True)
        for volume in self.engine.volumes.list(filters={"name": self.stack}):
            if self.owns(volume.name):
                volume.remove(force=True)
        for network in self.engine.networks.list(names=[self.stack]):
            if self.owns(network.name):
                network.remove()

    def owns(self, name: str) -> bool:
        return name == self.stack or name.startswith(f"{self.stack}-")


def carry_out(
    host: Host, given: dict[str, Any], client: Any = None, see_to: Callable[..., None] | None = None
) -> None:
    """As the module does, in this process."""
    wanted = description.normalised(given)
    spec = description.fingerprint(wanted, host.stack)
    engine = host.engine.api
    rows = apply.observe(engine, [wanted["name"]], host.stack)
    verdict = plan.judge(wanted, spec, rows, engine.info())
    apply.Applier(client or engine, host.stack, "host", Scrubber().scrub, see_to).carry_out(
        verdict, rows
    )


@contextmanager
def carrying_out(host: Host, given: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """A process that has just begun to. Killed at the end, it does nothing any more."""
    with subprocess.Popen(
        [sys.executable, Path(__file__), host.stack],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        try:
            # All that it needs is imported, and does not count.
            assert process.stdout.readline() == "ready\n"
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def at_once(trial: Callable[..., None], cases: dict[str, tuple[Any, ...]], most: int = 4) -> None:
    """Each case in a stack of its own, several at a time, because all of them mostly wait."""

    def one(number: int, case: tuple[Any, ...]) -> None:
        # No name of a stack may be the beginning of another one's.
        host = Host(f"{STACK}_{number}")
        host.clear()
        try:
            trial(host, *case)
        finally:
            host.clear()

    with ThreadPoolExecutor(most) as pool:
        runs = {name: pool.submit(one, n, case) for n, (name, case) in enumerate(cases.items())}
    failures = []
    for name, run in runs.items():
        if error := run.exception():
            error.add_note(f"case: {name}")
            failures.append(error)
    if failures:
        raise BaseExceptionGroup(f"{len(failures)} of {len(cases)} cases", failures)


if __name__ == "__main__":
    host = Host(sys.argv[1])
    print("ready", flush=True)
    carry_out(host, json.loads(sys.stdin.readline()))

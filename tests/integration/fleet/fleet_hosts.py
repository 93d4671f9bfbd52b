"""A fleet of Docker hosts with one bot, the Bot API beside them, and runs of playbooks over it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # it has no types
import requests
from docker.models.containers import Container  # type: ignore[import-untyped]
from docker_hosts import (
    API_PORT,
    ROOT,
    Emulator,
    Machine,
    Scenario,
    archive,
    emulator_files,
    new_token,
    until,
)

HERE = Path(__file__).resolve().parent
# Of another name where a second checkout tests on the same machine.
SCENARIO = os.environ.get("TEST_NAME", "test") + "-fleet"
BOT_HOSTS, OTHER_HOST = ("bot1", "bot2"), "data1"
HOSTS = (*BOT_HOSTS, OTHER_HOST)
PRIMARY = "aisha-primary"
STACK = "aisha"
NETWORK = "aisha-edge"
LABEL = "aisha.bot_stack."
POLLER = HERE / "poller.yml"
STATUS = ROOT / "playbooks/poller_status.yml"
# What containers of the stack may be called that were put aside, or were to come.
LEFTOVERS = (".next", ".disabled-")


@dataclass
class Play:
    """What ansible-playbook printed."""

    code: int
    output: str

    @functools.cached_property
    def failures(self) -> list[tuple[str, str]]:
        """Host and message of each task that failed, in order; also of those that were rescued."""
        found = []
        for match in re.finditer(r"^fatal: \[(\w+)\]: (\w+)! => ", self.output, re.M):
            result, _ = json.JSONDecoder().raw_decode(self.output, match.end())
            found.append((match[1], f"{match[2]}: {result.get('msg', '')}"))
        return found

    @functools.cached_property
    def recap(self) -> dict[str, dict[str, int]]:
        rows = re.findall(r"^(\w+) +: (ok=.*)$", self.output, re.M)
        return {
            host: {key: int(n) for key, n in re.findall(r"(\w+)=(\d+)", row)} for host, row in rows
        }

    @property
    def changed(self) -> int:
        return sum(row["changed"] for row in self.recap.values())

    @property
    def gap_ms(self) -> int:
        """The gap as the last message of the role states it."""
        match = re.search(r"The gap was (\d+) ms", self.output)
        assert match is not None, f"it states no gap: {self.output[-3000:]}"
        return int(match[1])

    def ok(self) -> Play:
        assert self.code == 0, f"it failed: {self.failures}\n{self.output[-6000:]}"
        return self

    def says(self, *parts: str) -> str:
        """The message that the run ends with; it has all these parts."""
        assert self.code != 0, f"it did not fail:\n{self.output[-4000:]}"
        said = [text for _, text in self.failures if text.startswith("FAILED")]
        assert said, f"no task failed: {self.failures}\n{self.output[-4000:]}"
        for part in parts:
            assert part in said[-1], f"no {part!r} in: {said[-1]}\nof {self.failures}"
        assert "Traceback" not in self.output
        return said[-1]


class Fleet:
    """bot1 and bot2 run the bot, data1 only Redis; on any of them something may poll."""

    def __init__(self, folder: Path) -> None:
        names = {host: f"aisha-{SCENARIO}-{host}" for host in HOSTS}
        self.scenario = Scenario(SCENARIO, folder, names)
        self.hosts = {host: Machine(name, folder) for host, name in names.items()}
        self.outer = docker.from_env()
        self.plays: list[Play] = []
        self.as_deployed: dict[str, Any] = {}
        # Where the bot polls when a test begins, and its other host.
        self.here, self.there = BOT_HOSTS

    # Life

    def make(self) -> None:
        self._remove_bot_api()
        self.scenario.make()
        self.image = str(self.outer.images.get(self.scenario.primary).id)
        self.at_once(Machine.came_up)
        for host in BOT_HOSTS:
            self.hosts[host].engine.networks.create(NETWORK)
        self._run_bot_api()

    def destroy(self) -> None:
        self._remove_bot_api()
        self.scenario.destroy()

    def _run_bot_api(self) -> None:
        """On no host of the fleet: it counts on while they are off."""
        listen = ["--host", "0.0.0.0", "--port", str(API_PORT)]
        made = self.outer.containers.create(
            self.scenario.bots,
            ["python3", "-m", "bot_api_emulator", *listen],
            name=f"aisha-{SCENARIO}-api",
            network=self.scenario.network,
            working_dir="/opt/emulator",
        )
        made.put_archive("/", archive(emulator_files()))
        made.start()
        made.reload()
        address = made.attrs["NetworkSettings"]["Networks"][self.scenario.network]["IPAddress"]
        self.api_url = f"http://{address}:{API_PORT}"
        self.emulator = Emulator(self.api_url)
        until(self.emulator.answers, "the emulator answers")

    def _remove_bot_api(self) -> None:
        with contextlib.suppress(docker.errors.NotFound):
            self.outer.containers.get(f"aisha-{SCENARIO}-api").remove(force=True)

    # A bot

    def new_bot(self) -> None:
        """Nothing of any bot is on the hosts any more, and there is a new one."""

        def clear(machine: Machine) -> None:
            if machine.container.status != "running":
                machine.start()
            for container in machine.engine.containers.list(all=True, ignore_removed=True):
                container.remove(force=True)
            machine.engine.volumes.prune()
            machine.run(["rm", "-rf", "/etc/aisha", "/run/aisha"])

        self.at_once(clear)
        self.here, self.there = BOT_HOSTS
        self.token = new_token(10**9 + secrets.randbelow(9 * 10**9))
        self.emulator.register(self.token)
        self.settings: dict[str, Any] = {
            "bot_token": self.token,
            "bot_image": self.image,
            "bot_api_url": self.api_url,
            "bot_networks": [NETWORK],
            "bot_workers": 0,
            "bot_webhook_replicas": 0,
            "bot_confirm_window": 2,
            # What is busy (see busy()) is not killed meanwhile.
            "bot_stop_timeout": 300,
        }
        self.plays.clear()
        self.as_deployed = {}
        self.describe()

    def note_deployed(self) -> None:
        """What is there now is what a test that needs a deployed bot may begin with."""
        self.as_deployed = self.what_it_is("bot1")

    def find_deployed(self) -> bool:
        """Whether the test before has left just that: then it need not be deployed anew.

        On which host, is in here: the holder of the inventory from now on, as an operator writes
        down where he has moved it. What was put aside is removed, as he does.
        """
        if any(machine.container.status != "running" for machine in self.hosts.values()):
            return False
        found = self.containers()
        running = [where for where, seen in found.items() if seen["State"]["Running"]]
        if running not in ([f"{host}/{PRIMARY}"] for host in BOT_HOSTS):
            return False
        here = running[0].split("/")[0]
        if self.as_deployed != self.what_it_is(here):
            return False
        for where in set(found) - set(running):
            self.get(*where.split("/")).remove()
        self.here, self.there = BOT_HOSTS if here == BOT_HOSTS[0] else BOT_HOSTS[::-1]
        self.settings["bot_holder"] = here
        return True

    def what_it_is(self, host: str) -> dict[str, Any]:
        seen = self.get(host).attrs
        config = {k: v for k, v in seen["Config"].items() if k != "Hostname"}
        settings = {k: v for k, v in self.settings.items() if k != "bot_holder"}
        return settings | {"Config": config, "HostConfig": seen["HostConfig"]}

    def at_once(self, do: Callable[[Machine], None]) -> None:
        """Something with every host, side by side."""
        with ThreadPoolExecutor(len(HOSTS)) as pool:
            list(pool.map(do, self.hosts.values()))

    def describe(self, *may_be_off: str, **hosts: dict[str, Any]) -> None:
        """Write the inventory: all that concerns the bot is in the group bot, or of its hosts."""
        bot = {"hosts": {host: hosts.get(host, {}) for host in BOT_HOSTS}, "vars": self.settings}
        groups = {"bot": bot, "redis": {"hosts": {OTHER_HOST: {}}}}
        self.scenario.write_inventory(groups, may_be_off)

    # Runs

    def play(self, book: Path, *arguments: str, **variables: Any) -> Play:
        arguments = (str(book), "-vvv", "--diff", "-e", json.dumps(variables), *arguments)
        done = self.scenario.ansible(*arguments, ANSIBLE_CALLBACK_RESULT_FORMAT="json")
        play = Play(done.returncode, done.stdout + done.stderr)
        self.plays.append(play)
        return play

    def poller(self, *arguments: str, **variables: Any) -> Play:
        return self.play(POLLER, *arguments, **variables)

    def status(self) -> str:
        """What poller_status.yml shows."""
        play = self.play(STATUS)
        matches = re.findall(r'^ +"msg": (".*")$', play.output, re.M)
        assert matches, play.output[-4000:]
        return str(json.loads(matches[-1]))

    # What is on the hosts

    def get(self, host: str, name: str = PRIMARY) -> Container:
        return self.hosts[host].engine.containers.get(name)

    def containers(self, *hosts: str) -> dict[str, dict[str, Any]]:
        """docker inspect of every container, by host/name; not what changes by itself."""
        found = {}
        for host in hosts or HOSTS:
            for container in self.hosts[host].engine.containers.list(all=True, ignore_removed=True):
                seen = {k: v for k, v in container.attrs.items() if k != "ExecIDs"}
                seen["State"] = {k: v for k, v in seen["State"].items() if k != "Health"}
                seen["Mounts"] = sorted(seen["Mounts"], key=lambda mount: str(mount["Destination"]))
                found[f"{host}/{container.name}"] = seen
        return found

    def running(self, *hosts: str) -> set[str]:
        return {k for k, v in self.containers(*hosts).items() if v["State"]["Running"]}

    def run_bot(self, host: str, name: str, program: str, **more: Any) -> None:
        """A bot that nobody here declared; it holds the token in its environment."""
        environment = {"BOT_API_URL": self.api_url, "BOT_TOKEN": self.token}
        engine = self.hosts[host].engine
        command = ["python3", "-m", "bots", program]
        engine.containers.run(
            self.scenario.bots,
            command,
            name=name,
            detach=True,
            **({"environment": environment, "restart_policy": {"Name": "always"}} | more),
        )

    def run_copy(self, host: str, name: str, policy: str = "unless-stopped") -> None:
        """A primary of the stack, as the role makes it, that was not asked for here."""
        fingerprint = hashlib.sha256(f"{STACK}{self.token}".encode()).hexdigest()[:16]
        bot_id = self.token.split(":")[0]
        labels = {"name": STACK, "role": "primary", "release": "0", "config": "", "spec": ""}
        labels["fingerprint"] = f"{bot_id}:{fingerprint}"
        self.hosts[host].write({"/srv/copy/bot_token": self.token})
        self.hosts[host].engine.containers.run(
            self.image,
            name=name,
            detach=True,
            labels={f"{LABEL}{key}": value for key, value in labels.items()},
            environment={
                "BOT_API_URL": self.api_url,
                "BOT_TOKEN_FILE": "/run/secrets/bot_token",
                "BOT_ROLE": "primary",
            },
            volumes={"/srv/copy": {"bind": "/run/secrets", "mode": "ro"}},
            restart_policy={"Name": policy},
        )

    # The Bot API's view

    def stats(self) -> dict[str, Any]:
        return self.emulator.stats(self.token)

    def wait_for_polls(self, more: int = 1) -> None:
        before = self.stats()["polls"]
        until(lambda: self.stats()["polls"] >= before + more, self.report)

    def assert_never_two(self) -> None:
        """Since the last reset no two polls overlapped, and nobody was refused."""
        stats = self.stats()
        assert stats["max_open"] == 1, self.report()
        assert not any(stats["conflicts"].values()), self.report()

    def assert_only_polls(self, host: str, *allowed: str) -> None:
        """It gets all that users send and answers each once; nobody else asks or can begin to.

        allowed: containers that hold the token and use it otherwise.
        """
        self.emulator.reset(self.token)
        texts = [f"message {n}" for n in range(5)]
        for text in texts:
            self.emulator.push(self.token, text)
        until(lambda: len(self.emulator.answered(self.token)) >= len(texts), self.report)
        # The next ones wait in vain: time for others to come forward.
        self.wait_for_polls(3)
        self.assert_never_two()
        stats = self.stats()
        assert self.emulator.answered(self.token) == texts
        assert (stats["delivered"], stats["redelivered"], stats["pending"]) == (len(texts), 0, 0)
        container = self.get(host)
        polled = {(p["peer"], p["user_agent"]) for p in stats["pollers"]}
        hostname = container.attrs["Config"]["Hostname"]
        assert polled == {(self.address(host), f"primary {hostname}")}, self.report()
        assert container.status == "running"
        assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "always"
        self.assert_nothing_else_can_poll(f"{host}/{PRIMARY}", *allowed)

    def assert_nothing_else_can_poll(self, *but: str) -> None:
        """Of the containers on all hosts, none runs, or would without anybody's hand."""
        found = self.containers()
        assert set(but) <= set(found), self.report()
        for where, seen in found.items():
            if where not in but:
                policy = seen["HostConfig"]["RestartPolicy"]["Name"]
                assert not seen["State"]["Running"], f"{where} runs: {self.report()}"
                assert policy in ("no", ""), f"{where} comes back: {self.report()}"
                assert not where.endswith(".next"), self.report()

    def address(self, host: str) -> str:
        self.hosts[host].container.reload()
        networks = self.hosts[host].container.attrs["NetworkSettings"]["Networks"]
        return str(networks[self.scenario.network]["IPAddress"])

    # For a failed test

    def report(self) -> str:
        lines = [json.dumps(self.stats() | {"gaps_ms": "…"}, indent=1)]
        for host, machine in self.hosts.items():
            try:
                for container in machine.engine.containers.list(all=True, ignore_removed=True):
                    policy = container.attrs["HostConfig"]["RestartPolicy"]["Name"]
                    lines.append(f"--- {host}/{container.name}: {container.status}, {policy}")
                    lines.append(container.logs(tail=8).decode("utf-8", "replace"))
            except (docker.errors.DockerException, requests.RequestException) as error:
                lines.append(f"--- {host}: {error!r}")
        return "\n".join(lines)

    def assert_no_secret(self) -> None:
        secret = self.token.split(":")[1]
        for play in self.plays:
            for n in range(len(secret) - 7):
                assert secret[n : n + 8] not in play.output, "a run printed a part of the token"


@contextlib.contextmanager
def made_fleet(folder: Path) -> Iterator[Fleet]:
    fleet = Fleet(folder)
    try:
        fleet.make()
        yield fleet
    finally:
        fleet.destroy()

"""The host with everything planted on it: who is where, who polls, and what has changed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import docker.errors  # type: ignore[import-untyped]  # it has no types
from docker.models.containers import Container  # type: ignore[import-untyped]
from docker_hosts import API_PORT, Emulator, Files, archive, until
from polling_forms import BOTS_OF_HOST, FORMS, HOLDER, INNOCENTS, PROCESSES, Bots, Planted, Process
from polling_host import Host

ODD = """
mkdir -p "$1/deep/er" && cd "$1"
mkfifo pipe && mknod zero c 1 5 && mknod terminal c 5 0 && truncate -s 3G sparse
ln -s loop-b loop-a && ln -s loop-a loop-b && ln -s . self && ln -s ../.. deep/er/up
ln -s nowhere dangling && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
"""
# In the fight a poll succeeds now and then; a bot that starts has none yet.
HEALTH = 'test -n "$(find /tmp/heartbeat -newermt "-10 minutes")"'


@dataclass
class Field:
    """What is planted."""

    host: Host
    bots: Bots
    processes: dict[str, int] = field(default_factory=dict)

    @property
    def emulator(self) -> Emulator:
        return self.host.emulator

    # Planting

    def plant(self) -> None:
        bots = self.bots
        self.emulator.register(bots.token, bots.other, bots.longer, bots.ending)
        everything = [HOLDER, *FORMS, *INNOCENTS]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(self.plant_container, everything))
            list(pool.map(self.plant_process, PROCESSES))
        polling = [p for p in everything if p.polls and p.state in ("running", "paused")]
        self.wait_for_pollers(polling)
        for planted in everything:
            if planted.state == "paused":
                self.container(planted.name).pause()
        for planted in everything:
            self.wait_for_state(planted)

    def plant_container(self, planted: Planted) -> None:
        create_container(self.host, self.bots, planted)
        container = self.container(planted.name)
        if planted.state != "created":
            container.start()
        if planted.execute:
            environment = self.bots.fill(planted.execute)
            command = ["python3", "-m", "bots", "aiogram"]
            container.exec_run(command, environment=environment, detach=True)
        if planted.state == "exited" and planted.command[0] != "crash":
            container.stop(timeout=0)

    def plant_process(self, process: Process) -> None:
        self.host.write(self.bots.fill(process.files), 0o600)
        self.processes[process.name] = self.host.spawn(
            self.bots.fill(process.argv),
            environment=BOTS_OF_HOST | self.bots.fill(process.environment),
        )

    # Looking

    def container(self, name: str) -> Container:
        return self.host.engine.containers.get(name)

    def addresses(self) -> dict[str, str]:
        """The names of running containers, by their address."""
        found = {}
        for container in self.host.engine.containers.list(ignore_removed=True):
            for network in container.attrs["NetworkSettings"]["Networks"].values():
                if network["IPAddress"]:
                    found[network["IPAddress"]] = str(container.name)
        return found

    def pollers(self, token: str | None = None) -> dict[str, dict[str, Any]]:
        """Who polled since the last reset, by name; processes of the host share one address."""
        addresses = self.addresses()
        pollers = self.emulator.stats(token or self.bots.token)["pollers"]
        return {addresses.get(p["peer"], f"{p['peer']} {p['user_agent']}"): p for p in pollers}

    def wait_for_pollers(self, planted: list[Planted]) -> None:
        def missing() -> set[str]:
            polled = set(self.pollers()) | set(self.pollers(self.bots.other))
            polled |= set(self.pollers(self.bots.longer)) | set(self.pollers(self.bots.ending))
            return {p.name for p in planted} - polled

        until(lambda: not missing(), lambda: f"these polled nothing: {self.logs(*missing())}", 120)
        local = "127.0.0.1"
        until(
            lambda: sum(name.startswith(local) for name in self.pollers()) >= 3,
            lambda: f"the host's processes polled: {sorted(self.pollers())}",
        )

    def wait_for_state(self, planted: Planted) -> None:
        def there() -> bool:
            container = self.container(planted.name)
            if planted.state == "restarting":
                # By now the engine waits for some seconds between two starts.
                restarts = int(container.attrs["RestartCount"])
                return bool(container.status == "restarting") and restarts >= 6
            return bool(container.status == planted.state)

        until(there, lambda: f"{planted.name} is not {planted.state}: {self.logs(planted.name)}")

    def names(self) -> list[str]:
        return [
            str(c.name) for c in self.host.engine.containers.list(all=True, ignore_removed=True)
        ]

    def running(self) -> set[str]:
        return {str(c.name) for c in self.host.engine.containers.list(ignore_removed=True)}

    def snapshot(self) -> dict[str, Any]:
        """`docker inspect` of every container, and the processes; not what changes by itself."""
        found: dict[str, Any] = {}
        for container in self.host.engine.containers.list(all=True, ignore_removed=True):
            seen = dict(container.attrs)
            seen.pop("ExecIDs")  # health checks come and go
            seen["State"] = {k: v for k, v in seen["State"].items() if k != "Health"}
            if container.name == "restarting":
                for key in ("State", "RestartCount", "NetworkSettings"):
                    seen.pop(key)
            found[str(container.name)] = seen
        script = 'for pid in "$@"; do [ -d /proc/$pid ] && echo $pid; done; true'
        pids = [str(pid) for pid in self.processes.values()]
        found["processes"] = self.host.run(["/bin/sh", "-c", script, "sh", *pids]).split()
        return found

    # The Bot API's view

    def assert_only_one_polls(self, name: str = HOLDER.name) -> None:
        """It gets all that users send and answers each once; nobody else asks or is refused."""
        emulator, token = self.emulator, self.bots.token
        emulator.reset(token)
        texts = [f"message {n}" for n in range(5)]
        for text in texts:
            emulator.push(token, text)
            until(
                lambda text=text: text in emulator.answered(token),  # type: ignore[misc]
                lambda: f"an answer: {self.logs(name)}",
            )
        # Each answer took a poll. The next ones wait in vain: time for others to come forward.
        until(
            lambda: emulator.stats(token)["polls"] >= len(texts) + 2,
            lambda: f"more polls: {self.logs(name)}",
        )
        stats = emulator.stats(token)
        assert list(self.pollers()) == [name], f"somebody else polls: {self.pollers()}"
        assert len(stats["pollers"]) == 1, stats["pollers"]
        assert stats["max_open"] == 1
        assert not any(stats["conflicts"].values()), stats["conflicts"]
        assert emulator.answered(token) == texts
        assert (stats["delivered"], stats["redelivered"], stats["pending"]) == (len(texts), 0, 0)

    def wait_until_healthy(self, name: str = HOLDER.name) -> None:
        until(
            lambda: self.container(name).attrs["State"]["Health"]["Status"] == "healthy",
            lambda: f"{name} is not healthy: {self.logs(name)}",
            90,
        )

    # For a failed test

    def logs(self, *names: str) -> str:
        texts = []
        for name in names:
            try:
                container = self.container(name)
                log = container.logs(tail=20).decode("utf-8", "replace")
                texts.append(f"--- {name} ({container.status})\n{log}")
            except (docker.errors.APIError, OSError) as error:
                texts.append(f"--- {name}: {error}")
        return "\n".join(texts) or "nobody's log"

    def report(self) -> str:
        containers = self.host.engine.containers.list(all=True, ignore_removed=True)
        lines = [f"{c.name}: {c.status}, {c.attrs['State']['Status']}" for c in containers]
        stats = self.emulator.stats(self.bots.token) | {"gaps_ms": "…"}
        return "\n".join(sorted(lines)) + "\n" + json.dumps(stats, indent=1)


def create_container(host: Host, bots: Bots, planted: Planted, health: str = "") -> None:
    engine = host.engine
    home = f"/srv/planted/{planted.name}"
    binds: dict[str, dict[str, str]] = {}
    files: Files = {}
    for number, (path, content) in enumerate(planted.files.items()):
        files[f"{home}/{number}"] = content
        binds[f"{home}/{number}"] = {"bind": path, "mode": "ro"}
    for number, (path, contents) in enumerate(planted.folders.items()):
        files |= {f"{home}/folder-{number}/{name}": content for name, content in contents.items()}
        binds[f"{home}/folder-{number}"] = {"bind": path, "mode": "ro"}
    if planted.odd:
        host.run(["/bin/sh", "-ec", ODD, "sh", f"{home}/folder-0"])
        binds[f"{home}/folder-0"] = {"bind": planted.odd, "mode": "ro"}
    for number, (path, contents) in enumerate(planted.volumes.items()):
        volume = engine.volumes.create(f"{planted.name}-{number}")
        folder = volume.attrs["Mountpoint"]
        files |= {f"{folder}/{name}": content for name, content in contents.items()}
        binds[volume.name] = {"bind": path, "mode": "rw"}
    if files:
        host.write(bots.fill(files), 0o600)
    image = host.image
    if planted.layer:
        made = engine.containers.create(image)
        made.put_archive("/", archive(bots.fill(planted.layer)))
        image = made.commit("planted", planted.name).id
        made.remove()
    command = list(planted.command)
    if command and not command[0].startswith("/"):
        command = ["python3", "-m", "bots", *command]
    second = 1_000_000_000
    check = {"test": ["CMD-SHELL", health or HEALTH], "interval": second, "timeout": 5 * second}
    container = engine.containers.create(
        image,
        bots.fill(command),
        name=planted.name,
        entrypoint=bots.fill(planted.entrypoint) or None,
        environment={
            "BOT_API_URL": f"http://bot-api:{API_PORT}",
            **bots.fill(planted.environment),
        },
        labels=bots.fill(planted.labels),
        volumes=binds,
        working_dir=planted.workdir,
        restart_policy=planted.policy,
        extra_hosts={"bot-api": "host-gateway"},
        healthcheck=check if planted.healthcheck else None,
    )
    if planted.own:
        container.put_archive("/", archive(bots.fill(planted.own), 0o755))

"""What finding and moving a poller costs, measured on a Docker host that is a container.

`make bench`, or `python tests/benchmarks/benchmark.py --help`. Needs this machine's engine, as the
Molecule scenarios do; takes about 15 minutes. Prints Markdown tables, and writes every single
measurement to a JSON file. docs/benchmarks.md says what the figures mean.

Discovery: hosts with more and more containers; a look for a token (what polling_singleton does
before it decides) beside the bare cost of listing and inspecting them. See on_host/discovery.py.

Handover: the same bot is replaced again and again while users write to it, in turn by
polling_singleton with a successor and by `docker compose up -d --force-recreate`. What the bot's
users and the Bot API see of it is counted by the emulator. Two bots: `primary` starts fast, and
confirms its last batch before it ends, as the reference bot does; `aiogram` is that framework as it
is, which takes seconds to start.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ansible.module_utils

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for part in ("docker_hosts", "polling"):
    sys.path.insert(0, str(ROOT / "tests/integration" / part))

import polling_host  # noqa: E402  needs the paths above
from docker_hosts import (  # noqa: E402
    API_PORT,
    MODULES_PYTHON,
    Emulator,
    Files,
    new_token,
    until,
)
from polling_host import API_OF_HOST, Host, Run  # noqa: E402

NAME = "aisha-benchmarks"
FOLDER = "/opt/benchmarks"
TOKEN_FILE = f"{FOLDER}/discovery/token"
SECOND = 1_000_000_000
STOP_TIMEOUT = 30
PUSH_SECONDS = 0.05
# How many answers show that a bot is at work.
AT_WORK = 10
PLAYBOOK_RUNS = 5


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


# Handover


@dataclass(frozen=True)
class Bot:
    """One of the bots of tests/integration/docker_hosts/image, and the way in which it moves."""

    program: str
    way: str
    number: int
    token: str

    @property
    def name(self) -> str:
        return f"{self.program}-{self.way}"

    @property
    def settings(self) -> dict[str, Any]:
        """As a service of Compose."""
        return {
            "container_name": self.name,
            "command": ["python3", "-m", "bots", self.program, "--config-env", "BOT_TOKEN_FILE"],
            "environment": {
                "BOT_API_URL": f"http://bot-api:{API_PORT}",
                "BOT_TOKEN_FILE": "/run/secrets/bot_token",
            },
            "volumes": [f"{FOLDER}/{self.name}/token:/run/secrets/bot_token:ro"],
            "extra_hosts": ["bot-api:host-gateway"],
            "network_mode": "bridge",
            "restart": "unless-stopped",
            "stop_grace_period": f"{STOP_TIMEOUT}s",
            # It notes there when it polled.
            "healthcheck": {
                "test": ["CMD", "test", "-e", "/tmp/heartbeat"],  # noqa: S108  a container's own
                "interval": "1s",
                "timeout": "5s",
            },
        }


@dataclass
class Move:
    """What was seen of one move."""

    gap_ms: float
    longest_wait_ms: float
    conflicts: int
    conflicts_unseen: int
    lost: int
    unanswered: int
    redelivered: int
    answered_twice: int
    max_open: int
    pushed: int
    seconds: float
    module_gap_ms: int | None
    problem: str


@dataclass
class Users:
    """Write to a bot at a steady rate, from a thread of their own."""

    emulator: Emulator
    token: str
    pushed: dict[str, float] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        due = time.monotonic()
        while not self._end.wait(max(0.0, due - time.monotonic())):
            text = f"message {len(self.pushed)}"
            self.pushed[text] = time.time()
            self.emulator.push(self.token, text)
            due += PUSH_SECONDS

    def __enter__(self) -> Users:
        self._thread = threading.Thread(target=self.write)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


class Handover:
    """Moves of bots on one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.emulator = host.emulator

    def prepare(self, bot: Bot) -> None:
        folder = f"{FOLDER}/{bot.name}"
        service = bot.settings | {"image": self.host.image}
        # JSON is YAML.
        compose = json.dumps({"name": bot.name, "services": {"bot": service}})
        self.host.write({f"{folder}/token": bot.token, f"{folder}/compose.yaml": compose}, 0o600)
        self.emulator.register(bot.token)
        if bot.way == "compose":
            self.compose(bot)
        else:
            self.create(bot, bot.name)
            self.host.engine.api.start(bot.name)

    def create(self, bot: Bot, name: str) -> None:
        """A container that Compose would make of the same settings; not started."""
        settings, api = bot.settings, self.host.engine.api
        check = settings["healthcheck"]
        limits = api.create_host_config(
            binds=settings["volumes"],
            extra_hosts={"bot-api": "host-gateway"},
            network_mode=settings["network_mode"],
            restart_policy={"Name": settings["restart"]},
        )
        api.create_container(
            self.host.image,
            settings["command"],
            name=name,
            environment=settings["environment"],
            stop_timeout=STOP_TIMEOUT,
            healthcheck=check | {"interval": SECOND, "timeout": 5 * SECOND},
            host_config=limits,
        )

    def compose(self, bot: Bot) -> None:
        file = f"{FOLDER}/{bot.name}/compose.yaml"
        self.host.run(["docker", "compose", "--file", file, "up", "-d", "--force-recreate"])

    def module(self, bot: Bot) -> Run:
        return self.host.run_module(
            token_file=f"{FOLDER}/{bot.name}/token",
            holder=bot.name,
            successor=f"{bot.name}-next",
            stop_timeout=STOP_TIMEOUT,
            confirm_window=1,
            bot_api_url=API_OF_HOST,
        )

    def move(self, bot: Bot) -> Move:
        emulator, token = self.emulator, bot.token
        before = self.host.engine.containers.get(bot.name).id
        emulator.reset(token)

        def answers_to_new_messages(users: Users) -> None:
            old = set(users.pushed)
            until(
                lambda: len(set(emulator.answered(token)) - old) >= AT_WORK,
                lambda: f"{bot.name} does not answer: {self.log(bot)}",
            )

        with Users(Emulator(emulator.base), token) as users:
            answers_to_new_messages(users)
            if bot.way != "compose":
                self.create(bot, f"{bot.name}-next")
            start = time.monotonic()
            run = Run({}, "")
            if bot.way == "compose":
                self.compose(bot)
            else:
                run = self.module(bot)
            seconds = time.monotonic() - start
            answers_to_new_messages(users)
        after = self.host.engine.containers.get(bot.name).id
        assert after != before, f"{bot.name} was not replaced: {run.msg}"
        # What the old one took along is not answered at all.
        with contextlib.suppress(AssertionError):
            until(lambda: set(users.pushed) <= set(emulator.answered(token)), "all answers", 5)
        with contextlib.suppress(AssertionError):
            until(lambda: not emulator.stats(token)["pending"], "a poll that confirms", 10)
        stats = emulator.stats(token)
        if bot.way != "compose":
            self.host.engine.api.remove_container(f"{bot.name}.disabled-{before[:12]}")
        return self.seen(bot, users, stats, seconds, run)

    def seen(self, bot: Bot, users: Users, stats: dict[str, Any], seconds: float, run: Run) -> Move:
        sent = self.emulator.get(f"/bots/{bot.number}/sent")
        answers = [s for s in sent if s["method"] == "sendMessage"]
        times = Counter(s["parameters"]["text"] for s in answers)
        first: dict[str, float] = {}
        for answer in answers:
            first.setdefault(answer["parameters"]["text"], answer["time"])
        waits = [first[text] - at for text, at in users.pushed.items() if text in first]
        return Move(
            # One bot leaves a few milliseconds between two polls: the longest gap is the move.
            gap_ms=max(stats["gaps_ms"]),
            longest_wait_ms=1000 * max(waits),
            conflicts=sum(stats["conflicts"].values()),
            conflicts_unseen=sum(stats["conflicts_unseen"].values()),
            lost=stats["confirmed_undelivered"],
            unanswered=len(users.pushed.keys() - times.keys()),
            redelivered=stats["redelivered"],
            answered_twice=sum(count > 1 for count in times.values()),
            max_open=stats["max_open"],
            pushed=len(users.pushed),
            seconds=seconds,
            module_gap_ms=run.result.get("gap_ms"),
            problem=run.msg if run.failed else "",
        )

    def log(self, bot: Bot) -> str:
        return str(self.host.engine.api.logs(bot.name, tail=20), "utf-8", "replace")


def measure_handover(host: Host, moves: int) -> dict[str, list[dict[str, Any]]]:
    host.run(["apt-get", "update", "-qq"])
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "docker-compose"]
    host.run(install, environment={"DEBIAN_FRONTEND": "noninteractive"})
    handover = Handover(host)
    programs, ways = ("primary", "aiogram"), ("polling_singleton", "compose")
    names = [(program, way) for program in programs for way in ways]
    bots = [
        Bot(program, way, number, new_token(number))
        for number, (program, way) in enumerate(names, 5_000_000_001)
    ]
    for bot in bots:
        handover.prepare(bot)
        # The first one loads what the later ones find in memory.
        handover.move(bot)
    seen: dict[str, list[dict[str, Any]]] = {bot.name: [] for bot in bots}
    for number in range(moves):
        for bot in bots:
            move = handover.move(bot)
            seen[bot.name].append(asdict(move))
            say(f"{bot.name} {number + 1}/{moves}: {move.gap_ms:.0f} ms {move.problem}")
    for bot in bots:
        host.engine.api.remove_container(bot.name, force=True)
    return seen


# Discovery


class Crowd:
    """Containers of many kinds on one host, a few of which hold the token."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.number = 5_000_000_000
        self.token = new_token(self.number)
        self.size = 0
        # In the environment, in a folder that is mounted, in a file that is mounted.
        self.holders = ["crowd-0", "crowd-4", "crowd-5"]
        host.write({TOKEN_FILE: self.token}, 0o600)
        host.emulator.register(self.token)

    def grow(self, size: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.add, range(self.size, size)))
        self.size = size

    def add(self, number: int) -> None:
        name = f"crowd-{number}"
        home = f"/srv/{name}"
        secret = self.token if name in self.holders else "none"
        binds = {}
        if number % 4 == 0:
            files = {f"{home}/part-{n}.yml": f"part: {n}\n" * 50 for n in range(5)}
            self.host.write({**files, f"{home}/bot.ini": f"[bot]\ntoken = {secret}\n"})
            binds[home] = {"bind": "/etc/bot", "mode": "ro"}
        elif number % 4 == 1:
            self.host.write({f"{home}/settings": secret})
            binds[f"{home}/settings"] = {"bind": "/run/secrets/settings", "mode": "ro"}
        variables = {f"SETTING_{n}": f"value {n}" for n in range(6)}
        if name == self.holders[0]:
            variables["BOT_TOKEN"] = self.token
        container = self.host.engine.containers.create(
            self.host.image,
            ["/bin/sleep", "infinity"],
            name=name,
            environment=variables,
            labels={"com.example.part": str(number)},
            volumes=binds,
            restart_policy={"Name": "unless-stopped"} if number % 2 else {},
        )
        if number % 10 != 9:
            container.start()


def write_parts(host: Host) -> None:
    """What the modules import, as Ansible packs it for them."""
    folder = f"{FOLDER}/discovery"
    parts = Path(ansible.module_utils.__file__).parent
    files: Files = {f"{folder}/ansible/__init__.py": ""}
    for path in parts.rglob("*.py"):
        files[f"{folder}/ansible/module_utils/{path.relative_to(parts)}"] = path.read_bytes()
    for path in (ROOT / "plugins/module_utils").glob("*.py"):
        below = f"ansible_collections/aisha/bot_stack/plugins/module_utils/{path.name}"
        files[f"{folder}/{below}"] = path.read_bytes()
    files[f"{folder}/discovery.py"] = (HERE / "on_host/discovery.py").read_bytes()
    host.write(files)


def playbooks(host: Host) -> dict[str, Path]:
    """One task each: the module that observes, and one that does nothing."""
    options = {"token_file": TOKEN_FILE, "bot_api_url": API_OF_HOST}
    tasks: dict[str, dict[str, Any]] = {
        "ping": {"ansible.builtin.ping": {}},
        "module": {"aisha.bot_stack.polling_singleton_info": options},
    }
    found = {}
    for name, task in tasks.items():
        found[name] = host.folder / f"{name}.yml"
        play = [{"name": name, "hosts": "all", "gather_facts": False, "tasks": [task]}]
        found[name].write_text(json.dumps(play))
    return found


def measure_discovery(host: Host, sizes: list[int], repetitions: int) -> list[dict[str, Any]]:
    write_parts(host)
    crowd = Crowd(host)
    program = f"{FOLDER}/discovery/discovery.py"
    figures = []
    for size in sizes:
        crowd.grow(size)
        say(f"discovery with {size} containers")
        figure = json.loads(host.run([MODULES_PYTHON, program, TOKEN_FILE, str(repetitions)]))
        assert figure["containers"] == size, f"{figure['containers']} containers, not {size}"
        assert figure["found"] == crowd.holders, f"found {figure['found']}, not {crowd.holders}"
        seconds: dict[str, list[float]] = {name: [] for name in playbooks(host)}
        for _ in range(PLAYBOOK_RUNS):
            for name, playbook in playbooks(host).items():
                start = time.monotonic()
                host.scenario.playbook(playbook)
                seconds[name].append(time.monotonic() - start)
        figure["playbook_seconds"] = seconds
        figures.append(figure)
    return figures


# Figures


def p50(values: list[float]) -> float:
    return statistics.median(values)


def p95(values: list[float]) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def heading(*cells: object) -> Iterator[str]:
    yield row(*cells)
    yield row(*["---"] + ["---:"] * (len(cells) - 1))


def both(values: list[float], unit: float = 1000, digits: int = 0) -> str:
    return f"{p50(values) * unit:.{digits}f} / {p95(values) * unit:.{digits}f}"


def discovery_tables(figures: list[dict[str, Any]]) -> Iterator[str]:
    names = {
        "one_after_the_other": "list, inspect one after the other",
        "side_by_side": "list, inspect side by side",
        "look": "**the whole look**",
        "look_at_processes": "of it: processes of the host",
        "look_at_containers": "of it: settings and files of containers",
    }
    yield from heading("ms, p50 / p95", *(f"{f['containers']} containers" for f in figures))
    for key, name in names.items():
        yield row(name, *(both(f["seconds"][key]) for f in figures))
    for key in ("one_after_the_other", "side_by_side"):
        ratios = [p50(f["seconds"]["look"]) / p50(f["seconds"][key]) for f in figures]
        yield row(f"look : {names[key]}", *(f"{ratio:.2f}" for ratio in ratios))
    yield ""
    yield from heading("s, p50 / p95", *(f"{f['containers']} containers" for f in figures))
    runs = {"ping": "a playbook with `ping`", "module": "with `polling_singleton_info`"}
    for key, name in runs.items():
        yield row(name, *(both(f["playbook_seconds"][key], 1, 2) for f in figures))


def handover_table(figures: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    yield from heading("", *(name.replace("-", ", ") for name in figures))

    def each(key: str) -> list[list[float]]:
        found = [[move[key] for move in moves] for moves in figures.values()]
        return [[value for value in values if value is not None] for values in found]

    yield row("moves", *(len(moves) for moves in figures.values()))
    spans = {
        "gap_ms": "**gap, nobody polls**, ms, p50 / p95",
        "longest_wait_ms": "longest wait of a user, ms, p50 / p95",
        "module_gap_ms": "gap as the module reports it, ms, p50 / p95",
        "seconds": "the whole command, s, p50 / p95",
    }
    for key, name in spans.items():
        digits = 1 if key == "seconds" else 0
        yield row(name, *(both(v, 1, digits) if v else "" for v in each(key)))
    counts = {
        "pushed": "updates in all",
        "conflicts": "conflicts that a bot got",
        "conflicts_unseen": "conflicts that nobody got: the client had gone",
        "lost": "lost: confirmed, never delivered",
        "unanswered": "delivered, never answered",
        "redelivered": "delivered twice",
        "answered_twice": "answered twice",
    }
    for key, name in counts.items():
        yield row(name, *(int(sum(v)) for v in each(key)))
    problems = [
        [move["problem"] for move in moves if move["problem"]] for moves in figures.values()
    ]
    yield row("commands that failed", *(len(found) for found in problems))
    yield row("polls open at once, at most", *(int(max(v)) for v in each("max_open")))


def machine(host: Host) -> dict[str, Any]:
    version = host.engine.version()
    compose = ["docker", "compose", "version", "--short"]
    return {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "engine": version["Version"],
        "engine_outside": host.outer.version()["Version"],
        "compose": host.run(compose, check=False).strip(),
        "modules_python": host.run([MODULES_PYTHON, "--version"]).split()[-1],
        "load_at_start": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True, help="the file for all measurements")
    parser.add_argument("--moves", type=int, default=20, help="of each bot in each way; 0: none")
    parser.add_argument("--sizes", default="10,50,200", help="numbers of containers; empty: none")
    parser.add_argument("--repetitions", type=int, default=10, help="of each look")
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",") if size]
    # The tests' host may run at the same time.
    polling_host.NAME = NAME
    figures: dict[str, Any] = {}
    # Not in the checkout: the path of a socket must be short, and tokens are written here.
    with (
        tempfile.TemporaryDirectory(prefix="aisha-bench-") as folder,
        polling_host.made_host(Path(folder)) as host,
    ):
        say("the host is there")
        load = os.getloadavg()[0]
        if given.moves:
            figures["handover"] = measure_handover(host, given.moves)
        if sizes:
            figures["discovery"] = measure_discovery(host, sizes, given.repetitions)
        figures["machine"] = machine(host) | {"load_at_start": load}
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures["machine"]))
    for lines in (
        discovery_tables(figures["discovery"]) if sizes else (),
        handover_table(figures["handover"]) if given.moves else (),
    ):
        print()
        for line in lines:
            print(line)
    say(f"all measurements are in {given.json}")


if __name__ == "__main__":
    main()

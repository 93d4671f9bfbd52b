"""The order of the plays on several hosts: their own heads, with small tasks under them."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOKS = ROOT / "playbooks"
ORDERED = ("site", "poller", "restart")
BOTS = ("bot1", "bot2", "bot3")
PREPARE = "Prepare workers and webhook API replicas"
SWAP = "Run workers and webhook API replicas"
POLL = "Let exactly one process poll"
Play = dict[str, Any]
# Nothing answers there.
AWAY = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def plays(name: str) -> list[Play]:
    found: list[Play] = yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text())
    return found


class Order:
    """Runs plays of site.yml with tasks that write down who was there, in one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.hosts: dict[str, Play] = {host: {} for host in BOTS}

    def step(self, what: str, **more: Any) -> Play:
        line = f"{what} {{{{ inventory_hostname }}}}"
        first = f"{{{{ before_{what} | default('true') }}}}"
        command = f"{first}; echo {line} >> {self.log}; {{{{ {what} | default('true') }}}}"
        # A shell alone: a module starts a Python each time.
        return {"name": what, "ansible.builtin.raw": command, **more}

    def run(
        self, *heads: tuple[Play, list[str]], strategy: str = "linear"
    ) -> tuple[int, list[str]]:
        """The exit code, and what was written. heads: a play of ours, and the steps under it."""
        book = []
        for head, steps in heads:
            play = {key: value for key, value in head.items() if key not in ("tasks", "roles")}
            book.append(copy.deepcopy({**play, "tasks": [self.step(step) for step in steps]}))
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        groups = {"all": {"vars": local}, "bot": {"hosts": self.hosts}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(groups))
        (self.folder / "book.yml").write_text(yaml.safe_dump(book, sort_keys=False))
        (self.folder / "ansible.cfg").write_text(f"[defaults]\nstrategy = {strategy}\n")
        self.log.write_text("")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
        environment["ANSIBLE_CONFIG"] = str(self.folder / "ansible.cfg")
        program = Path(sys.executable).parent / "ansible-playbook"
        done = subprocess.run(
            [str(program), "-i", "hosts.yml", "book.yml"],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.output = done.stdout + done.stderr
        return done.returncode, self.log.read_text().splitlines()


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order(tmp_path)


def site(name: str) -> Play:
    return next(play for play in plays("site") if play["name"] == name)


@pytest.mark.parametrize("name", ORDERED)
def test_every_play_of_it_says_its_strategy(name: str) -> None:
    assert plays(name)
    assert [play["name"] for play in plays(name) if play.get("strategy") != "linear"] == []


def test_a_foreign_strategy_changes_nothing(order: Order) -> None:
    """No host may begin a step before every host has ended the one before."""
    order.hosts["bot1"]["before_look"] = "sleep 1"
    head = site(POLL)
    code, written = order.run((head, ["look", "stop"]), strategy="free")
    assert code == 0, order.output
    assert {line.split()[0] for line in written[:3]} == {"look"}, written

    # That the configuration does mix them up where a play does not say it: one waits for the other.
    seen = f"grep -q 'stop bot2' {order.log}"
    order.hosts["bot1"]["before_look"] = f"for n in $(seq 600); do {seen} && break; sleep 0.1; done"
    silent = {key: value for key, value in head.items() if key != "strategy"}
    code, written = order.run((silent, ["look", "stop"]), strategy="free")
    assert code == 0, order.output
    assert written.index("stop bot2") < written.index("look bot1"), written


def heads(*names: str) -> list[tuple[Play, list[str]]]:
    steps = {PREPARE: ["prepare"], SWAP: ["write", "swap"], POLL: ["poll"]}
    return [(site(name), steps.get(name, ["reach"])) for name in names]


def test_all_is_prepared_before_the_first_swap_and_hosts_follow_one_another(order: Order) -> None:
    order.hosts["bot3"]["before_prepare"] = "sleep 0.3"
    code, written = order.run(*heads(PREPARE, SWAP, POLL))
    assert code == 0, order.output
    assert {line.split()[0] for line in written[:3]} == {"prepare"}
    assert written[3:9] == [f"{step} {host}" for host in BOTS for step in ("write", "swap")]
    assert sorted(written[9:]) == [f"poll {host}" for host in BOTS]


@pytest.mark.parametrize(("bad", "swapped"), [("bot1", 1), ("bot2", 2)])
def test_the_first_swap_that_fails_ends_the_list(bad: str, swapped: int, order: Order) -> None:
    """The hosts after it are not touched, and neither is who polls."""
    order.hosts[bad]["swap"] = "false"
    code, written = order.run(*heads(PREPARE, SWAP, POLL))
    assert code != 0
    assert [line for line in written if line.startswith("swap")] == [
        f"swap {host}" for host in BOTS[:swapped]
    ]
    assert not [line for line in written if line.startswith("poll")]


def test_what_fails_on_one_host_before_the_first_swap_leaves_all_alone(order: Order) -> None:
    order.hosts["bot3"]["prepare"] = "false"
    code, written = order.run(*heads(PREPARE, SWAP, POLL))
    assert code != 0
    assert sorted(written) == [f"prepare {host}" for host in BOTS]


@pytest.mark.parametrize("away", BOTS[:2])
def test_a_host_that_is_away_is_left_out(away: str, order: Order) -> None:
    """The others go on; of the last play it is for the role to say that somebody is missing."""
    order.hosts[away].update(AWAY)
    _code, written = order.run(*heads("Reach the other hosts of the bot", PREPARE, SWAP, POLL))
    there = [host for host in BOTS if host != away]
    swaps = [line for line in written if line.startswith(("write", "swap"))]
    assert swaps == [f"{step} {host}" for host in there for step in ("write", "swap")]
    assert sorted(line for line in written if line.startswith("poll")) == [
        f"poll {host}" for host in there
    ]


def test_the_heads_are_those_of_the_real_plays() -> None:
    """With another part of the role under a play, these tests would say nothing."""
    halves = {PREPARE: "replicas", SWAP: "swap", POLL: "poller"}
    for name, half in halves.items():
        (task,) = site(name)["tasks"]
        # The part, or what removes the bot where that is wanted.
        part = task["ansible.builtin.include_role"]["tasks_from"]
        assert re.match(rf"({half}|{{{{ '{half}' if .* else 'absent' }}}})\Z", part), name

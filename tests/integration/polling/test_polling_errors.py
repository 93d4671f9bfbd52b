"""What can go wrong: a sentence says what, where and what to do, and what polled polls on."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from docker_hosts import Emulator, new_token, until
from polling_field import create_container
from polling_forms import ENV, Bots, Planted, of_stack
from polling_host import API_OF_HOST, Host, Run

NUMBERS = itertools.count(1)
HOOK = "https://bots.example.com/hook"


class Duel:
    """A bot, a container that is meant to poll for it and does not run yet, and one that polls."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.name = f"duel-{next(NUMBERS)}"
        self.bots = Bots(self.name)
        self.token = self.bots.token
        self.holder, self.rogue = f"{self.name}-primary", f"{self.name}-rogue"
        self.runs: list[Run] = []
        host.emulator.register(self.token)

    def plant_holder(self, program: str = "aiogram", health: str = "") -> None:
        labels = of_stack("primary", stack=self.name)
        planted = Planted(
            self.holder, environment=ENV, command=(program,), labels=labels, healthcheck=True
        )
        create_container(self.host, self.bots, planted, health)

    def plant_rogue(self) -> None:
        create_container(self.host, self.bots, Planted(self.rogue, environment=ENV))
        self.host.engine.containers.get(self.rogue).start()
        self.wait_for_polls()

    def wait_for_polls(self) -> None:
        before = self.host.emulator.stats(self.token)["polls"]
        until(lambda: self.host.emulator.stats(self.token)["polls"] > before, self.logs)

    def run(self, **more: Any) -> Run:
        return self.run_each(more)[0]

    def run_each(self, *calls: dict[str, Any]) -> list[Run]:
        """Several calls in a row."""
        given: dict[str, Any] = {
            "name": self.name,
            "token": self.token,
            "holder": self.holder,
            "suspects": "stop",
            "bot_api_url": API_OF_HOST,
            "stop_timeout": 3,
            "healthy_timeout": 60,
            "confirm_window": 1,
        }
        runs = self.host.run_modules(*(given | call for call in calls))
        self.runs += runs
        return runs

    def containers(self) -> dict[str, dict[str, Any]]:
        """docker inspect of its containers, but for what changes by itself."""
        found = {}
        for container in self.host.engine.containers.list(
            all=True, filters={"name": f"{self.name}-"}, ignore_removed=True
        ):
            seen = {k: v for k, v in container.attrs.items() if k != "ExecIDs"}
            seen["State"] = {k: v for k, v in seen["State"].items() if k != "Health"}
            found[str(container.name)] = seen
        return found

    def logs(self) -> str:
        texts = [
            f"--- {c.name} ({c.status})\n{c.logs(tail=20).decode('utf-8', 'replace')}"
            for c in self.host.engine.containers.list(
                all=True, filters={"name": f"{self.name}-"}, ignore_removed=True
            )
        ]
        return "\n".join(texts)

    def assert_no_secret(self) -> None:
        secret = self.token.split(":")[1]
        parts = [secret[n : n + 8] for n in range(len(secret) - 7)]
        for run in self.runs:
            for part in parts:
                assert part not in run.output
                assert part not in json.dumps(run.result)

    def clear(self) -> None:
        for container in self.host.engine.containers.list(
            all=True, filters={"name": f"{self.name}-"}, ignore_removed=True
        ):
            container.remove(force=True)


@pytest.fixture
def duel(host: Host) -> Iterator[Duel]:
    made = Duel(host)
    yield made
    made.clear()
    made.assert_no_secret()


def assert_says(run: Run, *parts: str) -> None:
    assert run.failed, f"it did not fail: {run.result}"
    for part in parts:
        assert part.lower() in run.msg.lower(), f"no {part!r} in: {run.msg}"
    assert run.msg.rstrip().endswith("."), f"no sentence: {run.msg}"
    assert "Traceback" not in run.output


BEFORE_ANY_CHANGE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the Bot API does not answer": (
        {"bot_api_url": "http://127.0.0.1:9", "timeout": 3},
        ["http://127.0.0.1:9", "bot_api_url"],
    ),
    "no engine": (
        {"docker_host": "unix:///run/nowhere/docker.sock"},
        ["/run/nowhere/docker.sock", "docker_host"],
    ),
    "not root": ({"run_as": "deployer"}, ["root", "become"]),
    "no holder": ({"holder": "nobody-of-this-name"}, ["nobody-of-this-name", "holder"]),
}


def test_it_refuses_before_any_change(duel: Duel, host: Host) -> None:
    """Also a token that was revoked, or has a letter missing: nothing that polls is stopped."""
    host.run(["/bin/sh", "-c", "id deployer || useradd --create-home --shell /bin/sh deployer"])
    duel.plant_holder()
    duel.plant_rogue()
    before = duel.containers()
    wrong = new_token(duel.bots.id)
    cases = BEFORE_ANY_CHANGE | {"not valid": ({"token": wrong}, ["401", "token"])}
    runs = duel.run_each(*(given for given, _ in cases.values()))
    for run, (_, parts) in zip(runs, cases.values(), strict=True):
        assert_says(run, *parts)
        assert not run.result.get("changed")
    assert wrong.split(":")[1][:8] not in runs[-1].output
    assert duel.containers() == before
    duel.wait_for_polls()


@pytest.mark.parametrize("program", ["crash", "worker"])
def test_a_holder_that_does_not_poll(program: str, duel: Duel) -> None:
    """It ends at its start, or is deaf: a suspect that was stopped for it stays stopped."""
    duel.plant_holder(program)
    duel.plant_rogue()
    before = duel.containers()
    run = duel.run(healthy_timeout=5)
    assert_says(run, duel.holder, "may be started again")
    after = {each["Id"]: each for each in duel.containers().values()}
    assert set(after) == {each["Id"] for each in before.values()}
    rogue = after[before[duel.rogue]["Id"]]
    assert rogue["Name"].lstrip("/").startswith(f"{duel.rogue}.disabled-")
    assert rogue["State"]["Status"] == "exited"
    assert rogue["HostConfig"]["RestartPolicy"]["Name"] == "no"


def test_another_run_is_under_way(duel: Duel, host: Host) -> None:
    duel.plant_holder(health="test -e /tmp/go")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(duel.run, healthy_timeout=60)
        holder = host.engine.containers.get(duel.holder)

        def started() -> bool:
            holder.reload()
            return bool(holder.status == "running")

        # It waits for the holder's health now, and must be alone with that.
        until(started, duel.logs)
        try:
            second = duel.run()
        finally:
            holder.exec_run(["touch", "/tmp/go"])  # noqa: S108  in the container
        assert_says(second, "another run")
        first.result().ok()


def test_another_run_is_between_two_calls(duel: Duel) -> None:
    """A play asks each host twice: who comes between waits, however often it tries."""
    duel.plant_holder("worker", health="true")
    begins: dict[str, Any] = {"run_id": "first", "last": False}
    ends, other = {"run_id": "first"}, {"run_id": "second"}
    runs = duel.run_each(begins, other, other, ends, other)
    for run in runs[1:3]:
        assert_says(run, "another run")
    for run in (runs[0], *runs[3:]):
        run.ok()


def test_a_call_that_may_be_the_last_ends_the_run_only_where_it_succeeds(duel: Duel) -> None:
    duel.plant_holder("worker", health="true")
    last = {"run_id": "first", "last": False, "last_on_success": True}
    assert_says(duel.run(**last, holder="nobody"), "nobody")
    assert_says(duel.run(run_id="second"), "another run")
    duel.run(**last).ok()
    duel.run(run_id="second").ok()


def test_a_first_call_is_the_whole_run_only_where_nothing_has_to_change(duel: Duel) -> None:
    duel.plant_holder("worker", health="true")
    look = {"run_id": "first", "last": False, "restore": {}, "settle": True}
    stopped = duel.run(**look).ok()
    assert not stopped["settled"]
    assert_says(duel.run(run_id="second"), "another run")
    duel.run(run_id="first").ok()
    settled = duel.run(**look).ok()
    assert settled["settled"]
    assert not settled["changed"]
    assert settled["holder"]["state"] == "running"
    # A look that fails has touched nothing, and leaves the host free for the run after it.
    assert duel.run(**look, bot_api_url="http://127.0.0.1:9", timeout=3).failed
    duel.run(run_id="second").ok()
    # With a rival, it goes on.
    duel.plant_rogue()
    fought = duel.run(**{**look, "run_id": "second"}).ok()
    assert not fought["settled"]
    assert [each["name"] for each in fought["suspects"]] == [duel.rogue]


def test_a_webhook_is_set(duel: Duel, host: Host) -> None:
    """It is an error, and the way out keeps what users sent meanwhile."""
    duel.plant_holder()
    emulator, token = host.emulator, duel.token
    assert emulator.call(token, "setWebhook", url=HOOK)["ok"]
    texts = [f"message {n}" for n in range(3)]
    for text in texts:
        emulator.push(token, text)
    before = duel.containers()

    refused = duel.run()
    assert_says(refused, "webhook", HOOK, "delete")
    info = emulator.call(token, "getWebhookInfo")["result"]
    assert (info["url"], info["pending_update_count"]) == (HOOK, 3)
    assert duel.containers() == before

    done = duel.run(webhook="delete").ok()
    assert done["changed"]
    assert emulator.call(token, "getWebhookInfo")["result"]["url"] == ""
    until(lambda: emulator.answered(token) == texts, duel.logs)
    stats = emulator.stats(token)
    assert (stats["dropped"], stats["expired"], stats["confirmed_undelivered"]) == (0, 0, 0)


@contextmanager
def polled_elsewhere(duel: Duel) -> Iterator[None]:
    """Somebody polls whom no host of the fleet can see."""
    emulator = Emulator(duel.host.emulator.base)
    done = threading.Event()

    def poll() -> None:
        while not done.is_set():
            emulator.call(duel.token, "getUpdates", timeout=1)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_the_token_is_in_use_outside_the_fleet(duel: Duel) -> None:
    """Nothing here can end that: the holder stays, and the operator is told what can be done."""
    duel.plant_holder()
    with polled_elsewhere(duel):
        duel.wait_for_polls()
        run = duel.run(healthy_timeout=20, confirm_window=30)
    assert_says(run, "the token is in use outside this fleet", duel.holder, "/revoke")
    assert duel.containers()[duel.holder]["State"]["Status"] == "running"

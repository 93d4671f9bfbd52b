"""The role bot's poller part over three hosts: exactly one polls, whatever was there before."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from docker_hosts import until
from fleet_hosts import BOT_HOSTS, HOSTS, LEFTOVERS, OTHER_HOST, PRIMARY, Fleet, Play


@contextmanager
def users(fleet: Fleet) -> Iterator[list[str]]:
    """They send a message every 100 ms; what was sent is in the list."""
    sent: list[str] = []
    done = threading.Event()

    def send() -> None:
        for number in itertools.count():
            sent.append(f"message {number}")
            fleet.emulator.push(fleet.token, sent[-1])
            if done.wait(0.1):
                return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        done.set()
        thread.join()


def largest_gap(fleet: Fleet) -> int:
    return max((int(gap) for gap in fleet.stats()["gaps_ms"]), default=0)


def test_the_first_deploy(fleet: Fleet) -> None:
    """As check mode says before; and once more changes nothing.

    What the group bot allows to hold the token is allowed on the hosts outside of it, too.
    """
    fleet.settings["bot_allowed"] = ["nightly-*"]
    fleet.describe()
    for host in HOSTS:
        fleet.run_bot(host, "nightly-backup", "worker")
    nightly = {f"{host}/nightly-backup" for host in HOSTS}

    predicted = fleet.poller("--check").ok()
    assert predicted.recap["bot1"]["changed"]
    assert set(fleet.containers()) == nightly
    assert fleet.stats()["polls"] == 0

    fleet.poller().ok()
    fleet.assert_never_two()
    fleet.assert_only_polls("bot1", *nightly)
    assert fleet.running() == {f"bot1/{PRIMARY}", *nightly}
    before = fleet.containers()
    for arguments in ([], ["--check"]):
        again = fleet.poller(*arguments).ok()
        assert again.changed == 0, again.recap
    assert fleet.containers() == before

    status = fleet.status()
    assert "1 of this stack polls, 0 unknown holders" in status
    assert f"{PRIMARY} on bot1 polls since" in status

    for host in HOSTS:
        fleet.get(host, "nightly-backup").remove(force=True)
    del fleet.settings["bot_allowed"]
    fleet.note_deployed()


def test_a_move_and_back(deployed: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    """While users write all the time: each is answered, and once."""
    fleet = deployed
    before = fleet.containers()
    predicted = fleet.poller("--check", bot_move_to="bot2").ok()
    assert predicted.recap["bot1"]["changed"]
    assert predicted.recap["bot2"]["changed"]
    assert fleet.containers() == before

    for here, there in (BOT_HOSTS, BOT_HOSTS[::-1]):
        fleet.emulator.reset(fleet.token)
        with users(fleet) as sent:
            until(lambda: len(fleet.emulator.answered(fleet.token)) > 3, fleet.report)
            play = fleet.poller(bot_move_to=there).ok()
        until(lambda: len(fleet.emulator.answered(fleet.token)) >= len(sent), fleet.report)
        assert fleet.emulator.answered(fleet.token) == sent
        fleet.assert_never_two()
        stats = fleet.stats()
        lost = ("confirmed_undelivered", "dropped", "expired")
        assert not any(stats[key] for key in lost), stats
        gap = largest_gap(fleet)
        with capsys.disabled():
            print(
                f"\n{here} to {there}: {len(sent)} messages, the role's gap {play.gap_ms} ms, "
                f"the Bot API's {gap} ms, delivered twice: {stats['redelivered']}"
            )
        assert play.gap_ms > 0
        fleet.assert_only_polls(there)
        assert not [where for where in fleet.containers() if where.startswith(here)]


def test_what_fought_before(deployed: Fleet) -> None:
    """Copies of the primary, and a program of somebody on a host that runs no bot.

    One of the copies was stopped by hand and forgotten; a restart of its host starts it.
    """
    fleet = deployed
    fleet.run_copy("bot1", "aisha-primary-copy")
    fleet.run_copy("bot2", PRIMARY, policy="always")
    fleet.get("bot2").stop(timeout=5)
    fleet.hosts["bot2"].start()
    fleet.run_bot("data1", "night-shift", "aiogram")
    until(lambda: len(fleet.stats()["pollers"]) == 4, fleet.report)
    until(lambda: fleet.stats()["conflicts"]["C1"], fleet.report)
    assert "3 of this stack poll, 1 unknown holder" in fleet.status()

    before = fleet.containers()
    fleet.poller().says("data1", "container night-shift", "bot_suspects=stop")
    assert fleet.containers() == before

    predicted = fleet.poller("--check", bot_suspects="stop").ok()
    assert all(predicted.recap[host]["changed"] for host in HOSTS), predicted.recap
    assert fleet.containers() == before

    fleet.poller(bot_suspects="stop").ok()
    fleet.assert_only_polls("bot1")
    for host in HOSTS:
        fleet.hosts[host].start()
    until(lambda: fleet.running() == {f"bot1/{PRIMARY}"}, fleet.report)
    fleet.wait_for_polls()
    fleet.assert_only_polls("bot1")
    assert fleet.poller().ok().changed == 0


def test_a_host_is_unreachable(deployed: Fleet) -> None:
    fleet, away = deployed, OTHER_HOST
    fleet.describe(away)
    before = fleet.containers()
    fleet.hosts[away].container.stop(timeout=60)
    fleet.poller().says(away, f"bot_hosts_off={away}")
    assert re.search(rf"^\? +{away} ", fleet.status(), re.M)
    play = fleet.poller(bot_hosts_off=away)
    assert not [f for f in play.failures if f[1].startswith("FAILED")], play.failures
    assert play.recap["bot1"]["failed"] == play.changed == 0, play.recap
    fleet.assert_never_two()
    assert largest_gap(fleet) < 5000
    fleet.hosts[away].start()
    assert fleet.containers()[f"bot1/{PRIMARY}"] == before[f"bot1/{PRIMARY}"]
    fleet.assert_only_polls("bot1")


def test_the_holders_host_is_lost(deployed: Fleet) -> None:
    """The other one takes over when the operator vouches for that; what comes back is stopped."""
    fleet = deployed
    fleet.describe("bot1")
    fleet.hosts["bot1"].cut_off()
    fleet.poller(bot_move_to="bot2").says("bot1", "bot_hosts_off=bot1")
    assert not [where for where in fleet.containers("bot2", "data1") if PRIMARY in where]

    fleet.emulator.reset(fleet.token)
    fleet.poller(bot_move_to="bot2", bot_hosts_off="bot1")
    fleet.wait_for_polls()
    before = fleet.get("bot2").attrs["State"]["StartedAt"]
    # bot_holder still names bot1: nobody is left to poll, and that can't be meant.
    fleet.poller(bot_hosts_off="bot1").says("bot1")
    assert fleet.get("bot2").attrs["State"]["StartedAt"] == before

    fleet.hosts["bot1"].start()
    until(lambda: any(fleet.stats()["conflicts"].values()), fleet.report)
    fleet.poller(bot_move_to="bot2").ok()
    fleet.assert_only_polls("bot2")


def test_a_new_holder_that_does_not_come_up(deployed: Fleet) -> None:
    """It crashes, on the other host or on the same one: the former poller runs again."""
    fleet = deployed
    before = fleet.containers()[f"bot1/{PRIMARY}"]
    for target in ("bot2", "bot1"):
        fleet.emulator.reset(fleet.token)
        play = fleet.poller(bot_move_to=target, bot_env={"PROGRAM": "crash"})
        play.says(target, PRIMARY, "exit code")
        if target == "bot2":
            play.says("The former poller runs again on bot1.")
        fleet.wait_for_polls()
        assert fleet.stats()["max_open"] == 1
        fleet.assert_only_polls("bot1")
        assert fleet.containers()[f"bot1/{PRIMARY}"]["Id"] == before["Id"]
        assert set(fleet.containers()) == {f"bot1/{PRIMARY}"}
    assert fleet.poller().ok().changed == 0
    fleet.poller(bot_move_to="bot2").ok()
    fleet.assert_only_polls("bot2")


class Moving:
    """A move to bot2 that is under way: the old holder takes its time to end."""

    def __init__(self, fleet: Fleet, *may_be_off: str) -> None:
        self.fleet = fleet
        slow = {"bot_env": {"WAIT_TO_END": "/tmp/go"}, "bot_stop_timeout": 300}  # noqa: S108
        fleet.settings.update(slow)
        fleet.describe(*may_be_off)
        fleet.poller().ok()
        fleet.wait_for_polls()
        fleet.emulator.reset(fleet.token)
        self.old = fleet.get("bot1")
        self.result: Play | None = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        until(self.ending, fleet.report, 120)

    def run(self) -> None:
        self.result = self.fleet.poller(bot_move_to="bot2")

    def ending(self) -> bool:
        self.old.reload()
        policy = self.old.attrs["HostConfig"]["RestartPolicy"]["Name"]
        return bool(policy == "no" and self.old.attrs["State"]["Running"])

    def go_on(self) -> Play:
        code, output = self.old.exec_run(["touch", "/tmp/go"])  # noqa: S108
        assert code == 0, output
        self.thread.join()
        assert self.result is not None
        return self.result


def test_another_run_is_under_way(fleet: Fleet) -> None:
    """Whatever it wants: it fails and spoils nothing."""
    moving = Moving(fleet)
    others = ({"bot_move_to": "bot2"}, {"bot_env": {"RELEASE": "2"}})
    refused = [fleet.poller(**second) for second in others]
    first = moving.go_on()
    fleet.wait_for_polls()
    fleet.assert_never_two()
    for play in refused:
        play.says("another run")
    first.ok()
    fleet.assert_only_polls("bot2")
    fleet.poller(bot_move_to="bot2").ok()


def test_the_new_holders_host_is_lost_on_the_way(fleet: Fleet) -> None:
    """Nobody knows whether it polls: nothing else is started, and the message says what to do."""
    moving = Moving(fleet, "bot2")
    fleet.hosts["bot2"].cut_off()
    moving.go_on().says("Lost on the way: bot2", "-e bot_hosts_off=bot2 -e bot_move_to=HOST")
    assert not fleet.running("bot1", "data1")

    fleet.poller(bot_move_to="bot1", bot_hosts_off="bot2")
    fleet.wait_for_polls()
    fleet.hosts["bot2"].start()
    fleet.poller().ok()
    fleet.assert_never_two()
    fleet.assert_only_polls("bot1")
    assert not [where for where in fleet.containers() if any(part in where for part in LEFTOVERS)]

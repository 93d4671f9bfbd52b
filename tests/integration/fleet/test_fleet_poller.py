"""The role bot's poller part over three hosts: exactly one polls, whatever was there before."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from docker_hosts import Machine, until
from fleet_hosts import HOSTS, LEFTOVERS, OTHER_HOST, PRIMARY, Fleet, Play

# In the holder's container: while it is there, the holder does not end. See bots.py.
BUSY = "/tmp/busy"  # noqa: S108


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
    predicted = fleet.poller("--check", bot_move_to=fleet.there).ok()
    assert predicted.recap[fleet.here]["changed"]
    assert predicted.recap[fleet.there]["changed"]
    assert fleet.containers() == before

    for here, there in ((fleet.here, fleet.there), (fleet.there, fleet.here)):
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
    fleet, here, there = deployed, deployed.here, deployed.there
    fleet.run_copy(here, "aisha-primary-copy")
    fleet.run_copy(there, PRIMARY, policy="always")
    fleet.get(there).stop(timeout=5)
    fleet.hosts[there].start()
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
    fleet.assert_only_polls(here)
    fleet.at_once(Machine.start)
    until(lambda: fleet.running() == {f"{here}/{PRIMARY}"}, fleet.report)
    fleet.wait_for_polls()
    fleet.assert_only_polls(here)
    assert fleet.poller().ok().changed == 0


def test_a_host_is_unreachable(deployed: Fleet) -> None:
    fleet, here, away = deployed, deployed.here, OTHER_HOST
    fleet.describe(away)
    before = fleet.containers()
    fleet.hosts[away].container.stop(timeout=60)
    fleet.poller().says(away, f"bot_hosts_off={away}")
    assert re.search(rf"^\? +{away} ", fleet.status(), re.M)
    play = fleet.poller(bot_hosts_off=away)
    assert not [f for f in play.failures if f[1].startswith("FAILED")], play.failures
    assert play.recap[here]["failed"] == play.changed == 0, play.recap
    fleet.assert_never_two()
    assert largest_gap(fleet) < 5000
    fleet.hosts[away].start()
    assert fleet.containers()[f"{here}/{PRIMARY}"] == before[f"{here}/{PRIMARY}"]
    fleet.assert_only_polls(here)


def test_the_holders_host_is_lost(deployed: Fleet) -> None:
    """The other one takes over when the operator vouches for that; what comes back is stopped."""
    fleet, lost, other = deployed, deployed.here, deployed.there
    fleet.describe(lost)
    fleet.hosts[lost].cut_off()
    fleet.poller(bot_move_to=other).says(lost, f"bot_hosts_off={lost}")
    assert not [where for where in fleet.containers(other, OTHER_HOST) if PRIMARY in where]

    fleet.emulator.reset(fleet.token)
    fleet.poller(bot_move_to=other, bot_hosts_off=lost)
    fleet.wait_for_polls()
    before = fleet.get(other).attrs["State"]["StartedAt"]
    # bot_holder still names the lost one: nobody is left to poll, and that can't be meant.
    fleet.poller(bot_hosts_off=lost).says(lost)
    assert fleet.get(other).attrs["State"]["StartedAt"] == before

    fleet.hosts[lost].start()
    until(lambda: any(fleet.stats()["conflicts"].values()), fleet.report)
    fleet.poller(bot_move_to=other).ok()
    fleet.assert_only_polls(other)


def test_a_new_holder_that_does_not_come_up(deployed: Fleet) -> None:
    """It crashes, on the other host or on the same one: the former poller runs again."""
    fleet, here, there = deployed, deployed.here, deployed.there
    before = fleet.containers()[f"{here}/{PRIMARY}"]
    for target in (there, here):
        fleet.emulator.reset(fleet.token)
        play = fleet.poller(bot_move_to=target, bot_env={"PROGRAM": "crash"})
        play.says(target, PRIMARY, "exit code")
        if target == there:
            play.says(f"The former poller runs again on {here}.")
        fleet.wait_for_polls()
        assert fleet.stats()["max_open"] == 1
        fleet.assert_only_polls(here)
        assert fleet.containers()[f"{here}/{PRIMARY}"]["Id"] == before["Id"]
        assert set(fleet.containers()) == {f"{here}/{PRIMARY}"}
    # Nothing of them is in the way.
    fleet.poller(bot_move_to=there).ok()
    fleet.assert_only_polls(there)


class Moving:
    """A move that is under way: the old holder takes its time to end."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.old = fleet.get(fleet.here)
        self.execute("touch", BUSY)
        self.result: Play | None = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        until(self.ending, fleet.report, 120)

    def run(self) -> None:
        self.result = self.fleet.poller(bot_move_to=self.fleet.there)

    def execute(self, *command: str) -> None:
        code, output = self.old.exec_run(command)
        assert code == 0, output

    def ending(self) -> bool:
        self.old.reload()
        policy = self.old.attrs["HostConfig"]["RestartPolicy"]["Name"]
        return bool(policy == "no" and self.old.attrs["State"]["Running"])

    def go_on(self) -> Play:
        self.execute("rm", BUSY)
        self.thread.join()
        assert self.result is not None
        return self.result


def test_another_run_is_under_way(deployed: Fleet) -> None:
    """Whatever it wants: it fails and spoils nothing."""
    fleet, there = deployed, deployed.there
    moving = Moving(fleet)
    others = ({"bot_move_to": there}, {"bot_env": {"RELEASE": "2"}})
    refused = [fleet.poller(**second) for second in others]
    first = moving.go_on()
    fleet.wait_for_polls()
    fleet.assert_never_two()
    for play in refused:
        play.says("another run")
    first.ok()
    fleet.assert_only_polls(there)
    fleet.poller(bot_move_to=there).ok()


def test_the_new_holders_host_is_lost_on_the_way(deployed: Fleet) -> None:
    """Nobody knows whether it polls: nothing else is started, and the message says what to do."""
    fleet, here, lost = deployed, deployed.here, deployed.there
    fleet.describe(lost)
    moving = Moving(fleet)
    fleet.hosts[lost].cut_off()
    moving.go_on().says(f"Lost on the way: {lost}", f"-e bot_hosts_off={lost} -e bot_move_to=HOST")
    assert not fleet.running(here, OTHER_HOST)

    fleet.poller(bot_move_to=here, bot_hosts_off=lost)
    fleet.wait_for_polls()
    fleet.hosts[lost].start()
    fleet.poller().ok()
    fleet.assert_never_two()
    fleet.assert_only_polls(here)
    assert not [where for where in fleet.containers() if any(part in where for part in LEFTOVERS)]

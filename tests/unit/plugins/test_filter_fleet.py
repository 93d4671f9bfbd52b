"""Who polls, and who is taken back, decided over the hosts of a fleet."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter import fleet

State = dict[str, Any]
PRIMARY = "aisha-primary"
RUN = "run-2"


def entry(name: str = PRIMARY, role: str = "poller", at: float = 100.0, **more: Any) -> State:
    """What polling_singleton stopped."""
    aside = name + ".disabled-0123456789ab"
    found = {"kind": "container", "name": name, "new_name": aside, "state": "running"}
    return {**found, "role": role, "stopped_at": at, **more}


def poller(name: str = PRIMARY, state: str = "running") -> State:
    return {"kind": "container", "name": name, "state": state, "role": "poller"}


def looked(**more: Any) -> State:
    return {"pollers": [], "suspects": [], "run_id": RUN, "holder": None, **more}


def stopped(*entries: State, **more: Any) -> State:
    last = max((each["stopped_at"] for each in entries), default=None)
    found = {"stopped": list(entries), "stopped_at": last, "changed": bool(entries)}
    return {**found, "pollers": [], "restored": None, "run_id": RUN, **more}


def failed(msg: str = "It failed.", **more: Any) -> State:
    return {"failed": True, "msg": msg, "run_id": RUN, **more}


UNREACHABLE = {"unreachable": True, "msg": "No route.", "changed": False}
SKIPPED = {"skipped": True, "changed": False}
# The look at a holder's host on which nothing polls.
QUIET: State = {"left": {"pollers": []}}


def state(away: str = "", off: str = "", suspects: str = "report", **results: State) -> State:
    """bot2 is to poll, bot1 did, data1 runs no bot. Each was looked at, if nothing else is said."""
    hosts = ["bot1", "bot2", "data1"]
    return {
        "fleet": hosts,
        "reached": [host for host in hosts if host not in away.split()],
        "off": off.split(),
        "holder": "bot2",
        "primary": PRIMARY,
        "suspects": suspects,
        "results": {host: {"looked": looked(), **results.get(host, {})} for host in hosts},
    }


BOT2_FAILED = {"polled": failed("It does not poll.", restored=None), **QUIET}
WAS = {"looked": looked(pollers=[poller()])}

RESTORATIONS: dict[str, tuple[State, tuple[str, str]]] = {
    "the former primary": (
        state(bot1={"stopped": stopped(entry())}, bot2=BOT2_FAILED),
        ("bot1", PRIMARY),
    ),
    "the former primary, not a suspect that stopped last": (
        state(
            bot1={"stopped": stopped(entry(at=1))},
            bot2=BOT2_FAILED,
            data1={"stopped": stopped(entry("night-shift", "suspect", at=9))},
        ),
        ("bot1", PRIMARY),
    ),
    "the former primary, beside a suspect on its own host": (
        state(
            bot1={"stopped": stopped(entry("a-suspect", "suspect", at=9), entry(at=1))},
            bot2=BOT2_FAILED,
        ),
        ("bot1", PRIMARY),
    ),
    "the former primary, not a copy that stopped last": (
        state(
            bot1={"stopped": stopped(entry("a-copy", at=9), entry(at=1))},
            bot2=BOT2_FAILED,
            data1={"stopped": stopped(entry("another", at=10))},
        ),
        ("bot1", PRIMARY),
    ),
    "of two primaries, who stopped last": (
        state(
            bot1={"stopped": stopped(entry(at=1))},
            bot2=BOT2_FAILED,
            data1={"stopped": stopped(entry(at=9))},
        ),
        ("data1", PRIMARY),
    ),
    "of copies, who stopped last": (
        state(
            bot1={"stopped": stopped(entry("a", at=1))},
            bot2=BOT2_FAILED,
            data1={"stopped": stopped(entry("z", at=9))},
        ),
        ("data1", "z"),
    ),
    "what a host had stopped that failed then": (
        state(
            bot2=BOT2_FAILED,
            data1={"stopped": {**stopped(entry("a-copy")), **failed()}},
        ),
        ("", ""),
    ),
    "nobody but suspects was stopped": (
        state(
            bot2=BOT2_FAILED,
            data1={"stopped": stopped(entry("night-shift", "suspect"))},
        ),
        ("", ""),
    ),
    "the new holder could not be created, nothing was stopped": (
        state(bot2={"created": failed(), **QUIET}),
        ("", ""),
    ),
    "what an earlier run stopped": (
        state(bot1={"stopped": stopped(entry(), run_id="run-1")}, bot2=BOT2_FAILED),
        ("", ""),
    ),
    "what a skipped step says": (state(bot1={"stopped": SKIPPED}, bot2=BOT2_FAILED), ("", "")),
    "the new holder is restarting": (
        state(
            bot1={"stopped": stopped(entry())},
            bot2={"polled": failed(), "left": {"pollers": [poller(state="restarting")]}},
        ),
        ("", ""),
    ),
    "something runs again on the holder's host": (
        state(
            bot1={"stopped": stopped(entry())},
            bot2={"polled": failed(restored=entry()), "left": {"pollers": [poller()]}},
        ),
        ("", ""),
    ),
    "what is left there is aside": (
        state(
            bot1={"stopped": stopped(entry())},
            bot2={"polled": failed(), "left": {"pollers": [poller(state="exited")]}},
        ),
        ("bot1", PRIMARY),
    ),
    "the holder's host can't be looked at": (
        state(bot1={"stopped": stopped(entry())}, bot2={"polled": failed(), "left": failed()}),
        ("", ""),
    ),
    "the holder's host is lost while it starts": (
        state(away="bot2", bot1={"stopped": stopped(entry())}, bot2={"polled": UNREACHABLE}),
        ("", ""),
    ),
    "the holder's host is lost after it failed to start": (
        state(
            away="bot2",
            bot1={"stopped": stopped(entry())},
            bot2={"polled": failed(), "left": UNREACHABLE},
        ),
        ("", ""),
    ),
    "the holder's host is lost before it was to start": (
        state(away="bot2", bot1={"stopped": stopped(entry())}, bot2={"polled": SKIPPED}),
        ("bot1", PRIMARY),
    ),
    "a host with a poller is lost while it stops": (
        state(
            away="bot1",
            bot1={**WAS, "stopped": UNREACHABLE},
            bot2=QUIET,
            data1={"stopped": stopped(entry("a-copy"))},
        ),
        ("", ""),
    ),
    "a host that had no poller is lost": (
        state(away="data1", bot1={"stopped": stopped(entry())}, data1={"stopped": UNREACHABLE}),
        ("bot1", PRIMARY),
    ),
    "a host is lost after its poller was stopped": (
        state(
            away="bot1",
            bot1={**WAS, "stopped": stopped(entry())},
            bot2=BOT2_FAILED,
            data1={"stopped": stopped(entry("a-copy"))},
        ),
        ("data1", "a-copy"),
    ),
    "a poller on another host could not be stopped": (
        state(
            bot1={"stopped": stopped(entry())},
            bot2=QUIET,
            data1={"looked": looked(pollers=[poller("a-copy")]), "stopped": failed()},
        ),
        ("", ""),
    ),
    "a host took its own back": (
        state(
            bot1={"stopped": stopped(entry())},
            bot2=QUIET,
            data1={"stopped": failed(restored=entry("a-copy"))},
        ),
        ("", ""),
    ),
    "a host without a poller failed": (
        state(bot1={"stopped": stopped(entry())}, bot2=QUIET, data1={"stopped": failed()}),
        ("bot1", PRIMARY),
    ),
}


@pytest.mark.parametrize(("given", "expected"), RESTORATIONS.values(), ids=list(RESTORATIONS))
def test_who_is_taken_back(given: State, expected: tuple[str, str]) -> None:
    before = copy.deepcopy(given)
    found = fleet.restoration(given)
    assert (found["host"], found["entry"].get("name", "")) == expected
    assert given == before
    if found["host"]:
        # As its host gave it, for the module's option restore.
        assert found["entry"] in given["results"][found["host"]]["stopped"]["stopped"]


SUSPECT = {
    "host": "data1",
    "kind": "process",
    "name": "python3",
    "pid": 70,
    "state": "running",
    "same_token": True,
    "where": "process command",
    "field": "command line",
}
BOX = {**SUSPECT, "kind": "container", "name": "night-shift", "same_token": False}
PROBLEMS: dict[str, tuple[State, list[str]]] = {
    "all is known": (state(), []),
    "suspects are reported": (state(data1={"looked": looked(suspects=[SUSPECT])}), []),
    "suspects are stopped": (
        state(suspects="stop", data1={"looked": looked(suspects=[SUSPECT])}),
        [],
    ),
    "suspects fail": (
        state(suspects="fail", data1={"looked": looked(suspects=[SUSPECT, BOX])}),
        [
            "data1: process python3 (pid 70), this token in process command command line; "
            "data1: container night-shift (running), another token of this bot in"
        ],
    ),
    "a host is unreachable": (
        state(away="bot1", bot1={"looked": UNREACHABLE}),
        ["Not seen: bot1 (unreachable, failed, or hidden by --limit)"],
    ),
    "hosts are hidden": (
        state(away="bot1 data1", bot1={"looked": {}}, data1={"looked": {}}),
        ["-e bot_hosts_off=bot1,data1"],
    ),
    "a host is off": (state(away="bot1", off="bot1", bot1={"looked": UNREACHABLE}), []),
    "a host that is off is there, and its engine is not": (
        state(off="bot1", bot1={"looked": failed()}),
        [],
    ),
    "the holder's host is off": (
        state(away="bot2", off="bot2", bot2={"looked": UNREACHABLE}),
        ["The holder's own host, bot2, is in bot_hosts_off."],
    ),
    "another run has a host": (
        state(bot1={"looked": failed("bot1: another run is under way.")}),
        ["bot1: another run is under way."],
    ),
    "two things at once": (
        state(away="bot1", bot1={"looked": UNREACHABLE}, data1={"looked": failed("Other.")}),
        ["Other.", "Not seen: bot1"],
    ),
}


@pytest.mark.parametrize(("given", "expected"), PROBLEMS.values(), ids=list(PROBLEMS))
def test_what_forbids_to_decide(given: State, expected: list[str]) -> None:
    found = fleet.poller_problems(given)
    assert len(found) == len(expected)
    assert all(part in said for part, said in zip(expected, found, strict=True)), found
    assert fleet.poller_errors(given) == found
    if found:
        assert fleet.poller_failure(given) == " ".join(
            [*found, "Nobody's right to poll was touched."]
        )


ERRORS: dict[str, tuple[State, list[str]]] = {
    "none": (state(bot1={"stopped": stopped(entry())}, bot2={"polled": stopped()}), []),
    "of an earlier run": (state(bot1={"stopped": failed(run_id="run-1")}), []),
    "the same on two hosts": (
        state(bot1={"stopped": failed()}, data1={"stopped": failed()}),
        ["It failed."],
    ),
    "creating": (state(bot2={"created": failed("No space.")}), ["No space."]),
    "lost on the way": (
        state(away="bot1", bot1={"stopped": UNREACHABLE}),
        ["Lost on the way: bot1."],
    ),
    "the holder": (state(bot2=BOT2_FAILED), ["It does not poll."]),
}


@pytest.mark.parametrize(("given", "expected"), ERRORS.values(), ids=list(ERRORS))
def test_what_went_wrong(given: State, expected: list[str]) -> None:
    assert fleet.poller_errors(given) == expected


AGAIN = {"changed": True, "run_id": RUN}
FAILURES: dict[str, tuple[State, list[str]]] = {
    "the former runs again": (
        state(bot1={"stopped": stopped(entry()), "restored": AGAIN}, bot2=BOT2_FAILED),
        ["It does not poll. The former poller runs again on bot1."],
    ),
    "a host took its own back": (
        state(bot1={"stopped": failed("No.", restored=entry())}, bot2=QUIET),
        ["No. The former poller runs again on bot1."],
    ),
    "nothing runs again": (
        state(bot1={"restored": {**AGAIN, "changed": False}}, bot2=BOT2_FAILED),
        ["It does not poll."],
    ),
    "the former does not start": (
        state(bot1={"stopped": stopped(entry()), "restored": failed("No.")}, bot2=BOT2_FAILED),
        ["It does not poll. The former poller could not be started again: No."],
    ),
    "the holder's host is lost": (
        state(away="bot2", bot1={"stopped": stopped(entry())}, bot2={"polled": UNREACHABLE}),
        [
            "Lost on the way: bot2. The new holder on bot2 may poll or not",
            "-e bot_hosts_off=bot2 -e bot_move_to=HOST",
        ],
    ),
    "the former's host is lost": (
        state(away="bot1", bot1={**WAS, "stopped": UNREACHABLE}, bot2=QUIET),
        ["What polled or was to poll on bot1 may poll or not", "-e bot_hosts_off=bot1"],
    ),
}


@pytest.mark.parametrize(("given", "expected"), FAILURES.values(), ids=list(FAILURES))
def test_the_last_words_of_a_failure(given: State, expected: list[str]) -> None:
    said = fleet.poller_failure(given)
    assert all(part in said for part in expected), said
    if len(expected) == 1:
        assert said == expected[0]


def test_the_last_words_of_a_success() -> None:
    polled = {"polled": stopped(gap_ms=1234, changed=True)}
    assert fleet.poller_success(state(bot2={"polled": stopped(gap_ms=None)})) == ""
    said = f"{PRIMARY} on bot2 polls, and nothing else."
    assert fleet.poller_success(state(bot2=polled)) == f"{said} The gap was 1234 ms."
    rival = {"stopped": stopped(entry("a-copy"))}
    assert fleet.poller_success(state(bot1=rival, bot2={"polled": stopped(gap_ms=None)})) == said


def test_when_the_last_rival_was_stopped() -> None:
    assert fleet.last_stop(state()) == 0
    two = state(bot1={"stopped": stopped(entry(at=5))}, data1={"stopped": stopped(entry(at=7))})
    assert fleet.last_stop(two) == 7
    assert fleet.last_stop(state(bot1={"stopped": SKIPPED})) == 0


def test_which_former_pollers_go() -> None:
    mark = ".disabled-0123456789ab"
    rows = [
        {**poller(PRIMARY + mark, "exited")},
        {**poller("never-started" + mark, "created")},
        {**poller("started-again" + mark, "running")},
        {**poller(PRIMARY, "exited")},
        {**poller("theirs" + mark, "exited"), "role": "suspect"},
        {**poller("program" + mark, "exited"), "kind": "process"},
    ]
    assert fleet.former_pollers(rows) == [PRIMARY + mark, "never-started" + mark]
    assert fleet.former_pollers(None) == []


def test_the_release_that_runs() -> None:
    def row(role: str, image: str, started_at: str, state: str = "running") -> State:
        return {
            "role": role,
            "name": role,
            "image": image,
            "started_at": started_at,
            "state": state,
        }

    rows = [
        row("worker", "bot@2", "2026-02"),
        row("worker", "bot@1", "2026-01"),
        row("primary", "bot@9", "2026-09", "exited"),
        row("primary", "bot@1", "2026-01"),
    ]
    assert fleet.running_release(rows) == {"worker": "bot@2", "primary": "bot@1"}
    assert fleet.running_release([]) == {}


def test_variables_of_hosts() -> None:
    hostvars = {"a": {"x": 1, "y": 2}, "b": {"y": 3}}
    found = fleet.of_hosts(hostvars, ["a", "b", "unknown"], {"first": "x", "second": "y"})
    assert found == {"a": {"first": 1, "second": 2}, "b": {"second": 3}}

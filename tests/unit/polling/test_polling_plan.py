"""Who may poll: the plan as a table, and what holds for every plan there can be."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import plan as polling_plan
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

Row = dict[str, Any]
Step = tuple[str, str, str]

HOST = "host-a"
HOLDER = "aisha-primary"
NEXT = "aisha-primary-next"
OLD = "aisha-primary-old"
URL = "https://example.com/hook"
POLICIES = ("no", "always", "unless-stopped", "on-failure")
STATES = ("running", "paused", "restarting", "created", "exited", "dead", "removing")
ROLES = ("holder", "poller", "suspect")
ENVIRONMENT = {"where": "environment", "field": "BOT_TOKEN", "same_token": True}


# Rows as observed


def number(name: str) -> str:
    """A container's id: the same for the same name."""
    return hashlib.sha256(name.encode()).hexdigest()


def box(name: str, state: str = "running", policy: str = "no", **more: Any) -> Row:
    """A container that nobody knows, and that holds the token."""
    return {
        "id": number(name),
        "name": name,
        "image": "example/bot",
        "state": state,
        "health": "",
        "restart_policy": policy,
        "auto_remove": False,
        "stack": "",
        "stack_role": "",
        "release": "",
        "bot_role": "",
        "service": "",
        "started_at": "2026-01-01T00:00:00Z",
        "restarts": 0,
        "exit_code": 0,
        "pid": 0,
        "places": [dict(ENVIRONMENT)],
        **more,
    }


def ours(name: str, state: str = "running", policy: str = "no", **more: Any) -> Row:
    """A primary of this stack."""
    labels = {"stack": "aisha", "stack_role": "primary", "bot_role": "primary"}
    return box(name, state, policy, **{**labels, **more})


def helper(name: str, role: str, state: str = "running", policy: str = "always") -> Row:
    return box(name, state, policy, stack="aisha", stack_role=role, bot_role=role)


def theirs(name: str, state: str = "running", policy: str = "no", **more: Any) -> Row:
    """A primary of another stack."""
    return ours(name, state, policy, **{"stack": "other", **more})


def process(pid: int, name: str = "python3", unit: str = "") -> Row:
    return {
        "pid": pid,
        "name": name,
        "state": "running",
        "started": str(pid * 10),
        "unit": unit,
        "places": [{"where": "process command", "field": "command line", "same_token": True}],
    }


def disabled(name: str) -> str:
    return f"{name}.disabled-{number(name)[:12]}"


# Steps as expected


def out(name: str) -> Step:
    return ("disable", name, disabled(name))


def begin(action: str, name: str = HOLDER) -> Step:
    return (action, name, "")


SWAP: list[Step] = [("rename", NEXT, HOLDER), begin("start")]
DELETE: Step = ("delete_webhook", URL, "")


@dataclass
class Case:
    """What was observed and is wanted, and the plan for it."""

    title: str
    rows: list[Row] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    processes: list[Row] = field(default_factory=list)
    # Containers that no token was found in.
    unseen: list[Row] = field(default_factory=list)
    url: str | None = ""
    wanted: dict[str, Any] = field(default_factory=dict)

    def desired(self) -> Any:
        return polling_plan.Desired("aisha", **{"holder": HOLDER, **self.wanted})

    def plan(self) -> Any:
        desired = self.desired()
        return polling_plan.plan(
            self.rows,
            self.processes,
            named(self.rows + self.unseen, desired.holder),
            named(self.rows + self.unseen, desired.successor),
            self.url,
            desired,
            HOST,
        )


def named(rows: Sequence[Row], name: str) -> Row | None:
    return next((row for row in rows if name and row["name"] == name), None)


RUNNING = ours(HOLDER)
SWAPS = {"successor": NEXT}
STOP = {"suspects": "stop"}
REPORT = {"suspects": "report"}
ABSENT = {"state": "absent"}
ELSEWHERE = {"holder": ""}
MISSING = "the holder aisha-primary does not exist"

OF_THE_HOLDER = [
    Case("holder runs", [ours(HOLDER, policy="always")]),
    Case("holder is healthy", [ours(HOLDER, health="healthy")]),
    Case("holder is not healthy yet", [ours(HOLDER, health="starting")]),
    Case("holder is unhealthy", [ours(HOLDER, health="unhealthy")], [begin("restart")]),
    Case("holder is paused", [ours(HOLDER, "paused")], [begin("unpause")]),
    Case(
        "holder is paused and was unhealthy",
        [ours(HOLDER, "paused", health="unhealthy")],
        [begin("unpause")],
    ),
    Case("holder is restarting", [ours(HOLDER, "restarting", "always")]),
    Case("holder was created", [ours(HOLDER, "created", "always")], [begin("start")]),
    Case(
        "holder exited, and would come back", [ours(HOLDER, "exited", "always")], [begin("start")]
    ),
    Case("holder exited for good", [ours(HOLDER, "exited")], [begin("start")]),
    Case("holder is dead", [ours(HOLDER, "dead")], problems=["calls it dead"]),
    Case("holder is missing", problems=[MISSING]),
    Case("holder shows no token, and runs", unseen=[ours(HOLDER)]),
    Case(
        "holder shows no token, and exited", unseen=[box(HOLDER, "exited")], steps=[begin("start")]
    ),
    Case("holder has a worker's labels", [helper(HOLDER, "worker", "exited")], [begin("start")]),
    Case("holder has no labels", [box(HOLDER)]),
    Case("holder of another stack", [theirs(HOLDER, "exited")], [begin("start")]),
    Case(
        "holder fits a pattern of allowed names",
        [ours(HOLDER, "created")],
        [begin("start")],
        wanted={"allowed": ["aisha-*"]},
    ),
]
OF_POLLERS = [
    *(
        Case(
            f"poller is {state} with policy {policy}",
            [RUNNING, ours(OLD, state, policy)],
            [out(OLD)],
        )
        for state, policy in (
            ("running", "no"),
            ("running", "always"),
            ("paused", "no"),
            ("paused", "unless-stopped"),
            ("restarting", "always"),
            ("created", "no"),
            ("created", "always"),
            ("exited", "always"),
            ("exited", "unless-stopped"),
            ("exited", "on-failure"),
            ("dead", "always"),
        )
    ),
    *(
        Case(
            f"poller is {state} with policy {policy}, and stays so",
            [RUNNING, ours(OLD, state, policy)],
        )
        for state, policy in (("exited", "no"), ("dead", "no"), ("removing", "always"))
    ),
    Case("poller with --rm", [RUNNING, ours(OLD, auto_remove=True)], [out(OLD)]),
    Case(
        "poller was created, and is out of the way",
        [RUNNING, dict(ours(OLD, "created"), name=disabled(OLD))],
    ),
    Case(
        "poller is out of the way, but has got a restart policy again",
        [RUNNING, dict(ours(OLD, "exited", "always"), name=disabled(OLD))],
        [("disable", disabled(OLD), disabled(OLD))],
    ),
    Case(
        "poller is out of the way, but was started again",
        [RUNNING, dict(ours(OLD), name=disabled(OLD))],
        [("disable", disabled(OLD), disabled(OLD))],
    ),
    Case(
        "poller with the mark of another container",
        [RUNNING, dict(ours(OLD), name=disabled("x"))],
        [("disable", disabled("x"), f"{disabled('x')}.disabled-{number(OLD)[:12]}")],
    ),
    Case(
        "primary by its variable, whatever its label says",
        [RUNNING, ours(OLD, stack_role="worker")],
        [out(OLD)],
    ),
    Case("primary by its label alone", [RUNNING, ours(OLD, bot_role="")], [out(OLD)]),
    Case(
        "poller goes before the holder starts",
        [ours(HOLDER, "exited"), ours(OLD)],
        [out(OLD), begin("start")],
    ),
    Case(
        "pollers go before the holder goes on",
        [
            ours(OLD),
            ours(HOLDER, "paused"),
            ours("copy", "paused"),
            ours("third", "exited", "always"),
        ],
        [out(OLD), out("copy"), out("third"), begin("unpause")],
    ),
    Case("poller, and the holder is missing", [ours(OLD)], problems=[MISSING]),
    Case("allowed poller", [RUNNING, ours(OLD)], wanted={"allowed": ["*-old"]}),
    Case(
        "poller in a Swarm service",
        [RUNNING, ours("bot.1.x", service="bot")],
        problems=["docker service scale bot=0"],
    ),
    Case("ended task of a Swarm service", [RUNNING, ours("bot.1.x", "exited", service="bot")]),
]
OF_OTHERS = [
    *(
        Case(f"{role} is {state}", [RUNNING, helper("aisha-x", role, state)])
        for role, state in (
            ("worker", "running"),
            ("worker", "exited"),
            ("webhook", "running"),
            ("webhook", "restarting"),
            ("front", "running"),
            ("bot_api", "running"),
        )
    ),
    Case("worker of another stack", [RUNNING, theirs("x", stack_role="worker", bot_role="worker")]),
    Case("worker in a Swarm service", [RUNNING, dict(helper("x", "worker"), service="work")]),
    Case(
        "primary of another stack",
        [RUNNING, theirs("x")],
        problems=["1 unknown holder of the bot's token"],
    ),
    Case("primary of another stack, stop", [RUNNING, theirs("x")], [out("x")], wanted=STOP),
    Case(
        "primary of another stack, report",
        [RUNNING, theirs("x")],
        warnings=["container x (running, restart policy no): this token in environment BOT_TOKEN"],
        wanted=REPORT,
    ),
    Case("primary of another stack, allowed", [RUNNING, theirs("x")], wanted={"allowed": ["x"]}),
    Case("primary of another stack, ended", [RUNNING, theirs("x", "exited")]),
]
OF_SUSPECTS = [
    *(
        Case(
            f"suspect is {state} with policy {policy}, fail",
            [RUNNING, box("x", state, policy)],
            problems=["container x ("],
        )
        for state, policy in (
            ("running", "no"),
            ("paused", "no"),
            ("restarting", "always"),
            ("created", "no"),
            ("exited", "always"),
            ("dead", "always"),
        )
    ),
    *(
        Case(
            f"suspect is {state} with policy {policy}, stop",
            [RUNNING, box("x", state, policy)],
            [out("x")],
            wanted=STOP,
        )
        for state, policy in (
            ("running", "always"),
            ("paused", "no"),
            ("restarting", "on-failure"),
            ("created", "no"),
            ("exited", "unless-stopped"),
            ("dead", "always"),
        )
    ),
    *(
        Case(
            f"suspect is {state} for good, {option}",
            [RUNNING, box("x", state)],
            wanted={"suspects": option},
        )
        for state, option in (
            ("exited", "fail"),
            ("exited", "report"),
            ("dead", "stop"),
            ("removing", "fail"),
        )
    ),
    Case("suspect with --rm, stop", [RUNNING, box("x", auto_remove=True)], [out("x")], wanted=STOP),
    Case(
        "suspect, report",
        [RUNNING, box("x")],
        warnings=["was left alone: container x"],
        wanted=REPORT,
    ),
    Case(
        "suspect keeps the holder from starting",
        [ours(HOLDER, "exited"), ours(OLD), box("x")],
        problems=["say suspects: stop"],
    ),
    Case(
        "suspect goes before the holder starts",
        [ours(HOLDER, "exited"), box("x")],
        [out("x"), begin("start")],
        wanted=STOP,
    ),
    Case(
        "suspect is reported, and the holder starts",
        [ours(HOLDER, "exited"), box("x"), ours(OLD)],
        [out(OLD), begin("start")],
        warnings=["container x"],
        wanted=REPORT,
    ),
    Case("suspect is allowed by name", [RUNNING, box("x")], wanted={"allowed": ["x"]}),
    Case(
        "suspect is allowed by a pattern", [RUNNING, box("ci-7")], wanted={"allowed": ["a", "ci-?"]}
    ),
    Case(
        "pattern for another name",
        [RUNNING, box("ci-77")],
        problems=["container ci-77"],
        wanted={"allowed": ["ci-?"]},
    ),
    Case(
        "suspect with an older token",
        [RUNNING, box("x", places=[dict(ENVIRONMENT, same_token=False)])],
        problems=["another token of this bot in environment BOT_TOKEN"],
    ),
    Case(
        "suspect in a Swarm service, stop",
        [RUNNING, box("x", service="bot")],
        problems=["belongs to the Swarm service bot"],
        wanted=STOP,
    ),
    Case(
        "suspect in a Swarm service, report",
        [RUNNING, box("x", service="bot")],
        warnings=["container x"],
        wanted=REPORT,
    ),
    Case(
        "suspect in a Swarm service, fail",
        [RUNNING, box("x", service="bot")],
        problems=["1 unknown holder "],
    ),
]
OF_PROCESSES = [
    Case(
        "process, fail",
        [RUNNING],
        processes=[process(70)],
        problems=["process python3 (pid 70): this token in process command command line"],
    ),
    Case(
        "process of a unit, fail",
        [RUNNING],
        processes=[process(70, unit="bot.service")],
        problems=["(pid 70, bot.service)"],
    ),
    Case(
        "process, stop",
        [RUNNING],
        [begin("terminate", "python3")],
        processes=[process(70)],
        wanted=STOP,
    ),
    Case(
        "process, report",
        [RUNNING],
        processes=[process(70)],
        warnings=["process python3 (pid 70)"],
        wanted=REPORT,
    ),
    Case("process, allowed", [RUNNING], processes=[process(70)], wanted={"allowed": ["python*"]}),
    Case(
        "process and container",
        [RUNNING, box("x")],
        processes=[process(70)],
        problems=["2 unknown holders"],
    ),
    Case(
        "processes go before the holder starts",
        [ours(HOLDER, "exited")],
        [begin("terminate", "node"), begin("terminate", "python3"), begin("start")],
        processes=[process(70), process(71, "node")],
        wanted=STOP,
    ),
    Case(
        "process, where nobody polls by right",
        [],
        [begin("terminate", "python3")],
        processes=[process(70)],
        wanted=STOP | ELSEWHERE,
    ),
]
OF_OTHER_HOSTS = [
    Case("holder is elsewhere", wanted=ELSEWHERE),
    Case("holder is elsewhere, poller here", [ours(HOLDER)], [out(HOLDER)], wanted=ELSEWHERE),
    Case("holder is elsewhere, workers here", [helper("x", "worker")], wanted=ELSEWHERE),
    Case(
        "holder is elsewhere, suspect here", [box("x")], problems=["container x"], wanted=ELSEWHERE
    ),
    Case("holder is elsewhere, webhook", url=URL, wanted=ELSEWHERE),
    Case(
        "holder is elsewhere, webhook to delete", url=URL, wanted=ELSEWHERE | {"webhook": "delete"}
    ),
    Case("nobody may poll", wanted=ABSENT),
    Case("nobody may poll, the named one runs", [RUNNING], [out(HOLDER)], wanted=ABSENT),
    Case(
        "nobody may poll, the named one has no labels", [box(HOLDER)], [out(HOLDER)], wanted=ABSENT
    ),
    Case("nobody may poll, the named one has ended", [ours(HOLDER, "exited")], wanted=ABSENT),
    Case("nobody may poll, another one does", [ours(OLD)], [out(OLD)], wanted=ABSENT),
    Case("nobody may poll, suspect", [box("x")], problems=["container x"], wanted=ABSENT),
    Case(
        "nobody may poll, suspect to stop",
        [box("x"), RUNNING],
        [out(HOLDER), out("x")],
        wanted=ABSENT | STOP,
    ),
    Case("nobody may poll, webhook", url=URL, wanted=ABSENT),
    Case("nobody may poll, webhook to delete", url=URL, wanted=ABSENT | {"webhook": "delete"}),
    Case(
        "nobody may poll, not even a successor",
        [RUNNING, ours(NEXT, "created")],
        [out(HOLDER), out(NEXT)],
        wanted=ABSENT | SWAPS,
    ),
    Case("nobody may poll, worker", [helper("x", "worker")], wanted=ABSENT),
]
OF_WEBHOOKS = [
    Case("webhook", [RUNNING], url=URL, problems=[f"A webhook is set ({URL})"]),
    Case("webhook was not asked for", [RUNNING], url=None),
    Case("webhook to delete", [RUNNING], [DELETE], url=URL, wanted={"webhook": "delete"}),
    Case("no webhook to delete", [RUNNING], wanted={"webhook": "delete"}),
    Case("webhook to ignore", [RUNNING], url=URL, wanted={"webhook": "ignore"}),
    Case(
        "webhook goes after the poller and before the start",
        [ours(HOLDER, "created"), ours(OLD)],
        [out(OLD), DELETE, begin("start")],
        url=URL,
        wanted={"webhook": "delete"},
    ),
    Case(
        "webhook stays where there is a problem",
        [RUNNING, box("x")],
        url=URL,
        problems=["container x"],
        wanted={"webhook": "delete"},
    ),
    Case(
        "webhook and suspect and no holder",
        [box("x")],
        url=URL,
        problems=["container x", "A webhook is set", MISSING],
    ),
]
OF_SUCCESSORS = [
    *(
        Case(
            f"successor of a holder that is {state} with policy {policy}",
            [ours(HOLDER, state, policy), ours(NEXT, "created", "always")],
            [out(HOLDER), *SWAP],
            wanted=SWAPS,
        )
        for state, policy in (
            ("running", "always"),
            ("paused", "no"),
            ("restarting", "always"),
            ("created", "no"),
            ("exited", "no"),
            ("exited", "always"),
            ("dead", "no"),
        )
    ),
    Case(
        "successor of an unhealthy holder",
        [ours(HOLDER, health="unhealthy"), ours(NEXT, "created")],
        [out(HOLDER), *SWAP],
        wanted=SWAPS,
    ),
    Case(
        "successor of a holder with --rm",
        [ours(HOLDER, auto_remove=True), ours(NEXT, "created")],
        [out(HOLDER), *SWAP],
        wanted=SWAPS,
    ),
    Case("successor of nobody", [ours(NEXT, "created")], SWAP, wanted=SWAPS),
    Case(
        "successor shows no token",
        [RUNNING],
        [out(HOLDER), *SWAP],
        unseen=[box(NEXT, "created")],
        wanted=SWAPS,
    ),
    Case("successor has the holder's name by now", [RUNNING], wanted=SWAPS),
    Case(
        "successor is missing, the holder exited",
        [ours(HOLDER, "exited")],
        [begin("start")],
        wanted=SWAPS,
    ),
    Case(
        "neither is there",
        problems=["neither the holder aisha-primary nor its successor aisha-primary-next exists"],
        wanted=SWAPS,
    ),
    Case(
        "successor is missing, the holder dead",
        [ours(HOLDER, "dead")],
        problems=["calls it dead"],
        wanted=SWAPS,
    ),
    Case(
        "successor starts after everybody has gone",
        [ours(OLD), RUNNING, ours(NEXT, "created")],
        [out(OLD), DELETE, out(HOLDER), *SWAP],
        url=URL,
        wanted=SWAPS | {"webhook": "delete"},
    ),
    Case(
        "suspect keeps the successor from starting",
        [RUNNING, ours(NEXT, "created"), box("x")],
        problems=["container x"],
        wanted=SWAPS,
    ),
    Case(
        "successor of a poller that is not the holder",
        [ours(OLD), ours(NEXT, "created")],
        [out(OLD), *SWAP],
        wanted=SWAPS,
    ),
    Case("created copy that is no successor", [RUNNING, ours(NEXT, "created")], [out(NEXT)]),
]
# What can't be done, and must be said before anything is stopped for it.
OF_WHAT_CANNOT_BE = [
    Case("holder is being removed", [ours(HOLDER, "removing")], problems=[HOLDER]),
    Case(
        "successor is being removed",
        [RUNNING, ours(NEXT, "removing")],
        problems=[NEXT],
        wanted=SWAPS,
    ),
    Case(
        "successor runs already, and stopping removes it",
        [ours(NEXT, auto_remove=True)],
        problems=[NEXT],
        wanted=SWAPS,
    ),
    Case("successor is dead", [RUNNING, ours(NEXT, "dead")], problems=[NEXT], wanted=SWAPS),
    Case(
        "holder that is to be replaced belongs to a Swarm service",
        [ours(HOLDER, service="bot"), ours(NEXT, "created")],
        problems=["docker service scale bot=0"],
        wanted=SWAPS,
    ),
]
CASES = [
    *OF_THE_HOLDER,
    *OF_POLLERS,
    *OF_OTHERS,
    *OF_SUSPECTS,
    *OF_PROCESSES,
    *OF_OTHER_HOSTS,
    *OF_WEBHOOKS,
    *OF_SUCCESSORS,
    *OF_WHAT_CANNOT_BE,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_plan(case: Case) -> None:
    made = case.plan()
    assert [(s["action"], s["name"], s.get("new_name", "")) for s in made.steps] == case.steps
    for said, expected in ((made.problems, case.problems), (made.warnings, case.warnings)):
        assert len(said) == len(expected), said
        for part in expected:
            assert any(part in sentence for sentence in said), said


def test_the_cases_have_different_names() -> None:
    assert len({case.title for case in CASES}) == len(CASES)


def test_a_step_carries_what_it_takes_to_do_it_and_to_take_it_back() -> None:
    rows = [ours(HOLDER, "exited", "always"), ours(OLD, policy="always"), box("x", "paused")]
    made = Case("", rows, processes=[process(70, unit="u.service")], wanted=STOP).plan()
    assert made.steps == [
        {
            "action": "disable",
            "kind": "container",
            "id": number(OLD),
            "name": OLD,
            "state": "running",
            "restart_policy": "always",
            "auto_remove": False,
            "new_name": disabled(OLD),
            "role": "poller",
        },
        {
            "action": "disable",
            "kind": "container",
            "id": number("x"),
            "name": "x",
            "state": "paused",
            "restart_policy": "no",
            "auto_remove": False,
            "new_name": disabled("x"),
            "role": "suspect",
        },
        {
            "action": "terminate",
            "kind": "process",
            "pid": 70,
            "started": "700",
            "unit": "u.service",
            "name": "python3",
            "role": "suspect",
        },
        {"action": "start", "kind": "container", "id": number(HOLDER), "name": HOLDER},
    ]


@pytest.mark.parametrize(
    ("row", "role"),
    [
        (RUNNING, "holder"),
        (box(HOLDER), "holder"),
        (ours(NEXT, "created"), "allowed"),
        (ours(OLD), "poller"),
        (ours(OLD, stack_role="webhook"), "poller"),
        (ours("ci-1"), "allowed"),
        (helper("x", "worker"), "worker"),
        (helper("x", "webhook"), "webhook"),
        (helper("x", "front"), "allowed"),
        (theirs("x"), "suspect"),
        (theirs("x", stack_role="worker", bot_role="worker"), "worker"),
        (box("x"), "suspect"),
        (box("x", bot_role="primary"), "suspect"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["name"],
)
def test_roles(row: Row, role: str) -> None:
    desired = polling_plan.Desired("aisha", HOLDER, NEXT, allowed=["ci-*"])
    assert polling_plan.role_of(row, desired) == role


def test_findings_say_where_the_token_is() -> None:
    also = {"where": "file", "field": "/app/.env", "same_token": False}
    rows = [RUNNING, box("x", "exited", places=[dict(ENVIRONMENT), also])]
    desired = polling_plan.Desired("aisha", holder=HOLDER)
    findings = polling_plan.findings_of(rows, [process(70)], desired, HOST)
    assert [(f["kind"], f["name"], f["role"], f["live"]) for f in findings] == [
        ("container", HOLDER, "holder", True),
        ("container", "x", "suspect", False),
        ("process", "python3", "suspect", True),
    ]
    assert (findings[1]["where"], findings[1]["field"]) == ("environment", "BOT_TOKEN")
    assert findings[1]["also"] == [also]
    assert {f["host"] for f in findings} == {HOST}


def test_the_diff_shows_the_steps_and_nothing_else() -> None:
    rows = [ours(HOLDER, "exited", "always"), ours(OLD, policy="always"), helper("w", "worker")]
    case = Case("", rows, processes=[process(70)], wanted=STOP)
    diff = polling_plan.diff(case.plan(), case.processes)
    before, after = (set(diff[key].splitlines()) for key in ("before", "after"))
    assert before - after == {
        f"container {number(HOLDER)[:12]} {HOLDER}: exited, restart policy always",
        f"container {number(OLD)[:12]} {OLD}: running, restart policy always",
        "process 70 python3: running",
    }
    assert after - before == {
        f"container {number(HOLDER)[:12]} {HOLDER}: running, restart policy always",
        f"container {number(OLD)[:12]} {disabled(OLD)}: exited, restart policy no",
    }


@pytest.mark.parametrize(
    "successor",
    [
        ours(NEXT, "created", "unless-stopped"),
        # As a handover that was taken back leaves it.
        ours(NEXT, "exited", "unless-stopped"),
    ],
    ids=lambda row: str(row["state"]),
)
def test_a_successor_keeps_its_restart_policy(successor: Row) -> None:
    case = Case("", [ours(HOLDER, policy="unless-stopped"), successor], wanted=SWAPS)
    made = case.plan()
    assert not made.problems
    holder = named(on_the_way(made.containers, [], made.steps)[-1].containers, HOLDER)
    assert holder is not None
    assert (holder["state"], holder["restart_policy"]) == ("running", "unless-stopped")


# What holds for every plan


@dataclass
class Moment:
    """The rows after a step; begun: id of the container that polls by right from here on."""

    containers: list[Row]
    processes: list[Row]
    begun: str


def on_the_way(containers: list[Row], processes: list[Row], steps: Sequence[Row]) -> list[Moment]:
    moments = [Moment(containers, processes, "")]
    begun = ""
    for step in steps:
        containers, processes = polling_plan.after(step, containers, processes)
        if step["action"] in ("start", "unpause", "restart"):
            begun = step["id"]
        moments.append(Moment(containers, processes, begun))
    return moments


@dataclass
class Situation:
    """Arguments of plan()."""

    containers: list[Row]
    processes: list[Row]
    holder: Row | None
    successor: Row | None
    url: str | None
    desired: Any

    def arguments(self) -> tuple[Any, ...]:
        rows = (self.containers, self.processes, self.holder, self.successor)
        return (*rows, self.url, self.desired, HOST)

    def plan(self) -> Any:
        return polling_plan.plan(*self.arguments())

    def rivals(self) -> tuple[str, ...]:
        """Roles that this run does not let poll beside the holder."""
        return ROLES[:2] if self.desired.suspects == "report" else ROLES

    def polling(self, moment: Moment) -> int:
        containers = [
            row
            for row in moment.containers
            if row["state"] in ("running", "restarting") and self.role(row) in self.rivals()
        ]
        return len(containers) + len(self.rival_processes(moment))

    def live_beside(self, moment: Moment) -> list[Row]:
        containers = [
            row
            for row in moment.containers
            if row["id"] != moment.begun
            and self.role(row) in self.rivals()
            and polling_plan.is_live(row)
        ]
        return containers + self.rival_processes(moment)

    def rival_processes(self, moment: Moment) -> list[Row]:
        findings = polling_plan.findings_of([], moment.processes, self.desired, HOST)
        return [found for found in findings if found["role"] in self.rivals()]

    def role(self, row: Row) -> str:
        return str(polling_plan.role_of(row, self.desired))


@st.composite
def containers(draw: st.DrawFn, name: str, states: Sequence[str] = STATES) -> Row:
    policy = draw(st.sampled_from(POLICIES))
    labels = draw(
        st.sampled_from(
            [
                {},
                {"stack": "aisha", "stack_role": "primary", "bot_role": "primary"},
                {"stack": "aisha", "stack_role": "primary"},
                {"stack": "aisha", "stack_role": "worker", "bot_role": "worker"},
                {"stack": "aisha", "stack_role": "worker", "bot_role": "primary"},
                {"stack": "aisha", "stack_role": "webhook", "bot_role": "webhook"},
                {"stack": "aisha", "stack_role": "front"},
                {"stack": "other", "stack_role": "primary", "bot_role": "primary"},
                {"stack": "other", "stack_role": "worker", "bot_role": "worker"},
            ]
        )
    )
    row = box(
        name,
        draw(st.sampled_from(states)),
        policy,
        health=draw(st.sampled_from(["", "starting", "healthy", "unhealthy"])),
        auto_remove=policy == "no" and draw(st.booleans()),
        places=[dict(ENVIRONMENT, same_token=draw(st.booleans()))],
        **labels,
    )
    if draw(st.integers(0, 15)) == 0:
        row["service"] = "bot"
    if draw(st.integers(0, 5)) == 0:
        row["name"] = disabled(name)
    return row


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    desired = polling_plan.Desired(
        "aisha",
        holder=draw(st.sampled_from([HOLDER, HOLDER, HOLDER, ""])),
        successor=draw(st.sampled_from([NEXT, ""])),
        state=draw(st.sampled_from(["present", "present", "present", "absent"])),
        suspects=draw(st.sampled_from(["stop", "stop", "report", "fail"])),
        allowed=draw(st.sampled_from([[], ["c*"], ["python*"]])),
        webhook=draw(st.sampled_from(["delete", "ignore", "fail"])),
    )
    rows = [draw(containers(name)) for name in draw(st.sets(st.sampled_from("abcdef"), max_size=5))]
    lost: list[Row] = []
    for name in (HOLDER, NEXT):
        if draw(st.integers(0, 4)):
            # A successor was made for this, and not started; whatever else it may be.
            first = ("created",) * 8 if name == NEXT else ()
            row = dict(draw(containers(name, first + STATES)), name=name)
            (rows if draw(st.integers(0, 4)) else lost).append(row)
    known = rows + lost
    return Situation(
        draw(st.permutations(rows)),
        [process(pid, name) for pid, name in draw(st.sampled_from(PROCESSES))],
        named(known, desired.holder),
        named(known, desired.successor),
        draw(st.sampled_from([None, "", "", URL])),
        desired,
    )


PROCESSES: list[list[tuple[int, str]]] = [[], [], [(70, "python3")], [(71, "node"), (72, "node")]]
# Other ones in each run; a failure prints how to repeat it. `make soak` tries many more.
EVERY = settings(
    max_examples=int(os.environ.get("EXAMPLES", "600")),
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@EVERY
@given(situations(), st.data())
def test_there_are_never_more_pollers_on_the_way(situation: Situation, data: st.DataObject) -> None:
    made = situation.plan()
    assume(made.steps)
    stops = [s for s in made.steps if s["action"] in ("disable", "terminate")]
    # apply() stops side by side, the holder last, and then takes all else in order.
    others = data.draw(st.permutations([s for s in stops if s["role"] != "holder"]))
    as_applied = [
        *others,
        *[s for s in stops if s["role"] == "holder"],
        *[s for s in made.steps if s not in stops],
    ]
    for steps in (made.steps, as_applied):
        moments = on_the_way(made.containers, situation.processes, steps)
        most = max(situation.polling(moments[0]), 1)
        for moment in moments:
            assert situation.polling(moment) <= most
            most = max(situation.polling(moment), 1)
            if moment.begun:
                event("something began to poll")
                assert situation.live_beside(moment) == []


@EVERY
@given(situations())
def test_what_a_plan_has_reached_needs_no_step(situation: Situation) -> None:
    made = situation.plan()
    assume(not made.problems)
    reached = on_the_way(made.containers, situation.processes, made.steps)[-1]
    took_the_name = any(step["action"] == "rename" for step in made.steps)
    again = Situation(
        reached.containers,
        reached.processes,
        named(reached.containers, situation.desired.holder),
        None if took_the_name else situation.successor,
        "" if any(step["action"] == "delete_webhook" for step in made.steps) else situation.url,
        situation.desired,
    ).plan()
    assert (again.problems, again.steps) == ([], [])
    assert again.warnings == made.warnings


@EVERY
@given(situations())
def test_with_problems_nothing_is_done_and_some_are_never_touched(situation: Situation) -> None:
    made = situation.plan()
    if made.problems:
        event("problems")
        assert made.steps == []
    by_right = [row["id"] for row in (situation.holder, situation.successor) if row]
    left_alone = ["worker", "webhook", "allowed"]
    if situation.desired.suspects != "stop":
        left_alone.append("suspect")
    for row in made.containers:
        if row["id"] not in by_right and situation.role(row) in left_alone:
            assert row["id"] not in [step.get("id") for step in made.steps]
    if situation.desired.suspects != "stop":
        assert "terminate" not in [step["action"] for step in made.steps]


@EVERY
@given(situations())
def test_a_plan_is_pure(situation: Situation) -> None:
    before = copy.deepcopy((*situation.arguments()[:5], vars(situation.desired)))
    first, second = situation.plan(), situation.plan()
    assert vars(first) == vars(second)
    diff = polling_plan.diff(first, situation.processes)
    assert diff == polling_plan.diff(second, situation.processes)
    assert vars(first) == vars(second)
    assert (*situation.arguments()[:5], vars(situation.desired)) == before
    assert (diff["before"] != diff["after"]) == any(
        step["action"] != "delete_webhook" and not is_restart_only(step, first.containers)
        for step in first.steps
    )


def is_restart_only(step: Row, rows: list[Row]) -> bool:
    """Steps after which the row says the same: a diff can't show them."""
    row = next((row for row in rows if row["id"] == step.get("id")), None)
    return row is not None and polling_plan.after(step, [row], [])[0] in (
        [row],
        [dict(row, health="healthy")],
    )


@EVERY
@given(situations())
def test_messages_say_nothing_of_the_rows_but_what_is_meant_for_them(situation: Situation) -> None:
    # No row carries a secret in these either; a message must not begin to show them.
    for row in (*situation.containers, situation.holder, situation.successor):
        if row is not None:
            row.update(image="never-shown", release="never-shown", started_at="never-shown")
    made = situation.plan()
    diff = polling_plan.diff(made, situation.processes)
    assert "never-shown" not in repr(
        (made.problems, made.warnings, made.steps, made.findings, diff)
    )


ENTRIES = st.builds(
    lambda kind, name, state, role, stopped_at: {
        "kind": kind,
        "name": name,
        "new_name": disabled(name),
        "state": state,
        "role": role,
        "stopped_at": stopped_at,
    },
    st.sampled_from(["container", "container", "process"]),
    st.sampled_from("abcdef"),
    st.sampled_from(STATES),
    st.sampled_from(ROLES),
    st.sampled_from([1.0, 2.0, 3.0]),
)


@EVERY
@given(st.lists(ENTRIES, max_size=8))
def test_who_polled_by_right_is_restored_and_never_a_suspect(stopped: list[Row]) -> None:
    best = polling_plan.best_to_restore(stopped)
    polled = [
        e
        for e in stopped
        if e["kind"] == "container"
        and e["state"] in ("running", "restarting")
        and e["role"] != "suspect"
    ]
    assert (best is None) == (not polled)
    if best is not None:
        assert best in polled
        order = ["holder", "poller"]
        assert order.index(best["role"]) == min(order.index(entry["role"]) for entry in polled)
        peers = [entry for entry in polled if entry["role"] == best["role"]]
        assert best["stopped_at"] == max(entry["stopped_at"] for entry in peers)


def stop(name: str, role: str, stopped_at: float = 0.0, **more: Any) -> Row:
    """An entry as the applier notes it."""
    entry = {"kind": "container", "name": name, "new_name": disabled(name), "state": "running"}
    return {**entry, "role": role, "stopped_at": stopped_at, **more}


@pytest.mark.parametrize(
    ("stopped", "best"),
    [
        ([], None),
        ([stop("a", "suspect")], None),
        ([stop("a", "suspect", 9), stop("z", "poller", 1)], "z"),
        ([stop("a", "poller", 9), stop("z", "holder", 1)], "z"),
        ([stop("a", "poller", 1), stop("z", "poller", 9)], "z"),
        ([stop("z", "poller", 5), stop("a", "poller", 5)], "a"),
        ([stop("z", "poller"), stop("a", "poller")], "a"),
        ([stop("a", "poller", 9, state="exited"), stop("z", "poller", 1)], "z"),
        ([stop("a", "poller", 9, state="paused"), stop("z", "poller", 1)], "z"),
        ([stop("a", "poller", 9, auto_remove=True), stop("z", "poller", 1)], "z"),
        ([stop(disabled("a"), "poller", 9, new_name=disabled("a")), stop("z", "poller", 1)], "z"),
        ([stop("a", "holder", 9, kind="process"), stop("z", "poller", 1)], "z"),
    ],
    ids=[
        "nothing was stopped",
        "a suspect alone",
        "a suspect that stopped last, and the former primary",
        "a poller that stopped last, and the holder",
        "of two pollers, who stopped last",
        "of two that stopped at once, by name",
        "of two without a time, by name",
        "what did not run",
        "what was paused",
        "what is gone with its stop",
        "what was aside and had been started by somebody",
        "a process, which nobody here can start",
    ],
)
def test_who_is_restored(stopped: list[Row], best: str | None) -> None:
    found = polling_plan.best_to_restore(stopped)
    assert (found["name"] if found else None) == best


def test_what_goes_away_with_its_stop_is_not_what_is_restored() -> None:
    rows = [ours(HOLDER, "exited"), ours("a", auto_remove=True), ours("b")]
    stops = [step for step in Case("", rows).plan().steps if step["action"] == "disable"]
    best = polling_plan.best_to_restore(stops)
    assert best is not None
    assert best["name"] == "b"

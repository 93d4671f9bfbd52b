"""What becomes of a described container is a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import (
    description,
    plan,
    tasks,
)

DIGEST = "sha256:" + "0" * 64
ABLE = {"MemoryLimit": True, "CPUShares": True, "PidsLimit": True}
GIVEN = {"name": "app", "role": "worker", "image": DIGEST, "user": "1:1", "networks": ["n"]}
WANTED = description.normalised(GIVEN)
SPEC = description.fingerprint(WANTED, "aisha")


def row(**more: Any) -> dict[str, Any]:
    return {
        "stack": "aisha", "role": "worker", "state": "running", "health": "healthy", "spec": SPEC,
        "memory": 256 << 20, "cpu_shares": 1024, "pids_limit": 256, "restart_policy": "always",
        "addresses": {"n": "172.18.0.2"}, "image": DIGEST, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "action", "mends"),
    [
        ({}, "create", []),
        ({"app": row(state="dead")}, "create", []),
        ({"app": row()}, "keep", []),
        ({"app": row(health="starting")}, "keep", []),
        ({"app": row(health="")}, "keep", []),
        ({"app": row(spec="other")}, "swap", []),
        ({"app": row(pids_limit=1)}, "swap", []),
        ({"app": row(memory=1)}, "mend", ["update"]),
        ({"app": row(cpu_shares=2)}, "mend", ["update"]),
        ({"app": row(restart_policy="no")}, "mend", ["update"]),
        ({"app": row(addresses={})}, "mend", ["networks"]),
        ({"app": row(addresses={"n": "", "m": ""})}, "mend", ["networks"]),
        ({"app": row(state="exited")}, "mend", ["start"]),
        ({"app": row(state="created")}, "mend", ["start"]),
        ({"app": row(state="paused")}, "mend", ["unpause"]),
        ({"app": row(state="restarting", health="")}, "mend", ["restart"]),
        ({"app": row(health="unhealthy")}, "mend", ["restart"]),
        (
            {"app": row(state="exited", memory=1, addresses={})},
            "mend",
            ["update", "networks", "start"],
        ),
    ],
)
def test_verdicts(rows: dict[str, Any], action: str, mends: list[str]) -> None:
    verdict = plan.judge(WANTED, SPEC, rows, ABLE)
    assert (verdict.action, verdict.mends) == (action, mends)
    assert verdict.changes is (action != "keep")
    assert bool(verdict.why) is verdict.changes


@pytest.mark.parametrize(
    ("rows", "action", "leftovers", "put_back"),
    [
        ({"app": row(), "app.next": row(state="created")}, "keep", ["app.next"], False),
        ({"app": row(), "app.previous": row(state="exited")}, "keep", ["app.previous"], False),
        # Running is no proof.
        ({"app": row(health=""), "app.previous": row(spec="old")}, "swap", [], True),
        ({"app": row(health="starting"), "app.previous": row(spec="old")}, "swap", [], True),
        ({"app": row(state="exited"), "app.previous": row(spec="old")}, "swap", [], True),
        ({"app.previous": row(state="exited", spec="old")}, "swap", [], True),
        ({"app.previous": row(state="exited"), "app.next": row()}, "mend", ["app.next"], True),
    ],
)
def test_what_a_broken_off_run_left(
    rows: dict[str, Any], action: str, leftovers: list[str], put_back: bool
) -> None:
    verdict = plan.judge(WANTED, SPEC, rows, ABLE)
    assert (verdict.action, verdict.leftovers, verdict.put_back) == (action, leftovers, put_back)
    assert verdict.changes


@pytest.mark.parametrize(
    ("found", "ran", "policy"),
    [
        ({}, True, "always"),
        ({"state": "paused"}, True, "always"),
        ({"state": "exited"}, False, "always"),
        ({"state": "exited", "restart_policy": "unless-stopped"}, False, "unless-stopped"),
        # As a run leaves it that was broken off while it stopped it.
        ({"state": "exited", "restart_policy": "no"}, True, "always"),
        ({"state": "exited", "restart_policy": "no", "declared_policy": "no"}, False, "no"),
    ],
)
def test_how_the_former_one_ran(found: dict[str, Any], ran: bool, policy: str) -> None:
    former = row(**{"declared_policy": "always", **found})
    assert (plan.ran(former), plan.policy(former)) == (ran, policy)


@pytest.mark.parametrize(
    ("health", "restarts", "unsure"),
    [("starting", 0, True), ("", 1, True), ("", 0, False), ("healthy", 9, False)],
)
def test_who_is_looked_at_again(health: str, restarts: int, unsure: bool) -> None:
    assert plan.unsure(row(health=health, restarts=restarts)) is unsure


def test_what_the_kernel_cannot_limit_is_not_compared_and_said() -> None:
    unable = {"MemoryLimit": False, "CPUShares": False, "PidsLimit": False}
    bare = row(memory=0, cpu_shares=0, pids_limit=0)
    assert plan.judge(WANTED, SPEC, {"app": bare}, unable).action == "keep"
    assert "can't limit cpu shares, memory, pids limit" in plan.unlimited(unable)[0]
    assert plan.unlimited(ABLE) == []
    assert plan.unlimited({}) == []


def test_nobody_waits_for_health_that_is_not_wanted() -> None:
    wanted = description.normalised({**GIVEN, "wait": False})
    assert plan.judge(wanted, SPEC, {"app": row(health="unhealthy")}, ABLE).action == "keep"


def test_only_what_is_not_ours_is_foreign() -> None:
    rows = {"app": row(), "b": row(stack=""), "c": row(stack="other")}
    problems = plan.foreign(["app", "b", "c", "d"], rows, "aisha")
    assert [problem.split()[2] for problem in problems] == ["b", "c"]


def test_surplus_is_of_the_stack_and_of_the_roles_and_not_aside() -> None:
    rows = {
        "app": row(), "b": row(), "c": row(role="postgres"), "d": row(stack="other"),
        "e.next": row(), "f.previous": row(), "g.disabled-0123456789ab": row(),
    }  # fmt: skip
    assert plan.surplus(rows, "aisha", ["worker"], ["app"]) == ["b"]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"memory": "1g"}, True),
        ({"cpu_shares": 2}, True),
        ({"restart_policy": "no"}, True),
        ({"wait": False, "wait_timeout": 3, "swap": "start_first"}, True),
        ({"image": "sha256:" + "1" * 64}, False),
        ({"env": {"A": "1"}}, False),
        ({"config_hash": "1"}, False),
        ({"networks": ["n", "m"]}, False),
        ({"healthcheck": {"interval": "1s"}}, False),
        ({"read_only": False}, False),
        ({"cap_add": ["CHOWN"]}, False),
    ],
)
def test_the_fingerprint_is_of_what_cannot_change_while_it_lives(
    changes: dict[str, Any], same: bool
) -> None:
    changed = description.normalised({**GIVEN, **changes})
    assert (description.fingerprint(changed, "aisha") == SPEC) is same
    assert description.fingerprint(changed, "other") != SPEC


@pytest.mark.parametrize(
    ("value", "text"),
    [("x", "x"), (4, "4"), (0.5, "0.5"), (True, "true"), (False, "false"), ("", "")],
)
def test_values_of_the_environment_become_text(value: Any, text: str) -> None:
    assert description.variable("A", value) == text


@pytest.mark.parametrize("value", [None, [], {}, [1]])
def test_what_is_no_single_value_is_refused_by_name(value: Any) -> None:
    with pytest.raises(description.DescriptionError, match="A in its environment"):
        description.variable("A", value)


@pytest.mark.parametrize(
    ("text", "number"),
    [("256m", 256 << 20), ("1g", 1 << 30), ("1G", 1 << 30), ("10k", 10240), ("512", 512),
     ("1gb", 1 << 30)],
)  # fmt: skip
def test_sizes(text: str, number: int) -> None:
    assert description.size(text) == number


@pytest.mark.parametrize(
    ("text", "seconds"), [("3s", 3), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600)]
)
def test_times(text: str, seconds: float) -> None:
    assert description.nanoseconds(text) == seconds * 10**9


@pytest.mark.parametrize("text", ["", "3", "s", "3 s", "-1s", "1.5s"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(description.DescriptionError):
        description.nanoseconds(text)


def test_it_is_waited_for_longer_than_it_may_take_to_start() -> None:
    slow = {**GIVEN, "healthcheck": {"start_period": "300s"}}
    assert description.normalised(GIVEN)["wait_timeout"] == 120
    assert description.normalised(slow)["wait_timeout"] == 360
    assert description.normalised({**slow, "wait_timeout": 7})["wait_timeout"] == 7


def test_an_engine_that_knows_it_checks_often_while_a_container_starts() -> None:
    check = {"test": ["CMD", "true"], "interval": "3s"}
    wanted = description.normalised({**GIVEN, "healthcheck": check})
    old, new = (description.health_check(wanted, version) for version in ((1, 43), (1, 44)))
    assert old == {"Test": ["CMD", "true"], "Interval": 3 * 10**9}
    assert new["StartInterval"] == 10**9
    # Without a time of the start, such an engine would wait a whole interval for the first check.
    assert new["StartPeriod"] == new["Interval"]
    slow = {"Config": {"Healthcheck": {"StartPeriod": 300 * 10**9}}}
    assert "StartPeriod" not in description.health_check(wanted, (1, 44), slow)
    assert description.health_check({**wanted, "role": "task"}, (1, 44)) == {"Test": ["NONE"]}
    none = description.normalised({**GIVEN, "healthcheck": {"test": ["NONE"]}})
    assert description.health_check(none, (1, 44)) == {"Test": ["NONE"]}


def test_a_login_that_is_refused_is_told_of_within_a_minute() -> None:
    """At worst it breaks right after it was tried; then each failing check is an interval later."""
    images = Path(__file__).resolve().parents[3] / "images/bot"
    code = "".join(path.read_text() for path in sorted((images / "app").rglob("*.py")))
    (tried,) = re.findall(r"login_check_seconds: float = Field\(default=(\d+)", code)
    logins = (images / "app/logins.py").read_text()
    (sure,) = re.findall(r"(?m)^CONFIRM_SECONDS = ([\d.]+)", logins)
    for image in ("bot", "webhook"):
        stage = re.split(rf"(?m)^FROM \w+ AS {image}$", (images / "Dockerfile").read_text())[1]
        (own, failures), *_others = re.findall(
            r"HEALTHCHECK --interval=(\d+)s .*--retries=(\d+)", stage
        )
        for interval in (int(own), description.PACE["Interval"] / 10**9):
            assert float(tried) + float(sure) + int(failures) * interval <= 58, image


def test_a_port_of_an_ipv6_address() -> None:
    wanted = description.normalised({**GIVEN, "publish": ["[::1]:80:8080", "127.0.0.1:80:8080"]})
    bindings = description.creation(wanted, "aisha", "", None)["HostConfig"]["PortBindings"]
    assert bindings == {
        "8080/tcp": [{"HostIp": "::1", "HostPort": "80"}, {"HostIp": "127.0.0.1", "HostPort": "80"}]
    }


def test_it_has_no_network_that_it_was_not_given() -> None:
    for networks in ([], ["none"]):
        wanted = description.normalised({**GIVEN, "networks": networks})
        body = description.creation(wanted, "aisha", "", None)
        assert body["HostConfig"]["NetworkMode"] == "none"
        assert "NetworkingConfig" not in body


def test_all_that_the_engine_is_told() -> None:
    """Whole, so that nothing of the hardening gets lost."""
    given = {
        **GIVEN, "networks": ["n", "m"], "stop_signal": "SIGINT", "stop_timeout": 7,
        "shm_size": "1m", "command": ["c"], "entrypoint": ["e"], "env": {"B": 1, "A": True},
        "labels": {"l": 1},
        "mounts": [{"type": "volume", "source": "v", "target": "/v", "read_only": True}],
        "cap_add": ["CHOWN"], "config_hash": "h",
    }  # fmt: skip
    body = description.creation(description.normalised(given), "aisha", "s", (1, 41))
    assert body == {
        "Image": DIGEST, "User": "1:1", "Env": ["A=true", "B=1"], "Cmd": ["c"], "Entrypoint": ["e"],
        "StopSignal": "SIGINT", "StopTimeout": 7, "ExposedPorts": {},
        "Labels": {
            "l": "1", "aisha.bot_stack.name": "aisha", "aisha.bot_stack.role": "worker",
            "aisha.bot_stack.config": "h", "aisha.bot_stack.spec": "s",
            "aisha.bot_stack.restart_policy": "always",
        },
        "NetworkingConfig": {"EndpointsConfig": {"n": {"Aliases": ["app"]}}},
        "HostConfig": {
            "CapDrop": ["ALL"], "CapAdd": ["CHOWN"], "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True, "Memory": 256 << 20, "MemorySwap": 256 << 20,
            "CpuShares": 1024, "PidsLimit": 256, "ShmSize": 1 << 20, "NetworkMode": "n",
            "Tmpfs": {"/tmp": "size=64m,mode=1777", "/run": "size=16m,mode=1777"},  # noqa: S108
            "RestartPolicy": {"Name": "always"}, "PortBindings": {},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            "Mounts": [{"Type": "volume", "Source": "v", "Target": "/v", "ReadOnly": True}],
        },
    }  # fmt: skip


def test_one_that_ends_is_never_restarted_and_publishes_nothing() -> None:
    wanted = tasks.task({**GIVEN, "publish": ["127.0.0.1:80:80"], "restart_policy": "always"})
    assert (wanted["role"], wanted["restart_policy"], wanted["publish"]) == ("task", "no", [])
    assert wanted["wait_timeout"] == 600


def test_what_runs_and_is_taken_for_the_same_is_shown_the_same() -> None:
    wanted = description.normalised({**GIVEN, "networks": []})
    verdict = plan.judge(wanted, SPEC, {"app": row(memory=1, addresses={"none": ""})}, ABLE)
    done = row(addresses={"none": ""})
    assert plan.lines(plan.after(verdict, {}), ["app"]) == plan.lines({"app": done}, ["app"])

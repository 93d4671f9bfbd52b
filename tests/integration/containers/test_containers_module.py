"""The module `containers` on a real engine: what runs is what was described, or what ran before."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any

import pytest
from containers_host import CRASH, ILL, STACK, USER, Host, at_once

A, B, C = (f"{STACK}-{letter}" for letter in "abc")
SWAPS = ("stop_first", "start_first")


def test_the_second_call_changes_nothing_and_a_check_says_what_the_call_does(host: Host) -> None:
    wanted = [host.describe(A), host.describe(B, healthcheck={"test": ["NONE"]})]
    predicted = host.good(*wanted, check=True)
    assert predicted["outdated"] == [A, B]
    assert host.names() == []
    made = host.good(*wanted)
    assert made["changed"]
    assert made["outdated"] == predicted["outdated"]
    assert set(made["containers"]) == {A, B}
    assert made["containers"][A]["health"] == "healthy"
    again = host.good(*wanted)
    assert not again["changed"], again["reasons"]
    assert again["diff"]["before"] == again["diff"]["after"]


def test_every_container_is_hardened(host: Host) -> None:
    host.good(host.describe())
    found = host.inspect()
    limits = found["HostConfig"]
    assert limits["CapDrop"] == ["ALL"]
    assert limits["SecurityOpt"] == ["no-new-privileges:true"]
    assert limits["ReadonlyRootfs"]
    assert not limits["Privileged"]
    assert limits["NetworkMode"] == "none"
    assert limits["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert limits["CpuShares"] == 1024
    assert found["Config"]["User"] == USER


@pytest.mark.parametrize("swap", ["stop_first", "start_first"])
def test_a_changed_one_takes_the_place_of_the_old_one(host: Host, swap: str) -> None:
    host.good(host.describe(swap=swap))
    old = host.inspect()["Id"]
    changed = host.good(host.describe(swap=swap, env={"A": "2"}))
    assert changed["reasons"] == {A: "its description differs"}
    assert host.inspect()["Id"] != old
    assert host.inspect()["State"]["Health"]["Status"] == "healthy"
    assert host.names() == [A]


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "ill": ({"command": ILL, "wait_timeout": 4}, "it has no heart"),
    "crashes": (
        {"command": CRASH, "healthcheck": {"test": ["NONE"]}}, "ends by itself (exit code 3)"
    ),
    "no program": ({"command": ["no-such-program"]}, "no-such-program"),
    "no network": ({"networks": ["containers-test-missing"]}, "containers-test-missing"),
}  # fmt: skip


def test_the_former_one_is_back_where_the_new_one_fails() -> None:
    cases = {f"{name}, {swap}": (swap, *BROKEN[name]) for name in BROKEN for swap in SWAPS}
    at_once(the_former_one_is_back, cases)


def the_former_one_is_back(host: Host, swap: str, broken: dict[str, Any], said: str) -> None:
    host.good(host.describe(host.a, swap=swap), host.describe(host.b), host.describe(host.c))
    ids = {name: host.inspect(name)["Id"] for name in (host.a, host.b, host.c)}
    failed = host.bad(
        host.describe(host.a, swap=swap, **broken),
        host.describe(host.b, env={"B": "2"}),
        host.describe(host.c),
    )
    assert said in failed["msg"]
    assert f"Not touched: {host.b}" in failed["msg"]
    assert {name: host.inspect(name)["Id"] for name in (host.a, host.b, host.c)} == ids
    assert host.inspect(host.a)["State"]["Status"] == "running"
    assert host.inspect(host.a)["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert host.names() == [host.a, host.b, host.c]
    assert not host.good(
        host.describe(host.a, swap=swap), host.describe(host.b), host.describe(host.c)
    )["changed"]


def test_one_without_a_health_check_that_ends_fails_with_its_log(host: Host) -> None:
    """With restart: always the engine starts it again and again, which looks like running."""
    failed = host.bad(host.describe(command=CRASH, healthcheck={"test": ["NONE"]}))
    assert "ends by itself (exit code 3)" in failed["msg"]
    assert "it falls over" in failed["msg"]
    assert "left for its log" in failed["msg"]
    assert host.inspect()["State"]["Status"] == "exited"


def test_a_health_check_is_quoted(host: Host) -> None:
    check = {"test": ["CMD-SHELL", "echo no pulse; exit 1"], "interval": "1s", "retries": 1}
    failed = host.bad(host.describe(healthcheck=check, wait_timeout=4))
    assert "Its health check says: no pulse" in failed["msg"]


def test_one_that_starts_longer_than_is_waited_names_the_setting(host: Host) -> None:
    check = {"test": ["CMD", "false"], "interval": "1s", "start_period": "60s"}
    failed = host.bad(host.describe(healthcheck=check, wait_timeout=2))
    assert "it is starting after 2 s; where it only needs longer, raise its wait" in failed["msg"]


def test_a_foreign_container_with_one_of_our_names_is_refused_first(host: Host) -> None:
    host.engine.containers.create(host.image, ["true"], name=B)
    for state in ("present", "created", "restarted", "absent", "finished"):
        failed = host.bad(host.describe(A), host.describe(B), state=state)
        assert f"the name {B} is taken" in failed["msg"]
        # Of the run, something may be changed before this call.
        assert failed["msg"].endswith(f"Not touched: {A}, {B}.")
    assert host.names() == []
    assert host.inspect(B)["State"]["Status"] == "created"


def test_what_was_changed_by_hand_is_mended_without_a_new_container(host: Host) -> None:
    host.engine.networks.create(STACK, internal=True)
    wanted = host.describe(networks=[STACK])
    host.good(wanted)
    before = host.inspect()["Id"]
    container = host.engine.containers.get(A)
    container.update(mem_limit="64m", memswap_limit="64m", restart_policy={"Name": "no"})
    host.engine.networks.get(STACK).disconnect(container)
    container.pause()
    assert host.good(wanted, check=True)["outdated"] == [A]
    mended = host.good(wanted)
    assert "paused" in mended["reasons"][A]
    container.stop(timeout=1)
    assert host.good(wanted)["reasons"] == {A: "it is exited"}
    found = host.inspect()
    assert (found["Id"], found["HostConfig"]["Memory"]) == (before, 32 << 20)
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert A in found["NetworkSettings"]["Networks"][STACK]["Aliases"]
    assert not host.good(wanted)["changed"]


def test_without_waiting_it_is_idempotent(host: Host) -> None:
    wanted = host.describe(command=ILL, wait=False)
    assert host.good(wanted)["changed"]
    assert not host.good(wanted)["changed"]


def test_a_run_that_was_broken_off_is_completed_by_the_next() -> None:
    """Between any two requests to the engine: what it left is put right, and one runs."""
    points = ("created", "stopped", "aside", "renamed")
    cases = {f"{point}, {swap}": (swap, point) for swap in SWAPS for point in points}
    at_once(is_completed_by_the_next, cases)


def is_completed_by_the_next(host: Host, swap: str, broken_off: str) -> None:
    old, new = host.describe(swap=swap), host.describe(swap=swap, env={"A": "2"})
    host.good(old)
    host.good(new, state="created")
    former = host.engine.containers.get(host.a)
    if broken_off != "created":
        former.update(restart_policy={"Name": "no"})
        former.stop(timeout=1)
    if broken_off in ("aside", "renamed"):
        former.rename(host.previous)
    if broken_off == "renamed":
        host.engine.containers.get(host.next).rename(host.a)
    host.good(new)
    assert host.names() == [host.a]
    assert host.inspect()["State"]["Health"]["Status"] == "healthy"
    assert host.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert not host.good(new)["changed"]


def test_a_restart_leaves_alone_what_is_aside(host: Host) -> None:
    host.good(host.describe(A), host.describe(B, role="primary"))
    host.good(host.describe(B, role="primary", env={"A": "2"}), state="created")
    aside = host.engine.containers.create(
        host.image, ["true"], name=f"{B}.disabled-0123456789ab",
        labels={"aisha.bot_stack.name": STACK, "aisha.bot_stack.role": "primary"},
    )  # fmt: skip
    started = {name: host.inspect(name)["State"]["StartedAt"] for name in (A, B)}
    done = host.good(state="restarted", roles=["worker", "primary"])
    assert done["outdated"] == [A, B]
    for name in (A, B):
        assert host.inspect(name)["State"]["StartedAt"] > started[name]
    for name in (B + ".next", aside.name):
        assert host.inspect(name)["State"]["Status"] == "created"


def test_a_restart_stops_at_the_first_that_is_not_well(host: Host) -> None:
    host.good(host.describe(A, command=ILL, wait=False), host.describe(B))
    started = host.inspect(B)["State"]["StartedAt"]
    failed = host.bad(state="restarted", roles=["worker"], wait_timeout=3)
    assert f"Container {A}" in failed["msg"]
    assert host.inspect(B)["State"]["StartedAt"] == started


def test_what_nobody_wants_any_more_goes_last_and_absent_takes_what_is_aside(host: Host) -> None:
    host.good(host.describe(A), host.describe(B))
    done = host.good(host.describe(A), roles=["worker"])
    assert done["removed"] == [B]
    assert host.names() == [A]
    host.good(host.describe(A, env={"A": "2"}), state="created")
    assert host.names() == [A, A + ".next"]
    assert host.good({"name": A}, state="absent", check=True)["changed"]
    assert host.names() == [A, A + ".next"]
    host.good({"name": A}, state="absent")
    assert host.names() == []
    assert not host.good({"name": A}, state="absent")["changed"]


def test_one_that_ends_gives_what_it_wrote(host: Host) -> None:
    secret = "correct horse battery"
    token = f"{10**8 + 1}:{'x' * 35}"
    line = f"echo out {secret}; echo POST /bot{token}/getMe >&2; exit 7"
    (done,) = host.good(
        host.describe(command=["sh", "-c", line]), state="finished", secrets=[secret]
    )["results"]
    assert done["status"] == 7
    assert done["output"] == "out ***\n"
    assert done["errors"] == f"POST /bot{10**8 + 1}:***/getMe\n"
    assert host.names() == []
    (done,) = host.good(host.describe(command=["no-such-program"]), state="finished")["results"]
    assert "no-such-program" in done["error"]
    assert done["status"] is None
    (done,) = host.good(host.describe(command=["sleep", "60"], wait_timeout=1), state="finished")[
        "results"
    ]
    assert done["error"] == "it was not done after 1 s"
    eat = "x=xxxxxxxx; while :; do x=$x$x; done"
    (done,) = host.good(host.describe(command=["sh", "-c", eat], memory="8m"), state="finished")[
        "results"
    ]
    assert done["oom_killed"]


def test_one_that_ends_takes_the_place_of_one_that_was_broken_off(host: Host) -> None:
    once = host.describe(command=["echo", "new"])
    labels = {"aisha.bot_stack.name": STACK, "aisha.bot_stack.role": "task"}
    host.engine.containers.create(host.image, ["echo", "old"], name=A, labels=labels).start()
    assert host.good(once, state="finished", check=True)["results"] == []
    assert host.names() == [A]
    (done,) = host.good(once, state="finished")["results"]
    assert (done["output"], done["error"], host.names()) == ("new\n", "", [])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image": "registry.example.com/x:latest"}, "not named by a digest"),
        ({"user": "nobody"}, "write it as numbers"),
        ({"env": {"A": [1]}}, "A in its environment is no single value"),
        ({"memory": "much"}, "much is no size"),
        ({"publish": ["8080:8080"]}, "can't be published"),
        ({"publish": ["127.0.0.1:18080:8080"], "swap": "start_first"}, "say swap: stop_first"),
    ],
)  # fmt: skip
def test_what_can_be_no_container_is_refused_before_any_change(
    host: Host, wrong: dict[str, Any], said: str
) -> None:
    failed = host.bad(host.describe(A), host.describe(B, **wrong))
    assert said in failed["msg"]
    assert B in failed["msg"]
    assert host.names() == []


def test_an_image_that_cannot_be_had_is_refused_before_any_change(host: Host) -> None:
    host.good(host.describe(A), host.describe(B))
    before = host.inspect(A)["Id"]
    missing = "127.0.0.1:1/none@sha256:" + "0" * 64
    failed = host.bad(host.describe(A, env={"A": "2"}), host.describe(B, image=missing))
    assert f"can't pull {missing}" in failed["msg"]
    assert host.inspect(A)["Id"] == before


def test_an_image_for_another_processor_is_said(host: Host) -> None:
    """Before it is tried; the engine of a machine that can run it all the same goes on."""
    other = "arm64" if host.engine.info()["Architecture"] == "x86_64" else "amd64"
    layer = io.BytesIO()
    tarfile.open(fileobj=layer, mode="w").close()
    identity = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    rootfs = {"type": "layers", "diff_ids": [identity]}
    config = {"architecture": other, "os": "linux", "config": {}, "rootfs": rootfs}
    manifest = [{"Config": "config.json", "RepoTags": [f"{STACK}-other:1"], "Layers": ["layer"]}]
    files = {
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
        "layer": layer.getvalue(),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (image,) = host.engine.images.load(packed.getvalue())
    try:
        done = host.good(host.describe(image=image.id, command=["true"]), state="finished")
    finally:
        host.engine.images.remove(f"{STACK}-other:1")
    assert f"the image {image.id} is for {other}, and" in str(done["warnings"])


def test_a_name_that_stands_twice_is_refused(host: Host) -> None:
    failed = host.bad(host.describe(A), host.describe(A, env={"A": "2"}))
    assert "A name stands twice in containers" in failed["msg"]
    assert host.names() == []


def test_nothing_is_created_beside_one_that_only_does_not_run(host: Host) -> None:
    host.good(host.describe(A))
    host.engine.containers.get(A).stop(timeout=1)
    assert not host.good(host.describe(A), state="created")["changed"]
    assert host.names() == [A]

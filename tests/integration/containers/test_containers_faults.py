"""The module `containers`, broken between any two requests: nothing is lost, nothing is left."""

from __future__ import annotations

import io
import os
import random
import socket
import time
from collections.abc import Callable
from typing import Any

import docker.errors
import pytest
import requests
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import (
    apply,
    description,
    plan,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import Scrubber
from containers_host import CRASH, ILL, STACK, Host, at_once, carry_out, carrying_out

A, B = f"{STACK}-a", f"{STACK}-b"
SWAPS = ("stop_first", "start_first")
# make soak gives more.
KILLS = int(os.environ.get("KILLS", "3"))
QUICK = {"test": ["CMD", "test", "-e", "/tmp/well"], "interval": "200ms", "retries": 3}  # noqa: S108
UNCHECKED = {"test": ["NONE"]}
CHANGES = (
    "create_container_from_config", "connect_container_to_network", "update_container", "stop",
    "rename", "start", "remove_container", "unpause",
)  # fmt: skip


class Faulty:
    """The engine's client, of which one change fails: refused, or done and its answer lost."""

    def __init__(self, client: Any, fails: int, *, done: bool) -> None:
        self.client, self.fails, self.done, self.count = client, fails, done, 0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.client, name)
        if name not in CHANGES:
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count != self.fails:
                return value(*arguments, **options)
            if self.done:
                value(*arguments, **options)
                raise requests.exceptions.ReadTimeout("no answer")
            raise docker.errors.APIError("the engine has no mind to")

        return call


def quick(host: Host, **more: Any) -> dict[str, Any]:
    return host.describe(healthcheck=QUICK, **more)


def assert_one_is_well(host: Host, given: dict[str, Any]) -> None:
    """One runs as described, nothing is aside, and the next call would do nothing."""
    assert host.names() == [host.a]
    assert_runs(host)
    wanted = description.normalised(given)
    spec = description.fingerprint(wanted, host.stack)
    rows = apply.observe(host.engine.api, [host.a], host.stack)
    assert not plan.judge(wanted, spec, rows, {}).changes


def assert_runs(host: Host) -> None:
    found = host.inspect()
    assert found["State"]["Status"] == "running"
    assert found["State"]["Health"]["Status"] == "healthy"
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"


def assert_nothing_aside_starts_again(host: Host) -> None:
    """An engine that is restarted starts what ever ran and has such a policy."""
    for aside in set(host.names()) & {host.next, host.previous}:
        found = host.inspect(aside)
        never_ran = found["State"]["Status"] == "created"
        assert never_ran or found["HostConfig"]["RestartPolicy"]["Name"] == "no", aside


class Watched(Faulty):
    """The engine's client, with a look at the host after each change."""

    def __init__(self, client: Any, look: Callable[[], None]) -> None:
        super().__init__(client, 0, done=True)
        self.look = look

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        if name not in CHANGES:
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            result = value(*arguments, **options)
            self.look()
            return result

        return call


def test_nothing_aside_starts_again_and_start_first_always_has_one() -> None:
    at_once(nothing_aside_starts_again, {swap: (swap,) for swap in SWAPS})


def nothing_aside_starts_again(host: Host, swap: str) -> None:
    carry_out(host, quick(host, swap=swap))
    most: list[int] = []

    def look() -> None:
        assert_nothing_aside_starts_again(host)
        states = [host.inspect(name)["State"] for name in host.names()]
        running = [state["Health"]["Status"] for state in states if state["Running"]]
        most.append(len(running))
        if swap == "start_first":
            assert "healthy" in running

    carry_out(host, quick(host, swap=swap, env={"A": "2"}), Watched(host.engine.api, look))
    assert max(most) == (2 if swap == "start_first" else 1)


def test_one_with_a_health_check_that_crashes_again_and_again_is_not_waited_for(host: Host) -> None:
    bad = quick(host, command=["sh", "-c", "exit 3"], wait_timeout=60)
    begun = time.monotonic()
    with pytest.raises(apply.ApplyError, match="exit code 3"):
        carry_out(host, bad)
    assert time.monotonic() - begun < 40


def test_what_nobody_wants_any_more_stays_where_the_run_fails(host: Host) -> None:
    host.good(host.describe(A), host.describe(B))
    host.bad(host.describe(A, command=["no-such-program"]), roles=["worker"])
    assert host.names() == [A, B]


def test_it_is_in_all_its_networks_under_its_name(host: Host) -> None:
    names = [STACK, STACK + "-two"]
    for name in names:
        host.engine.networks.create(name, internal=True)
    for number in range(2):
        carry_out(host, quick(host, networks=names, env={"A": str(number)}))
        joined = host.inspect()["NetworkSettings"]["Networks"]
        assert sorted(joined) == names
        assert all(A in joined[name]["Aliases"] for name in names)
    assert_one_is_well(host, quick(host, networks=names, env={"A": "1"}))


def test_no_token_in_what_the_engine_says(host: Host) -> None:
    token = f"{10**8 + 1}:{'x' * 35}"
    mount = {"type": "bind", "source": f"/none/bot{token.replace(':', '%3A')}", "target": "/data"}
    failed = host.bad(host.describe(A, mounts=[mount]))
    assert "/none/bot" in failed["msg"]
    assert "xxxx" not in failed["msg"]


def test_whichever_request_of_a_swap_fails_one_runs() -> None:
    kinds = {"refused": False, "answer lost": True}
    cases = {f"{kind}, {swap}": (swap, kinds[kind]) for kind in kinds for swap in SWAPS}
    at_once(whichever_request_fails, cases)


def whichever_request_fails(host: Host, swap: str, done: bool) -> None:
    carry_out(host, quick(host, swap=swap))
    for fails in range(1, 30):
        new = quick(host, swap=swap, env={"A": str(fails)})
        client = Faulty(host.engine.api, fails, done=done)
        try:
            carry_out(host, new, client)
        except apply.ApplyError:
            assert_runs(host)
        if client.count < fails:
            break
        carry_out(host, new)
        assert_one_is_well(host, new)
    assert fails > 6
    assert_one_is_well(host, new)


def test_killed_at_any_moment_the_next_run_brings_one_and_nothing_aside() -> None:
    seed = int(os.environ.get("SEED", time.time_ns() % 10**6))
    print(f"SEED={seed}")  # the same moments once more
    at_once(killed_at_any_moment, {swap: (swap, seed) for swap in SWAPS})


def killed_at_any_moment(host: Host, swap: str, seed: int) -> None:
    chance = random.Random(f"{seed} {swap}")  # noqa: S311
    carry_out(host, quick(host, swap=swap))
    begun = time.monotonic()
    carry_out(host, quick(host, swap=swap, env={"A": "0"}))
    takes = time.monotonic() - begun
    for number in range(1, KILLS + 1):
        new = quick(host, swap=swap, env={"A": str(number)})
        for _time in range(chance.choice([1, 1, 2])):
            with carrying_out(host, new):
                time.sleep(chance.uniform(0, takes * 1.2))
            assert {host.a, host.previous} & set(host.names())
            assert_nothing_aside_starts_again(host)
        # Another release may come next.
        if chance.random() < 0.5:
            new = quick(host, swap=swap, env={"A": f"{number}-other"})
        carry_out(host, new)
        assert_one_is_well(host, new)


def test_after_a_run_that_was_broken_off_a_bad_release_brings_back_the_former_one() -> None:
    points = ("stopped", "aside", "renamed", "put back")
    at_once(a_bad_release_brings_back_the_former_one, {point: (point,) for point in points})


def a_bad_release_brings_back_the_former_one(host: Host, broken_off: str) -> None:
    old = quick(host)
    carry_out(host, old)
    former = host.engine.containers.get(host.a)
    host.good(quick(host, env={"A": "2"}), state="created")
    former.update(restart_policy={"Name": "no"})
    former.stop(timeout=1)
    if broken_off in ("aside", "renamed"):
        former.rename(host.previous)
    if broken_off == "renamed":
        host.engine.containers.get(host.next).rename(host.a)
    if broken_off == "put back":
        host.engine.containers.get(host.next).remove()
    with pytest.raises(apply.ApplyError, match="was put back and is well"):
        carry_out(host, quick(host, command=ILL, wait_timeout=5))
    assert host.inspect()["Id"] == former.id
    assert_one_is_well(host, old)


def test_a_former_one_that_did_not_run_is_put_back_and_left_so(host: Host) -> None:
    """Somebody has stopped it, and a bad release is no reason to start it."""
    carry_out(host, quick(host))
    host.engine.containers.get(A).stop(timeout=1)
    with pytest.raises(apply.ApplyError, match="was put back; it did not run before"):
        carry_out(host, quick(host, command=ILL, wait_timeout=1))
    assert host.names() == [A]
    assert host.inspect()["State"]["Status"] == "exited"
    assert host.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_one_that_only_runs_is_not_proven_when_the_run_was_broken_off(host: Host) -> None:
    """Without a health check, what crashes every second is running most of the time."""
    old = quick(host)
    carry_out(host, old)
    former = host.engine.containers.get(A)
    bad = host.describe(A, command=CRASH, healthcheck=UNCHECKED)
    host.good(bad, state="created")
    former.update(restart_policy={"Name": "no"})
    former.stop(timeout=1)
    former.rename(host.previous)
    host.engine.containers.get(host.next).rename(A)
    host.engine.containers.get(A).start()
    with pytest.raises(apply.ApplyError, match="was put back and is well"):
        carry_out(host, bad)
    assert_one_is_well(host, old)


def test_one_that_crashes_again_and_again_is_not_kept_for_running_just_now(host: Host) -> None:
    line = "i=0; while [ $i -lt 15 ]; do sleep 0.1; i=$((i+1)); done; exit 3"
    bad = host.describe(A, command=["sh", "-c", line], healthcheck=UNCHECKED, wait=False)
    carry_out(host, bad)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = host.inspect()
        if found["RestartCount"] >= 1 and found["State"]["Status"] == "running":
            break
        time.sleep(0.05)
    with pytest.raises(apply.ApplyError, match="ends by itself"):
        carry_out(host, {**bad, "wait": True})


def test_two_runs_at_once_are_one_after_the_other(host: Host) -> None:
    host.good(quick(host))
    runs = [host.begin(quick(host, env={"A": str(number)})) for number in range(3)]
    results = [host.end(run) for run in runs]
    assert [result.get("msg") for result in results] == [None] * 3
    assert host.names() == [A]
    assert_runs(host)


def test_a_container_of_the_operator_is_never_removed(host: Host) -> None:
    """Also those whose names only follow from ours."""
    name = A + "-volumes"
    foreign = host.engine.containers.create(host.image, ["true"], name=name)
    volume = {"type": "volume", "source": A, "target": "/data"}
    failed = host.bad(quick(host, mounts=[volume]), state="tried", volumes_image=host.image)
    assert f"the name {name} is taken" in failed["msg"]
    failed = host.bad(quick(host, mounts=[volume]), volumes_image=host.image)
    assert f"the name {name} is taken" in failed["msg"]
    assert host.inspect(name)["Id"] == foreign.id
    # And one that came after the look.
    applier = apply.Applier(host.engine.api, STACK, "host", Scrubber().scrub)
    wanted = description.normalised(host.describe(name))
    with pytest.raises(apply.ApplyError):
        applier.create(wanted, "", name)
    with pytest.raises(apply.ApplyError, match="is taken"):
        applier.remove(name, 0)
    assert host.inspect(name)["Id"] == foreign.id


def test_a_paused_one_is_stopped_by_its_signal(host: Host) -> None:
    host.engine.volumes.create(STACK)
    line = "touch /tmp/well; trap 'touch /data/ended; exit 0' TERM; while :; do sleep 0.1; done"
    mount = {"type": "volume", "source": STACK, "target": "/data"}
    wanted = quick(
        host, command=["sh", "-c", line], mounts=[mount], user="0:0", cap_add=["DAC_OVERRIDE"]
    )
    carry_out(host, wanted)
    host.engine.containers.get(A).pause()
    host.good({"name": A}, state="absent")
    (done,) = host.good(
        host.describe(command=["ls", "/data"], mounts=[mount], user="0:0"), state="finished"
    )["results"]
    assert done["output"] == "ended\n"


def test_volumes_are_seen_to_again_where_that_failed(host: Host) -> None:
    wanted = quick(host)

    def full(_wanted: Any) -> None:
        raise apply.ApplyError("no space left")

    with pytest.raises(apply.ApplyError, match="no space left"):
        carry_out(host, wanted, see_to=full)
    seen: list[str] = []
    carry_out(host, wanted, see_to=lambda each: seen.append(each["name"]))
    assert seen == [A]
    carry_out(host, wanted, see_to=full)


@pytest.mark.parametrize("swap", SWAPS)
def test_volumes_of_a_new_one_are_seen_to_while_the_former_one_runs(host: Host, swap: str) -> None:
    carry_out(host, quick(host, swap=swap))
    former = host.inspect()
    new = quick(host, swap=swap, env={"A": "2"})

    def full(wanted: dict[str, Any]) -> None:
        assert wanted["name"] == A
        assert host.inspect(host.next)["State"]["Status"] == "created"
        assert_runs(host)
        raise apply.ApplyError("no space left")

    with pytest.raises(apply.ApplyError, match="no space left\nThe former one was not touched"):
        carry_out(host, new, see_to=full)
    assert host.names() == [A]
    assert host.inspect()["Id"] == former["Id"]
    assert host.inspect()["State"]["StartedAt"] == former["State"]["StartedAt"]


def published(host: Host, **more: Any) -> dict[str, Any]:
    """What publishes a port and owns no volume, as the front."""
    host.engine.networks.create(STACK)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return quick(host, publish=[f"127.0.0.1:{port}:8080"], networks=[STACK], **more)


def test_what_publishes_a_port_is_tried_while_the_former_one_serves(host: Host) -> None:
    old = published(host)
    carry_out(host, old)
    former = host.inspect()
    tried: list[str] = []

    def look() -> None:
        assert_runs(host)
        assert_nothing_aside_starts_again(host)
        if host.next in host.names():
            found = host.inspect(host.next)
            assert not found["HostConfig"]["PortBindings"]
            # Nobody who asks for the one that serves gets this one.
            assert A not in found["NetworkSettings"]["Networks"][STACK]["Aliases"]
            tried.append(found["State"]["Status"])

    bad = {**old, "command": ILL, "wait_timeout": 1}
    with pytest.raises(apply.ApplyError, match="The former one was not touched"):
        carry_out(host, bad, Watched(host.engine.api, look))
    assert "running" in tried
    assert host.inspect()["Id"] == former["Id"]
    assert host.inspect()["State"]["StartedAt"] == former["State"]["StartedAt"]
    assert_one_is_well(host, old)
    new = {**old, "env": {"A": "2"}}
    carry_out(host, new)
    assert host.inspect()["HostConfig"]["PortBindings"]
    assert_one_is_well(host, new)


def test_nothing_restarts_what_tries_a_volume(host: Host) -> None:
    """Should the run be broken off meanwhile: it has the image and the token of another one."""
    mount = {"type": "volume", "source": A, "target": "/data"}
    events = host.engine.events(
        filters={"event": "create", "type": "container", "container": A + "-volumes"}, decode=True
    )
    host.call(quick(host, role="primary", mounts=[mount]), state="tried", volumes_image=host.image)
    made = next(events)
    events.close()
    assert made["Actor"]["Attributes"]["aisha.bot_stack.role"] == "task"
    assert made["Actor"]["Attributes"]["aisha.bot_stack.restart_policy"] == "no"


def test_a_secret_is_taken_out_before_a_text_is_cut(host: Host) -> None:
    token = f"{10**8 + 1}:{'x' * 35}"
    # The cut is in the middle of the token.
    line = f"printf '%s%480s' {token} .; exit 1"
    check = {"test": ["CMD-SHELL", line], "interval": "200ms", "retries": 1}
    failed = host.bad(host.describe(A, command=ILL, healthcheck=check, wait_timeout=2))
    assert "xxxx" not in failed["msg"]


def test_a_diff_shows_what_is_done(host: Host) -> None:
    diff = host.good(host.describe(A), host.describe(B), state="created", check=True)["diff"]
    assert [line.split(",")[0] for line in diff["after"].splitlines()] == [
        f"{A}.next: created", f"{B}.next: created",
    ]  # fmt: skip
    assert host.names() == []
    host.good(host.describe(A))
    host.engine.containers.get(A).update(mem_limit="64m", memswap_limit="64m")
    predicted = host.good(host.describe(A), check=True)["diff"]["after"]
    host.good(host.describe(A))
    assert host.good(host.describe(A))["diff"]["before"] == predicted


def test_what_was_not_touched_is_said_also_where_nothing_differed(host: Host) -> None:
    """The first one is as described, and gets ill while it is waited for."""
    host.good(
        host.describe(A, command=ILL, healthcheck={**QUICK, "start_period": "60s"}, wait=False)
    )
    failed = host.bad(
        host.describe(A, command=ILL, healthcheck={**QUICK, "start_period": "60s"}, wait_timeout=1),
        host.describe(B),
    )
    assert f"Not touched: {B}" in failed["msg"]
    assert not failed["changed"]


def test_an_image_that_goes_between_plan_and_apply_leaves_the_former_one(host: Host) -> None:
    carry_out(host, quick(host))
    with pytest.raises(apply.ApplyError, match="does not create"):
        carry_out(host, quick(host, image="sha256:" + "0" * 64))
    assert_one_is_well(host, quick(host))


def test_a_long_name_and_a_volume_without_a_name(host: Host) -> None:
    image, _log = host.engine.images.build(
        fileobj=io.BytesIO(f"FROM {host.image}\nVOLUME /anonymous\n".encode())
    )
    name = A + "-" + "x" * 60
    before = {volume.name for volume in host.engine.volumes.list()}
    for number in range(2):
        wanted = {**quick(host, image=image.id, env={"A": str(number)}), "name": name}
        carry_out(host, wanted)
        with pytest.raises(apply.ApplyError, match="was put back and is well"):
            carry_out(host, {**wanted, "command": ["false"]})
        (mount,) = host.inspect(name)["Mounts"]
        made = {volume.name for volume in host.engine.volumes.list()} - before
        assert mount["Name"] in made
    host.good({"name": name}, state="absent")
    assert mount["Name"] not in {volume.name for volume in host.engine.volumes.list()}


def test_roles_remove_what_is_of_this_stack_alone(host: Host) -> None:
    other = {"aisha.bot_stack.name": STACK + "-other", "aisha.bot_stack.role": "worker"}
    bare = {"aisha.bot_stack.role": "worker"}
    for name, labels in ((B, other), (f"{STACK}-c", bare), (f"{STACK}-d.previous", other)):
        host.engine.containers.create(host.image, ["true"], name=name, labels=labels)
    host.good(host.describe(A))
    host.good(state="present", roles=["worker"])
    assert host.names() == []
    host.good(host.describe(A))
    host.good(state="absent", roles=["worker"])
    assert host.names() == []
    for name in (B, f"{STACK}-c", f"{STACK}-d.previous"):
        assert host.inspect(name)["State"]["Status"] == "created"


def test_a_network_that_was_made_anew_is_joined_again(host: Host) -> None:
    wanted = quick(host, networks=[STACK])
    host.engine.networks.create(STACK, internal=True)
    carry_out(host, wanted)
    host.engine.containers.get(A).stop(timeout=1)
    host.engine.networks.get(STACK).remove()
    host.engine.networks.create(STACK, internal=True)
    carry_out(host, wanted)
    assert_one_is_well(host, wanted)
    assert A in host.inspect()["NetworkSettings"]["Networks"][STACK]["Aliases"]


def test_a_stack_without_a_name_has_no_containers(host: Host) -> None:
    """Or every container without our label would be one of it."""
    foreign = host.engine.containers.create(host.image, ["true"], name=A)
    for state in ("present", "absent"):
        assert (
            "stack_name is empty" in host.bad(host.describe(A), stack_name="", state=state)["msg"]
        )
    assert host.inspect(A)["Id"] == foreign.id


def test_no_token_in_the_words_of_one_that_failed(host: Host) -> None:
    """Already where they are put together, not only where the module ends."""
    line = f"echo POST /bot{10**8 + 1}:{'x' * 35}/getMe; exit 3"
    with pytest.raises(apply.ApplyError) as failed:
        carry_out(host, quick(host, command=["sh", "-c", line]))
    assert "/bot100000001:***/getMe" in str(failed.value)


class Busy:
    """The engine's client, of which somebody else removes what is to be removed."""

    def __init__(self, client: Any) -> None:
        self.client, self.asked = client, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def remove_container(self, *args: Any, **more: Any) -> None:
        self.asked += 1
        if self.asked < 3:
            raise docker.errors.APIError(
                "409", explanation="removal of container 1234 is already in progress"
            )
        self.client.remove_container(*args, **more)


def test_one_that_somebody_else_removes_is_waited_for(host: Host) -> None:
    carry_out(host, quick(host))
    busy = Busy(host.engine.api)
    carry_out(host, quick(host, env={"A": "2"}), busy)
    assert busy.asked == 3
    assert_one_is_well(host, quick(host, env={"A": "2"}))

"""Changes to containers that end by themselves just then: the engine refuses what it was asked."""

from __future__ import annotations

import time
from typing import Any

import docker.errors
import pytest
import requests
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import live
from containers_host import Host, at_once, carry_out

# Each update meets the end of the program in about one of 50 cases.
UPDATES = 100
ENDS = ["sh", "-c", "exit 3"]


def test_one_that_ends_again_and_again_gets_each_policy() -> None:
    at_once(gets_each_policy, {f"crash {number}": () for number in range(4)})


def gets_each_policy(host: Host) -> None:
    carry_out(host, host.describe(command=ENDS, wait=False))
    for number in range(UPDATES):
        policy = ("no", "always")[number % 2]
        live.restart_policy(host.engine.api, host.a, policy)
        found = host.inspect()
        assert found["HostConfig"]["RestartPolicy"]["Name"] == policy
        if not found["State"]["Running"] and policy == "no":
            host.engine.api.start(host.a)


class Ends:
    """The engine's client, whose container has just ended when it is asked to update it."""

    def __init__(self, client: Any, times: float, status: int = 500) -> None:
        self.client, self.left, self.status = client, times, status

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def update_container(self, *args: Any, **more: Any) -> None:
        self.left -= 1
        if self.left >= 0:
            answer = requests.Response()
            answer.status_code = self.status
            raise docker.errors.APIError("refused", answer, "container not running")
        self.client.update_container(*args, **more)


def test_a_swap_goes_on_where_the_former_one_ends_meanwhile(host: Host) -> None:
    carry_out(host, host.describe())
    ends = Ends(host.engine.api, times=3)
    new = host.describe(env={"A": "2"})
    carry_out(host, new, ends)
    assert ends.left < 0
    assert host.names() == [host.a]
    assert "A=2" in host.inspect()["Config"]["Env"]


@pytest.mark.parametrize(("times", "status"), [(float("inf"), 500), (1, 400), (1, 409)])
def test_what_the_engine_refuses_for_good_is_said(
    host: Host, times: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "UPDATE_SECONDS", 0.5)
    carry_out(host, host.describe(command=ENDS, wait=False))
    with pytest.raises(docker.errors.APIError, match="container not running"):
        live.restart_policy(Ends(host.engine.api, times, status), host.a, "no")


def test_a_paused_one_that_was_killed_needs_nothing_more(host: Host) -> None:
    carry_out(host, host.describe())
    api = host.engine.api
    api.update_container(host.a, restart_policy={"Name": "no"})
    api.pause(host.a)
    api.kill(host.a)
    wait_until_ended(host)
    live.unpause(api, host.a)
    live.kill(api, host.a)


def test_one_that_is_gone_is_an_error(host: Host) -> None:
    for change in (live.unpause, live.kill, lambda *one: live.restart_policy(*one, "no")):
        with pytest.raises(docker.errors.NotFound):
            change(host.engine.api, host.a)


def wait_until_ended(host: Host) -> None:
    deadline = time.monotonic() + 20
    while host.inspect()["State"]["Running"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)

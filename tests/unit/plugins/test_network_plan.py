"""What becomes of networks: nothing that something uses is made anew."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter.network_plan import network_plan
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import networks

WANTED = [{"name": "aisha-data", "internal": True}]
NEW = {"name": "aisha-data", "internal": True, "mtu": 1500}


def row(**changes: Any) -> dict[str, Any]:
    return {
        "name": "aisha-data", "driver": "bridge", "internal": True, "mtu": 1500, "stack": "aisha",
        "containers": ["aisha-redis"],
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("found", "mtu", "host_mtu", "create", "said"),
    [
        ([], 0, 1500, [NEW], []),
        ([], 0, 9001, [NEW], []),
        ([], 0, None, [NEW], []),
        ([], 0, 1400, [{**NEW, "mtu": 1400}], []),
        ([], 9001, 1500, [{**NEW, "mtu": 9001}], []),
        ([row()], 0, 1500, [], []),
        # No size was asked for: smaller packets are well, larger ones get lost.
        ([row(mtu=1400)], 0, 1500, [], []),
        ([row(mtu=1500)], 0, 1400, [], ["is 1500 and would be 1400", "docker_host_mtu: 1500"]),
        ([row(mtu=1400)], 1500, 1500, [], ["its MTU is 1400 and", "cut off aisha-redis"]),
        ([row(internal=False)], 0, 1500, [], ["internal is false and would", "teardown.yml"]),
        ([row(driver="overlay")], 0, 1500, [], ["its driver is overlay and would be bridge"]),
        # What nothing is attached to can be made anew.
        ([row(internal=False, containers=[])], 0, 1500, [NEW], []),
        # Somebody else's.
        ([row(stack="")], 0, 1500, [], []),
        ([row(stack="", internal=False, containers=[])], 0, 1500, [], ["was not made by this"]),
        ([row(stack="other", containers=[])], 0, 1500, [], ["belongs to the stack other"]),
    ],
)  # fmt: skip
def test_the_plan(
    found: list[dict[str, Any]],
    mtu: int,
    host_mtu: int | None,
    create: list[dict[str, Any]],
    said: list[str],
) -> None:
    plan = networks.plan(WANTED, found, "aisha", mtu, host_mtu)
    assert plan["create"] == create
    assert plan["replace"] == ([each["name"] for each in create] if found else [])
    assert len(plan["problems"]) == bool(said)
    assert all(words in plan["problems"][0] for words in said)


@pytest.mark.parametrize(
    ("mtu", "host_mtu", "size"), [("0", 1400, 1400), ("9001", 1400, 9001), (0, None, 1500)]
)
def test_the_filter_knows_what_was_found_and_what_was_set(
    mtu: int | str, host_mtu: int | None, size: int
) -> None:
    found = {"networks": [row(name="aisha-front")], "mtu": host_mtu}
    plan = network_plan(found, WANTED, "aisha", mtu)
    assert plan["create"] == [{**NEW, "mtu": size}]
    assert network_plan({"networks": [row()], "mtu": host_mtu}, WANTED, "x")["problems"]
    assert network_plan({}, WANTED, "aisha")["create"] == [NEW]


def test_a_row_names_what_is_attached_in_every_state() -> None:
    found = {
        "Name": "aisha-data",
        "Driver": "bridge",
        "Internal": True,
        "Options": {},
        "Labels": None,
    }
    containers = [
        {"Names": ["/b"], "NetworkSettings": {"Networks": {"aisha-data": {}}}, "State": "exited"},
        {"Names": ["/a"], "NetworkSettings": {"Networks": {"aisha-data": {}, "x": {}}}},
        {"Names": ["/c"], "NetworkSettings": {"Networks": {"aisha-data-2": {}}}},
    ]
    assert networks.describe(found, containers) == row(stack="", containers=["a", "b"])

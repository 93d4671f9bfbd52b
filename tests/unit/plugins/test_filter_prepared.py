"""Which hosts a play is run on in check mode."""

from __future__ import annotations

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter.prepared import GROUP, prepared

GROUPS = {"all": ["data1", "bot1", "bot2"], "registry": ["data1"], "bot": ["bot1", "bot2"]}


@pytest.mark.parametrize(
    ("unprepared", "whole", "left_out"),
    [
        (None, False, []),
        (None, True, []),
        (["bot2"], False, ["bot2"]),
        (["bot2"], True, GROUPS["all"]),
        (["data1"], False, GROUPS["all"]),
        (GROUPS["all"], False, GROUPS["all"]),
    ],
    ids=["none", "none of all", "one", "one of all", "who provides the images", "all"],
)
def test_unprepared_hosts_are_left_out(
    unprepared: list[str] | None, whole: bool, left_out: list[str]
) -> None:
    groups = GROUPS if unprepared is None else {**GROUPS, GROUP: unprepared}
    assert prepared("registry:bot", groups, whole) == "registry:bot" + "".join(
        f":!{host}" for host in sorted(left_out)
    )


def test_without_a_registry_the_first_host_of_the_bot_provides_the_images() -> None:
    groups = {"all": ["bot1", "bot2"], "bot": ["bot1", "bot2"], GROUP: ["bot1"]}
    assert prepared("bot", groups) == "bot:!bot1:!bot2"

"""Which images and finished containers may go, and what a rollback needs stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter.images import (
    finished_tasks,
    old_images,
    release_images,
)

Row = dict[str, Any]
OURS = "registry.example.com:5000/aisha/"


def image(number: int, *names: str) -> Row:
    """The higher the number, the newer; without names it is one that was pulled by digest."""
    names = names or (f"{OURS}bot@sha256:{number:064x}",)
    return {
        "Id": f"sha256:id{number}",
        "Created": number,
        "RepoTags": [name for name in names if "@" not in name] or ["<none>:<none>"],
        "RepoDigests": [name for name in names if "@" in name],
    }


def bots(count: int) -> list[Row]:
    return [image(number) for number in range(1, count + 1)]


def uses(number: int, state: str = "running") -> Row:
    return {"ImageID": f"sha256:id{number}", "State": state, "Names": ["/x"]}


def gone(images: list[Row], *containers: Row, keep: Any = 1, needed: tuple[str, ...] = ()) -> Any:
    return old_images(images, list(containers), OURS, keep, needed)


IDS = {n: f"sha256:id{n}" for n in range(1, 9)}
CASES: dict[str, tuple[list[str], list[str]]] = {
    "the newest stays": (gone(bots(3)), [IDS[2], IDS[1]]),
    "as many as asked stay": (gone(bots(4), keep=3), [IDS[1]]),
    "asked on the command line": (gone(bots(4), keep="3"), [IDS[1]]),
    "none is too many": (gone(bots(2), keep=2), []),
    "what runs stays": (gone(bots(3), uses(1)), [IDS[2]]),
    "what is stopped stays": (gone(bots(3), uses(1, "exited"), uses(2, "created")), []),
    "what a rollback needs stays": (
        gone(bots(3), needed=(f"{OURS}bot@sha256:{1:064x}",)),
        [IDS[2]],
    ),
    "also where it was pulled by another name of the registry": (
        gone(bots(3), needed=(f"10.0.0.1:5000/aisha/bot@sha256:{1:064x}",)),
        [IDS[2]],
    ),
    "needed by its ID": (gone(bots(3), needed=("sha256:id1",)), [IDS[2]]),
    "needed by its tag": (
        gone([image(1, f"{OURS}bot:old"), image(2)], needed=(f"{OURS}bot:old",)),
        [],
    ),
    "each repository for itself": (
        gone([image(1, f"{OURS}front:a"), image(2), image(3)]),
        [IDS[2]],
    ),
    "of others, none": (
        gone([image(1, "example.com/other/bot:1"), image(2, "example.com/other/bot:2")]),
        [],
    ),
    "with a foreign name beside ours, none": (
        gone([image(1, f"{OURS}bot:1", "mine:1"), image(2)]),
        [],
    ),
    "with a foreign name that is as old, none": (
        gone([image(1, f"{OURS}bot:1", "mine:1"), image(2), image(3, "mine:2")]),
        [],
    ),
    "a name that only begins alike": (
        gone([image(1, "registry.example.com:5000/aishas/bot:1"), image(2)]),
        [],
    ),
    "without a name, none": (gone([image(1, "<none>:<none>"), image(2)]), []),
    "in two repositories, too old in one": (
        gone([image(1, f"{OURS}bot:1", f"{OURS}copy:1"), image(2)]),
        [],
    ),
    "in two repositories, too old in both": (
        gone([image(1, f"{OURS}bot:1", f"{OURS}copy:1"), image(2, f"{OURS}copy:2"), image(3)]),
        [f"{OURS}bot:1", f"{OURS}copy:1"],
    ),
    "with a tag and a digest it is one": (
        gone([image(1, f"{OURS}bot:1", f"{OURS}bot@sha256:{1:064x}"), image(2)]),
        [IDS[1]],
    ),
    "nothing there": (gone([]), []),
    "null instead of lists": (
        gone([{"Id": "sha256:id1", "Created": 1, "RepoTags": None, "RepoDigests": None}]),
        [],
    ),
}


@pytest.mark.parametrize(("found", "expected"), CASES.values(), ids=list(CASES))
def test_which_images_go(found: list[str], expected: list[str]) -> None:
    assert found == expected


def record(*images: str) -> str:
    return json.dumps({"at": "2026-01-01T00:00:00Z", "images": list(images)}) + "\n"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ("", []),
        (record("a"), ["a"]),
        (record("a") + record("b") + record("c"), ["b", "c"]),
        (record("a", "w") + record("b", "w"), ["a", "b", "w"]),
        (record("a") + record("b") + record("b"), ["a", "b"]),
        (record("a") + record("b") + record("c") + record("a"), ["a", "c"]),
        (record("a", "") + record("b", ""), ["a", "b"]),
        (record("a") + '{"at": "2026-0', ["a"]),
        (record("a") + "null\n" + '{"images": null}\n', ["a"]),
    ],
    ids=[
        "no record",
        "the first release",
        "the third release",
        "two images",
        "a move to another host",
        "a rollback",
        "no webhook",
        "cut short",
        "not of ours",
    ],
)
def test_which_releases_a_rollback_needs(records: str, expected: list[str]) -> None:
    assert release_images(records) == expected


def test_which_containers_have_finished() -> None:
    def row(name: str, state: str, stack: str = "aisha", role: str = "task") -> dict[str, Any]:
        labels = {"aisha.bot_stack.name": stack, "aisha.bot_stack.role": role}
        return {"Names": [f"/{name}"], "State": state, "Labels": labels}

    rows = [
        row("aisha-migrate", "exited"),
        row("aisha-postgres-volumes", "created"),
        row("aisha-check", "dead"),
        row("aisha-backup", "running"),
        row("aisha-primary", "exited", role="primary"),
        row("other-migrate", "exited", stack="other"),
        {"Names": ["/aisha-mend"], "State": "exited", "Labels": None},
        {**row("", "dead"), "Names": None},
    ]
    assert finished_tasks(rows, "aisha") == [
        "aisha-migrate", "aisha-postgres-volumes", "aisha-check",
    ]  # fmt: skip

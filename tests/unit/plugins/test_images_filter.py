"""Which images are wanted, where each comes from, and what there is of them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.filter import image_references as images
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import host_facts

CATALOGUE = {
    "bot": {"context": "bot", "target": "bot"},
    "webhook": {"context": "bot", "target": "webhook"},
    "volumes": {"context": "volumes", "own": True},
}
HASHES = {"bot": "b0", "volumes": "70", "base": "ba5e"}
UPSTREAM = {name: f"example.com/{name}@sha256:{name}" for name in CATALOGUE}


def tag(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("source", "upstream", "built", "mirrored"),
    [
        ("build", {}, {"bot": "b0ba5e", "webhook": "b0ba5e", "volumes": "70ba5e"}, []),
        ("build", UPSTREAM, {"bot": "b0ba5e", "webhook": "b0ba5e", "volumes": "70ba5e"}, []),
        ("mirror", UPSTREAM, {}, ["bot", "webhook", "volumes"]),
        # What is the collection's own nobody else has.
        (
            "mirror",
            {name: UPSTREAM[name] for name in ("bot", "webhook")},
            {"volumes": "70ba5e"},
            ["bot", "webhook"],
        ),
    ],
)
def test_each_image_is_built_or_mirrored(
    source: str, upstream: dict[str, str], built: dict[str, str], mirrored: list[str]
) -> None:
    found = images.wanted_images(CATALOGUE, CATALOGUE, source, upstream, HASHES)
    expected = {name: {"source": "build", "tag": tag(text)} for name, text in built.items()}
    expected |= {name: {"source": "mirror", "tag": tag(UPSTREAM[name])} for name in mirrored}
    assert found == expected
    assert list(found) == list(CATALOGUE), "not in the order of images_names"


def test_what_there_is_has_its_wanted_tag() -> None:
    wanted = {"bot": {"tag": "1"}, "webhook": {"tag": "2"}}
    assert images.image_tags(wanted, "team/a") == {
        "bot": "team/a/bot:1",
        "webhook": "team/a/webhook:2",
    }
    found: list[dict[str, Any]] = [
        {"Id": "sha256:1", "RepoTags": ["other/bot:1", "team/a/bot:1"]},
        {"Id": "sha256:2", "RepoTags": ["team/a/webhook:1"]},
        {"Id": "sha256:3", "RepoTags": None},
    ]
    assert images.local_images(host_facts.image_ids(found), wanted, "team/a") == {"bot": "sha256:1"}
    assert images.local_images({}, wanted, "team/a") == {}


def test_what_is_pushed_is_named_by_its_digest() -> None:
    found = images.pushed_images({"bot": "sha256:1"}, "team/a", "example.com:5000")
    assert found == {"bot": "example.com:5000/team/a/bot@sha256:1"}
    assert images.pushed_images({}, "a", "b") == {}

"""Volumes are given to the user of a container that knows nothing of it, by real containers."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import volumes
from volume_runner import Runner

USER = "12345:23456"


def description(runner: Runner, volume: str, image: str, **more: Any) -> dict[str, Any]:
    return {
        "name": f"{runner.prefix}-service",
        "image": image,
        "command": ["sh", "-c", "echo written > /data/file && cat /data/file"],
        "user": USER,
        "mounts": [{"type": "volume", "source": volume, "target": "/data"}],
        "memory": "64m",
    } | more


@pytest.fixture
def volume(runner: Runner, request: pytest.FixtureRequest) -> Iterator[str]:
    name = runner.volume(request.node.name.split("[")[0][-40:])
    yield name
    runner.client.volumes.get(name).remove(force=True)


def test_a_new_volume_is_the_users_before_the_first_start(
    runner: Runner, volumes_image: str, other_image: str, volume: str
) -> None:
    """As upstream's images have it: the engine gives a new volume the owner of the image's folder,
    as it creates the container, and not again."""
    served = description(runner, volume, other_image)
    mount = {volume: {"bind": "/data"}}
    container = runner.client.containers.create(
        other_image, served["command"], user=USER, volumes=mount, name=f"{runner.prefix}-served"
    )
    try:
        found = volumes.see_to(served, volumes_image, runner.run)
        assert found["broken"] == []
        (given,) = found["given"]
        assert given == f"{volume} (/data), 1 of whose files and folders belonged to 0:0"
        container.start()
        assert container.wait(timeout=30)["StatusCode"] == 0, container.logs()
        assert container.logs() == b"written\n"
    finally:
        container.remove(force=True)
    assert volumes.see_to(served, volumes_image, runner.run) == {"given": [], "broken": []}


def test_what_an_older_image_left_is_given_with_its_content(
    runner: Runner, volumes_image: str, other_image: str, volume: str
) -> None:
    runner.shell(
        other_image,
        "mkdir -m 0700 /data/old && echo content > /data/old/file && chown -R 999:999 /data",
        (volume, "/data"),
    )
    served = description(runner, volume, other_image)
    assert runner.run(served)["status"] != 0, "it could write before"
    assert volumes.see_to(served, volumes_image, runner.run)["given"] == [
        f"{volume} (/data), 3 of whose files and folders belonged to 999:999"
    ]
    assert runner.run(served)["output"] == "written\n"
    shown = runner.shell(
        other_image, "cat /data/old/file; stat -c %u:%g /data/old/file", (volume, "/data")
    )
    assert shown == f"content\n{USER}\n"


def test_root_without_its_capabilities_is_a_user_like_others(
    runner: Runner, volumes_image: str, other_image: str, volume: str
) -> None:
    taken = "touch /data/file; chown -R 999:999 /data && chmod 0755 /data"
    runner.shell(other_image, taken, (volume, "/data"))
    served = description(runner, volume, other_image, user="0:0")
    assert runner.run(served)["status"] != 0
    assert volumes.see_to(served, volumes_image, runner.run)["broken"] == []
    assert runner.run(served)["output"] == "written\n"
    # What may write as any user has no need of it.
    runner.shell(other_image, taken, (volume, "/data"))
    served = description(runner, volume, other_image, user="0:0", cap_add=["DAC_OVERRIDE"])
    assert volumes.see_to(served, volumes_image, runner.run) == {"given": [], "broken": []}


@pytest.mark.parametrize("target", ["/usr", "/usr/bin", "/etc", "/var/log", "/volumes"])
def test_a_volume_may_be_anywhere(
    runner: Runner, volumes_image: str, volume: str, target: str
) -> None:
    """Where the image of the programs has something itself: nothing of it gets into the volume."""
    served = description(runner, volume, volumes_image)
    served["mounts"][0]["target"] = target
    found = volumes.see_to(served, volumes_image, runner.run)
    assert found["given"] == [f"{volume} ({target}), 1 of whose files and folders belonged to 0:0"]
    assert found["broken"] == []
    assert runner.shell(volumes_image, "ls -A /v", (volume, "/v")) == ""


def test_volumes_may_be_inside_each_other(runner: Runner, volumes_image: str, volume: str) -> None:
    inner = runner.volume("inner")
    served = description(runner, volume, volumes_image)
    served["mounts"].append({"type": "volume", "source": inner, "target": "/data/inner"})
    found = volumes.see_to(served, volumes_image, runner.run)
    assert found["broken"] == []
    again = volumes.see_to(served, volumes_image, runner.run)
    assert again == {"given": [], "broken": []}


def test_a_volume_that_is_full_or_read_only_is_said_and_nothing_is_given(
    runner: Runner, volumes_image: str, volume: str
) -> None:
    full = runner.volume("full", type="tmpfs", device="tmpfs", o="size=4k,nr_inodes=1,mode=0777")
    closed = runner.volume("closed", type="tmpfs", device="tmpfs", o="ro")
    served = description(runner, volume, volumes_image)
    served["mounts"] += [
        {"type": "volume", "source": full, "target": "/full"},
        {"type": "volume", "source": closed, "target": "/closed"},
    ]
    found = volumes.see_to(served, volumes_image, runner.run)
    assert found["given"] == []
    said = found["broken"]
    assert said[0].startswith(f"the volume {full} (/full) is full (No space left on device; ")
    assert said[1].startswith(f"the volume {closed} (/closed) is read-only (Read-only file system)")
    assert said[2].startswith(f"the volume {volume} (/data) can't be written by {USER}: Permission")
    assert len(said) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"type": "none", "device": "/not/there", "o": "bind"}, "no such file or directory"),
        ({"type": "nonsense", "device": "x"}, "no such device"),
    ],
    ids=["its folder is gone", "its file system is unknown"],
)
def test_a_volume_that_can_not_be_mounted_is_named(
    runner: Runner, volumes_image: str, options: dict[str, str], words: str
) -> None:
    name = runner.volume(options["type"], **options)
    served = description(runner, name, volumes_image)
    (sentence,) = volumes.see_to(served, volumes_image, runner.run)["broken"]
    assert sentence.startswith(f"the volume {name} (/data) can't be used (error while mounting")
    assert f"{words}): repair it; `docker volume inspect {name}` says where it is" in sentence


def test_it_has_nothing_of_the_image_that_it_serves(
    runner: Runner, volumes_image: str, volume: str
) -> None:
    """An image of nothing: no shell, no Python, not even a file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w"):
        pass
    name = f"{runner.prefix}/nothing"
    runner.client.api.import_image_from_data(packed.getvalue(), repository=name, tag="1")
    served = description(runner, volume, f"{name}:1")
    assert len(volumes.see_to(served, volumes_image, runner.run)["given"]) == 1


def test_the_containers_may_do_nothing_else(
    runner: Runner, volumes_image: str, volume: str
) -> None:
    runner.ran.clear()
    volumes.see_to(description(runner, volume, volumes_image), volumes_image, runner.run)
    assert [task["command"][0] for task in runner.ran] == ["probe", "give", "probe"]
    for task in runner.ran:
        assert task["networks"] == ["none"]
        assert task["read_only"]
        assert task["memory"]
        assert task["image"] == volumes_image

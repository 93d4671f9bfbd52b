"""data_version, run as Ansible runs it: check mode starts no container."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # it has no types
import pytest

NAME = f"{os.environ.get('TEST_NAME', 'data')}-look-{secrets.token_hex(3)}"
MODULE = "ansible_collections.aisha.bot_stack.plugins.modules.data_version"
CLIENT = docker.from_env(timeout=60)


def valkey() -> str:
    """The newest image of this name that a run of site.yml built here."""
    found = [
        image.id
        for image in CLIENT.images.list()
        if any(re.search(r"(^|/)aisha/redis:", tag) for tag in image.tags)
    ]
    assert found, "no image of redis on this machine: make up builds it"
    return str(found[0])


@pytest.fixture
def volume() -> Iterator[Path]:
    """With a file that Redis 7.4 wrote, which no Valkey reads."""
    made = CLIENT.volumes.create(NAME)
    try:
        folder = Path(made.attrs["Mountpoint"])
        (folder / "appendonlydir").mkdir()
        (folder / "appendonlydir/appendonly.aof.1.base.rdb").write_bytes(b"REDIS0012rest")
        yield folder
    finally:
        made.remove()


def run(check: bool) -> tuple[dict[str, Any], list[str]]:
    """The module's result, and what happened to containers meanwhile."""
    # Of its own in each run: an engine tells events by the second.
    container = f"{NAME}-{secrets.token_hex(3)}"
    arguments = {
        "stack_name": NAME,
        "service": "redis",
        "volume": NAME,
        "image": valkey(),
        "container": container,
        "_ansible_check_mode": check,
        "_ansible_remote_tmp": "/tmp",  # noqa: S108
        "_ansible_tracebacks_for": [],
    }
    begun = time.time()
    done = subprocess.run(
        [sys.executable, "-m", MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env=os.environ | {"ANSIBLE_MODULE_ARGS_PROFILE": "legacy"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    events = CLIENT.events(
        since=int(begun),
        until=int(time.time()) + 1,
        filters={"container": f"{container}-version"},
        decode=True,
    )
    return json.loads(done.stdout), [event["Action"] for event in events]


@pytest.mark.usefixtures("volume")
def test_a_run_asks_the_image_and_check_mode_starts_no_container() -> None:
    refused, events = run(check=False)
    assert refused["failed"]
    assert "redis_image is Valkey" in refused["msg"]
    assert {"create", "start", "destroy"} <= set(events)

    looked, events = run(check=True)
    assert events == []
    assert looked["changed"] is False
    assert looked["found"] == {"appendonlydir/appendonly.aof.1.base.rdb": "redis 12"}
    (warning,) = looked["warnings"]
    assert "check mode" in str(warning)


def test_check_mode_refuses_what_it_needs_no_container_for(volume: Path) -> None:
    (volume / "appendonlydir/appendonly.aof.1.base.rdb").rename(volume / "dump.rdb")
    refused, events = run(check=True)
    assert refused["failed"]
    assert "has data in dump.rdb only" in refused["msg"]
    assert events == []

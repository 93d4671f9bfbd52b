"""What of a container's description differs is said in words, and no value with it."""

from __future__ import annotations

import json
import socket
from secrets import token_hex
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import description, difference
from containers_host import STACK, WELL, Host

A = f"{STACK}-a"
SECRET = token_hex(12)
CHECK = {"test": ["CMD", "true"], "interval": "300ms"}
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "a variable": ({"env": {"A": SECRET, "B": "1"}}, "variable A"),
    "variables, one of them gone": (
        {"env": {"A": "2", "C": SECRET}},
        "variable A, variable B, variable C",
    ),
    "command": ({"command": [*WELL[:2], f"{WELL[2]} # {SECRET}"]}, "command"),
    "entry point": ({"entrypoint": ["sh"], "command": WELL[1:]}, "command, entry point"),
    "user": ({"user": "10002:10001"}, "user"),
    "a label": ({"labels": {"release": SECRET}}, "label release"),
    "a mount": ({"mounts": []}, "mount /somewhere"),
    "tmpfs": ({"tmpfs": ["/scratch:size=1m"]}, "tmpfs"),
    "port": ({"publish": []}, "published ports"),
    "root": ({"read_only": False}, "read-only root"),
    "capabilities": ({"cap_add": []}, "added capabilities"),
    "signal": ({"stop_signal": "SIGQUIT"}, "stop signal"),
    "patience": ({"stop_timeout": 3}, "stop timeout"),
    "shared memory": ({"shm_size": "8m"}, "shared memory"),
    "log": ({"log_options": {"max-size": "1m"}}, "log options"),
    "check": ({"healthcheck": CHECK | {"test": ["CMD", "ls"]}}, "health check"),
    "networks": ({"networks": ["bridge"]}, "networks"),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def whole(host: Host, port: int) -> dict[str, Any]:
    return host.describe(
        env={"A": "1", "B": "1"},
        labels={"release": "1"},
        mounts=[{"type": "volume", "source": f"{STACK}-a", "target": "/somewhere"}],
        tmpfs=["/scratch:size=2m"],
        publish=[f"127.0.0.1:{port}:80"],
        cap_add=["CHOWN"],
        stop_signal="SIGTERM",
        shm_size="9m",
        healthcheck=CHECK,
    )


@pytest.fixture
def running(host: Host) -> Any:
    wanted = whole(host, free_port())
    host.good(wanted)
    return wanted


def test_each_difference_has_its_words(host: Host, running: dict[str, Any]) -> None:
    same = host.good(running, check=True)
    assert same["reasons"] == {}
    assert same["diff"]["before"] == same["diff"]["after"]
    for name, (changes, said) in CHANGES.items():
        result = host.good(running | changes, check=True)
        reason = f"its description differs: {said}"
        assert result["reasons"] == {A: reason}, name
        assert f"{A} is changed: {reason}\n" in result["diff"]["after"]
        assert SECRET not in json.dumps({**result, "invocation": None})


def test_one_of_another_version_of_the_collection(host: Host, running: dict[str, Any]) -> None:
    """Nothing is taken for a difference that the engine only writes in another way."""
    image = host.engine.api.inspect_image(host.image)
    wanted = description.normalised(running)
    assert difference.words(wanted, STACK, host.inspect(), image) == [difference.EARLIER]
    assert difference.words(wanted, STACK, host.inspect(), {}) == [difference.EARLIER]

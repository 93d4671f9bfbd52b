"""Which engines the stack runs on, by what they answer to /info and /version."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import host_facts, kinds

SOCKET = "unix:///var/run/docker.sock"
DOCKER = {"Components": [{"Name": "Engine"}, {"Name": "containerd"}]}
# As Docker 20.10.24 of Debian 12 answers.
INFO: dict[str, Any] = {
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Native Overlay Diff", "true"]],
    "DockerRootDir": "/var/lib/docker",
    "Name": "bot1",
    "OSType": "linux",
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "ServerVersion": "20.10.24+dfsg1",
}
# As Podman 4.3.1 of Debian 12 answers.
PODMAN = {
    "Driver": "overlay",
    "DockerRootDir": "/var/lib/containers/storage",
    "Name": "bot1",
    "OSType": "linux",
    "OperatingSystem": "debian",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "ServerVersion": "4.3.1",
    "BuildahVersion": "1.28.2",
}
CONTAINERD = {
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "ServerVersion": "29.1.0",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
}


@pytest.mark.parametrize(
    ("info", "address", "kind", "said"),
    [
        (INFO, SOCKET, "docker", ""),
        ({**INFO, "ServerVersion": "29.0.1"}, SOCKET, "docker", ""),
        ({**INFO, "ServerVersion": "31.0.0"}, SOCKET, "docker", ""),
        ({**INFO, "ServerVersion": "dev"}, SOCKET, "docker", ""),
        ({**INFO, "ServerVersion": "19.03.15"}, SOCKET, "docker", "is 19.03.15, and the stack"),
        ({**INFO, "SecurityOptions": None, "DriverStatus": None}, SOCKET, "docker", ""),
        ({**INFO, **CONTAINERD}, SOCKET, "docker", ""),
        ({**INFO, "SecurityOptions": ["name=userns"]}, SOCKET, "userns-remap", "userns-remap from"),
        (
            {**INFO, "DockerRootDir": "/var/lib/docker/100000.100000",
             "SecurityOptions": ["name=seccomp,profile=default", "name=userns", "name=cgroupns"]},
            SOCKET, "userns-remap", "can't read the stack's secrets",
        ),
        (
            {**INFO, "DockerRootDir": "/home/u/.local/share/docker",
             "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]},
            "unix:///run/user/1000/docker.sock", "rootless", "is rootless",
        ),
        (
            {**INFO, "DockerRootDir": "/var/snap/docker/common/var-lib-docker",
             "OperatingSystem": "Ubuntu Core 22"},
            SOCKET, "snap", "snap remove docker",
        ),
        (PODMAN, "unix:///run/podman/podman.sock", "podman", "is Podman, not a Docker Engine"),
        ({**INFO, "OperatingSystem": "Docker Desktop"}, SOCKET, "desktop", "virtual machine"),
        ({**INFO, "OSType": "windows"}, SOCKET, "windows", "Windows containers"),
        (INFO, "tcp://127.0.0.1:2376", "docker", ""),
        ({**INFO, "Name": "bot2"}, "tcp://bot2.example.com:2376", "remote", "runs on bot2, and"),
        ({**INFO, "Name": "bot2"}, "ssh://bot2.example.com", "remote", "as a host of its own"),
        # Through a local socket, the name may be another one: that of a container, as in tests.
        ({**INFO, "Name": "bot2"}, SOCKET, "docker", ""),
    ],
)  # fmt: skip
def test_an_engine_is_judged(info: dict[str, Any], address: str, kind: str, said: str) -> None:
    found = kinds.judge(info, DOCKER, address, "bot1")
    assert found["kind"] == kind
    if not said:
        assert found["problems"] == []
        return
    (problem,) = found["problems"]
    assert said in problem
    assert address in problem
    assert problem.endswith(".")
    assert "{{" not in problem


def test_podman_is_known_by_its_components_too() -> None:
    version = {"Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}
    assert kinds.judge(INFO, version, SOCKET, "bot1")["kind"] == "podman"


def test_the_image_store_is_said() -> None:
    assert kinds.judge(INFO, DOCKER, SOCKET, "bot1")["image_store"] == "graphdriver"
    store = kinds.judge({**INFO, **CONTAINERD}, DOCKER, SOCKET, "bot1")["image_store"]
    assert store == "containerd"


@pytest.mark.parametrize(
    ("info", "more"),
    [
        ({}, []),
        ({"Containerd": {"Address": kinds.CONTAINERD}}, []),
        (CONTAINERD, ["/var/lib/containerd"]),
        ({**CONTAINERD, "Containerd": {"Address": kinds.CONTAINERD}}, ["/var/lib/containerd"]),
        ({**CONTAINERD, "Containerd": {"Address": "/run/docker/containerd/containerd.sock"}}, []),
    ],
    ids=["20.10", "29 after an upgrade", "26", "29", "29 with its own containerd"],
)
def test_free_space_is_looked_for_where_images_are(info: dict[str, Any], more: list[str]) -> None:
    assert kinds.folders({**INFO, **info}) == ["/var/lib/docker", *more]


def test_the_folder_with_less_space_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"/a": 5, "/b": 3}
    monkeypatch.setattr(host_facts, "free_bytes", free.get)
    assert host_facts.least_free(["/a", "/b", "/gone"]) == (3, "/b")
    assert host_facts.least_free(["/gone"]) == (None, "/gone")

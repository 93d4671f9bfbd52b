"""Section 5 of the CIS Docker Benchmark on containers made by hand, with all wrong and nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # it has no types
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/verify"))

from benchmark import SECTION_5  # noqa: E402  needs the path above

# Whatever this machine's kernel has.
ENGINE = {"SecurityOptions": ["name=apparmor", "name=seccomp,profile=default", "name=selinux"]}
# Of another checkout's tests, other names.
PREFIX = os.environ.get("TEST_NAME", "test") + "-benchmark"
CARELESS, CONFINED, PLAIN = NAMES = [
    f"{PREFIX}-{name}" for name in ("careless", "confined", "plain")
]
EMPTY = f"{PREFIX}/empty"


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, dict[str, Any]]]:
    """Inspections of containers that are created and never start."""
    client = docker.from_env(timeout=60)
    mount = docker.types.Mount
    every = {"detach": True, "command": ["true"]}
    client.api.import_image_from_data(b"\0" * 10240, repository=EMPTY, tag="1")
    network = client.networks.create(PREFIX)
    try:
        client.containers.create(
            f"{EMPTY}:1",
            name=CARELESS,
            privileged=True,
            cap_add=["SYS_ADMIN"],
            mounts=[
                mount("/host", "/", type="bind", propagation="rshared"),
                mount("/run/docker.sock", "/var/run/docker.sock", type="bind"),
            ],
            network_mode="host",
            pid_mode="host",
            ipc_mode="host",
            uts_mode="host",
            userns_mode="host",
            cgroup_parent="/other",
            devices=["/dev/null"],
            ulimits=[docker.types.Ulimit(name="core", soft=-1, hard=-1)],
            security_opt=["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 50},
            **every,
        )
        client.containers.create(f"{EMPTY}:1", name=PLAIN, ports={"80/tcp": 80}, **every)
        client.containers.create(
            f"{EMPTY}:1",
            name=CONFINED,
            cap_drop=["ALL"],
            ports={"8080/tcp": ("127.0.0.1", 18080)},
            network=PREFIX,
            mounts=[mount("/run/secrets", "/etc/hostname", type="bind", read_only=True)],
            mem_limit="64m",
            pids_limit=64,
            cpu_shares=512,
            read_only=True,
            security_opt=["no-new-privileges:true"],
            restart_policy={"Name": "always"},
            healthcheck={"test": ["CMD", "true"]},
            **every,
        )
        yield {name: client.api.inspect_container(name) for name in NAMES}
    finally:
        for name in NAMES:
            for found in client.containers.list(
                all=True, filters={"name": f"^/?{name}$"}, ignore_removed=True
            ):
                found.remove(force=True)
        network.remove()
        client.images.remove(f"{EMPTY}:1", force=True)


@pytest.mark.parametrize("number", SECTION_5)
def test_a_careless_container_is_found(made: dict[str, dict[str, Any]], number: str) -> None:
    # What a container on the host's network can't have.
    name = PLAIN if number in ("5.8", "5.14", "5.30") else CARELESS
    assert SECTION_5[number](made[name], ENGINE)


@pytest.mark.parametrize("number", SECTION_5)
def test_a_confined_container_passes(made: dict[str, dict[str, Any]], number: str) -> None:
    kernel = {} if number in ("5.2", "5.3") else ENGINE
    assert SECTION_5[number](made[CONFINED], kernel) == ""


@pytest.mark.parametrize("number", ["5.2", "5.3"])
def test_labels_of_the_kernel_count_where_it_has_them(
    made: dict[str, dict[str, Any]], number: str
) -> None:
    labels = {"AppArmorProfile": "docker-default", "ProcessLabel": "system_u:container_t:s0"}
    assert SECTION_5[number](made[CONFINED] | labels, ENGINE) == ""

"""Every container of the stack, on every host."""

from __future__ import annotations

import ipaddress
import re

import pytest
from benchmark import SECTION_5
from target import Target


def test_every_container_of_the_inventory_is_there_and_healthy(target: Target) -> None:
    found = target.containers
    missing = target.expected() - set(found)
    assert not missing, "missing on this host"
    states = {
        name: c["State"].get("Health", {}).get("Status", "without a health check")
        if c["State"]["Running"]
        else c["State"]["Status"]
        for name, c in found.items()
    }
    ill = {name: state for name, state in states.items() if state != "healthy"}
    target.used.update(ill)
    assert not ill


def test_nothing_runs_that_the_inventory_does_not_ask_for(target: Target) -> None:
    surplus = set(target.containers) - target.expected()
    assert not surplus


def test_every_container_runs_the_image_of_its_digest(target: Target) -> None:
    """But the registry's own, which can't come from itself."""
    references = {
        name: c["Config"]["Image"]
        for name, c in target.containers.items()
        if name not in target.names("registry")
    }
    for name, reference in references.items():
        assert re.fullmatch(r"[^@]+/[^@]+@sha256:[0-9a-f]{64}", reference), f"{name}: {reference}"
    calls = [["image_of_manifest", target.config_dir, ref] for ref in references.values()]
    images = dict(zip(references, target.call(*calls), strict=True)) if calls else {}
    running = {name: target.containers[name]["Image"] for name in references}
    assert running == images, "a container runs another image than its registry has by that digest"


@pytest.mark.parametrize("number", sorted(SECTION_5, key=lambda n: int(str(n)[2:])))
def test_every_container_passes_the_benchmark(target: Target, number: str) -> None:
    """Section 5 of the CIS Docker Benchmark; benchmark.py says what is left out."""
    broken = {
        name: problem
        for name, inspected in target.containers.items()
        if (problem := SECTION_5[number](inspected, target.engine))
    }
    target.used.update(broken)
    assert target.containers or not target.expected()
    assert not broken, f"CIS {number}: {broken}"


def test_every_container_is_confined(target: Target) -> None:
    """What the benchmark has under other sections, or not at all."""
    assert target.containers or not target.expected()
    for name, c in target.containers.items():
        config, host = c["Config"], c["HostConfig"]
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"]), f"{name}: user {config['User']}"
        assert host["LogConfig"]["Config"].get("max-size"), f"{name}: its log grows for ever"
        writable = [m["Source"] for m in c["Mounts"] if m["Type"] == "bind" and m["RW"]]
        assert not writable, f"{name}: may write {writable} of the host"


@pytest.mark.group("postgres", "redis", "minio")
def test_data_services_are_not_open_to_everybody(target: Target) -> None:
    names = target.names("postgres", "redis", "minio")
    assert names or not target.expected()
    for name in names:
        ports = target.containers[name]["NetworkSettings"]["Ports"]
        addresses = [b["HostIp"] for bindings in ports.values() for b in bindings or []]
        everywhere = [a for a in addresses if ipaddress.ip_address(a).is_unspecified]
        assert not everywhere, f"{name} is published on every address of the host"


def test_no_secret_is_shown(target: Target) -> None:
    leaks, readable = target.call(
        ["leaks", target.config_dirs, target.stack], ["readable_by_others", target.config_dirs]
    )
    if target.expected():
        assert leaks["checked"], f"no secret was found in {target.config_dirs}"
    assert not leaks["found"]
    assert not readable, "any user of the host may read it"

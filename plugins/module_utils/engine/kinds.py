# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kind of engine answers, and whether the stack can run on it: from its /info and /version alone."""

from __future__ import annotations

import re

OLDEST = (20, 10)
# Engines that see another file system than the host's root does, by the name they give their machine.
VIRTUAL_MACHINES = ("Docker Desktop",)
# Of the host's own containerd. Engines before 27 do not say which one they use.
CONTAINERD = "/run/containerd/containerd.sock"


def judge(info, version, address, host):
    """What to know about an engine before anything is changed on its host.

    info, version: the engine's answers to GET /info and GET /version. address: how it was reached.
    host: name of the machine on which that address was used.

    Returns {"kind", "version", "root", "image_store", "problems"}: the kind is docker, snap,
    rootless, userns-remap, podman, desktop, windows or remote; the image store is graphdriver or
    containerd; each problem is one sentence on why the stack can't run there, and what to do.
    """
    options = {
        field.partition("=")[2]
        for option in info.get("SecurityOptions") or ()
        for field in option.split(",")
        if field.startswith("name=")
    }
    kind = _kind(info, version, options, address, host)
    problem = PROBLEMS.get(kind)
    problems = (
        [problem.format(address=address, name=info.get("Name"), host=host)] if problem else []
    )
    text = info.get("ServerVersion") or ""
    number = _number(text)
    # Podman counts its versions by itself.
    if kind != "podman" and number and number < OLDEST:
        problems.append(
            "the Docker Engine at %s is %s, and the stack needs 20.10 or newer. Upgrade it."
            % (address, text)
        )
    return {
        "kind": kind,
        "version": text,
        "root": info.get("DockerRootDir") or "",
        "image_store": _image_store(info),
        "problems": problems,
    }


def folders(info):
    """Where an engine keeps its data, from its /info: with containerd's image store, images are in that one's folder."""
    found = [info.get("DockerRootDir") or ""]
    address = (info.get("Containerd") or {}).get("Address", CONTAINERD)
    # One that the engine itself has started keeps them below the engine's own.
    if _image_store(info) == "containerd" and address == CONTAINERD:
        found.append("/var/lib/containerd")
    return found


def _image_store(info):
    status = dict(pair for pair in info.get("DriverStatus") or () if len(pair) == 2)
    snapshotter = "io.containerd.snapshotter" in status.get("driver-type", "")
    return "containerd" if snapshotter else "graphdriver"


def _kind(info, version, options, address, host):
    components = [part.get("Name") or "" for part in version.get("Components") or ()]
    if "Podman Engine" in components or "BuildahVersion" in info:
        return "podman"
    if info.get("OSType", "linux") != "linux":
        return "windows"
    if info.get("OperatingSystem") in VIRTUAL_MACHINES:
        return "desktop"
    if not address.startswith(("unix:", "/")) and info.get("Name") and info["Name"] != host:
        return "remote"
    if (info.get("DockerRootDir") or "").startswith("/var/snap/"):
        return "snap"
    if "rootless" in options:
        return "rootless"
    if "userns" in options:
        return "userns-remap"
    return "docker"


def _number(text):
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match.group(1)), int(match.group(2))) if match else None


INSTALL = "Install Docker Engine 20.10 or newer (Debian: docker.io; or Docker's own package)"
PROBLEMS = {
    "podman": (
        "what answers at {address} is Podman, not a Docker Engine: its restarts after a reboot, its health checks and its networks work in"
        " other ways. "
        + INSTALL
        + " beside it, and set docker_host_engine: {{docker_host: unix:///var/run/docker.sock}}."
    ),
    "windows": "the engine at {address} runs Windows containers, and the stack is of Linux containers. "
    + INSTALL
    + " on a Linux host.",
    "desktop": (
        "the engine at {address} is Docker Desktop: it runs in a virtual machine, where Ansible sees neither processes nor files. "
        + INSTALL
        + " on a Linux host."
    ),
    "remote": (
        "the engine at {address} runs on {name}, and Ansible on {host}: configuration and secrets would be written where that engine"
        " can't mount them, and who polls there can't be seen. Put {name} into the inventory as a host of its own, and let"
        " docker_host_engine name the engine of the same machine."
    ),
    "snap": (
        "the engine at {address} is Docker from snap, which can't mount files from /etc into containers. Remove it (snap remove docker;"
        " save what its volumes hold first). Then: " + INSTALL + "."
    ),
    "rootless": (
        "the engine at {address} is rootless: its containers' users are others on the host, so that they can't read the stack's secrets."
        " "
        + INSTALL
        + " to run as root, and set docker_host_engine: {{docker_host: unix:///var/run/docker.sock}}."
    ),
    "userns-remap": (
        "the engine at {address} runs with userns-remap: its containers' users are others on the host, so that they can't read the stack's"
        " secrets. Remove userns-remap from /etc/docker/daemon.json and restart the engine (images and volumes made with it stay in a"
        " folder of their own), or take another host."
    ),
}

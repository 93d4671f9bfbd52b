# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker host looks like to the roles: its engine, free space, ports and this stack's containers."""

from __future__ import annotations

import os
import socket
import struct

LABEL = "aisha.bot_stack."
LISTEN = "0A"


def parse_listeners(table):
    """Addresses that listen, from the text of /proc/net/tcp or tcp6 (see proc_pid_net(5)).

    Returns a set of (address, port), the address as text: "127.0.0.1", "0.0.0.0", "::".
    """
    listeners = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 4 or fields[3] != LISTEN:
            continue
        address, _separator, port = fields[1].partition(":")
        words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
        family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
        packed = b"".join(struct.pack("=I", word) for word in words)
        listeners.add((socket.inet_ntop(family, packed), int(port, 16)))
    return listeners


def listeners():
    """All (address, port) of this machine on which a TCP socket listens."""
    found = set()
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path, encoding="ascii") as table:
                found |= parse_listeners(table.read())
        except FileNotFoundError:
            continue
    return found


def taken_ports(wanted, listening, containers):
    """Which of the wanted ports somebody else has.

    wanted: list of {"address", "port", "container", "setting"}; listening: set of (address, port);
    containers: list as describe() gives it. A port that the wanted container itself publishes is
    not taken.
    """
    everywhere = ("0.0.0.0", "::")  # nosec: compared, never bound
    published = {
        container["name"]: {tuple(port) for port in container["ports"]} for container in containers
    }
    taken = []
    for want in wanted:
        port = int(want["port"])
        own = {number for _address, number in published.get(want["container"], ())}
        if port in own:
            continue
        for address, number in listening:
            same_address = (
                address == want["address"] or address in everywhere or want["address"] in everywhere
            )
            if number == port and same_address:
                taken.append(dict(want, by=_publisher(port, containers)))
                break
    return taken


def _publisher(port, containers):
    for container in containers:
        if port in [number for _address, number in container["ports"]]:
            return "container " + container["name"]
    return "another process or container"


def describe(inspection):
    """One row about a container from its `docker inspect`: plain values, no environment."""
    state = inspection["State"]
    labels = inspection["Config"].get("Labels") or {}
    bindings = inspection["HostConfig"].get("PortBindings") or {}
    ports = [
        [binding.get("HostIp") or "0.0.0.0", int(binding["HostPort"])]  # nosec: Docker's own default
        for targets in bindings.values()
        for binding in targets or ()
        if binding.get("HostPort")
    ]
    return {
        "name": inspection["Name"].lstrip("/"),
        "id": inspection["Id"],
        "stack": labels.get(LABEL + "name", ""),
        "role": labels.get(LABEL + "role", ""),
        "release": labels.get(LABEL + "release", ""),
        "config": labels.get(LABEL + "config", ""),
        "spec": labels.get(LABEL + "spec", ""),
        "image": inspection["Config"]["Image"],
        "image_id": inspection["Image"],
        "state": state["Status"],
        "health": (state.get("Health") or {}).get("Status", ""),
        "exit_code": state["ExitCode"],
        "started_at": state["StartedAt"] if state.get("Running") else "",
        "restarts": inspection["RestartCount"],
        "stop_timeout": inspection["Config"].get("StopTimeout") or 10,
        "restart_policy": (inspection["HostConfig"].get("RestartPolicy") or {}).get("Name", ""),
        # While it is aside its restart policy is "no": this is the one that it has by right.
        "declared_policy": labels.get(LABEL + "restart_policy") or "always",
        "memory": inspection["HostConfig"].get("Memory") or 0,
        "pids_limit": inspection["HostConfig"].get("PidsLimit") or 0,
        "cpu_shares": inspection["HostConfig"].get("CpuShares") or 0,
        "addresses": {
            network: endpoint.get("IPAddress") or ""
            for network, endpoint in inspection["NetworkSettings"]["Networks"].items()
        },
        # The engine gives them in any order.
        "mounts": sorted(
            mount["Source"] for mount in inspection.get("Mounts") or () if mount.get("Source")
        ),
        "ports": ports,
    }


def image_ids(images):
    """From the tags of images, as the engine lists them, to their IDs."""
    return {tag: image["Id"] for image in images for tag in image.get("RepoTags") or []}


def default_route_mtu(routes="/proc/net/route", devices="/sys/class/net"):
    """Largest packet, in bytes, of the device of the default IPv4 route; None without such a route."""
    try:
        with open(routes, encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
    except FileNotFoundError:
        return None
    for row in rows:
        if row[1] == "00000000" and row[7] == "00000000":
            with open(os.path.join(devices, row[0], "mtu"), encoding="ascii") as mtu:
                return int(mtu.read())
    return None


def free_bytes(path):
    """Bytes that a user may still write below path; None where the path is not on this machine."""
    try:
        status = os.statvfs(path)
    except FileNotFoundError:
        return None
    return status.f_bavail * status.f_frsize


def least_free(folders):
    """(bytes, folder) of that folder with the fewest free bytes; (None, the first) where none is on this machine."""
    found = [(free_bytes(folder), folder) for folder in folders]
    seen = [pair for pair in found if pair[0] is not None]
    return min(seen) if seen else found[0]

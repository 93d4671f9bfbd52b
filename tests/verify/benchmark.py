"""Section 5 of the CIS Docker Benchmark 1.8, over the inspection of one container.

Each check is a function of the inspection and of what the engine says of itself, and returns what
is wrong, or nothing.

Left out, because no inspection of a container can tell: 5.1 (no Swarm where none is needed: the
host's), 5.7 (no sshd: each container runs one known program), 5.9 (only needed ports: the inventory
asks for what is published, and 5.14 says where), 5.23 and 5.24 (how `docker exec` is used), 5.28
(the newest image: images come by digest).
Two differ. 5.15 asks for `on-failure` with at most five tries; here it may be `always`, because a
service that comes back only five times is down in the morning, and engines wait longer before each
try. 5.19 asks for ulimits where the engine's do not fit; here none may be endless, and the limits
of processes and memory do the rest.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

Inspection = dict[str, Any]
Check = Callable[[Inspection, Inspection], str]

SENSITIVE = ("/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr")
HARMLESS_RESTARTS = ("always", "unless-stopped", "no")


def _options(c: Inspection) -> list[str]:
    return [str(option) for option in c["HostConfig"].get("SecurityOpt") or []]


def _bindings(c: Inspection) -> list[dict[str, str]]:
    ports = c["HostConfig"].get("PortBindings") or {}
    return [binding for bindings in ports.values() for binding in bindings or []]


def _has(engine: Inspection, word: str) -> bool:
    return any(f"name={word}" in option for option in engine.get("SecurityOptions") or [])


def apparmor(c: Inspection, engine: Inspection) -> str:
    profile = c.get("AppArmorProfile") or ""
    wrong = _has(engine, "apparmor") and profile in ("", "unconfined")
    return f"the kernel has AppArmor, and its profile is {profile or 'none'}" if wrong else ""


def selinux(c: Inspection, engine: Inspection) -> str:
    off = not c.get("ProcessLabel") or "label=disable" in _options(c)
    return (
        "the engine has SELinux, and the container no label"
        if _has(engine, "selinux") and off
        else ""
    )


def capabilities(c: Inspection, _: Inspection) -> str:
    host = c["HostConfig"]
    if host.get("CapAdd"):
        return f"capabilities are added: {host['CapAdd']}"
    return "" if host.get("CapDrop") == ["ALL"] else "not all capabilities are dropped"


def privileged(c: Inspection, _: Inspection) -> str:
    return "it is privileged" if c["HostConfig"].get("Privileged") else ""


def sensitive_mounts(c: Inspection, _: Inspection) -> str:
    """Folders of the system itself, and writable ones below them."""
    wrong = []
    for mount in c["Mounts"]:
        source = mount.get("Source", "")
        if mount["Type"] != "bind":
            continue
        below = source.startswith(tuple(f"{folder}/" for folder in SENSITIVE))
        if source in ("/", *SENSITIVE) or (below and mount["RW"]):
            wrong.append(source)
    return f"it mounts {wrong}" if wrong else ""


def privileged_ports(c: Inspection, _: Inspection) -> str:
    low = [b["HostPort"] for b in _bindings(c) if b["HostPort"] and int(b["HostPort"]) < 1024]
    return f"published on a port below 1024: {low}" if low else ""


def memory(c: Inspection, _: Inspection) -> str:
    return "" if c["HostConfig"].get("Memory") else "its memory has no limit"


def cpu_shares(c: Inspection, _: Inspection) -> str:
    return "" if c["HostConfig"].get("CpuShares") else "its CPU shares are not set"


def read_only_root(c: Inspection, _: Inspection) -> str:
    return "" if c["HostConfig"].get("ReadonlyRootfs") else "its root can be written"


def one_address(c: Inspection, _: Inspection) -> str:
    every = [b for b in _bindings(c) if ipaddress.ip_address(b["HostIp"] or "::").is_unspecified]
    return f"published on every address: {every}" if every else ""


def restarts(c: Inspection, _: Inspection) -> str:
    policy = c["HostConfig"]["RestartPolicy"]
    if policy["Name"] in HARMLESS_RESTARTS:
        return ""
    if policy["Name"] == "on-failure" and 0 < policy["MaximumRetryCount"] <= 5:
        return ""
    return f"restart policy {policy}"


def shares(mode: str) -> Check:
    def check(c: Inspection, _: Inspection) -> str:
        return f"{mode} is the host's" if c["HostConfig"].get(mode) == "host" else ""

    return check


def devices(c: Inspection, _: Inspection) -> str:
    host = c["HostConfig"]
    found = [host.get(key) for key in ("Devices", "DeviceRequests", "DeviceCgroupRules")]
    return f"devices of the host: {found}" if any(found) else ""


def ulimits(c: Inspection, _: Inspection) -> str:
    """None is fine; one that takes a limit away is not."""
    endless = [u["Name"] for u in c["HostConfig"].get("Ulimits") or [] if u["Hard"] == -1]
    return f"without limit: {endless}" if endless else ""


def propagation(c: Inspection, _: Inspection) -> str:
    found = [m["Source"] for m in c["Mounts"] if "shared" in (m.get("Propagation") or "")]
    return f"mounts are shared back: {found}" if found else ""


def seccomp(c: Inspection, engine: Inspection) -> str:
    if not _has(engine, "seccomp"):
        return "the engine has no seccomp"
    off = [option for option in _options(c) if option.endswith("unconfined")]
    return f"confinement is off: {off}" if off else ""


def cgroup(c: Inspection, _: Inspection) -> str:
    parent = c["HostConfig"].get("CgroupParent")
    return f"its cgroup is below {parent}" if parent else ""


def no_new_privileges(c: Inspection, _: Inspection) -> str:
    known = {"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"}
    return "" if known.intersection(_options(c)) else "it may get new privileges"


def health(c: Inspection, _: Inspection) -> str:
    test = (c["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
    return "it has no health check" if test[0] == "NONE" else ""


def processes(c: Inspection, _: Inspection) -> str:
    return "" if (c["HostConfig"].get("PidsLimit") or 0) > 0 else "its processes have no limit"


def default_bridge(c: Inspection, _: Inspection) -> str:
    used = [c["HostConfig"]["NetworkMode"], *c["NetworkSettings"]["Networks"]]
    return "it is on the default bridge" if {"bridge", "default"} & set(used) else ""


def user_namespace(c: Inspection, _: Inspection) -> str:
    return (
        "it leaves the engine's user namespace"
        if c["HostConfig"].get("UsernsMode") == "host"
        else ""
    )


def engine_socket(c: Inspection, _: Inspection) -> str:
    found = [m["Source"] for m in c["Mounts"] if m.get("Source", "").endswith(".sock")]
    return f"it mounts {found}" if found else ""


SECTION_5: dict[str, Check] = {
    "5.2": apparmor,
    "5.3": selinux,
    "5.4": capabilities,
    "5.5": privileged,
    "5.6": sensitive_mounts,
    "5.8": privileged_ports,
    "5.10": shares("NetworkMode"),
    "5.11": memory,
    "5.12": cpu_shares,
    "5.13": read_only_root,
    "5.14": one_address,
    "5.15": restarts,
    "5.16": shares("PidMode"),
    "5.17": shares("IpcMode"),
    "5.18": devices,
    "5.19": ulimits,
    "5.20": propagation,
    "5.21": shares("UTSMode"),
    "5.22": seccomp,
    "5.25": cgroup,
    "5.26": no_new_privileges,
    "5.27": health,
    "5.29": processes,
    "5.30": default_bridge,
    "5.31": user_namespace,
    "5.32": engine_socket,
}

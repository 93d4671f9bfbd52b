# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack's networks: what is there, and what to do about what is wanted. A network can't be changed, only made anew."""

from __future__ import annotations

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine.host_facts import LABEL

MTU = "com.docker.network.driver.mtu"
DEFAULT_MTU = 1500


def describe(found, containers):
    """One row about a network, from the engine's list of networks and its list of containers in every state."""
    name = found["Name"]
    mtu = (found.get("Options") or {}).get(MTU) or ""
    return {
        "name": name,
        "driver": found.get("Driver") or "",
        "internal": bool(found.get("Internal")),
        "mtu": int(mtu) if mtu.isdigit() else DEFAULT_MTU,
        "stack": (found.get("Labels") or {}).get(LABEL + "name", ""),
        "containers": sorted(
            container["Names"][0].lstrip("/")
            for container in containers
            if name in ((container.get("NetworkSettings") or {}).get("Networks") or {})
        ),
    }


def plan(wanted, found, stack_name, mtu, host_mtu):
    """What to do about each wanted network, without cutting what uses it.

    wanted: list of {"name", "internal"}. found: rows of describe(). mtu: what the operator set, 0 for
    what fits the host. host_mtu: of the host's default route, or None.

    Returns {"create": [{"name", "internal", "mtu"}], "replace": [names that nothing uses], "problems":
    [sentences]}; those to replace are in create as well.
    """
    rows = {row["name"]: row for row in found}
    size = mtu or min(host_mtu or DEFAULT_MTU, DEFAULT_MTU)
    result = {"create": [], "replace": [], "problems": []}
    for want in wanted:
        new = {"name": want["name"], "internal": want["internal"], "mtu": size}
        row = rows.get(want["name"])
        if row is None:
            result["create"].append(new)
            continue
        if row["stack"] not in ("", stack_name):
            result["problems"].append(
                "the network {name} belongs to the stack {stack}. Give docker_host_networks another name for it.".format(
                    **row
                )
            )
            continue
        differences = _differences(row, new, fixed=bool(mtu))
        if not differences:
            continue
        if row["stack"] and not row["containers"]:
            result["replace"].append(row["name"])
            result["create"].append(new)
            continue
        result["problems"].append(_refusal(row, differences))
    return result


def _differences(row, new, fixed):
    """(what, how it is, how it is wanted, setting) of each difference that matters."""
    found = []
    if row["driver"] != "bridge":
        found.append(("its driver", row["driver"], "bridge", "docker_host_networks"))
    if row["internal"] != new["internal"]:
        found.append(
            ("internal", _word(row["internal"]), _word(new["internal"]), "docker_host_networks")
        )
    # Unless a size was asked for, smaller packets than the host takes are well.
    if row["mtu"] != new["mtu"] if fixed else row["mtu"] > new["mtu"]:
        found.append(("its MTU", row["mtu"], new["mtu"], "docker_host_mtu"))
    return found


def _word(value):
    return "true" if value else "false"


def _refusal(row, differences):
    what = ", ".join("%s is %s and would be %s" % each[:3] for each in differences)
    keep = []
    for thing, now, _new, setting in differences:
        if setting == "docker_host_mtu":
            keep.append("docker_host_mtu: %s" % now)
        elif thing == "internal":
            keep.append("internal: %s of %s in docker_host_networks" % (now, row["name"]))
        else:
            keep.append("another name in docker_host_networks")
    if not row["stack"]:
        return (
            "the network %s was not made by this stack, and differs: %s. Keep it as it is (%s), remove it (docker network rm %s),"
            " or give docker_host_networks another name for it."
        ) % (row["name"], what, " and ".join(keep), row["name"])
    return (
        "the network %s differs: %s. It can only be made anew, which would cut off %s. Keep it as it is (%s), or take the stack down for a"
        " moment: playbooks/teardown.yml, which keeps the data, and then site.yml."
    ) % (row["name"], what, ", ".join(row["containers"]), " and ".join(keep))

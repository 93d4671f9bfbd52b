# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names all containers that the roles will have on a host, and says who has taken such a name, or a port."""

from __future__ import annotations

from ansible_collections.aisha.bot_stack.plugins.filter import bot, fleet
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import description, volumes
from ansible_collections.aisha.bot_stack.plugins.plugin_utils import role_settings


def stack_containers(hostvars, host):
    """See stack_containers.yml beside this file."""
    variables = hostvars[host]
    found = []
    for role in role_settings.specs():
        setting = role_settings.of(role, variables)
        if role not in variables["group_names"] or setting("state") != "present":
            continue
        if role == "bot":
            found += _bot(hostvars, host, setting)
        elif setting("container_name"):
            own = {
                "name": setting("container_name"),
                "stack": setting("stack_name"),
                "setting": role + "_container_name",
            }
            found += _with_helpers(own, bool(setting("volume")))
    return found


def _bot(hostvars, host, setting):
    hosts = list(hostvars[host]["groups"]["bot"])
    results = fleet.of_hosts(hostvars, hosts, {"holder": "bot_holder"})
    holders = [setting("move_to")] if setting("move_to") else fleet.declared_holders(results, hosts)
    return [
        each
        for wanted in bot.descriptions(
            setting("name"), setting("workers"), setting("webhook_replicas"), host in holders
        )
        for each in _with_helpers(
            {"name": wanted["name"], "stack": setting("stack_name"), "setting": "bot_name"},
            bool(volumes.writable(wanted)),
        )
    ]


def _with_helpers(own, has_volume):
    """The container, and those that are there for a while when it is made or changed."""
    ends = ["", description.NEXT, description.PREVIOUS] + [volumes.SUFFIX] * has_volume
    return [dict(own, name=own["name"] + end) for end in ends]


def taken_problems(found):
    """See taken_problems.yml beside this file."""
    return [_name(each) for each in found["taken_names"]] + [
        _port(each, found["containers"]) for each in found["taken_ports"]
    ]


def _name(taken):
    by = taken["by"]
    return (
        "the name %s is taken by a container that is not of the stack %s (%sits image is %s, it is %s): rename it (docker"
        " rename %s OTHER) or remove it, or set %s to another name."
        % (
            taken["name"],
            taken["stack"],
            "it is of the stack %s, " % by["stack"] if by["stack"] else "",
            by["image"],
            by["state"],
            taken["name"],
            taken["setting"],
        )
    )


def _port(taken, containers):
    said = "port %s:%s is taken by " % (taken["address"], taken["port"])
    if not taken["by"]:
        return (
            said
            + "another process or container: set %s to a free port, or stop what has it."
            % (taken["setting"])
        )
    if taken["by"] not in [row["name"] for row in containers]:
        return said + "container %s%s: set %s to a free port, or stop that container." % (
            taken["by"],
            " of the stack %s" % taken["stack"] if taken["stack"] else "",
            taken["setting"],
        )
    return said + (
        "%s, a container of this stack, and docker_host_ports gives it to %s: set %s to a port that nothing of the stack"
        " has; or, where %s is what should have it, correct the name there; or, where the stack has no %s any more, remove"
        " it (docker rm -f %s)."
        % (
            taken["by"],
            taken["container"],
            taken["setting"],
            taken["by"],
            taken["by"],
            taken["by"],
        )
    )


class FilterModule:
    """The filters."""

    def filters(self):
        return {"stack_containers": stack_containers, "taken_problems": taken_problems}

#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observes one Docker host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Says what a Docker host has of this stack, and what it has room for
version_added: 0.1.0
description:
  - Observes a Docker host in one call. Its engine, the free space where the engine keeps its data, ports that somebody else has, and
    the containers of a stack with state, health and restarts.
  - Changes nothing and returns no environment of a container.
author: The aisha.bot_stack team (@aisha)
options:
  stack_name:
    description: Containers with this value in the label C(aisha.bot_stack.name) belong to the stack. Empty means every stack.
    type: str
    default: aisha
  ports:
    description: Ports that the stack wants to publish on this host.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: Address to publish on.
        type: str
        required: true
      port:
        description: Port to publish.
        type: int
        required: true
      container:
        description: Container that publishes it. Where it has the port already, the port is not taken.
        type: str
        required: true
      setting:
        description: Name of the variable that sets the port, for the error message.
        type: str
        required: true
  networks:
    description: Names of networks to look at.
    type: list
    elements: str
    default: []
  images:
    description: Whether to look at the host's images.
    type: bool
    default: false
  files:
    description: Files of a folder, as M(aisha.bot_stack.config_files) writes them. Says whether they differ, at the price of no call.
    type: dict
    suboptions:
      path:
        description: The folder.
        type: path
        required: true
      group:
        description: Numeric group of the files. The owner is root.
        type: int
        required: true
      files:
        description: All its files.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Name of the file, without a folder.
            type: str
            required: true
          content:
            description: Its content.
            type: str
            required: true
extends_documentation_fragment:
  - aisha.bot_stack.engine
  - aisha.bot_stack.attributes.read_only
"""

EXAMPLES = r"""
- name: Look at the host
  aisha.bot_stack.host_info:
    ports:
      - {address: 127.0.0.1, port: 5000, container: aisha-registry, setting: registry_publish_port}
  register: host
"""

RETURN = r"""
engine:
  description: The engine.
  returned: always
  type: dict
  contains:
    reachable:
      description: Whether it answers.
      type: bool
    error:
      description: Why it does not answer. Empty where it does.
      type: str
    version:
      description: Version of the engine.
      type: str
    root:
      description: Folder where the engine keeps its data. Where images are in one of their own (C(/var/lib/containerd)), that with less free space.
      type: str
    kind:
      description: >-
        V(docker), or one on which the stack can't run: V(podman), V(rootless), V(userns-remap), V(snap), V(desktop), V(windows), or V(remote) for
        an engine of another machine. Empty where none answers.
      type: str
    image_store:
      description: V(graphdriver) or V(containerd). With the latter, files of a container that does not run can't be found on the host.
      type: str
    problems:
      description: Why the stack can't run on this engine and what to do, one sentence each.
      type: list
      elements: str
free_bytes:
  description: Bytes free in that folder. V(none) where that can't be seen.
  returned: always
  type: int
mtu:
  description: Largest packet, in bytes, of the device of the default IPv4 route. V(none) without such a route.
  returned: always
  type: int
taken_ports:
  description: Those of O(ports) that somebody else has, each with C(by).
  returned: always
  type: list
  elements: dict
networks:
  description: Those of O(networks) that are there.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      type: str
    driver:
      description: Driver.
      type: str
    internal:
      description: Whether it has no way out of the host.
      type: bool
    mtu:
      description: Largest packet, in bytes.
      type: int
    stack:
      description: Name of the stack that it belongs to, empty for none.
      type: str
    containers:
      description: Names of the containers that are attached to it, in every state.
      type: list
      elements: str
files_differ:
  description: Whether O(files) are not as they should be.
  returned: always
  type: bool
image_ids:
  description: With O(images), from the tags of the images that the host has, each C(repository:tag), to their IDs.
  returned: always
  type: dict
containers:
  description: Containers of the stack, by name.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      type: str
    id:
      description: ID.
      type: str
    stack:
      description: Name of the stack.
      type: str
    role:
      description: What it does in the stack.
      type: str
    release:
      description: Release that it belongs to.
      type: str
    config:
      description: Hash of its configuration.
      type: str
    spec:
      description: Hash of the description that it was made from.
      type: str
    memory:
      description: Memory limit in bytes, 0 for none.
      type: int
    pids_limit:
      description: Limit of processes and threads, 0 for none.
      type: int
    addresses:
      description: From a network that it is attached to, to its address there; empty while it does not run.
      type: dict
    image:
      description: Reference of its image.
      type: str
    image_id:
      description: ID of its image.
      type: str
    state:
      description: State as the engine names it.
      type: str
    health:
      description: V(starting), V(healthy), V(unhealthy), or empty without a health check.
      type: str
    exit_code:
      description: Exit code of its last end.
      type: int
    started_at:
      description: Time of its start in UTC, RFC 3339. Empty while it does not run.
      type: str
    restarts:
      description: How often the engine restarted it.
      type: int
    restart_policy:
      description: Restart policy.
      type: str
    ports:
      description: Published addresses and ports.
      type: list
      elements: list
"""

import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import (
    connection,
    files,
    host_facts,
    kinds,
    networks,
)


def stack_containers(client, stack_name):
    """Rows of the stack's containers, by name; one that vanishes meanwhile is left out."""
    label = host_facts.LABEL + "name" + ("=" + stack_name if stack_name else "")
    rows = []
    for found in client.containers(all=True, filters={"label": label}):
        try:
            rows.append(host_facts.describe(client.inspect_container(found["Id"])))
        except connection.NotFound:
            continue
    return sorted(rows, key=lambda row: row["name"])


def wanted_networks(client, names):
    """Rows about those networks that are there."""
    if not names:
        return []
    containers = client.containers(all=True)
    return [
        networks.describe(found, containers)
        for found in client.networks(names=names)
        # The engine takes a part of a name for the name.
        if found["Name"] in names
    ]


def files_differ(wanted):
    """Whether a folder has other files than it should have, or with other rights."""
    if wanted is None:
        return False
    contents = files.contents(wanted["files"])
    try:
        return files.provide(wanted["path"], contents, wanted["group"], check=True)[0]
    except OSError:
        # Who writes them will say why it can't.
        return True


def observe(module):
    """The module's result; an engine that does not answer is a result, not an error."""
    result = {
        "changed": False,
        "engine": {
            "reachable": False,
            "error": "",
            "version": "",
            "root": "",
            "kind": "",
            "image_store": "",
            "problems": [],
        },
        "free_bytes": None,
        "mtu": host_facts.default_route_mtu(),
        "taken_ports": [],
        "networks": [],
        "containers": [],
        "image_ids": {},
        "files_differ": files_differ(module.params["files"]),
    }
    try:
        client = connection.connect(module)
        info = client.info()
        version = client.version(api_version=False)
        result["networks"] = wanted_networks(client, module.params["networks"])
        result["containers"] = stack_containers(client, module.params["stack_name"])
        if module.params["images"]:
            result["image_ids"] = host_facts.image_ids(client.images())
    except connection.ENGINE_ERRORS as error:
        result["engine"]["error"] = str(error)
        return result
    result["engine"].update(
        kinds.judge(info, version, module.params["docker_host"], socket.gethostname()),
        reachable=True,
    )
    free, folder = host_facts.least_free(kinds.folders(info))
    result["free_bytes"] = free
    result["engine"]["root"] = folder
    result["taken_ports"] = host_facts.taken_ports(
        module.params["ports"], host_facts.listeners(), result["containers"]
    )
    return result


def main():
    """Runs the module."""
    port = {
        "address": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "container": {"type": "str", "required": True},
        "setting": {"type": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec=dict(
            connection.ARGUMENTS,
            stack_name={"type": "str", "default": "aisha"},
            ports={"type": "list", "elements": "dict", "default": [], "options": port},
            networks={"type": "list", "elements": "str", "default": []},
            images={"type": "bool", "default": False},
            files={
                "type": "dict",
                "options": {
                    "path": {"type": "path", "required": True},
                    "group": {"type": "int", "required": True},
                    "files": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        "options": files.FILE_OPTIONS,
                    },
                },
            },
        ),
        supports_check_mode=True,
    )
    module.exit_json(**observe(module))


if __name__ == "__main__":
    main()

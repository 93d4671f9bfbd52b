#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the last log lines of containers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_logs
short_description: Reads the last log lines of containers
version_added: 0.1.0
description:
  - Reads the last lines that containers wrote to standard output and standard error, without the Docker command on the host.
author: The aisha.bot_stack team (@aisha)
options:
  docker_host:
    description: Address of the engine.
    type: str
    default: unix:///var/run/docker.sock
  names:
    description: Names of the containers.
    type: list
    elements: str
    required: true
  lines:
    description: How many lines of each, at most.
    type: int
    default: 50
  timeout:
    description: Seconds to wait for an answer of the engine.
    type: int
    default: 15
requirements:
  - docker >= 6.0 (Python SDK), on the target
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: none
"""

EXAMPLES = r"""
- name: Read what the primary said last
  aisha.bot_stack.container_logs:
    names: [aisha-primary]
    lines: 20
  register: said
"""

RETURN = r"""
logs:
  description: From a container's name to its last lines. A container that does not exist has none.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import docker
    import docker.errors
    import requests
except ImportError:
    docker = None


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"},
            "names": {"type": "list", "elements": "str", "required": True},
            "lines": {"type": "int", "default": 50},
            "timeout": {"type": "int", "default": 15},
        },
        supports_check_mode=True,
    )
    if docker is None:
        module.fail_json(msg=missing_required_lib("docker"))
    logs = {}
    try:
        client = docker.APIClient(
            base_url=module.params["docker_host"],
            version="auto",
            timeout=module.params["timeout"],
        )
        for name in module.params["names"]:
            try:
                lines = client.logs(name, tail=module.params["lines"])
            except docker.errors.NotFound:
                lines = b""
            logs[name] = lines.decode("utf-8", "replace")
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        module.fail_json(msg="The Docker Engine does not give the logs: %s" % error)
    module.exit_json(changed=False, logs=logs)


if __name__ == "__main__":
    main()

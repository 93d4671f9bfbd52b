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
  names:
    description: Names of the containers.
    type: list
    elements: str
    required: true
  lines:
    description: How many lines of each, at most.
    type: int
    default: 50
extends_documentation_fragment:
  - aisha.bot_stack.engine
  - aisha.bot_stack.attributes.read_only
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import connection


def last_lines(client, name, lines):
    """The last lines of a container; none where it does not exist."""
    try:
        return client.logs(name, tail=lines).decode("utf-8", "replace")
    except connection.NotFound:
        return ""


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec=dict(
            connection.ARGUMENTS,
            names={"type": "list", "elements": "str", "required": True},
            lines={"type": "int", "default": 50},
        ),
        supports_check_mode=True,
    )
    try:
        client = connection.connect(module)
        logs = {
            name: last_lines(client, name, module.params["lines"])
            for name in module.params["names"]
        }
    except connection.ENGINE_ERRORS as error:
        module.fail_json(msg="The Docker Engine does not give the logs: %s" % error)
    module.exit_json(changed=False, logs=logs)


if __name__ == "__main__":
    main()

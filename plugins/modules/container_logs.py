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
  secrets:
    description:
      - Texts that are secret, in whatever way the logs write them. Each becomes C(***).
      - Tokens of bots, passwords in addresses and logins in headers of HTTP do so without being named.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - aisha.bot_stack.engine
  - aisha.bot_stack.attributes.read_only
"""

EXAMPLES = r"""
- name: Read what the primary said last
  aisha.bot_stack.container_logs:
    names: [aisha-primary]
    lines: 20
    secrets: "{{ hostvars[inventory_hostname] | aisha.bot_stack.secrets_of }}"
  register: said
"""

RETURN = r"""
logs:
  description: From a container's name to its last lines, without secrets. A container that does not exist has none.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import connection
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.scrub import Scrubber


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
            secrets={"type": "list", "elements": "str", "default": [], "no_log": True},
        ),
        supports_check_mode=True,
    )
    scrubber = Scrubber(module.params["secrets"])
    try:
        client = connection.connect(module)
        logs = {
            name: scrubber.scrub(last_lines(client, name, module.params["lines"]))
            for name in module.params["names"]
        }
    except connection.ENGINE_ERRORS as error:
        module.fail_json(
            msg="The Docker Engine does not give the logs: %s" % scrubber.scrub(str(error))
        )
    module.exit_json(changed=False, logs=logs)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observes who may poll with a bot's token on one Docker host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: polling_singleton_info
short_description: Says who may poll with a bot's token on a Docker host
version_added: 0.1.0
description:
  - Looks for everything on a Docker host that holds a bot's token, in containers of every state and in processes, and says what part it plays.
  - Changes nothing, and never calls getUpdates.
author: The aisha.bot_stack team (@aisha)
extends_documentation_fragment:
  - aisha.bot_stack.engine
  - aisha.bot_stack.polling
  - aisha.bot_stack.attributes.read_only
seealso:
  - module: aisha.bot_stack.polling_singleton
"""

EXAMPLES = r"""
- name: Find all that holds the token
  aisha.bot_stack.polling_singleton_info:
    token_file: /etc/aisha/bot/secrets/bot_token
    holder: aisha-primary
  register: seen
"""

RETURN = r"""
findings:
  description: All that holds the token, or another token of the same bot.
  returned: when the host was looked at
  type: list
  elements: dict
  contains:
    kind:
      description: V(container) or V(process).
      type: str
    host:
      description: Name of the host.
      type: str
    name:
      description: Name of the container, or of the program.
      type: str
    id:
      description: ID of the container.
      type: str
    pid:
      description: Number of the process.
      type: int
    state:
      description: State as the engine names it; V(running) for a process.
      type: str
    role:
      description: >-
        V(holder), V(poller) (another one of this stack, as an older release, a copy), V(worker) and V(webhook) (they hold the token and do not
        poll), V(suspect) or V(allowed).
      type: str
    live:
      description: Whether it polls, or can come back without a hand of anybody. What is not live is left alone.
      type: bool
    where:
      description: V(environment), V(command), V(label), V(file), V(process environment) or V(process command).
      type: str
    field:
      description: Variable, label, path or part of the command.
      type: str
    also:
      description: Further places, each with C(where), C(field) and C(same_token).
      type: list
    same_token:
      description: Whether it is this very token, or another one of the same bot.
      type: bool
    restart_policy:
      description: Restart policy of the container.
      type: str
    unit:
      description: The systemd unit of the process, or empty.
      type: str
holder:
  description: The holder as a finding, or V(none).
  returned: when the host was looked at
  type: dict
pollers:
  description: Findings that are live and have the role V(holder) or V(poller).
  returned: when the host was looked at
  type: list
  elements: dict
suspects:
  description: Findings that are live and have the role V(suspect).
  returned: when the host was looked at
  type: list
  elements: dict
webhook:
  description: URL of the webhook without tokens, empty for none. V(none) where the Bot API was not asked.
  returned: when the host was looked at
  type: str
pending_updates:
  description: Updates that wait at the Bot API. V(none) where it was not asked.
  returned: when the host was looked at
  type: int
conflicts:
  description: What the log of the holder says of conflicts.
  returned: when the host was looked at
  type: dict
  contains:
    count:
      description: How many in the last 120 s, since its start, or since the last rival was stopped, whichever is shortest.
      type: int
    last:
      description: Time of the last, in seconds since 1970, or V(none).
      type: float
    text:
      description: Its line.
      type: str
polling_since:
  description: First sign of a poll by the holder since its start, in seconds since 1970, or V(none) where it shows none.
  returned: when the host was looked at
  type: float
unread_files:
  description: How many files this user may not read.
  returned: when the host was looked at
  type: int
unseen_containers:
  description: >-
    Names of containers that could not be looked into, as they do not run and the engine does not say where their files are (as with
    containerd's image store). Their environment, command, labels and volumes were looked at.
  returned: when the host was looked at
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import connection
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import plan as polling_plan
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import sight as polling_sight
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.bot_api import (
    BotApi,
    BotApiError,
)


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec=dict(connection.ARGUMENTS, **polling_sight.ARGUMENTS),
        supports_check_mode=True,
        **polling_sight.ONE_TOKEN,
    )
    options = module.params
    polling_sight.refuse_without_root(module)
    token = polling_sight.read_token(module)
    client = polling_sight.connect(module)
    desired = polling_plan.Desired(
        options["name"], holder=options["holder"], suspects="report", allowed=options["allowed"]
    )
    try:
        webhook, pending = (
            BotApi(options["bot_api_url"], token).webhook() if options["holder"] else (None, None)
        )
        sight = polling_sight.look(module, token)
        seen = polling_sight.observed(client, token, sight, desired, webhook, pending)
    except BotApiError as error:
        module.fail_json(msg=str(error))
    except connection.ENGINE_ERRORS as error:
        module.fail_json(msg="The Docker Engine does not answer: %s" % token.scrub(str(error)))
    for warning in sight.warnings(polling_sight.host_name()):
        module.warn(warning)
    module.exit_json(changed=False, **seen)


if __name__ == "__main__":
    main()

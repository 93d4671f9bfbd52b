# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to a container that may end by itself at any moment: that it ended meanwhile is no error of the change.

client: docker.APIClient. name: name or ID. What the engine refuses for another reason is raised as the SDK raises it.
"""

from __future__ import annotations

import time

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import connection

LOOK_SECONDS = 0.25
UPDATE_SECONDS = 10


def update(client, name, **limits):
    """New limits or another restart policy, as APIClient.update_container takes them.

    Where it ends just then, the engine changes nothing and says so in the words of its runtime
    ("container not running", "cannot update a stopped container"): asked again, it only notes them.
    """
    deadline = time.monotonic() + UPDATE_SECONDS
    while True:
        try:
            client.update_container(name, **limits)
            return
        except connection.ENGINE_ERRORS as error:
            if not _server_error(error) or time.monotonic() > deadline:
                raise
        time.sleep(LOOK_SECONDS)


def restart_policy(client, name, policy):
    """policy: no, always, unless-stopped or on-failure."""
    update(client, name, restart_policy={"Name": policy})


def unpause(client, name):
    """Lets a paused one go on."""
    _end(client, name, client.unpause, "Paused")


def kill(client, name):
    """SIGKILL, which a paused one gets as well."""
    _end(client, name, client.kill, "Running")


def _end(client, name, change, state):
    """Ends a state; that it ended by itself is as good."""
    try:
        change(name)
    except connection.ENGINE_ERRORS:
        if client.inspect_container(name)["State"].get(state):
            raise


def _server_error(error):
    response = getattr(error, "response", None)
    return response is not None and response.status_code >= 500

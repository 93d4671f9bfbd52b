# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What polling_singleton and polling_singleton_info share: their options, and one look at the host."""

from __future__ import annotations

import os
import socket
import time

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import connection
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import (
    containers as polling_containers,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import files as polling_files
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import plan as polling_plan
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import (
    processes as polling_processes,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import proof as polling_proof
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.token import (
    Token,
    TokenError,
)

ARGUMENTS = {
    "name": {"type": "str", "default": "aisha"},
    "token": {"type": "str", "no_log": True},
    "token_file": {"type": "path", "no_log": False},
    "holder": {"type": "str", "default": ""},
    "allowed": {"type": "list", "elements": "str", "default": []},
    "bot_api_url": {"type": "str", "default": "https://api.telegram.org"},
    "processes": {"type": "bool", "default": True},
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
}
ONE_TOKEN = {
    "mutually_exclusive": [("token", "token_file")],
    "required_one_of": [("token", "token_file")],
}
MAX_TOKEN_BYTES = 4096


class Sight:
    """What one look at a host found: rows about containers and processes that hold the token."""

    def __init__(self, inspections, containers, processes, unread, unseen=()):
        self._inspections = inspections
        self.containers = containers
        self.processes = processes
        self.unread = unread
        self.unseen = list(unseen)

    def warnings(self, host):
        """What could not be seen, one sentence each."""
        if not self.unseen:
            return []
        return [
            "%s: could not look into %s: not running, and its engine does not say where the files are. Start or remove it, to be sure"
            " that none has the token in its image." % (host, ", ".join(self.unseen))
        ]

    def container(self, name):
        """The row about a container by its name, whether it holds the token or not; None without one."""
        for row in self.containers:
            if row["name"] == name:
                return row
        for inspection in self._inspections:
            if name and inspection["Name"].lstrip("/") == name:
                return dict(polling_containers.describe(inspection), places=[])
        return None


def read_token(module):
    """The token of the module's options; ends the module where there is none."""
    text = module.params["token"]
    setting = "token"
    if text is None:
        setting = "token_file (%s)" % module.params["token_file"]
        try:
            with open(module.params["token_file"], encoding="utf-8") as file:
                text = file.read(MAX_TOKEN_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            module.fail_json(
                msg="%s: %s can't be read: %s."
                % (host_name(), setting, getattr(error, "strerror", error))
            )
        module.no_log_values.add(text.strip())
    try:
        token = Token(text, module.params["secrets"])
    except TokenError as error:
        module.fail_json(
            msg="%s is no token of a bot: %s. Set what BotFather gave you." % (setting, error)
        )
    # Ansible hides the whole token; the secret alone must be hidden, too.
    module.no_log_values.add(token.reveal().partition(":")[2])
    return token


def host_name():
    """The host in messages and findings."""
    return socket.gethostname()


def refuse_without_root(module):
    """Ends the module where it could not see what other users run."""
    if os.geteuid() != 0:
        module.fail_json(
            msg="%s: this needs root, or it could not see what others run and mount. Set become: true."
            % host_name()
        )


def connect(module):
    """A client of the engine; ends the module with a sentence where it does not answer."""
    try:
        client = connection.connect(module)
        client.ping()
    except connection.ENGINE_ERRORS as error:
        module.fail_json(
            msg="%s: the Docker Engine at %s does not answer: %s. Start it, or set docker_host."
            % (host_name(), module.params["docker_host"], error)
        )
    return client


def look(module, token):
    """One look at the host. Raises ENGINE_ERRORS."""
    reader = polling_files.FileReader(token)
    inspections = polling_containers.inspect_all(
        lambda: connection.connect(module), connection.NotFound
    )
    processes, inside = [], {}
    if module.params["processes"]:
        ids = {inspection["Id"] for inspection in inspections}
        processes, inside = polling_processes.observe(token, reader, ids)
    containers, unseen = polling_containers.observe(
        token, token.fingerprint(module.params["name"]), reader, inspections, inside
    )
    return Sight(inspections, containers, processes, reader.unread, unseen)


def as_result(found):
    """polling_proof.evidence() in the words of the modules' results."""
    return {
        "conflicts": {
            "count": found["conflicts"],
            "last": found["last_conflict"],
            "text": found["conflict_text"],
        },
        "polling_since": found["polling_since"],
    }


def observed(client, token, sight, desired, webhook, pending, quiet_since=0.0):
    """One look as a result; conflicts are those in the holder's log since quiet_since and its look-back."""
    findings = polling_plan.findings_of(sight.containers, sight.processes, desired, host_name())
    found = {"conflicts": 0, "last_conflict": None, "conflict_text": "", "polling_since": None}
    holder = sight.container(desired.holder)
    if holder is not None:
        since = max(quiet_since, time.time() - polling_proof.LOOK_BACK_SECONDS)
        found = polling_proof.evidence(client, client.inspect_container(holder["id"]), token, since)
        if holder["id"] not in [finding.get("id") for finding in findings]:
            findings += polling_plan.findings_of([holder], [], desired, host_name())
    return dict(
        as_result(found),
        findings=findings,
        holder=next((finding for finding in findings if finding["role"] == "holder"), None),
        pollers=[
            each for each in findings if each["live"] and each["role"] in ("holder", "poller")
        ],
        suspects=[each for each in findings if each["live"] and each["role"] == "suspect"],
        webhook=webhook,
        pending_updates=pending,
        unread_files=sight.unread,
        unseen_containers=sight.unseen,
    )

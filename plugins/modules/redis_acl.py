#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the access list of a Redis or Valkey container and lets the running server read it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_acl
short_description: Provides the logins of a Redis or Valkey container, and changes their passwords without a gap
version_added: 0.1.0
description:
  - Writes the access list C(users.acl), and lets a running server read it (C(ACL LOAD)), so that the container stays.
  - A password or a user that is not wanted any more works until O(conclude), beside the wanted one.
  - For the reading it makes the login C(reload), which may do nothing else, and keeps its password in C(reload) beside the list.
author: The aisha.bot_stack team (@aisha)
options:
  path:
    description: Folder on the host for the list. Its parents are made with mode 0755.
    type: path
    required: true
  group:
    description: Numeric group that may read the files, that of the container's user. The owner is root.
    type: int
    required: true
  container:
    description: Name of the container, which has O(path) mounted at C(/run/secrets).
    type: str
    required: true
  users:
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      password:
        description: Password. Without one, anybody may log in so; O(users[].rules) must fit that.
        type: str
      rules:
        description: What it may do, as in the access list.
        type: str
        required: true
extends_documentation_fragment:
  - aisha.bot_stack.attributes
  - aisha.bot_stack.logins
  - aisha.bot_stack.engine
attributes:
  check_mode:
    support: full
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Provide the bot's login, with a password that may be new
  aisha.bot_stack.redis_acl:
    path: /etc/aisha/redis/secrets
    group: 999
    container: aisha-redis
    users:
      - {name: aisha, password: "{{ vault_redis_bot_password }}", rules: "~aisha:* resetchannels &aisha:* +@all -@dangerous -@admin"}
"""

RETURN = r"""
checksum:
  description: Changes only where the container has to be made anew to read the list.
  returned: success
  type: str
loaded:
  description: Whether a running server read the list.
  returned: success
  type: bool
pending:
  description: Names of users that work with another password than the wanted one, or are not wanted any more, until O(conclude).
  returned: success
  type: list
  elements: str
"""

import hashlib
import os
import secrets

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import connection, files
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import logins, redis_acl

LIST = "users.acl"
RELOAD = "reload"
UNREAD = "unread"
# The password is read from the mounted file, so no process list shows it.
COMMAND = (
    "REDISCLI_AUTH=$(cat /run/secrets/reload) redis-cli --user reload --no-auth-warning ACL LOAD"
)


def read(path):
    """The text of a file; empty where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def load(client, container):
    """ "OK", "" where no server runs, or what the server says against the list."""
    try:
        if not client.inspect_container(container)["State"]["Running"]:
            return ""
    except connection.NotFound:
        return ""
    job = client.exec_create(container, ["sh", "-c", COMMAND])["Id"]
    return client.exec_start(job).decode("utf-8", "replace").strip()


def provide(module, client):
    """The module's result."""
    params = module.params
    path = params["path"]
    password = read(os.path.join(path, RELOAD)).strip()
    fresh = not password
    password = password or secrets.token_hex(32)
    users = [
        {
            "name": user["name"],
            "passwords": [redis_acl.hashed(user["password"])] if user["password"] else [],
            "rules": user["rules"] if user["password"] else "nopass " + user["rules"],
        }
        for user in params["users"]
    ]
    users.append(
        {
            "name": RELOAD,
            "passwords": [redis_acl.hashed(password)],
            "rules": "resetkeys resetchannels -@all +acl|load",
        }
    )
    before = read(os.path.join(path, LIST))
    text, pending = redis_acl.render(users, before, params["conclude"])
    unread = os.path.join(path, UNREAD)
    changed = fresh or text != before or os.path.exists(unread)
    result = {
        "changed": changed,
        "pending": pending,
        "loaded": False,
        # A server that does not know this login can't be told to read the list.
        "checksum": hashlib.sha256(("reload:" + redis_acl.hashed(password)).encode()).hexdigest(),
    }
    if module.check_mode or not changed:
        return result
    files.make_folder(path, params["group"])
    files.write(os.path.join(path, RELOAD), to_bytes(password + "\n"), params["group"])
    # Where this is cut off, the next run has the list read.
    files.write(unread, b"", params["group"])
    files.write(os.path.join(path, LIST), to_bytes(text), params["group"])
    answer = "" if fresh else load(client, params["container"])
    if answer in ("", "OK"):
        os.unlink(unread)
    else:
        # It goes on with the list that it has, and a restart must not find another one.
        files.write(os.path.join(path, LIST), to_bytes(before), params["group"])
        module.fail_json(
            msg="The server in %s does not take the new access list, and goes on with the old one: %s"
            % (params["container"], answer)
        )
    result["loaded"] = answer == "OK"
    return result


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec=dict(
            connection.ARGUMENTS,
            **logins.arguments(password_required=False, rules={"type": "str", "required": True}),
            path={"type": "path", "required": True},
            group={"type": "int", "required": True},
            container={"type": "str", "required": True},
        ),
        supports_check_mode=True,
    )
    try:
        module.exit_json(**provide(module, connection.connect(module)))
    except connection.ENGINE_ERRORS as error:
        module.fail_json(
            msg="Can't reach the engine, or container %s: %s" % (module.params["container"], error)
        )
    except OSError as error:
        module.fail_json(
            msg="%s can't be written: %s. The role must run as root (become: true)."
            % (error.filename or module.params["path"], error.strerror)
        )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the configuration files of one container in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Writes the configuration and secret files of one container
version_added: 0.1.0
description:
  - Makes a folder and writes all files of it in one call, and gives one checksum of them, so that a container can be re-created when any
    of them changes.
  - Files that are not named are removed from the folder, folders in it are left alone. A file is replaced at once, never half written.
  - Works in check mode on a host that does not have the folder yet.
author: The aisha.bot_stack team (@aisha)
options:
  path:
    description: The folder. Its parents are made with mode 0755.
    type: path
    required: true
  files:
    description: All files of the folder.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the file, without a folder.
        type: str
        required: true
      content:
        description: Its content. Never logged and never in a diff.
        type: str
        required: true
  group:
    description: Numeric group that may read the files, that of the container's user. The owner is root.
    type: int
    required: true
  salt:
    description: Any text that is not secret. The same files with another salt have another checksum.
    type: str
    default: ""
  state:
    description: Whether the folder exists.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - aisha.bot_stack.attributes
attributes:
  check_mode:
    support: full
  idempotent:
    support: full
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: partial
    details: Names the files that differ, never their content.
"""

EXAMPLES = r"""
- name: Write the secrets of the bot
  aisha.bot_stack.config_files:
    path: /etc/aisha/bot/secrets
    group: 10001
    salt: aisha
    files:
      - {name: bot_token, content: "{{ bot_token }}"}
  register: bot_secrets
"""

RETURN = r"""
checksum:
  description: SHA-256 of salt, names and contents, in hexadecimal.
  returned: success
  type: str
written:
  description: Names of the files that were written, or would be.
  returned: success
  type: list
  elements: str
removed:
  description: Names of the files that were removed, or would be.
  returned: success
  type: list
  elements: str
"""

import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import files


def remove_folder(path, check):
    """The result of state=absent."""
    changed = os.path.isdir(path)
    if changed and not check:
        shutil.rmtree(path)
    return {"changed": changed, "checksum": "", "written": [], "removed": []}


def provide_folder(params, check):
    """Brings the folder to what is wanted; returns the module's result."""
    wanted = files.contents(params["files"])
    changed, written, removed = files.provide(params["path"], wanted, params["group"], check)
    return {
        "changed": changed,
        "checksum": files.checksum(wanted, params["salt"]),
        "written": written,
        "removed": removed,
    }


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "group": {"type": "int", "required": True},
            "salt": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": files.FILE_OPTIONS,
            },
        },
        supports_check_mode=True,
    )
    bad = files.with_folder(module.params["files"])
    if bad:
        module.fail_json(msg="A name in files has a folder: %s. Give plain names." % ", ".join(bad))
    try:
        if module.params["state"] == "absent":
            result = remove_folder(module.params["path"], module.check_mode)
        else:
            result = provide_folder(module.params, module.check_mode)
    except OSError as error:
        module.fail_json(
            msg="%s can't be written: %s. The role must run as root (become: true)."
            % (error.filename or module.params["path"], error.strerror)
        )
    if module._diff:
        names = result["written"] + result["removed"]
        result["diff"] = {"before": "", "after": "".join(name + " differs\n" for name in names)}
    module.exit_json(**result)


if __name__ == "__main__":
    main()

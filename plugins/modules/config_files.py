#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the configuration files of one folder in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Writes the configuration and secret files of one folder
version_added: 0.1.0
description:
  - Makes a folder and writes all files of it in one call. What containers mount, M(aisha.bot_stack.containers) writes itself.
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
    description: Numeric group that may read the files. The owner is root.
    type: int
    required: true
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
- name: Write the login to the registry, as the engine's client has it
  aisha.bot_stack.config_files:
    path: /etc/aisha/docker
    group: 0
    files:
      - {name: config.json, content: "{{ {'auths': logins} | to_nice_json }}"}
"""

RETURN = r"""
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import files


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "group": {"type": "int", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": files.FILE_OPTIONS,
            },
        },
        supports_check_mode=True,
    )
    params = module.params
    bad = files.with_folder(params["files"])
    if bad:
        module.fail_json(msg="A name in files has a folder: %s. Give plain names." % ", ".join(bad))
    wanted = files.contents(params["files"])
    try:
        changed, written, removed = files.provide(
            params["path"], wanted, params["group"], module.check_mode
        )
    except OSError as error:
        module.fail_json(
            msg="%s can't be written: %s. The role must run as root (become: true)."
            % (error.filename or params["path"], error.strerror)
        )
    result = {"changed": changed, "written": written, "removed": removed}
    if module._diff:
        differs = "".join(name + " differs\n" for name in written + removed)
        result["diff"] = {"before": "", "after": differs}
    module.exit_json(**result)


if __name__ == "__main__":
    main()

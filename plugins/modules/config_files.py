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
  - >-
    With O(folders), several containers each get a folder of their own, by version: C(PATH/NAME/VERSION), where the version is the beginning of
    the checksum. What a running container has mounted is never changed then, so that it can be put back as it was.
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
  folders:
    description: Folders below O(path), each with its files, by version. Give this or O(files).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the folder.
        type: str
        required: true
      files:
        description: All its files, as in O(files).
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Name of the file, without a folder.
            type: str
            required: true
          content:
            description: Its content. Never logged and never in a diff.
            type: str
            required: true
  keep:
    description: >-
      With O(folders), paths of versions that are in use. Those that are neither wanted nor among them are removed, and files that belong to no
      folder; without this option, nothing is.
    type: list
    elements: str
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
differs:
  description: Whether folder or files are, or were, other than wanted. In check mode a task can use it whose C(changed_when) is C(false).
  returned: success
  type: bool
checksum:
  description: SHA-256 of salt, names and contents, in hexadecimal.
  returned: success
  type: str
folders:
  description: With O(folders), from a folder's name to its C(path) and the C(checksum) of its files.
  returned: success
  type: dict
made:
  description: With O(folders), paths of the versions that were not there.
  returned: success
  type: list
  elements: str
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

import hashlib
import os
import shutil
import stat

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import files as host_files

VERSION_LETTERS = 12


def checksum(files, salt):
    """SHA-256 of salt, names and contents; lengths keep one file's end from being another's start."""
    total = hashlib.sha256(to_bytes(salt))
    for name in sorted(files):
        total.update(b"\0%d:%s\0%d:" % (len(to_bytes(name)), to_bytes(name), len(files[name])))
        total.update(files[name])
    return total.hexdigest()


def owned(path, mode, group):
    """Whether a path has this mode, root as owner and this group."""
    status = os.lstat(path)
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, 0, group)


def same(path, content, group):
    """Whether a file has this content, mode and group already."""
    try:
        with open(path, "rb") as file:
            return file.read() == content and owned(path, host_files.FILE_MODE, group)
    except FileNotFoundError:
        return False


def files_in(path):
    """Names of what is in a folder, folders excepted; none where there is no folder."""
    if not os.path.isdir(path):
        return []
    return [entry.name for entry in os.scandir(path) if not entry.is_dir(follow_symlinks=False)]


def discard(path):
    """Removes a version, or a file that stands where versions belong."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def remove_folder(module):
    """The result of state=absent."""
    path = module.params["path"]
    changed = os.path.isdir(path)
    if changed and not module.check_mode:
        shutil.rmtree(path)
    return {"changed": changed, "differs": changed, "checksum": "", "written": [], "removed": []}


def provide_folder(module, path, given):
    """Brings one folder to what is wanted; returns its result."""
    group = module.params["group"]
    files = {file["name"]: to_bytes(file["content"]) for file in given}
    there = files_in(path)
    folder_differs = not os.path.isdir(path) or not owned(path, host_files.FOLDER_MODE, group)
    written = [
        name
        for name, content in sorted(files.items())
        if not same(os.path.join(path, name), content, group)
    ]
    removed = sorted(set(there) - set(files))
    differs = bool(folder_differs or written or removed)
    if not module.check_mode:
        if folder_differs:
            host_files.provide_folder(path, group)
        for name in written:
            host_files.write(os.path.join(path, name), files[name], group)
        for name in removed:
            os.unlink(os.path.join(path, name))
    return {
        "changed": differs,
        "differs": differs,
        "checksum": checksum(files, module.params["salt"]),
        "written": written,
        "removed": removed,
    }


def unused(path, used):
    """Paths of the versions that are not used, in all folders, and of files that belong to no folder."""
    path = os.path.normpath(path)
    found = [os.path.join(path, name) for name in files_in(path)]
    for entry in os.scandir(path) if os.path.isdir(path) else ():
        if entry.is_dir(follow_symlinks=False):
            found += [os.path.join(entry.path, name) for name in os.listdir(entry.path)]
    return set(found) - set(used)


def provide_versions(module):
    """Brings each folder's wanted version into being, beside those that are in use."""
    total = {"changed": False, "written": [], "removed": [], "made": [], "folders": {}}
    for folder in module.params["folders"]:
        files = {file["name"]: to_bytes(file["content"]) for file in folder["files"]}
        digest = checksum(files, module.params["salt"])
        # As an engine tells the paths of mounts.
        parent = os.path.normpath(os.path.join(module.params["path"], folder["name"]))
        path = os.path.join(parent, digest[:VERSION_LETTERS])
        if not os.path.isdir(path):
            total["made"].append(path)
        result = provide_folder(module, path, folder["files"])
        total["folders"][folder["name"]] = {"path": path, "checksum": digest}
        total["written"] += [folder["name"] + "/" + name for name in result["written"]]
        total["changed"] = total["changed"] or result["changed"]
    if module.params["keep"] is not None:
        wanted = {each["path"] for each in total["folders"].values()}
        for old in sorted(unused(module.params["path"], wanted | set(module.params["keep"]))):
            total["removed"].append(os.path.relpath(old, module.params["path"]))
            total["changed"] = True
            if not module.check_mode:
                discard(old)
    digests = [each["checksum"] for _name, each in sorted(total["folders"].items())]
    return dict(
        total,
        differs=total["changed"],
        checksum=hashlib.sha256("".join(digests).encode("ascii")).hexdigest(),
    )


def main():
    """Runs the module."""
    file_options = {
        "name": {"type": "str", "required": True},
        "content": {"type": "str", "required": True, "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "group": {"type": "int", "required": True},
            "salt": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "keep": {"type": "list", "elements": "str"},
            "files": {"type": "list", "elements": "dict", "default": [], "options": file_options},
            "folders": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "files": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        "options": file_options,
                    },
                },
            },
        },
        supports_check_mode=True,
    )
    bad = [
        each["name"]
        for folder in module.params["folders"] or [{"files": module.params["files"], "name": "-"}]
        for each in [folder, *folder["files"]]
        if os.path.basename(each["name"]) != each["name"]
    ]
    if bad:
        module.fail_json(
            msg="A name in files or folders has a folder: %s. Give plain names." % ", ".join(bad)
        )
    try:
        if module.params["state"] == "absent":
            result = remove_folder(module)
        elif module.params["folders"] is not None:
            result = provide_versions(module)
        else:
            result = provide_folder(module, module.params["path"], module.params["files"])
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

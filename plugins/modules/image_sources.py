#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the folder of a build exactly the sources of an image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_sources
short_description: Makes the folder of a build exactly the sources of an image
version_added: 0.1.0
description:
  - Packs a folder of the controller and unpacks it on the build host, in place of what was there. What is gone from the sources is gone
    from the build.
  - What P(aisha.bot_stack.tree_hash#lookup) leaves out is left out here.
author: The aisha.bot_stack team (@aisha)
options:
  src:
    description: Folder on the controller.
    type: path
    required: true
  dest:
    description: Folder on the build host. All that is in it is replaced.
    type: path
    required: true
  authority:
    description: File on the build host with the certificates that the build trusts. It becomes C(build-ca.crt) in the folder.
    type: path
    required: true
attributes:
  check_mode:
    description: Can run in check mode and say whether it would change something, without changing it.
    support: full
  diff_mode:
    description: Says what is changed.
    support: none
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Send an image's sources
  aisha.bot_stack.image_sources:
    src: images/bot
    dest: /var/lib/aisha/build/bot
    authority: /etc/ssl/certs/ca-certificates.crt
"""

RETURN = r"""
files:
  description: How many files the folder has now.
  returned: success
  type: int
"""

import os
import shutil
import tarfile

from ansible.module_utils.basic import AnsibleModule

AUTHORITY = "build-ca.crt"


def described(folder):
    """{name: (mode, content)} of the files in a folder; folders without a file do not count."""
    found = {}
    for parent, _folders, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                found[os.path.relpath(path, folder)] = (None, os.readlink(path))
                continue
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = (os.stat(path).st_mode, file.read())
    return found


def unpack(archive, folder):
    """What pack() in plugin_utils/sources.py has written: plain files, by relative names."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = os.path.join(folder, member.name)
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            with tar.extractfile(member) as packed, open(path, "wb") as file:
                shutil.copyfileobj(packed, file)
            os.chmod(path, member.mode)


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "authority": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    dest = module.params["dest"].rstrip("/")
    if not os.path.isfile(module.params["authority"]):
        module.fail_json(
            msg="There is no file %s (images_build_ca) with the certificates that a build trusts."
            % module.params["authority"]
        )
    # There it is removed, whatever happens.
    made = os.path.join(module.tmpdir, "sources")
    old_mask = os.umask(0o022)
    os.mkdir(made)
    unpack(module.params["src"], made)
    shutil.copyfile(module.params["authority"], os.path.join(made, AUTHORITY))
    os.chmod(os.path.join(made, AUTHORITY), 0o644)
    wanted = described(made)
    changed = not os.path.isdir(dest) or described(dest) != wanted
    if changed and not module.check_mode:
        if os.path.isdir(dest) and not os.path.islink(dest):
            shutil.rmtree(dest)
        os.makedirs(os.path.dirname(dest), mode=0o755, exist_ok=True)
        shutil.move(made, dest)
        os.chmod(dest, 0o755)  # noqa: S103  the build reads it
    os.umask(old_mask)
    module.exit_json(changed=changed, files=len(wanted))


if __name__ == "__main__":
    main()

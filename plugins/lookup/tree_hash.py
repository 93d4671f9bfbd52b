# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashes the files of a folder on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tree_hash
short_description: Hashes the files of a folder on the controller
version_added: 0.1.0
description:
  - Gives one SHA-256 in hexadecimal for each folder, over the relative name, the executable bit and the content of each file in it.
  - Two checkouts of the same sources give the same hash. What a program leaves beside the sources (caches of Python tools, C(build-ca.crt)) does not count.
author: The aisha.bot_stack team (@aisha)
options:
  _terms:
    description: Paths of the folders.
    required: true
    type: list
    elements: path
"""

EXAMPLES = r"""
- name: Show the hash of an image's sources
  ansible.builtin.debug:
    msg: "{{ lookup('aisha.bot_stack.tree_hash', 'images/bot') }}"
"""

RETURN = r"""
_raw:
  description: One hash for each folder.
  type: list
  elements: str
"""

from pathlib import Path

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.aisha.bot_stack.plugins.plugin_utils.sources import tree_hash


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms, variables=None, **kwargs):
        """One hash for each folder in terms."""
        self.set_options(var_options=variables, direct=kwargs)
        hashes = []
        for term in terms:
            folder = Path(term).expanduser()
            if not folder.is_dir():
                raise AnsibleLookupError(f"There is no folder {folder} on the controller to hash.")
            hashes.append(tree_hash(folder))
        return hashes

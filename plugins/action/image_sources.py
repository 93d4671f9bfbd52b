# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the sources of an image on the controller; the module of the same name unpacks them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.aisha.bot_stack.plugins.plugin_utils.sources import pack


class ActionModule(ActionBase):
    """The controller's half."""

    TRANSFERS_FILES = True
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Pack, send, and let the module unpack."""
        super().run(tmp, task_vars)
        options = dict(self._task.args)
        folder = Path(options.pop("src", "")).expanduser()
        if not folder.is_dir():
            raise AnsibleActionFail(
                "There is no folder %s on the controller with sources." % folder
            )
        handle, archive = tempfile.mkstemp(suffix=".tar.gz")
        os.close(handle)
        try:
            pack(folder, archive)
            if self._connection._shell.tmpdir is None:
                self._make_tmp_path()
            sent = self._connection._shell.join_path(
                self._connection._shell.tmpdir, "sources.tar.gz"
            )
            self._transfer_file(archive, sent)
            self._fixup_perms2((self._connection._shell.tmpdir, sent))
        finally:
            os.unlink(archive)
        try:
            return self._execute_module(
                module_name="aisha.bot_stack.image_sources",
                module_args=dict(options, src=sent),
                task_vars=task_vars,
            )
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

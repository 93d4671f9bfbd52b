# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a container's user reads by its group: configuration and secrets. Root owns them."""

from __future__ import annotations

import os
import tempfile

FOLDER_MODE = 0o750
FILE_MODE = 0o640


def provide_folder(path, group):
    """Makes a folder, or gives it the mode and owner that it should have."""
    os.makedirs(path, exist_ok=True)
    os.chmod(path, FOLDER_MODE)
    os.chown(path, 0, group)


def write(path, content, group):
    """Replaces a file at once; it is never readable by others, and never half there, also after a loss of power.

    AnsibleModule.atomic_move would take over the mode of the file that is there, and does not wait for the disk.
    """
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchown(handle, 0, group)
            os.fchmod(handle, FILE_MODE)
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

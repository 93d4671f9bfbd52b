# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of configuration and secret files that containers mount: written whole, root's, read by one group only."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile

from ansible.module_utils.common.text.converters import to_bytes

FOLDER_MODE = 0o750
FILE_MODE = 0o640
VERSION_LETTERS = 12
VERSION = re.compile(r"[0-9a-f]{%d}\Z" % VERSION_LETTERS)

FILE_OPTIONS = {
    "name": {"type": "str", "required": True},
    "content": {"type": "str", "required": True, "no_log": True},
}


def checksum(files, salt):
    """SHA-256 of salt, names and contents; lengths keep one file's end from being another's start."""
    total = hashlib.sha256(to_bytes(salt))
    for name in sorted(files):
        total.update(b"\0%d:%s\0%d:" % (len(to_bytes(name)), to_bytes(name), len(files[name])))
        total.update(files[name])
    return total.hexdigest()


def contents(given):
    """From a file's name to its content, in bytes. given: as FILE_OPTIONS."""
    return {file["name"]: to_bytes(file["content"]) for file in given}


def with_folder(given):
    """Names that are no plain names of files."""
    return [file["name"] for file in given if os.path.basename(file["name"]) != file["name"]]


def owned(path, mode, group):
    """Whether a path has this mode, root as owner and this group."""
    status = os.lstat(path)
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, 0, group)


def same(path, content, group):
    """Whether a file has this content, mode and group already."""
    try:
        with open(path, "rb") as file:
            return file.read() == content and owned(path, FILE_MODE, group)
    except FileNotFoundError:
        return False


def make_folder(path, group):
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


def files_in(path):
    """Names of what is in a folder, folders excepted; none where there is no folder."""
    if not os.path.isdir(path):
        return []
    return [entry.name for entry in os.scandir(path) if not entry.is_dir(follow_symlinks=False)]


def provide(path, files, group, check):
    """Brings a folder to exactly these files; returns (whether it differed, names written, names removed).

    files: from contents(). check: says so, and changes nothing. Folders in it are left alone.
    """
    folder_differs = not os.path.isdir(path) or not owned(path, FOLDER_MODE, group)
    written = [
        name
        for name, content in sorted(files.items())
        if not same(os.path.join(path, name), content, group)
    ]
    removed = sorted(set(files_in(path)) - set(files))
    if not check:
        if folder_differs:
            make_folder(path, group)
        for name in written:
            write(os.path.join(path, name), files[name], group)
        for name in removed:
            os.unlink(os.path.join(path, name))
    return bool(folder_differs or written or removed), written, removed


def version(path, files, salt):
    """The folder of this version of the files, as an engine tells the path of a mount."""
    return os.path.join(os.path.normpath(path), checksum(files, salt)[:VERSION_LETTERS])


def unused(path, used):
    """Paths of the versions in a folder that are not used, and of files beside them; other folders are somebody else's."""
    path = os.path.normpath(path)
    names = files_in(path)
    for entry in os.scandir(path) if os.path.isdir(path) else ():
        if entry.is_dir(follow_symlinks=False) and VERSION.match(entry.name):
            names.append(entry.name)
    return sorted({os.path.join(path, name) for name in names} - set(used))


def discard(path):
    """Removes a version, or a file that stands where versions belong."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)

# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources of an image, on the controller: what is hashed is what is built."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile

# What programs leave beside the sources.
LEFTOVERS = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", "build-ca.crt"}


def files(folder):
    """(name below the folder, path, whether it is a program) of each source, sorted."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [(path.relative_to(folder), path) for path in found]
    return [
        (name.as_posix(), path, os.access(path, os.X_OK))
        for name, path in names
        if not LEFTOVERS.intersection(name.parts)
    ]


def tree_hash(folder):
    """SHA-256 of a folder's files, in hexadecimal."""
    total = hashlib.sha256()
    for name, path, program in files(folder):
        content = hashlib.sha256(path.read_bytes()).digest()
        total.update(name.encode() + b"\0" + (b"x" if program else b"-") + content)
    return total.hexdigest()


def pack(folder, archive):
    """Write the sources as a tar file, as they are hashed."""
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for name, path, program in files(folder):
            content = path.read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755 if program else 0o644
            tar.addfile(member, io.BytesIO(content))

# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads small text files for a token: on the host, in volumes, and in a container's own file system."""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat

MAX_BYTES = 64 * 1024
# A folder that is mounted into a container may hold anything, a database too: look at what is near its top.
MAX_DEPTH = 3
MAX_ENTRIES = 4000
MAX_READ = 400
MAX_LINKS = 16
# Read first, in a folder with more files than can be read.
LIKELY = re.compile(
    r"(token|secret|config|settings|\.env|\.(ya?ml|json|toml|ini|conf|cfg|py|js|ts|sh|txt)$)", re.I
)


class FileReader:
    """Says whether files hold a token. No file is read twice, none beyond 64 KiB, and none is waited for."""

    def __init__(self, token):
        self._token = token
        self._answers = {}
        self.unread = 0

    def find(self, path):
        """As Token.find() for the text of the file at path; None where there is no such regular file."""
        try:
            # A FIFO without a writer would be waited for.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                self.unread += 1
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= MAX_BYTES:
                return None
            key = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            if key not in self._answers:
                content = os.read(descriptor, MAX_BYTES)
                self._answers[key] = (
                    None
                    if b"\0" in content[:1024]
                    else self._token.find(content.decode("utf-8", "replace"))
                )
            return self._answers[key]
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def walk(self, folder):
        """(path below the folder, answer) of each file in it that holds the token, best guesses first."""
        found = []
        paths = sorted(_files(folder), key=lambda path: (not LIKELY.search(path), path))
        for path in paths[:MAX_READ]:
            answer = self.find(os.path.join(folder, path))
            if answer is not None:
                found.append((path, answer))
        return found


def _files(folder):
    """Paths of regular files below the folder, at most MAX_ENTRIES entries seen; links are not followed."""
    paths = []
    left = MAX_ENTRIES
    pending = [("", 0)]
    while pending:
        below, depth = pending.pop(0)
        try:
            with os.scandir(os.path.join(folder, below)) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return paths
                    path = posixpath.join(below, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        if depth + 1 < MAX_DEPTH:
                            pending.append((path, depth + 1))
                    # Secrets of an orchestrator are links to files beside them.
                    elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                        paths.append(path)
        except OSError:
            continue
    return paths


def resolve(path, locate):
    """The host's path of a container's path, links followed as the container would; None where there is none.

    locate: from a container's absolute path without links in its folders to the host's path, or None.
    """
    links = 0
    done = "/"
    parts = [part for part in path.split("/") if part and part != "."]
    while parts:
        part = parts.pop(0)
        if part == "..":
            done = posixpath.dirname(done)
            continue
        step = posixpath.join(done, part)
        host = locate(step)
        if host is None:
            return None
        try:
            target = os.readlink(host)
        except OSError:
            done = step
            continue
        links += 1
        if links > MAX_LINKS:
            return None
        if target.startswith("/"):
            done = "/"
        parts = [part for part in target.split("/") if part and part != "."] + parts
    return locate(done)


# An argument that names a file: absolute, relative with a folder, or with an extension.
FILE_NAME = re.compile(r"^(?:@|file://)?(/?[\w.@+~-]+(?:/+[\w.@+~-]+)*)$")
SHELL_BREAK = re.compile(r"[\s$()<>|&;`\"']+")
EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")


def named_files(arguments, variables, folder):
    """Absolute paths that a command line and an environment name, in order, none twice.

    arguments: the words of the command line; a shell's -c script counts as its words.
    variables: values of the environment. folder: what relative names are relative to, or "".
    """
    found = {}
    words = []
    for index, argument in enumerate(arguments):
        words.extend(SHELL_BREAK.split(argument) if re.search(r"\s", argument) else [argument])
        if argument == "-m" and folder and index + 1 < len(arguments):
            module = arguments[index + 1].replace(".", "/")
            words += [module + ".py", module + "/__main__.py"]
    for word in words:
        value = word.split("=", 1)[1] if "=" in word else word
        _note(found, value.strip("'\";,()<>"), folder)
    for value in variables:
        # A search path is no file.
        if len(value) < 1024 and ":" not in value.replace("file://", ""):
            _note(found, value, folder)
    return list(found)


def _note(found, value, folder):
    match = FILE_NAME.match(value)
    if not match:
        return
    path = match.group(1)
    if path.startswith("/"):
        found[posixpath.normpath(path)] = True
    elif folder and ("/" in path or EXTENSION.search(path) or path.startswith(".env")):
        found[posixpath.normpath(posixpath.join(folder, path))] = True

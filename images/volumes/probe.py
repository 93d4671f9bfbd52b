#!/usr/bin/python3 -I
"""Looks whether this user can write volumes, and what is in them.

Its arguments are the volumes, NAME=PATH each; they are mounted at that path below the working
folder. Prints one JSON object in one line: {"broken": [sentences], "unwritable": [{"path",
"sentence"}]}. What is unwritable lacks permission only, so it can be given to this user; what is
broken can't be mended from here. Standard library only, of Debian's python3-minimal.
"""

import contextlib
import errno
import json
import os
import sys

# A volume may have millions of files, and every run looks at it.
MOST_ENTRIES = 10_000
FULL = (errno.ENOSPC, errno.EDQUOT)
PERMISSION = (errno.EACCES, errno.EPERM)


def here(path):
    """Where a path of the served container is in this one."""
    return path.lstrip("/") or "."


def write_error(path):
    """The error when this user writes, reads back and deletes a file in path; None where it can."""
    probe = os.path.join(here(path), f".probe-{os.urandom(4).hex()}")
    try:
        with open(probe, "x", encoding="ascii") as written:
            written.write("probe")
            written.flush()
            # Some file systems say only now that there is no space.
            os.fsync(written.fileno())
        with open(probe, encoding="ascii") as read:
            if read.read() != "probe":
                return OSError(errno.EIO, "What is read back is not what was written")
        os.remove(probe)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(probe)
        return error
    return None


def blocked_entries(path):
    """What this user can't use below path: folders, and files of others. Follows no link.

    Its own files it can change itself, so their mode is its own matter.
    """
    blocked, folders, seen = [], [path], 0
    while folders and seen < MOST_ENTRIES:
        parent = folders.pop()
        try:
            with os.scandir(here(parent)) as entries:
                for entry in entries:
                    seen += 1
                    if seen > MOST_ENTRIES:
                        break
                    if entry.is_symlink():
                        continue
                    found = os.path.join(parent, entry.name)
                    folder = entry.is_dir(follow_symlinks=False)
                    if os.access(entry.path, os.R_OK | os.W_OK | (os.X_OK if folder else 0)):
                        folders += [found] if folder else []
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        if folder or os.lstat(entry.path).st_uid != os.getuid():
                            blocked.append(found)
        except FileNotFoundError:
            # The containers that run have removed it meanwhile.
            continue
        except PermissionError:
            # What access() allows, a file server or an access control list may refuse.
            blocked.append(parent)
    return blocked


def ownership(path):
    found = os.lstat(here(path))
    return f"belongs to {found.st_uid}:{found.st_gid} with mode {found.st_mode & 0o7777:04o}"


def free_space(path):
    found = os.statvfs(here(path))
    free, size = (blocks * found.f_frsize // 1024 for blocks in (found.f_bavail, found.f_blocks))
    return f"{free} of {size} KiB and {found.f_favail} of {found.f_files} inodes are free"


def entries_problem(name, path):
    """What is wrong below a folder that can be written, as volume_problem says it."""
    volume = f"the volume {name} ({path})"
    try:
        blocked = blocked_entries(path)
        if not blocked:
            return None
        return (
            f"{len(blocked)} of the files and folders in {volume} can't be used by"
            f" {os.getuid()}:{os.getgid()}: {blocked[0]} {ownership(blocked[0])}",
            True,
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        return (
            f"{volume} can't be read ({error.strerror}): repair it;"
            f" `docker volume inspect {name}` says where it is",
            False,
        )


def volume_problem(name, path):
    """What is wrong with a volume: (sentence, whether it is for want of permission); or None."""
    volume = f"the volume {name} ({path})"
    inspect = f"`docker volume inspect {name}` says where it is"
    error = write_error(path)
    if error is None:
        return entries_problem(name, path)
    if error.errno in PERMISSION:
        user = f"{os.getuid()}:{os.getgid()}"
        said = f"{volume} can't be written by {user}: {error.strerror}, it {ownership(path)}"
        return said, True
    if error.errno == errno.EROFS:
        said = f"is read-only ({error.strerror}): make it writable; {inspect}"
    elif error.errno in FULL:
        said = (
            f"is full ({error.strerror}; {free_space(path)}): free space there ({inspect}),"
            " or run playbooks/cleanup.yml, which removes old images of this stack and no volume"
        )
    else:
        said = f"can't be written ({error.strerror}): repair it; {inspect}"
    return f"{volume} {said}", False


def main():
    broken, unwritable = [], []
    for argument in sys.argv[1:]:
        name, _separator, path = argument.partition("=")
        sentence, permission = volume_problem(name, path) or ("", False)
        if permission:
            unwritable.append({"path": path, "sentence": sentence})
        elif sentence:
            broken.append(sentence)
    print(json.dumps({"broken": broken, "unwritable": unwritable}))


main()

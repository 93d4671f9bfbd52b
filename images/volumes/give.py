#!/usr/bin/python3 -I
"""Gives volumes to a user, with all that is in them. Runs as root.

Its arguments are UID:GID and the volumes, NAME=PATH each; they are mounted at that path below the
working folder. Prints one JSON object in one line: {"given": [sentences], "failed": [sentences]}.
Changes no content, follows no link. Standard library only, of Debian's python3-minimal.
"""

import os
import stat
import sys
from json import dumps


def here(path):
    """Where a path of the served container is in this one."""
    return path.lstrip("/") or "."


def give(path, uid, gid):
    """Give one file or folder to the user, usable; return (whose it was, or None if nothing
    changed; whether it is a folder).

    The mode of a file that is the user's already is the user's own matter.
    """
    found = os.lstat(path)
    mode, folder = stat.S_IMODE(found.st_mode), stat.S_ISDIR(found.st_mode)
    foreign = (found.st_uid, found.st_gid) != (uid, gid)
    wanted = mode | (0o700 if folder else 0o600)
    if foreign:
        os.chown(path, uid, gid, follow_symlinks=False)
    if wanted == mode or stat.S_ISLNK(found.st_mode) or not (foreign or folder):
        return (f"{found.st_uid}:{found.st_gid}" if foreign else None), folder
    os.chmod(path, wanted)
    return f"{found.st_uid}:{found.st_gid} with mode {mode:04o}", folder


class Volume:
    """What was done in one."""

    def __init__(self, top, uid, gid):
        self.user = (uid, gid)
        self.owners, self.count, self.errors = set(), 0, []
        self.folders = []
        self.take(top)
        while self.folders:
            self.descend(self.folders.pop())

    def take(self, path):
        """Give one, and note a folder for its turn: of a million files, no list is made."""
        try:
            owner, folder = give(here(path), *self.user)
        except FileNotFoundError:
            return  # The containers that run have removed it meanwhile.
        except OSError as error:
            self.errors.append(f"{error.strerror} at {path}")
            folder, owner = os.path.isdir(here(path)) and not os.path.islink(here(path)), None
        if owner:
            self.owners.add(owner)
            self.count += 1
        if folder:
            self.folders.append(path)

    def descend(self, folder):
        try:
            with os.scandir(here(folder)) as entries:
                for entry in entries:
                    self.take(os.path.join(folder, entry.name))
        except FileNotFoundError:
            return
        except OSError as error:
            self.errors.append(f"{error.strerror} at {folder}")


def main():
    uid, gid = (int(part) for part in sys.argv[1].split(":"))
    result = {"given": [], "failed": []}
    for argument in sys.argv[2:]:
        name, _separator, top = argument.partition("=")
        done = Volume(top, uid, gid)
        if done.count:
            result["given"].append(
                f"{name} ({top}), {done.count} of whose files and folders belonged to"
                f" {', '.join(sorted(done.owners)[:3])}"
            )
        if done.errors:
            result["failed"].append(
                f"the volume {name} ({top}) can't be given to {uid}:{gid}: {done.errors[0]}"
                f"{f' and {len(done.errors) - 1} more' if done.errors[1:] else ''};"
                f" `docker volume inspect {name}` says where it is: give it to them there"
            )
    print(dumps(result))


main()

"""Runs inside a bot image as root: gives volumes to the containers' user, with all that is in them.

Its arguments are UID:GID and the volumes, NAME=PATH each. Prints one JSON object in one line:
{"given": [sentences], "failed": [sentences]}. Changes no content, follows no link.
"""

import os
import stat
import sys
from json import dumps


def give(path, uid, gid):
    """Give one file or folder to the user, usable; return whose it was, or None if nothing changed.

    The mode of a file that is the user's already is the user's own matter.
    """
    found = os.lstat(path)
    mode, folder = stat.S_IMODE(found.st_mode), stat.S_ISDIR(found.st_mode)
    foreign = (found.st_uid, found.st_gid) != (uid, gid)
    wanted = mode | (0o700 if folder else 0o600)
    if foreign:
        os.chown(path, uid, gid, follow_symlinks=False)
    if wanted == mode or stat.S_ISLNK(found.st_mode) or not (foreign or folder):
        return f"{found.st_uid}:{found.st_gid}" if foreign else None
    os.chmod(path, wanted)
    return f"{found.st_uid}:{found.st_gid} with mode {mode:04o}"


def give_all(top, uid, gid):
    """Do it for top and all below it; return (whose they were, how many, the errors)."""
    owners, count, errors, waiting = set(), 0, [], [top]
    while waiting:
        path = waiting.pop()
        try:
            owner = give(path, uid, gid)
            if owner:
                owners.add(owner)
                count += 1
            if stat.S_ISDIR(os.lstat(path).st_mode):
                with os.scandir(path) as entries:
                    waiting += [entry.path for entry in entries]
        except FileNotFoundError:
            # The containers that run have removed it meanwhile.
            continue
        except OSError as error:
            errors.append(f"{error.strerror} at {path}")
    return sorted(owners), count, errors


def main():
    uid, gid = (int(part) for part in sys.argv[1].split(":"))
    result = {"given": [], "failed": []}
    for argument in sys.argv[2:]:
        name, _separator, top = argument.partition("=")
        owners, count, errors = give_all(top, uid, gid)
        if count:
            result["given"].append(
                f"{name} ({top}), {count} of whose files and folders belonged to"
                f" {', '.join(owners[:3])}"
            )
        if errors:
            result["failed"].append(
                f"the volume {name} ({top}) can't be given to {uid}:{gid}: {errors[0]}"
                f"{f' and {len(errors) - 1} more' if errors[1:] else ''};"
                f" `docker volume inspect {name}` says where it is: give it to them there"
            )
    print(dumps(result))


main()

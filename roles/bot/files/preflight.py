"""Runs inside a bot image, as the container's real user and with its real mounts, before the swap.

Its arguments are the volumes, NAME=PATH each. Prints one JSON object in one line: {"broken":
[sentences], "unwritable": [{"path", "sentence"}]}. What is unwritable lacks permission only, so it
can be given to this user; what is broken can't be mended from here. Standard library only, as any
image that keeps the contract may be under it. Never prints the token.
"""

import contextlib
import errno
import importlib
import json
import os
import sys
import urllib.error
import urllib.request

# A volume may have millions of files, and every run looks at it.
MOST_ENTRIES = 10_000
FULL = (errno.ENOSPC, errno.EDQUOT)


def write_error(path):
    """The error when this user writes, reads back and deletes a file in path; None where it can."""
    probe = os.path.join(path, f".preflight-{os.urandom(4).hex()}")
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
        # What is gone meanwhile was removed by the containers that run.
        with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_ENTRIES:
                    break
                if entry.is_symlink():
                    continue
                folder = entry.is_dir(follow_symlinks=False)
                if os.access(entry.path, os.R_OK | os.W_OK | (os.X_OK if folder else 0)):
                    folders += [entry.path] if folder else []
                    continue
                with contextlib.suppress(FileNotFoundError):
                    if folder or os.lstat(entry.path).st_uid != os.getuid():
                        blocked.append(entry.path)
    return blocked


def ownership(path):
    found = os.lstat(path)
    return f"belongs to {found.st_uid}:{found.st_gid} with mode {found.st_mode & 0o7777:04o}"


def free_space(path):
    found = os.statvfs(path)
    free, size = (blocks * found.f_frsize // 1024 for blocks in (found.f_bavail, found.f_blocks))
    return f"{free} of {size} KiB and {found.f_favail} of {found.f_files} inodes are free"


def volume_problem(name, path):
    """What is wrong with a volume: (sentence, whether it is for want of permission); or None."""
    volume = f"the volume {name} ({path})"
    user = f"{os.getuid()}:{os.getgid()}"
    inspect = f"`docker volume inspect {name}` says where it is"
    error = write_error(path)
    if error is None:
        blocked = blocked_entries(path)
        if not blocked:
            return None
        with contextlib.suppress(FileNotFoundError):
            return (
                f"{len(blocked)} of the files and folders in {volume} can't be used by {user}:"
                f" {blocked[0]} {ownership(blocked[0])}",
                True,
            )
        return None
    if error.errno in (errno.EACCES, errno.EPERM):
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


def token_problem():
    """What the Bot API says against the token; None where getMe succeeds."""
    with open(os.environ["BOT_TOKEN_FILE"], encoding="ascii") as secret:
        token = secret.read().strip()
    url = os.environ["BOT_API_URL"].rstrip("/")
    try:
        with urllib.request.urlopen(f"{url}/bot{token}/getMe", timeout=10):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        if error.code in (401, 404, 421):
            return (
                f"the Bot API at {url} refuses bot_token (HTTP {error.code}):"
                " set it to the bot's present token, which BotFather shows"
            )
        return f"the Bot API at {url} answers getMe with HTTP {error.code}"
    except OSError as error:
        reason = getattr(error, "reason", error)
        return f"the Bot API at {url} (bot_api_url) can't be reached: {reason}"


def import_problem():
    """Why the worker's class can't be imported; None where it can."""
    try:
        worker = importlib.import_module("app.workers.background_worker")
    except ImportError as error:
        return f"app.workers.background_worker can't be imported: {error}"
    if not hasattr(worker, "BackgroundWorker"):
        return "app.workers.background_worker has no class BackgroundWorker"
    return None


def main():
    broken = [problem for problem in (import_problem(), token_problem()) if problem]
    unwritable = []
    for argument in sys.argv[1:]:
        name, _separator, path = argument.partition("=")
        sentence, permission = volume_problem(name, path) or ("", False)
        if permission:
            unwritable.append({"path": path, "sentence": sentence})
        elif sentence:
            broken.append(sentence)
    print(json.dumps({"broken": broken, "unwritable": unwritable}))


main()

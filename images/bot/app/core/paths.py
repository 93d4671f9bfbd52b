"""Write-probes of the directories that a role needs, as the user it really runs as."""

import contextlib
import errno
import os
import pwd
import secrets
from pathlib import Path

from app.core.errors import StorageError


def _name(uid: int) -> str:
    try:
        return f"{uid} ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return str(uid)


def problem_with(path: Path) -> str | None:
    """One sentence on why `path` can't be used, or None after a file was written and removed."""
    uid, gid = os.getuid(), os.getgid()
    try:
        info = path.stat()
    except OSError as error:
        return (
            f"{path} can't be used ({error.strerror}): mount a volume there; "
            f"this container runs as uid {uid}, gid {gid}."
        )
    if not path.is_dir():
        return f"{path} is not a directory: mount a volume there."
    probe = path / f".write-probe-{secrets.token_hex(6)}"
    try:
        with probe.open("xb") as file:
            file.write(b"probe")
        good = probe.read_bytes() == b"probe"
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
        mode = f"{info.st_mode & 0o7777:04o}"
        owner = f"owner uid {_name(info.st_uid)}, gid {info.st_gid}, mode {mode}"
        if error.errno == errno.EROFS:
            way_out = "it is on the read-only root or a read-only mount: mount a writable volume"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            way_out = "the disk under it is full: free space on the host"
        else:
            way_out = (
                "the volume belongs to someone else: on the host run "
                f"`chown -R {uid}:{gid}` on the volume's directory, or start with another user"
            )
        return (
            f"{path} is not writable for uid {_name(uid)}, gid {gid} "
            f"({error.strerror}; {owner}): {way_out}."
        )
    return None if good else f"{path} does not give back what was written: check its disk."


def require_writable(paths: list[Path]) -> None:
    problems = [text for path in paths if (text := problem_with(path))]
    if problems:
        raise StorageError("\n".join(problems))

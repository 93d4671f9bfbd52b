"""Files in storage/temp and storage/audio: whole or absent, and never left behind for long."""

import contextlib
import errno
import secrets
import stat
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from app.core.errors import Again, DiskFull, Refused

TOO_BIG = "This file is too big: I can take up to {limit:.0f} MB. Please send a shorter one."
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def too_big(limit: int, reason: str) -> Refused:
    return Refused(TOO_BIG.format(limit=limit / 1024 / 1024), reason)


def disk_problem(error: OSError, directory: Path) -> Again:
    if error.errno in NO_SPACE:
        return DiskFull(f"the disk under {directory} is full: free space on the host", delay=15)
    return Again(f"{directory}: {error.strerror or error}")


class FileStore:
    def __init__(self, temp_dir: Path, audio_dir: Path) -> None:
        self.temp_dir = temp_dir
        self.audio_dir = audio_dir

    def source(self, bot_id: int, update_id: int) -> Path:
        return self.temp_dir / f"{bot_id}-{update_id}.src"

    def audio(self, bot_id: int, update_id: int) -> Path:
        return self.audio_dir / f"{bot_id}-{update_id}.ogg"

    @staticmethod
    def partial(path: Path) -> Path:
        """A name of our own next to `path`: two processes may make the same file at a time."""
        return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")

    async def save(self, chunks: AsyncIterator[bytes], path: Path, limit: int) -> int:
        """Stream into `path`; it appears only when whole."""
        partial = self.partial(path)
        size = 0
        try:
            with self._disk(path.parent):
                file = partial.open("xb")
            # The network's errors are OSErrors too: only the file's own are the disk's.
            with file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise too_big(limit, f"the download went over {limit} bytes")
                    with self._disk(path.parent):
                        file.write(chunk)
                with self._disk(path.parent):
                    file.flush()
            with self._disk(path.parent):
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return size

    def link(self, found: Path, path: Path) -> None:
        """`path` as a link to a file of somebody else, who keeps it."""
        with self._disk(path.parent):
            path.unlink(missing_ok=True)
            path.symlink_to(found)

    @staticmethod
    @contextlib.contextmanager
    def _disk(directory: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise disk_problem(error, directory) from error

    @staticmethod
    def remove(path: Path) -> None:
        path.unlink(missing_ok=True)

    @staticmethod
    def probe(directory: Path, size: int = 1024 * 1024) -> str | None:
        """One sentence when `size` bytes can't be written there, as when the disk is full."""
        path = directory / f".space-probe-{secrets.token_hex(6)}"
        try:
            with path.open("xb") as file:
                file.write(secrets.token_bytes(size))
        except OSError as error:
            return str(disk_problem(error, directory))
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        return None

    @staticmethod
    def prune(directory: Path, max_age: float, in_work: float) -> int:
        """Remove files that nobody touched for `max_age` seconds: what a crash left behind.

        Never one of the last `in_work` seconds: somebody may be making it, or be about to store it.
        """
        limit = time.time() - max(max_age, in_work)
        removed = 0
        for path in directory.iterdir():
            try:
                info = path.lstat()
                ours = stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)
                if ours and info.st_mtime < limit:
                    path.unlink()
                    removed += 1
            except OSError:
                # Another container on the same volume was faster, or does not let us.
                continue
        return removed

"""Files of a Bot API server of one's own that runs with --local: paths instead of downloads."""

from pathlib import Path, PurePosixPath

from app.core.errors import Again
from app.storage.files import too_big


def shared_file(path: str, server_dir: Path, files_dir: Path | None, limit: int) -> Path:
    """Where a file of a local Bot API server (`--local`) is here; its paths hold the token."""
    if files_dir is None:
        raise Again(
            "the Bot API server runs with --local and names files on its own disk: mount its "
            "folder into the workers and name it in BOT_API_FILES_DIR",
            delay=60,
        )
    # Resolved, so that neither `..` nor a link leads out of the folder.
    root = files_dir.resolve()
    try:
        found = (root / PurePosixPath(path).relative_to(server_dir)).resolve()
        inside = found.is_relative_to(root)
    except ValueError:
        inside = False
    if not inside:
        raise Again(
            f"the Bot API server names a file that is not below {server_dir}: set "
            "BOT_API_SERVER_DIR to the folder that its files are in (its --dir)",
            delay=60,
        )
    try:
        size = found.stat().st_size
        with found.open("rb"):
            pass
    except OSError as error:
        raise Again(
            f"a file of the Bot API server can't be read below {files_dir} ({error.strerror}): "
            "mount the server's own folder there, readable for this user or its group",
            delay=60 if isinstance(error, PermissionError) else None,
        ) from None
    if size > limit:
        raise too_big(limit, f"the file has {size} bytes, the limit is {limit}")
    return found

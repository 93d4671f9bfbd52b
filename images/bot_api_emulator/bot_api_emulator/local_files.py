"""Files by their paths, as the server's option --local allows: bots read and give them on disk."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .arguments import Arguments, Upload
from .bodies import TooLargeError
from .files import StoredFile
from .forms import mime_type

SCHEME = "file:/"
ATTACHED = "attach://"
# Where a method takes a file; in any other place a text that looks like one is a text.
FILE_FIELDS = frozenset(
    (
        "animation",
        "audio",
        "cover",
        "document",
        "live_photo",
        "media",
        "photo",
        "png_sticker",
        "sticker",
        "tgs_sticker",
        "thumb",
        "thumbnail",
        "video",
        "video_note",
        "voice",
        "webm_sticker",
    )
)
OBJECT_FIELDS = frozenset(("content", "media", "photo", "sticker", "stickers"))


class FilesFolder:
    """Where files are put for bots to read; a folder of its own goes away with the program."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def put(self, file: StoredFile) -> str:
        path = self._root() / str(file.bot_id) / file.path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + ".part")
            part.write_bytes(file.data or b"")
            part.rename(path)
        return str(path)

    def _root(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="bot_api_emulator-"))
            # A bot may run as another user.
            self._folder.chmod(0o755)
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder.absolute()


def names_local_file(arguments: Arguments) -> bool:
    return any(SCHEME in text for text in arguments.as_dict().values())


def attach_local_files(
    arguments: Arguments, files: dict[str, Upload], *, keep: int, most: int
) -> None:
    """Read what arguments name by file:// and put it in their place as if it had been uploaded."""

    def attach(uri: str) -> str:
        name = f"{SCHEME}{len(files)}"
        files[name] = _read(uri, keep=keep, most=most)
        return ATTACHED + name

    for name, text in arguments.as_dict().items():
        if name in FILE_FIELDS and text.startswith(SCHEME):
            arguments.replace(name, attach(text))
        elif name in OBJECT_FIELDS and text[:1] in ("{", "[") and SCHEME in text:
            try:
                value = json.loads(text)
            except ValueError:
                continue
            arguments.replace(name, json.dumps(_attached(value, attach), ensure_ascii=False))


def _attached(value: Any, attach: Any) -> Any:
    if isinstance(value, list):
        return [_attached(item, attach) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: attach(item)
        if name in FILE_FIELDS and isinstance(item, str) and item.startswith(SCHEME)
        else _attached(item, attach)
        for name, item in value.items()
    }


def _read(uri: str, *, keep: int, most: int) -> Upload:
    path = Path("/" + unquote(uri.removeprefix(SCHEME)).lstrip("/"))
    try:
        size = path.stat().st_size
        if size > most:
            raise TooLargeError
        data = path.read_bytes() if size <= keep else None
    except OSError:
        raise ValueError("file not found") from None
    return Upload(path.name, mime_type(path.name), size, data)

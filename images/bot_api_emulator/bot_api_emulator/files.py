"""Files that users and bots sent, kept in memory up to a limit."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import PurePosixPath
from random import Random

from .arguments import Upload

MAX_DOWNLOAD = 20 << 20
MAX_UPLOAD = 50 << 20
MAX_UPLOAD_LOCAL = 2000 << 20
DEFAULT_LIMIT = 128 << 20

_FOLDERS = {
    "voice": ("voice", ".oga"),
    "audio": ("music", ".mp3"),
    "document": ("documents", ""),
    "photo": ("photos", ".jpg"),
    "video": ("videos", ".mp4"),
    "animation": ("animations", ".mp4"),
    "video_note": ("video_notes", ".mp4"),
    "sticker": ("stickers", ".webp"),
}
_PREFIXES = {
    "voice": "AwACAgI",
    "audio": "CQACAgI",
    "document": "BQACAgI",
    "photo": "AgACAgI",
    "video": "BAACAgI",
    "animation": "CgACAgI",
    "video_note": "DQACAgI",
    "sticker": "CAACAgI",
}
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass
class StoredFile:
    bot_id: int
    kind: str
    file_id: str
    unique_id: str
    path: str
    name: str
    mime_type: str
    size: int
    data: bytes | None


class FileStore:
    """A file id is good for the bot that got it. The oldest bytes go first when memory is full."""

    def __init__(self, random: Random, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self._random = random
        self._used = 0
        self._count = 0
        self._files: OrderedDict[tuple[int, str], StoredFile] = OrderedDict()
        self._paths: dict[tuple[int, str], StoredFile] = {}

    def add(self, bot_id: int, kind: str, upload: Upload) -> StoredFile:
        folder, default_suffix = _FOLDERS[kind]
        suffix = default_suffix if kind == "voice" else PurePosixPath(upload.name).suffix
        self._count += 1
        file = StoredFile(
            bot_id=bot_id,
            kind=kind,
            file_id=_PREFIXES[kind] + self._letters(53),
            unique_id="AgAD" + self._letters(12),
            path=f"{folder}/file_{self._count}{suffix or default_suffix}",
            name=upload.name,
            mime_type=upload.mime_type,
            size=upload.size,
            data=upload.data,
        )
        self._files[(bot_id, file.file_id)] = file
        self._paths[(bot_id, file.path)] = file
        self._used += len(file.data or b"")
        self._trim()
        return file

    def by_id(self, bot_id: int, file_id: str) -> StoredFile | None:
        return self._files.get((bot_id, file_id))

    def by_path(self, bot_id: int, path: str) -> StoredFile | None:
        return self._paths.get((bot_id, path))

    def forget(self, bot_id: int) -> None:
        for key in [key for key in self._files if key[0] == bot_id]:
            file = self._files.pop(key)
            del self._paths[(bot_id, file.path)]
            self._used -= len(file.data or b"")

    def _letters(self, count: int) -> str:
        return "".join(self._random.choices(_ALPHABET, k=count))

    def _trim(self) -> None:
        for file in self._files.values():
            if self._used <= self.limit:
                return
            self._used -= len(file.data or b"")
            file.data = None

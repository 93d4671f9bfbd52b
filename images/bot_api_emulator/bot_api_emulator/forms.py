"""Files in multipart forms."""

from __future__ import annotations

import mimetypes

from aiohttp import BodyPartReader

from .arguments import Upload

CHUNK = 1 << 16
UNKNOWN_TYPE = "application/octet-stream"
_VOICE_SUFFIXES = {".oga": "audio/ogg", ".ogg": "audio/ogg", ".opus": "audio/ogg"}


async def read_upload(part: BodyPartReader, keep: int) -> Upload:
    """Read a file; of one longer than `keep` only the size is kept, so that memory is bounded."""
    data = bytearray()
    size = 0
    while chunk := await part.read_chunk(CHUNK):
        size += len(chunk)
        if size <= keep:
            data += chunk
        else:
            data.clear()
    name = part.filename or ""
    given = part.headers.get("Content-Type", UNKNOWN_TYPE).partition(";")[0].strip().lower()
    kind = given if given != UNKNOWN_TYPE else mime_type(name)
    return Upload(name, kind, size, bytes(data) if size <= keep else None)


def mime_type(name: str) -> str:
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    return _VOICE_SUFFIXES.get(suffix) or mimetypes.guess_type(name)[0] or UNKNOWN_TYPE

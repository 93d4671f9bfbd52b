"""Arguments in a body: of a bot's request, or of its answer to a webhook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, StreamReader

from .arguments import Arguments, Upload
from .forms import read_upload

MAX_PARAMETER_BYTES = 1 << 20
MAX_BOUNDARY = 70


class TooLargeError(Exception):
    """A body or a file in it is larger than what is taken."""


async def read_body(
    headers: Mapping[str, str],
    content: StreamReader,
    arguments: Arguments,
    *,
    keep: int,
    most: int,
) -> dict[str, Upload]:
    """Add the arguments to `arguments`, and give the files; the bytes of those up to `keep`."""
    given = headers.get("Content-Type", "")
    content_type = given.lower()
    if "multipart/form-data" in content_type:
        _check_boundary(given)
        form = MultipartReader(headers, content)
        return await _read_form(form, content, arguments, keep=keep, most=most)
    if "application/x-www-form-urlencoded" in content_type:
        body = await _read_text(content)
        for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
            arguments.add(name, value)
    elif "application/json" in content_type:
        _read_json(await _read_text(content), arguments)
    return {}


async def _read_text(content: StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > MAX_PARAMETER_BYTES:
            raise TooLargeError
    return bytes(body)


def _read_json(body: bytes, arguments: Arguments) -> None:
    """A body that is no JSON object is passed over, as the server does."""
    try:
        values = json.loads(body)
    except ValueError:
        return
    if isinstance(values, dict):
        for name, value in values.items():
            arguments.add_json(name, value)


def _check_boundary(content_type: str) -> None:
    rest = content_type.lower().partition("boundary")
    if not rest[1]:
        raise ValueError("boundary not found")
    _, equals, value = rest[2].partition("=")
    if not equals:
        raise ValueError("boundary value not found")
    if not 0 < len(value.partition(";")[0].strip().strip('"')) <= MAX_BOUNDARY:
        raise ValueError("boundary too big or empty")


async def _read_form(
    form: MultipartReader, content: StreamReader, arguments: Arguments, *, keep: int, most: int
) -> dict[str, Upload]:
    files: dict[str, Upload] = {}
    room = MAX_PARAMETER_BYTES
    while (part := await _next_part(form, content)) is not None:
        if not isinstance(part, BodyPartReader) or not part.name:
            raise ValueError("field name in multipart/form-data not found")
        if part.filename is not None:
            upload = await read_upload(part, keep=keep)
            if upload.size > most:
                raise TooLargeError
            files.setdefault(part.name, upload)
            continue
        value = bytes(await part.read(decode=False))
        room -= len(value)
        if room < 0:
            raise TooLargeError
        arguments.add(part.name, value.decode("utf-8", "replace"))
    return files


async def _next_part(
    form: MultipartReader, content: StreamReader
) -> MultipartReader | BodyPartReader | None:
    """The next part; a form without a byte, which some clients send by chunks, has none."""
    try:
        return await form.next()
    except ValueError:
        if content.total_bytes == 0:
            return None
        raise

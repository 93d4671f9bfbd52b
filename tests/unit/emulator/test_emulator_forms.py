"""Multipart forms as clients really send them, byte for byte."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from emulator_harness import BOT_ID, PATIENCE, TOKEN, Emulator

pytestmark = pytest.mark.asyncio

BOUNDARY = "b7f0c2"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


async def raw(emulator: Emulator, method: str, head: list[str], body: bytes) -> Any:
    """One request, written by hand; the connection is closed after it."""
    lines = [f"POST /bot{TOKEN}/{method} HTTP/1.1", "Host: localhost", "Connection: close", *head]
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        answer = await reader.read()
        writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def chunked(body: bytes) -> bytes:
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b""
    return chunk + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "content_type",
    [MULTIPART, f'multipart/form-data; boundary="{BOUNDARY}"', "application/json", "text/plain"],
)
@pytest.mark.parametrize(
    "body",
    [b"", f"\r\n--{BOUNDARY}--\r\n".encode(), f"--{BOUNDARY}--\r\n".encode()],
    ids=["no bytes", "Go's end of a form", "the end of a form"],
)
@pytest.mark.parametrize("by_chunks", [True, False])
async def test_an_empty_form(
    emulator: Emulator, content_type: str, body: bytes, by_chunks: bool
) -> None:
    head = [f"Content-Type: {content_type}"]
    head.append("Transfer-Encoding: chunked" if by_chunks else f"Content-Length: {len(body)}")
    answer = await raw(emulator, "getMe", head, chunked(body) if by_chunks else body)
    assert answer["ok"] is True, answer
    assert answer["result"]["id"] == BOT_ID


async def test_an_empty_form_beside_a_query(emulator: Emulator) -> None:
    head = [f"Content-Type: {MULTIPART}", "Transfer-Encoding: chunked"]
    answer = await raw(emulator, "sendMessage?chat_id=77&text=hi", head, chunked(b""))
    assert answer["result"]["text"] == "hi"


async def test_a_form_without_its_boundary(emulator: Emulator) -> None:
    head = [f"Content-Type: {MULTIPART}", "Transfer-Encoding: chunked"]
    answer = await raw(emulator, "getMe", head, chunked(b"chat_id=77"))
    assert answer["error_code"] == 400


@pytest.mark.parametrize(
    ("content_type", "description"),
    [
        ("multipart/form-data", "boundary not found"),
        ("multipart/form-data; boundary", "boundary value not found"),
        ("multipart/form-data; boundary=", "boundary too big or empty"),
        (f"multipart/form-data; boundary={'b' * 71}", "boundary too big or empty"),
    ],
)
async def test_a_boundary_that_is_none(
    emulator: Emulator, content_type: str, description: str
) -> None:
    body = f"--{BOUNDARY}--\r\n".encode()
    head = [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    answer = await raw(emulator, "getMe", head, body)
    assert answer["description"] == f"Bad Request: {description}"

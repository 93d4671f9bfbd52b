"""Sends one voice message to the bot through the emulator's control API, and waits for the answer.

Usage: smoke.py EMULATOR_URL BOT_ID SECONDS, with the voice message in base64 on standard input.
Prints one JSON object:
{"update_id", "answered_ms", "answer"}. Standard library only: it runs on the emulator's host.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

POLL_SECONDS = 0.02


def call(url: str, body: bytes | None = None, content_type: str = "application/json") -> Any:
    """The answer of the control API to one request."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return json.load(response)


def form(fields: dict[str, str], name: str, content: bytes) -> tuple[bytes, str]:
    """A multipart body with one file, and its content type."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.ogg"\r\n'
        "Content-Type: audio/ogg\r\n\r\n"
    )
    parts.append(head.encode() + content + f"\r\n--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def main(url: str, bot_id: str, voice: bytes, seconds: float) -> int:
    bot = f"{url}/control/bots/{bot_id}"
    # A chat of its own, so that no other answer can be taken for this one.
    chat_id = random.randint(10**9, 2 * 10**9)  # noqa: S311
    body, content_type = form({"chat_id": str(chat_id)}, "voice", voice)
    started = time.monotonic()
    update = call(f"{bot}/updates", body, content_type)
    while time.monotonic() < started + seconds:
        for sent in call(f"{bot}/sent"):
            if sent["method"] == "sendMessage" and int(sent["parameters"]["chat_id"]) == chat_id:
                answered_ms = round((time.monotonic() - started) * 1000)
                result = {
                    "update_id": update["update_id"],
                    "answered_ms": answered_ms,
                    "answer": sent["parameters"]["text"],
                }
                print(json.dumps(result))
                return 0
        time.sleep(POLL_SECONDS)
    stats = call(f"{bot}/stats")
    print(
        f"The bot did not answer update {update['update_id']} within {seconds:.0f} s. The Bot API"
        f" counts {stats['parked']} parked poll(s), {stats['pending']} pending update(s) and"
        f" conflicts {stats['conflicts']}. Look at: make status, make logs",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    try:
        sys.exit(
            main(sys.argv[1], sys.argv[2], base64.b64decode(sys.stdin.read()), float(sys.argv[3]))
        )
    except (urllib.error.URLError, ConnectionError) as error:
        print(f"The Bot API emulator at {sys.argv[1]} does not answer: {error}", file=sys.stderr)
        sys.exit(1)

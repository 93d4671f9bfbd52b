"""A network that is cut under a poll, in a network namespace of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from bot_harness import BOT, program

TALK = """
import asyncio, json, subprocess, sys
from app.core.config import Settings
from app.telegram.client import ApiUnreachable, BotApi

EMPTY = b'{"ok": true, "result": []}'
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n"
offsets = []

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            [length] = [l for l in head.lower().split(b"\\r\\n") if l.startswith(b"content-length")]
            body = json.loads(await reader.readexactly(int(length.split(b":")[1])))
            offsets.append(body["offset"])
            if body["offset"] != 2:
                writer.write(HEAD % len(EMPTY) + EMPTY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

def network(state):
    subprocess.run(["ip", "link", "set", "lo", state], check=True)

async def main():
    network("up")
    await asyncio.start_server(serve, "127.0.0.1", 8081)
    api = BotApi(Settings(bot_role="primary", bot_token="1:A", bot_api_url="http://127.0.0.1:8081"))
    await api.call("getUpdates", 5, offset=1)
    network("down")
    try:
        await api.call("getUpdates", 1, offset=2)
    except ApiUnreachable:
        pass
    network("up")
    # Longer than the kernel waits before it sends again what was not acknowledged.
    await asyncio.sleep(5)
    await api.call("getUpdates", 5, offset=3)
    await api.close()
    print(json.dumps(offsets))

asyncio.run(main())
"""


def test_a_poll_that_was_given_up_never_arrives() -> None:
    """The kernel went on sending it: after a cut it arrived beside the poll of its successor."""
    command = [program("apt-get install util-linux", "unshare"), "--net"]
    program("apt-get install iproute2", "ip")
    if os.getuid() != 0:
        command += ["--user", "--map-root-user"]
    done = subprocess.run(
        [*command, sys.executable, "-c", TALK],
        env={**os.environ, "PYTHONPATH": str(BOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 3]

"""One container of a bot. As a webhook API replica it is not ready first, and then it ends.

BREAKS: what of this release fails, such as `webhook:crash`, `webhook:ill` or `worker:crash`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import signal
import socket
import sys

PORT = 8080
HEALTH_PORT = int(os.environ.get("WEBHOOK_HEALTH_PORT", "8081"))
START_SECONDS = 0.3
DRAIN_SECONDS = float(os.environ.get("DRAIN_SECONDS", "2"))
WORK_SECONDS = 0.2
ROLE = os.environ.get("BOT_ROLE", "worker")
BREAKS = os.environ.get("BREAKS", "")


class Webhook:
    """Connections are kept, also while it drains; at the end, idle ones are closed first."""

    def __init__(self) -> None:
        self.draining = False
        self.idle: set[asyncio.StreamWriter] = set()
        self.busy = 0
        with open(os.environ["WEBHOOK_SECRETS_FILE"], "rb") as file:
            (secret,) = json.load(file)["test"]
        self.secret = base64.b64decode(secret.removeprefix("whsec_"))

    async def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        if path == "/healthz":
            return (500, "ill") if BREAKS == "webhook:ill" else (200, "ok")
        if path == "/readyz":
            return (503, "stopping") if self.draining else (200, "ready")
        await asyncio.sleep(WORK_SECONDS)
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.new(self.secret, signed, hashlib.sha256).digest())
        right = hmac.compare_digest("v1," + wanted.decode(), headers["webhook-signature"])
        return (202, os.environ["INSTANCE_ID"]) if right else (401, "unauthorized")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                self.idle.add(writer)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                self.idle.discard(writer)
                self.busy += 1
                try:
                    first, *lines = head.strip().split("\r\n")
                    pairs = (line.partition(":")[::2] for line in lines)
                    headers = {name.lower(): value.strip() for name, value in pairs}
                    body = await reader.readexactly(int(headers.get("content-length", "0")))
                    status, text = await self.answer(first.split()[1], headers, body)
                    answer = f"HTTP/1.1 {status} .\r\nContent-Length: {len(text)}\r\n\r\n{text}"
                    writer.write(answer.encode())
                    await writer.drain()
                finally:
                    self.busy -= 1
        self.idle.discard(writer)
        writer.close()

    async def run(self, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self.serve, "0.0.0.0", PORT)
        await asyncio.start_server(self.serve, "0.0.0.0", HEALTH_PORT)
        await stop.wait()
        self.draining = True
        await asyncio.sleep(DRAIN_SECONDS)
        server.close()
        for writer in list(self.idle):
            writer.close()
        while self.busy:
            await asyncio.sleep(0.01)


async def main() -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.sleep(START_SECONDS)
    if f"{ROLE}:crash" == BREAKS:
        key = os.environ.get("VENDOR_API_KEY")
        print(f"this release falls over at its start, with {key}", flush=True)
        return 3
    if ROLE == "webhook":
        await Webhook().run(stop)
    else:
        await stop.wait()
    return 0


def health() -> int:
    """The container's health check."""
    if ROLE != "webhook":
        return 0
    with socket.create_connection(("127.0.0.1", HEALTH_PORT), timeout=3) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        return 0 if b" 200 " in connection.recv(64) else 1


if __name__ == "__main__":
    sys.exit(health() if sys.argv[1:] == ["health"] else asyncio.run(main()))

"""A client that hangs up at once: what was received whole is done, as by the real server.

The server is stopped meanwhile, so that request and end of the connection wait for it together.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_harness import BOT_ID, TOKEN
from test_emulator_program import get, running

SECONDS = 20
BOUNDARY = "a-boundary"


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    log = tmp_path / "log"
    options = getattr(request, "param", [])
    with running(log, "--tokens-file", str(tokens), *options) as (process, port):
        yield process.pid, port
    assert "Traceback" not in log.read_text()


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def post(method: str, body: bytes, content_type: str, announced: int | None = None) -> bytes:
    head = (
        f"POST /bot{TOKEN}/{method} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {announced or len(body)}\r\n\r\n"
    )
    return head.encode() + body


def form(size: int) -> bytes:
    parts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n77\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="document"; filename="a.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return parts.encode() + bytes(size) + f"\r\n--{BOUNDARY}--\r\n".encode()


def send_and_hang_up(pid: int, port: int, data: bytes, *, reset: bool = False) -> None:
    """All of it waits for the server, which is stopped, when the connection ends."""
    with socket.socket() as connection:
        connection.settimeout(SECONDS)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        connection.connect(("127.0.0.1", port))
        os.kill(pid, signal.SIGSTOP)
        try:
            connection.sendall(data)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        finally:
            os.kill(pid, signal.SIGCONT)


def sent(port: int) -> list[Any]:
    found = get(port, f"/control/bots/{BOT_ID}/sent")[1]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("method", "body", "content_type"),
    [
        ("sendMessage?chat_id=77&text=hello", b"", "text/plain"),
        ("sendMessage", json.dumps({"chat_id": 77, "text": "hello"}).encode(), "application/json"),
        (
            "sendMessage",
            b"chat_id=77&text=hello&x=" + b"x" * 300_000,
            "application/x-www-form-urlencoded",
        ),
        ("sendDocument", form(4), f"multipart/form-data; boundary={BOUNDARY}"),
        ("sendDocument", form(300_000), f"multipart/form-data; boundary={BOUNDARY}"),
    ],
    ids=["no body", "small", "several reads", "a form", "a file of several reads"],
)
def test_what_was_received_whole_is_done(
    server: tuple[int, int], method: str, body: bytes, content_type: str
) -> None:
    pid, port = server
    send_and_hang_up(pid, port, post(method, body, content_type))
    (message,) = until(lambda: sent(port))
    assert message["method"] == method.partition("?")[0]
    assert str(message["parameters"]["chat_id"]) == "77"


@pytest.mark.parametrize("server", [["--local"]], indirect=True)
def test_a_file_that_is_named_by_its_path_is_read_all_the_same(
    server: tuple[int, int], tmp_path: Path
) -> None:
    pid, port = server
    (tmp_path / "a.bin").write_bytes(bytes(50_000_000))
    body = json.dumps({"chat_id": 77, "document": f"file://{tmp_path}/a.bin"}).encode()
    send_and_hang_up(pid, port, post("sendDocument", body, "application/json"))
    (message,) = until(lambda: sent(port))
    assert message["method"] == "sendDocument"


def test_a_poll_confirms_whoever_hears_its_answer(server: tuple[int, int]) -> None:
    pid, port = server
    reply = get(port, f"/bot{TOKEN}/sendMessage?chat_id=77&text=x")
    assert reply[0] == 200

    def stats() -> Any:
        return get(port, f"/control/bots/{BOT_ID}/stats")[1]

    send_update(port)
    (update,) = get(port, f"/bot{TOKEN}/getUpdates")[1]["result"]  # type: ignore[index]
    body = json.dumps({"offset": update["update_id"] + 1, "timeout": 30}).encode()
    send_and_hang_up(pid, port, post("getUpdates", body, "application/json"))
    until(lambda: stats()["pending"] == 0 and stats()["polls"] == 2)
    # Its client is gone: it is parked, and counts as no poller.
    until(lambda: stats()["open"] == 0)
    assert stats()["parked"] == 1


def send_update(port: int) -> None:
    body = json.dumps({"message": {"chat": {"id": 77}, "text": "hello"}}).encode()
    head = (
        f"POST /control/bots/{BOT_ID}/updates HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert b" 200 " in connection.recv(1000)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("size", [4, 300_000])
def test_what_came_in_part_is_not_done(server: tuple[int, int], size: int, reset: bool) -> None:
    pid, port = server
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    whole = form(size)
    data = post("sendDocument", whole[:-20], content_type, len(whole))
    send_and_hang_up(pid, port, data, reset=reset)
    # The server goes on with others, and has none of it.
    assert get(port, f"/bot{TOKEN}/sendMessage?chat_id=78&text=next")[0] == 200
    assert [message["method"] for message in sent(port)] == ["sendMessage"]

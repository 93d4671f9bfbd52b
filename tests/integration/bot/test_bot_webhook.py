"""The webhook API, over real HTTP."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import pytest
from bot_harness import Stack, free_port, http, sign, stopped, until


@pytest.fixture
def base(stack: Stack) -> str:
    port = str(free_port())
    stack.start("webhook", WEBHOOK_PORT=port, WEBHOOK_HOST="127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    until("the webhook is ready", lambda: http("GET", f"{url}/readyz")[0] == 200, 30)
    return url


def call(base: str, body: bytes, source: str = "shop", **headers: str) -> tuple[int, bytes]:
    return http("POST", f"{base}/callbacks/{source}", body, {**sign(body), **headers})


def test_signed_callback_notifies_once(stack: Stack, base: str) -> None:
    body = json.dumps({"chat_id": 99, "text": "Your order is here \U0001f4e6"}).encode()
    assert call(base, body, **{"X-Aisha-Delivery": "d-1"})[0] == 202
    assert call(base, body, **{"X-Aisha-Delivery": "d-1"})[0] == 200
    assert call(base, body, source="other", **{"X-Aisha-Delivery": "d-1"})[0] == 202
    assert call(base, b"not json", **{"X-Aisha-Delivery": "d-2"})[0] == 202
    assert call(base, b'{"text": "without id"}')[0] == 202
    assert call(base, b'{"text": "without id"}')[0] == 200
    stack.start("worker")

    def processed() -> bool:
        return stack.query("SELECT DISTINCT status FROM callbacks") == [{"status": "processed"}]

    until("all callbacks are processed", processed, 30)
    assert [int(a["chat_id"]) for a in stack.answers()] == [99, 99]
    assert len(stack.query("SELECT 1 FROM callbacks")) == 4
    page = http("GET", f"{base}/metrics")[1].decode()
    assert 'aisha_callbacks_total{result="accepted"} 4.0' in page


def test_what_is_refused(stack: Stack, base: str) -> None:
    url, body = f"{base}/callbacks/shop", b'{"a": 1}'
    good = sign(body)
    now = int(time.time())
    cases = {
        "unsigned": (body, {}),
        "another secret": (body, sign(body, secret="guessed")),
        "another body": (body + b" ", good),
        "another time": (body, {**good, "X-Aisha-Timestamp": str(now + 1)}),
        "too old": (body, sign(body, now - 301)),
        "from the future": (body, sign(body, now + 310)),
        "no number": (body, {**good, "X-Aisha-Timestamp": "soon"}),
        "no timestamp": (body, {"X-Aisha-Signature": good["X-Aisha-Signature"]}),
        "garbage": (body, {**good, "X-Aisha-Signature": "sha256=\xe9\xff"}),
    }
    for name, (content, headers) in cases.items():
        assert http("POST", url, content, headers)[0] == 401, name
    big = b"x" * (1024 * 1024 + 1)
    assert http("POST", url, big, sign(big))[0] == 413
    assert http("POST", f"{base}/callbacks/-bad", body, good)[0] == 404
    assert http("POST", url, body, {**good, "X-Aisha-Delivery": "x" * 201})[0] == 400
    assert http("GET", url)[0] == 405
    assert http("GET", f"{base}/docs")[0] == 404
    assert stack.query("SELECT 1 FROM callbacks") == []
    exact = b"x" * 1024 * 1024
    assert http("POST", url, exact, sign(exact))[0] == 202


def test_chunked_body_over_the_limit_is_cut_off(base: str) -> None:
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.settimeout(20)
        head = "POST /callbacks/shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            for _ in range(200):
                connection.sendall(chunk)
        except ConnectionError:
            pass
        assert b"413" in connection.recv(1000)


def test_outages(stack: Stack, base: str) -> None:
    body = b'{"chat_id": 5, "text": "hello"}'
    with stopped(stack.redis):
        assert call(base, body, **{"X-Aisha-Delivery": "a"})[0] == 202
        status, text = http("GET", f"{base}/readyz")
        assert (status, text) == (503, b"redis does not answer\n")
        assert http("GET", f"{base}/healthz")[0] == 200
        port = base.rpartition(":")[2]
        healthy, said = stack.health("webhook", WEBHOOK_PORT=port)
        assert not healthy
        assert "redis does not answer" in said
    with stopped(stack.postgres):
        status, text = call(base, body, **{"X-Aisha-Delivery": "b"})
        assert status == 503
        assert b"try_again" in text
        assert http("GET", f"{base}/readyz")[0] == 503
    until("it is ready again", lambda: http("GET", f"{base}/readyz")[0] == 200, 30)
    assert stack.health("webhook", WEBHOOK_PORT=port)[0]
    assert call(base, body, **{"X-Aisha-Delivery": "b"})[0] == 202
    stack.start("worker")
    until("both are told", lambda: len(stack.answers()) == 2, 30)


def test_stop_drains_first(stack: Stack, tmp_path: Path) -> None:
    port = str(free_port())
    process = stack.start(
        "webhook", WEBHOOK_PORT=port, WEBHOOK_HOST="127.0.0.1", WEBHOOK_DRAIN_SECONDS="2"
    )
    url = f"http://127.0.0.1:{port}"
    until("the webhook is ready", lambda: http("GET", f"{url}/readyz")[0] == 200, 30)
    process.send(signal.SIGTERM)
    until("the front is told", lambda: http("GET", f"{url}/readyz")[0] == 503)
    assert call(url, b"{}")[0] == 202
    assert process.wait() == 0

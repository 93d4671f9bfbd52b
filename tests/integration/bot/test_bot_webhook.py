"""The webhook API, over real HTTP."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import time

import pytest
from bot_harness import WEBHOOK_KEYS, Replica, Stack, http, secrets_file, sign, stopped, until


@pytest.fixture
def replica(stack: Stack) -> Replica:
    return stack.start_webhook()


def call(
    replica: Replica, body: bytes, delivery: str | None = None, source: str = "shop", *keys: bytes
) -> int:
    headers = sign(body, delivery, None, *(keys or WEBHOOK_KEYS[source]))
    return http("POST", f"{replica.url}/callbacks/{source}", body, headers)[0]


def test_signed_callback_notifies_once(stack: Stack, replica: Replica) -> None:
    body = json.dumps({"chat_id": 99, "text": "Your order is here \U0001f4e6"}).encode()
    assert call(replica, body, "d-1") == 202
    assert call(replica, body, "d-1") == 200
    assert call(replica, body, "d-1", source="other") == 202
    assert call(replica, b"not json", "d-2") == 202
    assert call(replica, b"\xff\xfe", "d-3") == 202
    assert call(replica, b"", "d-4") == 202
    stack.start("worker")

    def processed() -> bool:
        return stack.query("SELECT DISTINCT status FROM callbacks") == [{"status": "processed"}]

    until("all callbacks are processed", processed, 30)
    assert [int(a["chat_id"]) for a in stack.answers()] == [99, 99]
    assert len(stack.query("SELECT 1 FROM callbacks")) == 5
    page = replica.ask("/metrics")[1].decode()
    assert 'aisha_callbacks_total{result="accepted"} 5.0' in page


def test_what_is_refused(stack: Stack, replica: Replica) -> None:
    url, body = f"{replica.url}/callbacks/shop", b'{"a": 1}'
    good = sign(body)
    now = int(time.time())
    cases = {
        "unsigned": (body, {}),
        "another secret": (body, sign(body, None, None, secrets.token_bytes(32))),
        "another source's secret": (body, sign(body, None, None, *WEBHOOK_KEYS["other"])),
        "another body": (body + b" ", good),
        "another id": (body, {**good, "Webhook-Id": "msg_0"}),
        "another time": (body, {**good, "Webhook-Timestamp": str(now + 1)}),
        "too old": (body, sign(body, None, now - 301)),
        "from the future": (body, sign(body, None, now + 310)),
        "no number": (body, {**good, "Webhook-Timestamp": "soon"}),
        "no id": (body, {**good, "Webhook-Id": ""}),
        "a long id": (body, sign(body, "x" * 201)),
        "an id with a full stop": (body, sign(body, "a.1")),
        "garbage": (body, {**good, "Webhook-Signature": "v1,\xe9\xff"}),
        "another scheme": (body, {**good, "Webhook-Signature": "sha256=" + "0" * 64}),
    }
    for name, (content, headers) in cases.items():
        assert http("POST", url, content, headers)[0] == 401, name
    big = b"x" * (1024 * 1024 + 1)
    assert http("POST", url, big, sign(big))[0] == 413
    assert http("POST", f"{replica.url}/callbacks/nobody", body, good)[0] == 404
    assert http("GET", url)[0] == 405
    assert http("GET", f"{replica.url}/docs")[0] == 404
    assert stack.query("SELECT 1 FROM callbacks") == []
    exact = b"x" * 1024 * 1024
    assert http("POST", url, exact, sign(exact))[0] == 202
    # The same flaw again and again is one line in the log, and no line has a signature.
    log = replica.process.text
    assert log.count("callback refused") < len(cases)
    assert good["Webhook-Signature"] not in log


def test_a_call_of_one_source_is_none_of_another(stack: Stack, replica: Replica) -> None:
    """What was signed for shop can't be sent to other: the source is bound by its secret."""
    body = b"{}"
    headers = sign(body)
    assert http("POST", f"{replica.url}/callbacks/other", body, headers)[0] == 401
    assert http("POST", f"{replica.url}/callbacks/shop", body, headers)[0] == 202


def test_a_secret_is_changed_without_a_refused_call(stack: Stack) -> None:
    """As docs/webhook-api.md says: both are known, the caller changes, the old one goes."""
    old, new = secrets.token_bytes(32), secrets.token_bytes(24)
    file = stack.folder / "secrets/webhook_secrets"

    def release(*keys: bytes) -> Replica:
        file.write_text(secrets_file({"shop": list(keys)}))
        return stack.start_webhook(f"webhook-{len(stack.processes)}")

    before = release(old)
    between = release(old, new)
    after = release(new)
    # Replicas are swapped one after the other: what the caller signs with, both must know.
    assert [call(each, b"{}", None, "shop", old) for each in (before, between)] == [202, 202]
    assert [call(each, b"{}", None, "shop", new) for each in (between, after)] == [202, 202]
    # A caller who signs with both is known everywhere.
    signed = [call(each, b"{}", None, "shop", old, new) for each in (before, between, after)]
    assert signed == [202, 202, 202]
    assert call(after, b"{}", None, "shop", old) == 401


def test_chunked_body_is_not_read(replica: Replica) -> None:
    with socket.create_connection(("127.0.0.1", replica.port), timeout=10) as connection:
        connection.settimeout(20)
        head = "POST /callbacks/shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        lines = "".join(f"{name}: {value}\r\n" for name, value in sign(b"").items())
        connection.sendall(f"{head}{lines}\r\n".encode())
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            for _ in range(200):
                connection.sendall(chunk)
        except ConnectionError:
            pass
        assert b"411" in connection.recv(1000)


def test_callers_are_not_told_how_it_is(replica: Replica) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert http("GET", replica.url + path)[0] == 404
        assert replica.ask(path)[0] == 200
    assert replica.ask("/callbacks/shop")[0] == 404


def test_outages(stack: Stack, replica: Replica) -> None:
    body = b'{"chat_id": 5, "text": "hello"}'
    with stopped(stack.redis):
        assert call(replica, body, "a") == 202
        assert replica.ask("/readyz") == (503, b"redis does not answer\n")
        assert replica.ask("/healthz")[0] == 200
        healthy, said = replica.health
        assert not healthy
        assert "redis does not answer" in said
    with stopped(stack.postgres):
        assert call(replica, body, "b") == 503
        assert replica.ask("/readyz")[0] == 503
    until("it is ready again", lambda: replica.ask("/readyz")[0] == 200, 30)
    assert replica.health[0]
    assert call(replica, body, "b") == 202
    stack.start("worker")
    until("both are told", lambda: len(stack.answers()) == 2, 30)


def test_stop_drains_first(stack: Stack) -> None:
    replica = stack.start_webhook(WEBHOOK_DRAIN_SECONDS="2")
    replica.process.send(signal.SIGTERM)
    until("the front is told", lambda: replica.ask("/readyz")[0] == 503)
    assert call(replica, b"{}") == 202
    assert replica.process.wait() == 0


def test_one_port_for_both_is_refused(stack: Stack) -> None:
    done = stack.run(role="webhook", name="w", WEBHOOK_PORT="8081")
    assert done.returncode == 2
    assert "WEBHOOK_HEALTH_PORT is 8081, as WEBHOOK_PORT is" in done.stderr

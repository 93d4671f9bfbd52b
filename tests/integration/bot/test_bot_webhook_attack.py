"""Callers who want no answer: slow ones, and those who send what nobody signed."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bot_harness import Front, Replica, Stack, http, sign, until

MIB = 1024 * 1024
SLOW = 200


@pytest.fixture
def replica(stack: Stack) -> Replica:
    return stack.start_webhook(WEBHOOK_BODY_SECONDS="5")


@contextlib.contextmanager
def callers(port: int, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Connections that have sent this and no more."""
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(20)
            connections.append(connection)
            # A caller who is refused may be hung up on as soon as he is connected.
            with contextlib.suppress(ConnectionError):
                connection.connect(("127.0.0.1", port))
                connection.sendall(sent)
        yield connections


def head(length: int, headers: dict[str, str] | None = None) -> bytes:
    lines = ["POST /callbacks/shop HTTP/1.1", "Host: x", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def answer_of(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1000)
    except OSError as error:
        if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
            raise
        return b""


def good_call(url: str) -> int:
    body = json.dumps({"at": time.time()}).encode()
    return http("POST", f"{url}/callbacks/shop", body, sign(body))[0]


# Made when they are sent: a signature is too old after five minutes.
UNFINISHED: dict[str, Callable[[], bytes]] = {
    "a head that does not end": lambda: b"POST /callbacks/shop HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "an unsigned body": lambda: head(1000) + b"x",
    "a body with a forged signature": lambda: head(1000, sign(b"other")) + b"x",
    "nothing": lambda: b"",
}


@pytest.fixture(params=UNFINISHED)
def unfinished(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sent(unfinished: str) -> bytes:
    return UNFINISHED[unfinished]()


def test_slow_callers_leave_a_replica_healthy(replica: Replica, sent: bytes) -> None:
    with callers(replica.port, SLOW, sent):
        assert replica.health == (True, "healthy: ready: database and redis answer")
        assert good_call(replica.url) == 202


def test_slow_callers_do_not_stay(replica: Replica, unfinished: str, sent: bytes) -> None:
    """No matter that one sends a byte now and then."""
    with callers(replica.port, 1, sent) as [connection]:
        connection.settimeout(1)
        answer = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                connection.sendall(b"x" if sent else b"")
                received = connection.recv(1000)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if not received:
                break
            answer += received
        else:
            pytest.fail("the connection is still there")
    refused = b"401" if unfinished == "an unsigned body" else b"408"
    assert answer.startswith(b"HTTP/1.1 " + refused)


@pytest.mark.parametrize(
    ("age_seconds", "changed", "status"),
    [
        (0, {"Webhook-Id": "", "Webhook-Timestamp": "", "Webhook-Signature": ""}, b"401"),
        (3600, {}, b"401"),
        (0, {"Webhook-Id": "a.b"}, b"401"),
        (0, {"Webhook-Signature": "v1,short"}, b"401"),
        (0, {"Transfer-Encoding": "chunked"}, b"411"),
    ],
    ids=["unsigned", "old", "two ids in one", "no signature", "of unknown size"],
)
def test_what_the_headers_say_is_answered_before_the_body_comes(
    replica: Replica, age_seconds: int, changed: dict[str, str], status: bytes
) -> None:
    headers = sign(b"", timestamp=int(time.time()) - age_seconds) | changed
    given = {name: value for name, value in headers.items() if value}
    with callers(replica.port, 1, head(MIB, given)) as [connection]:
        assert connection.recv(1000).startswith(b"HTTP/1.1 " + status)


def test_a_body_over_the_limit_is_answered_before_it_comes(replica: Replica) -> None:
    for length in (MIB + 1, 100 * MIB):
        with callers(replica.port, 1, head(length, sign(b""))) as [connection]:
            assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_unsigned_bodies_fill_no_memory(replica: Replica) -> None:
    before = replica.resident
    with callers(replica.port, 150, head(MIB) + b"x" * (MIB - 1)) as connections:
        assert {answer_of(each)[:12] for each in connections} == {b"HTTP/1.1 401"}
        assert replica.resident - before < 32 * MIB
        assert good_call(replica.url) == 202


def test_bodies_with_a_forged_signature_fill_little_memory(replica: Replica) -> None:
    """The headers are as they should be, so some are read: not all at once."""
    before = replica.resident
    with callers(replica.port, 150, head(MIB, sign(b"other")) + b"x" * (MIB - 1)) as connections:
        assert replica.resident - before < 64 * MIB
        assert replica.health[0]
        assert good_call(replica.url) == 202
        answers = [answer_of(each)[:12] for each in connections]
    assert set(answers) == {b"HTTP/1.1 408", b"HTTP/1.1 503"}
    until("the places are free again", lambda: large_call(replica.url) == 202)


def large_call(url: str) -> int:
    body = b"x" * MIB
    return http("POST", f"{url}/callbacks/shop", body, sign(body))[0]


# Through the front


@pytest.fixture
def replicas(stack: Stack) -> list[Replica]:
    return [stack.start_webhook(f"webhook-{number}") for number in (1, 2)]


@pytest.fixture
def front(tmp_path: Path, replicas: list[Replica]) -> Iterator[Front]:
    # All these callers have one address.
    limits = (
        "bot_front_address_connections",
        "bot_front_address_calls",
        "bot_front_address_refused",
    )
    with Front(tmp_path / "front", replicas, **dict.fromkeys(limits, 0)) as front:
        yield front


def test_slow_callers_hinder_nobody(front: Front, replicas: list[Replica], sent: bytes) -> None:
    with callers(front.port, SLOW, sent):
        assert [replica.health[0] for replica in replicas] == [True, True]
        assert http("GET", front.health_url)[0] == 200
        assert [good_call(front.url) for _ in range(20)] == [202] * 20


def test_what_is_refused_at_the_front_reaches_no_replica(
    front: Front, replicas: list[Replica]
) -> None:
    url, body = f"{front.url}/callbacks/shop", b"{}"
    assert http("POST", url, body)[0] == 401
    for name in ("Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"):
        some = {key: value for key, value in sign(body).items() if key != name}
        assert http("POST", url, body, some)[0] == 401
    assert http("GET", f"{front.url}/readyz")[0] == 404
    with callers(front.port, 1, head(MIB + 1, sign(body))) as [connection]:
        assert b"413" in connection.recv(1000)
    with callers(front.port, 1, head(0, {"Transfer-Encoding": "chunked", **sign(b"")})) as [chunks]:
        assert b"411" in chunks.recv(1000)
    assert http("POST", url, body, {**sign(body), "X-Large": "x" * 9000})[0] == 400
    for replica in replicas:
        assert b"aisha_callbacks_total{" not in replica.ask("/metrics")[1]


def test_a_caller_who_is_refused_again_and_again_is_refused_at_once(
    tmp_path: Path, replicas: list[Replica]
) -> None:
    body = b"{}"
    forged = sign(b"other")
    with Front(tmp_path / "front", replicas, bot_front_address_refused=10) as front:
        url = f"{front.url}/callbacks/shop"
        answers = [http("POST", url, body, forged)[0] for _ in range(12)]
        assert answers[:10] == [401] * 10
        assert answers[11] == 429
        # Behind a proxy, each caller is counted for itself.
    settings = {"bot_front_address_refused": 10, "bot_front_proxies": ["127.0.0.0/8"]}
    with Front(tmp_path / "proxied", replicas, **settings) as front:
        url = f"{front.url}/callbacks/shop"
        one, two = ({"X-Forwarded-For": f"10.0.0.9, 192.0.2.{number}"} for number in (1, 2))
        answers = [http("POST", url, body, forged | one)[0] for _ in range(12)]
        assert answers[11] == 429
        assert http("POST", url, body, sign(body) | two)[0] == 202


def test_one_address_has_so_many_connections(tmp_path: Path, replicas: list[Replica]) -> None:
    with Front(tmp_path / "front", replicas, bot_front_address_connections=20) as front:
        with callers(front.port, 21, b"POST ") as connections:
            # The front accepts in threads: it need not be the last one that has no place.
            answers = Counter(answer_of(each)[9:12] for each in connections)
        assert answers == {b"": 1, b"408": 20}
        until("there is a place again", lambda: good_call(front.url) == 202)


def test_a_large_body_goes_through_the_front(front: Front) -> None:
    assert large_call(front.url) == 202

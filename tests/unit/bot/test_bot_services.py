"""What the role asks database, Redis and object storage before it swaps anything."""

from __future__ import annotations

import http.server
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles/bot/files/services.py"
PASSWORD = f"p@ss/{token_hex(8)}"
# Port 1 of this machine: nobody listens there.
NOBODY = "127.0.0.1:1"


@contextmanager
def served(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def talker(answer: Callable[[bytes], bytes]) -> type[socketserver.BaseRequestHandler]:
    """A server that answers each packet, and ends where there is no answer."""

    class Talker(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while request := self.request.recv(1000):
                said = answer(request)
                if not said:
                    return
                self.request.sendall(said)

    return Talker


class Store(http.server.BaseHTTPRequestHandler):
    status = 404

    def do_GET(self) -> None:
        self.send_error(self.status)

    def log_message(self, *_args: object) -> None:
        pass


class Gone(Store):
    status = 502


def redis(request: bytes) -> bytes:
    if request.startswith(b"*3\r\n$4\r\nAUTH\r\n$4\r\nbird\r\n"):
        right = PASSWORD.encode() in request
        return b"+OK\r\n" if right else b"-WRONGPASS invalid username-password pair\r\n"
    return b"+PONG\r\n"


POSTGRES = talker(lambda request: b"N" if len(request) == 8 else b"")
REDIS = talker(redis)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., list[str]]:
    """Run the script as the role does: what it says, with short waits."""

    def asked(
        postgres: str, redis: str, s3: str, password: str = quote(PASSWORD, safe="")
    ) -> list[str]:
        (tmp_path / "database").write_text(f"postgresql://bird:{password}@{postgres}/db")
        (tmp_path / "redis").write_text(f"redis://bird:{password}@{redis}/0\n")
        program = SCRIPT.read_text().replace(
            "\nWAIT = 2\nTIMEOUT = 5\n", "\nWAIT = 0.1\nTIMEOUT = 1\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={
                "PATH": os.environ["PATH"],
                "DATABASE_URL_FILE": str(tmp_path / "database"),
                "REDIS_URL_FILE": str(tmp_path / "redis"),
                "S3_ENDPOINT_URL": f"http://{s3}",
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert PASSWORD not in done.stdout + done.stderr
        assert password not in done.stdout + done.stderr
        return list(json.loads(done.stdout)["silent"])

    return asked


def test_all_of_them_answer(ask: Callable[..., list[str]]) -> None:
    """A store that does not know MinIO's path for health answers, too."""
    with served(POSTGRES) as postgres, served(REDIS) as redis, served(Store) as s3:
        assert ask(postgres, redis, s3) == []


def test_nobody_answers(ask: Callable[..., list[str]]) -> None:
    database, redis, store = ask(NOBODY, NOBODY, NOBODY)
    assert database.startswith(f"PostgreSQL at {NOBODY} (bot_database_url) can't be used: Conn")
    assert redis.startswith(f"Redis at {NOBODY} (bot_redis_url) can't be used: Connection refused")
    assert "storage at 127.0.0.1:1 (bot_s3_endpoint_url) can't be used: Connection" in store


def test_something_else_answers(ask: Callable[..., list[str]]) -> None:
    with served(POSTGRES) as postgres, served(REDIS) as redis, served(Store) as s3:
        database, cache = ask(redis, postgres, s3)
    assert "not PostgreSQL" in database
    assert "not Redis" in cache


def test_something_takes_the_connection_and_says_nothing(ask: Callable[..., list[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        found = ask(address, address, address)
    assert ["nothing is said there within 1 s" in sentence for sentence in found] == [True] * 3


def test_redis_refuses_the_login(ask: Callable[..., list[str]]) -> None:
    with served(POSTGRES) as postgres, served(REDIS) as redis, served(Store) as s3:
        (sentence,) = ask(postgres, redis, s3, "wrong-0123456789")
    assert "refuses the login: WRONGPASS" in sentence


def test_a_proxy_without_a_store_is_no_store(ask: Callable[..., list[str]]) -> None:
    with served(POSTGRES) as postgres, served(REDIS) as redis, served(Gone) as s3:
        (sentence,) = ask(postgres, redis, s3)
    assert "HTTP 502" in sentence


def test_a_server_that_still_starts_is_waited_for(ask: Callable[..., list[str]]) -> None:
    answers = [b"-LOADING Redis is loading the dataset in memory\r\n", b"+OK\r\n", b"+PONG\r\n"]
    with (
        served(POSTGRES) as postgres,
        served(talker(lambda _request: answers.pop(0))) as redis,
        served(Store) as s3,
    ):
        assert ask(postgres, redis, s3) == []


def test_one_of_several_databases_is_enough(ask: Callable[..., list[str]]) -> None:
    with served(POSTGRES) as postgres, served(REDIS) as redis, served(Store) as s3:
        assert ask(f"{NOBODY},{postgres}", redis, s3) == []


@pytest.mark.parametrize("password", ["se/cret", "12/secret", "sec[ret", "se?cret"])
def test_a_password_that_is_not_encoded_is_not_shown(
    ask: Callable[..., list[str]], password: str
) -> None:
    with served(Store) as s3:
        found = ask("127.0.0.1", "127.0.0.1", s3, password)
    assert [sentence.split(" is not an address")[0] for sentence in found] == [
        "bot_database_url",
        "bot_redis_url",
    ]


def test_a_name_that_nobody_knows(ask: Callable[..., list[str]]) -> None:
    with served(POSTGRES) as postgres, served(REDIS) as redis:
        (sentence,) = ask(postgres, redis, "nowhere.invalid:9000")
    assert "its name is not known" in sentence

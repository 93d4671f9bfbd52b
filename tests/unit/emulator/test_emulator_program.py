"""The program: its command line, its signals, its log."""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bot_api_emulator.__main__ import main
from bot_api_emulator.logs import RedactingFormatter, redact_path
from emulator_harness import OTHER_TOKEN, TOKEN

PACKAGE = Path(__file__).resolve().parents[3] / "images/bot_api_emulator"
SECRET = TOKEN.partition(":")[2]


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMULATOR_")}
    return {**kept, "PYTHONPATH": str(PACKAGE), **extra}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bot_api_emulator", *arguments]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def get(port: int, path: str, timeout: float = 10) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@contextmanager
def running(
    log: Path, *arguments: str, **extra: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(*arguments, "--port", str(port)),
            stderr=output,
            env=environment(**extra),
            cwd=log.parent,
        )
        try:
            deadline = time.monotonic() + 20
            while True:
                assert process.poll() is None, log.read_text()
                try:
                    get(port, "/control/health")
                    break
                except OSError:
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
            yield process, port
        finally:
            process.kill()
            process.wait()


class Starter:
    """Starts that must fail with one clear sentence."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def fail(self, *arguments: str, **extra: str) -> str:
        for name, value in extra.items():
            self._monkeypatch.setenv(name, value)
        assert main(list(arguments)) == 2
        return self.sentence(self._capsys.readouterr().err)

    @staticmethod
    def sentence(error: str) -> str:
        assert error.startswith("bot_api_emulator: ")
        assert error.count("\n") == 1
        return error


@pytest.fixture
def start(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for name in list(os.environ):
        if name.startswith("EMULATOR_"):
            monkeypatch.delenv(name)
    yield Starter(capsys, monkeypatch)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_with_a_poll_parked(
    tmp_path: Path, number: signal.Signals
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"# of the tests\n\n{TOKEN}\n  {OTHER_TOKEN}  \n")
    log = tmp_path / "log"
    with running(log, EMULATOR_TOKENS_FILE=str(tokens)) as (process, port):
        assert get(port, f"/bot{OTHER_TOKEN}/getMe")[0] == 200
        poller = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        poller.request("GET", f"/bot{TOKEN}/getUpdates?timeout=50")
        deadline = time.monotonic() + 20
        while '"parked": 1' not in json.dumps(get(port, "/control/bots/4242/stats")[1]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        response = poller.getresponse()
        assert (response.status, response.getheader("Retry-After")) == (429, "5")
        poller.close()
        assert process.wait(timeout=20) == 0
    assert "Traceback" not in log.read_text()


def test_the_log_shows_who_asked_what_and_no_token(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    log = tmp_path / "log"
    arguments = ("--tokens-file", str(tokens), "--log-level", "DEBUG")
    with running(log, *arguments, PYTHONASYNCIODEBUG="1") as (_, port):
        get(port, f"/bot{TOKEN}/getMe")
        get(port, f"/bot{TOKEN.replace(':', '%3A')}/getMe")
        get(port, f"/bot{TOKEN}/getUpdates?token={TOKEN}")
        get(port, f"/bot{TOKEN}x/getMe")
        get(port, f"/bot{SECRET}/{SECRET}")
        get(port, f"/file/bot{TOKEN}/voice/x")
        get(port, "/control/health")
    text = log.read_text()
    assert "127.0.0.1 GET /bot4242:***/getMe 200" in text
    assert "/file/bot4242:***/voice/x 404" in text
    assert SECRET not in text
    assert SECRET[:12] not in text
    assert "/control/health" not in text


@pytest.mark.parametrize("by_environment", [True, False])
def test_it_begins_in_local_mode(tmp_path: Path, by_environment: bool) -> None:
    tokens, folder = tmp_path / "tokens", tmp_path / "files"
    tokens.write_text(TOKEN)
    arguments = ["--tokens-file", str(tokens)]
    extra = {}
    if by_environment:
        extra = {"EMULATOR_LOCAL": "true", "EMULATOR_FILES_DIR": str(folder)}
    else:
        arguments += ["--local", "--files-dir", str(folder)]
    (tmp_path / "v.ogg").write_bytes(b"OggS")
    with running(tmp_path / "log", *arguments, **extra) as (_, port):
        sent = get(port, f"/bot{TOKEN}/sendVoice?chat_id=77&voice=file://{tmp_path}/v.ogg")[1]
        file_id = sent["result"]["voice"]["file_id"]  # type: ignore[index]
        file = get(port, f"/bot{TOKEN}/getFile?file_id={file_id}")[1]
        path = Path(file["result"]["file_path"])  # type: ignore[index]
        assert path.is_relative_to(folder)
        assert path.read_bytes() == b"OggS"


def test_a_folder_of_its_own_goes_away_with_it(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    (tmp_path / "v.ogg").write_bytes(b"OggS")
    with running(tmp_path / "log", "--local", "--tokens-file", str(tokens)) as (process, port):
        sent = get(port, f"/bot{TOKEN}/sendVoice?chat_id=77&voice=file://{tmp_path}/v.ogg")[1]
        file_id = sent["result"]["voice"]["file_id"]  # type: ignore[index]
        file = get(port, f"/bot{TOKEN}/getFile?file_id={file_id}")[1]
        path = Path(file["result"]["file_path"])  # type: ignore[index]
        assert path.read_bytes() == b"OggS"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (f"/bot{TOKEN}/getMe?x=1", "/bot4242:***/getMe"),
        (f"/bot{TOKEN.replace(':', '%3a')}/getMe", "/bot4242:***/getMe"),
        (f"/file/bot{TOKEN}/voice/a.oga", "/file/bot4242:***/voice/a.oga"),
        ("/bot4242:short/x", "/bot4242:***/x"),
        ("/botsecret/secret", "/bot***"),
        ("/control/bots?token=x", "/control/bots"),
        ("/a%0ab", "/a?b"),
    ],
)
def test_redacted_paths(raw: str, shown: str) -> None:
    assert redact_path(raw) == shown


@pytest.mark.parametrize(
    "message", [TOKEN, OTHER_TOKEN, f"x{SECRET}x", TOKEN.replace(":", "%3A"), f"GET /bot{TOKEN}/x"]
)
def test_the_formatter_hides_known_and_unknown_tokens(message: str) -> None:
    formatter = RedactingFormatter(lambda: [TOKEN])
    try:
        raise RuntimeError(message)
    except RuntimeError:
        record = logging.LogRecord("x", 40, "", 1, "%s", (message,), sys.exc_info())
    text = formatter.format(record)
    assert SECRET not in text
    assert OTHER_TOKEN.partition(":")[2] not in text
    assert "***" in text


def test_addresses_are_no_tokens() -> None:
    record = logging.LogRecord("x", 20, "", 1, "at 127.0.0.1:8081", None, None)
    assert "127.0.0.1:8081" in RedactingFormatter(lambda: [TOKEN]).format(record)


def test_a_taken_port(start: Starter) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = start.fail("--port", str(port))
        assert f"port {port} on 127.0.0.1 is already taken (set by --port" in error
        assert "EMULATOR_PORT" in start.fail(EMULATOR_PORT=str(port))
        done = subprocess.run(
            command("--port", str(port)), capture_output=True, text=True, env=environment()
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert start.sentence(done.stderr) == error


@pytest.mark.parametrize("port", ["x", "70000", "-1", ""])
def test_a_bad_port(start: Starter, port: str) -> None:
    assert "--port or EMULATOR_PORT" in start.fail(f"--port={port}")


def test_a_bad_host(start: Starter) -> None:
    assert "--host or EMULATOR_HOST" in start.fail("--host", "192.0.2.1", "--port", "0")


@pytest.mark.parametrize(
    "content", [b"nonsense\n", f"{TOKEN}\n{SECRET}\n".encode(), b"\xff\xfe", None]
)
def test_a_bad_tokens_file(start: Starter, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    error = start.fail("--tokens-file", str(path))
    assert str(path) in error
    assert "EMULATOR_TOKENS_FILE" in error
    assert SECRET not in error
    assert "nonsense" not in error


def test_it_listens_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(log) as (_, port):
        assert f"listening on http://127.0.0.1:{port}" in log.read_text()

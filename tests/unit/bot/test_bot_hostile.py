"""What nobody sends in good faith, or only once in years."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from app import replay
from app.core.config import load_settings
from app.core.errors import LONGEST_DELAY, Again, ConfigError, FloodWait
from app.core.logs import log, setup_logging
from app.core.redaction import Redactor
from app.storage import repository, updates
from app.telegram.client import ApiError, later, parse
from app.webhook.server import WebhookApi
from app.workers import audio
from starlette.applications import Starlette


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


HALF = "half of a character: \ud800"


@pytest.mark.parametrize("seconds", ["1000000000", "1e999", "-1", "NaN"])
def test_no_pause_is_longer_than_one_can_wait(seconds: str) -> None:
    body = f'{{"ok": false, "error_code": 429, "parameters": {{"retry_after": {seconds}}}}}'
    with pytest.raises(ApiError) as refused:
        parse(429, body.encode())
    assert refused.value.retry_after is not None
    assert 0 <= refused.value.retry_after <= LONGEST_DELAY
    delay = later("sendMessage", refused.value).delay
    assert delay is not None
    assert 0 <= delay <= LONGEST_DELAY
    for kind in (Again, FloodWait):
        delay = kind("what a library made of it", float(seconds)).delay
        assert delay is not None
        assert 0 <= delay <= LONGEST_DELAY


def test_an_error_of_any_text_can_be_recorded() -> None:
    for text in (updates._text(HALF + "\0"), repository._one_line(HALF + "\0")):
        assert text.encode() == b"half of a character: ?"


def test_a_line_of_any_text_is_logged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secret = token_hex(16)
    setup_logging(
        level="INFO", role="worker", instance="w", redactor=Redactor([secret]), logs_dir=tmp_path
    )
    log.warning(HALF, url=f"http://x/{secret}")
    out, err = capfd.readouterr()
    assert "half of a character: \\ud800" in out
    assert "half of a character" in (tmp_path / "w.log").read_text()
    assert secret not in out + err


def test_a_line_that_can_not_be_written_shows_no_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """logging itself prints the record of such a line, which nobody has redacted."""
    secret = token_hex(16)
    setup_logging(
        level="INFO", role="worker", instance="w", redactor=Redactor([secret]), logs_dir=tmp_path
    )
    [stream] = [h for h in logging.getLogger().handlers if type(h).__name__ != "_RotatingFile"]
    for error in (OSError(28, "No space left on device"), ValueError("closed")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(stream, "flush", fail)
        log.warning("refused", url=f"http://x/{secret}")
    _, err = capfd.readouterr()
    assert secret not in err
    assert "ValueError" in err


@pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999", "x"])
def test_replay_of_a_number_that_no_row_has(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("show", "run"):
        with pytest.raises(SystemExit) as ended:
            replay.parser().parse_args([command, number])
        assert ended.value.code == 2
        assert "number" in capsys.readouterr().err


def test_a_password_with_a_bare_percent_sign_is_refused_and_not_shown(environment: Path) -> None:
    """The database's library would show it in its error."""
    password = f"{token_hex(8)}%zz"
    (environment / "database_url").write_text(f"postgresql://aisha:{password}@host/aisha")
    with pytest.raises(ConfigError) as wrong:
        load_settings()
    assert "DATABASE_URL_FILE" in str(wrong.value)
    assert "%25" in str(wrong.value)
    assert password not in str(wrong.value)


async def test_a_source_that_is_gone_is_no_broken_file(tmp_path: Path) -> None:
    """Another worker, or a tidier whose clock was set, took it away in the middle."""
    with pytest.raises(Again):
        await audio.convert(tmp_path / "gone.src", tmp_path / "x.ogg", audio.Limits(30, 3600))
    assert list(tmp_path.iterdir()) == []


async def status_of(app: Starlette, path: str) -> int:
    """What the application answers to a call, as the web server would ask it."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"elsewhere.example.com")],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])


async def test_the_webhook_api_sends_nobody_elsewhere(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOT_ROLE", "webhook")
    api = WebhookApi(load_settings(), None, None)  # type: ignore[arg-type]
    for path in ("/callbacks/shop/", "/callbacks/", "/callbacks//shop", "/callbacks/shop/x"):
        assert await status_of(api.callbacks, path) == 404
    assert await status_of(api.callbacks, "/callbacks/shop") == 401

"""Settings, secrets, and what is said when they are wrong."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

import pytest
from app.core.config import load_settings
from app.core.errors import ConfigError
from app.core.logs import setup_logging
from app.core.redaction import Redactor

# Never a real one: made anew for every run.
TOKEN = f"123456789:AAE{token_hex(16)}"


@pytest.fixture(autouse=True)
def _token(environment: Path) -> None:
    (environment / "bot_token").write_text(TOKEN + "\n")


def test_all_settings(environment: Path) -> None:
    settings = load_settings()
    assert settings.instance_id == "aisha-worker-1"
    assert settings.reveal("bot_token") == TOKEN
    assert settings.bot_api_url == "http://aisha-bot-api:8081"
    assert settings.redis_prefix == "aisha:"
    assert settings.stale_poll_seconds == 25
    assert "AAE" not in repr(settings)
    assert "p%40ss" not in repr(settings)
    assert "p%40ss%2Fword" in settings.secrets()


def test_migrate_needs_the_database_only(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BOT_ROLE", "BOT_TOKEN_FILE", "REDIS_URL_FILE", "BOT_API_URL", "S3_BUCKET"):
        monkeypatch.delenv(name)
    assert load_settings("migrate").bot_role == "migrate"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("BOT_ROLE", "", "BOT_ROLE is not set: set it to primary, worker or webhook."),
        ("BOT_ROLE", "boss", "BOT_ROLE is not valid: "),
        ("INSTANCE_ID", "../etc", "INSTANCE_ID is not valid: "),
        ("BOT_API_URL", "", "BOT_API_URL is not set: the role worker needs it."),
        ("BOT_API_URL", "aisha-bot-api:8081", "BOT_API_URL is not valid: "),
        ("BOT_API_URL", "http://host:port", "BOT_API_URL is not valid: "),
        ("BOT_API_URL", f"http://host/bot{TOKEN}", "BOT_API_URL is not valid: "),
        ("S3_BUCKET", "No Bucket", "S3_BUCKET is not valid: "),
        ("POLL_TIMEOUT", "soon", "POLL_TIMEOUT is not valid: "),
        ("POLL_TIMEOUT", "51", "POLL_TIMEOUT is not valid: "),
        ("REDIS_URL_FILE", "", "REDIS_URL_FILE is not set: the role worker needs it."),
        ("REDIS_URL_FILE", "/nowhere", "REDIS_URL_FILE names /nowhere, which can't be read"),
        ("BOT_TOKEN", TOKEN, "BOT_TOKEN is set in the environment, where `docker inspect`"),
    ],
)
def test_wrong_variable_is_named_in_one_sentence(
    environment: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    [line] = str(caught.value).splitlines()
    assert line.startswith(sentence)
    assert TOKEN not in line


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("bot_token", "", "BOT_TOKEN_FILE names "),
        ("bot_token", "CHANGE_ME", "BOT_TOKEN_FILE is not valid: it still holds a placeholder"),
        ("bot_token", "12345", "BOT_TOKEN_FILE is not valid: it is not a bot token"),
        ("bot_token", "0123:abc", "BOT_TOKEN_FILE is not valid: it is not a bot token"),
        ("bot_token", "1:" + "a" * 80, "BOT_TOKEN_FILE is not valid: it is not a bot token"),
        ("database_url", "mysql://u:hunter2@h/d", "DATABASE_URL_FILE is not valid: "),
        ("redis_url", "redis://u:changeme@h", "REDIS_URL_FILE is not valid: it still holds"),
        ("s3_secret_key", "<secret>", "S3_SECRET_KEY_FILE is not valid: it still holds"),
    ],
)
def test_wrong_secret_is_named_and_not_shown(
    environment: Path, file: str, content: str, sentence: str
) -> None:
    (environment / file).write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    [line] = str(caught.value).splitlines()
    assert line.startswith(sentence)
    assert "hunter2" not in line


def test_every_wrong_variable_gets_its_sentence(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_BUCKET", "")
    monkeypatch.setenv("BOT_TOKEN_FILE", "/nowhere")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert len(str(caught.value).splitlines()) == 2


PASSWORD = 'p@ss:/w%rd#1 ?&"\\é\n'


@pytest.mark.parametrize(
    "text",
    [
        f"GET http://api/bot{TOKEN}/getMe",
        f"GET http://api/file/bot{quote(TOKEN)}/voice/1.ogg",
        f"half: {TOKEN.split(':')[1]}",
        repr({"token": TOKEN}),
        json.dumps({"password": PASSWORD}),
        json.dumps({"password": PASSWORD}, ensure_ascii=False),
        repr({"password": PASSWORD}),
        f"redis://aisha:{quote(PASSWORD, safe='')}@host",
        f"plain {PASSWORD} here",
    ],
)
def test_known_secrets_are_removed_in_every_spelling(text: str) -> None:
    shown = Redactor([TOKEN, quote(PASSWORD, safe="")])(text)
    assert TOKEN.partition(":")[2][:9] not in shown
    assert "p@ss" not in shown
    assert "p%40ss" not in shown
    assert "***" in shown


def test_unknown_secrets_are_recognised_by_their_shape() -> None:
    shown = Redactor()(f"/bot987654321:{'x' * 35}/getMe and postgresql://u:hunter2@h/d")
    assert "xxx" not in shown
    assert "hunter2" not in shown
    assert "bot987654321:***/getMe" in shown
    assert Redactor()("12:34:56 chat 123456789: hello") == "12:34:56 chat 123456789: hello"


def test_tracebacks_in_the_log_are_redacted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        setup_logging(
            level="INFO",
            role="primary",
            instance="aisha-primary",
            redactor=Redactor([TOKEN]),
            logs_dir=tmp_path,
        )
        url = f"http://api/bot{TOKEN}/getMe"
        try:
            raise ConnectionError(f"can't connect to {url}")
        except ConnectionError:
            assert TOKEN in traceback.format_exc()
            logging.getLogger("some.library").exception("request to %s failed", url)
        lines = capsys.readouterr().out.splitlines()
        in_file = (tmp_path / "aisha-primary.log").read_text().splitlines()
    finally:
        for handler in root.handlers[:]:
            root.removeHandler(handler)
        for handler in before[0]:
            root.addHandler(handler)
        root.setLevel(before[1])
    assert lines == in_file
    [line] = lines
    entry = json.loads(line)
    assert entry["level"] == "error"
    assert entry["instance"] == "aisha-primary"
    assert "ConnectionError" in entry["exception"]
    assert TOKEN.partition(":")[2][:9] not in line

"""Settings from the environment; secrets from the files that the environment names."""

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.errors import ConfigError
from app.core.webhook_secrets import keys_of, secrets_in

Role = Literal["primary", "worker", "webhook", "migrate"]

PLACEHOLDER = re.compile(r"change[_-]?me|placeholder|^<.*>$", re.IGNORECASE)

# Setting -> roles that can't run without it.
REQUIRED: dict[str, tuple[Role, ...]] = {
    "bot_token": ("primary", "worker"),
    "bot_api_url": ("primary", "worker"),
    "database_url": ("primary", "worker", "webhook", "migrate"),
    "redis_url": ("primary", "worker", "webhook"),
    "s3_endpoint_url": ("worker",),
    "s3_bucket": ("worker",),
    "s3_access_key": ("worker",),
    "s3_secret_key": ("worker",),
    "webhook_secrets": ("webhook",),
}
SECRETS = ("bot_token", "database_url", "redis_url", "s3_secret_key", "webhook_secrets")


def _no_placeholder(value: str) -> None:
    if PLACEHOLDER.search(value):
        raise ValueError("it still holds a placeholder; put the real value there")


def _token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    _no_placeholder(text)
    if not re.fullmatch(r"[1-9][0-9]*:[A-Za-z0-9_-]+", text) or len(text) > 80:
        raise ValueError("it is not a bot token, which looks like 123456789:AAE… (from @BotFather)")
    return value


def _url(value: str, schemes: tuple[str, ...], example: str) -> None:
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"it is not an address like {example}")


def _database_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    _no_placeholder(text)
    _url(text, ("postgresql", "postgres"), "postgresql://user:password@host:5432/database")
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    _no_placeholder(text)
    _url(text, ("redis", "rediss"), "redis://user:password@host:6379/0")
    return value


def _secret(value: SecretStr) -> SecretStr:
    _no_placeholder(value.get_secret_value())
    return value


def _webhook_secrets(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    _no_placeholder(text)
    keys_of(text)
    return value


def _http_url(value: str) -> str:
    _url(value, ("http", "https"), "http://host:8081")
    if "/bot" in urlsplit(value).path:
        raise ValueError("it must be the base address, without /bot and without the token")
    return value.rstrip("/")


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("it must be an absolute path")
    return value


def _days(value: float) -> float:
    """What is forgotten is not recognised when it comes again: Telegram keeps it for a day."""
    if value != 0 and not value >= 2:
        raise ValueError("it must be 0 (keep for ever) or at least 2 days")
    return value


class Settings(BaseSettings):
    """All settings of all roles. A secret never comes from the environment itself."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    bot_role: Role
    instance_id: str = Field(
        default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    bot_token: Annotated[SecretStr, AfterValidator(_token)] | None = None
    bot_api_url: Annotated[str, AfterValidator(_http_url)] | None = None
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = None
    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = None
    redis_prefix: str = Field(default="aisha:", min_length=1, max_length=64)
    s3_endpoint_url: Annotated[str, AfterValidator(_http_url)] | None = None
    s3_region: str = "us-east-1"
    s3_bucket: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    s3_access_key: str | None = Field(default=None, min_length=3)
    s3_secret_key: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    webhook_secrets: Annotated[SecretStr, AfterValidator(_webhook_secrets)] | None = None

    bot_api_server_dir: Annotated[Path, AfterValidator(_absolute)] = Path(
        "/var/lib/telegram-bot-api"
    )
    bot_api_files_dir: Annotated[Path, AfterValidator(_absolute)] | None = None
    temp_dir: Path = Path("/app/storage/temp")
    audio_dir: Path = Path("/app/storage/audio")
    logs_dir: Path = Path("/app/logs")
    heartbeat_file: Path = Path("/tmp/aisha-heartbeat.json")  # noqa: S108 - a tmpfs of ours

    poll_timeout: int = Field(default=10, ge=1, le=50)
    poll_backoff_seconds: float = Field(default=15, ge=0.5, le=60)
    max_file_bytes: int = Field(default=20 * 1024 * 1024, ge=1)
    max_audio_seconds: int = Field(default=4 * 3600, ge=1)
    transcode_seconds: int = Field(default=120, ge=1, le=3600)
    worker_concurrency: int = Field(default=2, ge=1, le=64)
    short_concurrency: int = Field(default=8, ge=1, le=64)
    lease_seconds: float = Field(default=20, ge=2, le=600)
    sweep_seconds: float = Field(default=5, ge=0.2, le=300)
    requeue_seconds: float = Field(default=30, ge=1, le=3600)
    job_max_age_hours: float = Field(default=24, gt=0)
    # 0: no limit of ours.
    send_per_second: float = Field(default=25, ge=0, le=1000)
    send_per_chat_second: float = Field(default=1, ge=0, le=1000)
    keep_updates_hours: float = Field(default=48, ge=25)
    keep_failed_updates_hours: float = Field(default=30 * 24, ge=25)
    keep_audio_hours: float = Field(default=24, ge=0)
    keep_messages_days: Annotated[float, AfterValidator(_days)] = 90
    keep_callbacks_days: Annotated[float, AfterValidator(_days)] = 30
    stop_seconds: float = Field(default=15, ge=1, le=300)
    login_check_seconds: float = Field(default=20, ge=0.5, le=30)
    webhook_port: int = Field(default=8080, ge=1, le=65535)
    webhook_health_port: int = Field(default=8081, ge=1, le=65535)
    webhook_body_limit: int = Field(default=1024 * 1024, ge=1, le=64 * 1024 * 1024)
    webhook_body_seconds: float = Field(default=10, ge=0.5, le=60)
    webhook_host: str = "0.0.0.0"  # noqa: S104 - inside a container's own network
    webhook_drain_seconds: float = Field(default=2, ge=0, le=60)
    metrics_port: int = Field(default=0, ge=0, le=65535)
    migrate_wait_seconds: float = Field(default=60, ge=0)

    @property
    def bot_id(self) -> int:
        """What is before the colon; so nobody has to be asked before the first poll."""
        return int(self.reveal("bot_token").partition(":")[0])

    @property
    def stale_poll_seconds(self) -> float:
        """Age of the last successful getUpdates at which the primary counts as deaf."""
        return 2 * self.poll_timeout + 5

    def reveal(self, name: str) -> str:
        """A secret or setting that `load_settings` has checked to be there."""
        value = getattr(self, name)
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        if not isinstance(value, str):
            raise ConfigError(f"{name.upper()} is not set.")
        return value

    def secrets(self) -> list[str]:
        """Everything that must never be logged."""
        found = []
        for name in SECRETS:
            value = getattr(self, name)
            if value is None:
                continue
            text = value.get_secret_value()
            if name == "webhook_secrets":
                found += secrets_in(text)
                continue
            if name in ("database_url", "redis_url"):
                netloc = text.split("://", 1)[1].split("/", 1)[0]
                userinfo = netloc.rpartition("@")[0]
                text = userinfo.partition(":")[2]
            found.append(text)
        return [text for text in found if text]


def _variable(setting: str) -> str:
    return f"{setting.upper()}_FILE" if setting in SECRETS else setting.upper()


def _read_secrets(problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in SECRETS:
        variable = _variable(name)
        path = os.environ.get(variable)
        if os.environ.get(name.upper()):
            problems.append(
                f"{name.upper()} is set in the environment, where `docker inspect` shows it: "
                f"put the value into a file and name that file in {variable}."
            )
        if not path:
            continue
        try:
            text = Path(path).read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            problems.append(
                f"{variable} names {path}, which can't be read by uid {os.getuid()} ({why}): "
                "mount the file there and let this user's group read it."
            )
            continue
        if not text:
            problems.append(f"{variable} names {path}, which is empty: write the value into it.")
            continue
        values[name] = text
    return values


def load_settings(role: Role | None = None) -> Settings:
    """Read and check everything; raise ConfigError with one sentence per wrong variable."""
    problems: list[str] = []
    values = _read_secrets(problems)
    if role is not None:
        values["bot_role"] = role
    settings = None
    try:
        settings = Settings(**values)
    except ValidationError as error:
        for item in error.errors():
            name = str(item["loc"][0]) if item["loc"] else "?"
            if item["type"] == "missing":
                hint = " to primary, worker or webhook" if name == "bot_role" else ""
                problems.append(f"{_variable(name)} is not set: set it{hint}.")
            else:
                text = item["msg"].removeprefix("Value error, ")
                problems.append(f"{_variable(name)} is not valid: {text}.")
    if settings is not None:
        shown = " ".join(problems)
        if settings.bot_role == "webhook" and settings.webhook_port == settings.webhook_health_port:
            problems.append(
                f"WEBHOOK_HEALTH_PORT is {settings.webhook_port}, as WEBHOOK_PORT is: callers must "
                "not reach it, so give it a number of its own."
            )
        problems += [
            f"{_variable(name)} is not set: the role {settings.bot_role} needs it."
            for name, roles in REQUIRED.items()
            if settings.bot_role in roles
            and getattr(settings, name) is None
            and name.upper() not in shown
        ]
    if problems or settings is None:
        raise ConfigError("\n".join(problems))
    return settings

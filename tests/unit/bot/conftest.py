"""The bot's package lies in its image's folder."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from pathlib import Path
from secrets import token_bytes, token_hex

import pytest

BOT = Path(__file__).resolve().parents[3] / "images/bot"
if str(BOT) not in sys.path:
    sys.path.insert(0, str(BOT))

GOOD = {
    "BOT_ROLE": "worker",
    "INSTANCE_ID": "aisha-worker-1",
    "BOT_API_URL": "http://aisha-bot-api:8081/",
    "S3_ENDPOINT_URL": "http://aisha-minio:9000",
    "S3_BUCKET": "aisha-audio",
    "S3_ACCESS_KEY": "aisha",
}
SECRETS = {
    "BOT_TOKEN": f"123456789:AAE{token_hex(16)}",
    "DATABASE_URL": "postgresql://aisha:p%40ss%2Fword@aisha-postgres:5432/aisha",
    "REDIS_URL": "redis://aisha:redis-password@aisha-redis:6379/0",
    "S3_SECRET_KEY": "s3-secret-key-value",
    "WEBHOOK_SECRETS": json.dumps({"shop": [f"whsec_{b64encode(token_bytes(32)).decode()}"]}),
}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All settings right; gives the folder of the secrets' files."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    for name, value in SECRETS.items():
        path = tmp_path / name.lower()
        path.write_text(value + "\n")
        monkeypatch.setenv(f"{name}_FILE", str(path))
    return tmp_path

"""What the inventory may say of the webhook API and its front."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest
import yaml
from ansible_collections.aisha.bot_stack.plugins.filter.webhook import (
    front_problems,
    webhook_secret_problems,
)

ROLE = Path(__file__).resolve().parents[3] / "roles/bot"


def whsec(key: bytes) -> str:
    return f"whsec_{b64encode(key).decode()}"


OLD, NEW = whsec(token_bytes(24)), whsec(token_bytes(64))


@pytest.mark.parametrize(
    "secrets", [{"shop": [OLD]}, {"shop": [OLD, NEW]}, {"a.b_c-1": [OLD], "shop": [NEW]}]
)
def test_secrets_that_work(secrets: Any) -> None:
    assert webhook_secret_problems(secrets, "bot_webhook_secrets") == []


@pytest.mark.parametrize(
    ("secrets", "sentence"),
    [
        ({}, "Not set: bot_webhook_secrets"),
        ([OLD], "bot_webhook_secrets is no dictionary"),
        (OLD, "bot_webhook_secrets is no dictionary"),
        ({"a/b": [OLD]}, "bot_webhook_secrets has a source 'a/b'"),
        ({7: [OLD]}, "bot_webhook_secrets has a source '7'"),
        ({"shop": OLD}, "bot_webhook_secrets.shop is no list"),
        ({"shop": []}, "bot_webhook_secrets.shop is no list"),
        ({"shop": [OLD] * 3}, "bot_webhook_secrets.shop is no list"),
        ({"shop": ["CHANGE_ME"]}, "bot_webhook_secrets.shop has a secret that is not whsec_"),
        ({"shop": [whsec(bytes(23))]}, "bot_webhook_secrets.shop has a secret that is not"),
        ({"shop": [whsec(bytes(65))]}, "bot_webhook_secrets.shop has a secret that is not"),
        ({"shop": ["whsec_\xe9"]}, "bot_webhook_secrets.shop has a secret that is not"),
        ({"shop": [None]}, "bot_webhook_secrets.shop has a secret that is not"),
        ({"shop": [OLD], "b": [NEW, OLD]}, "bot_webhook_secrets.b has a secret of bot_webhook_"),
    ],
)
def test_secrets_that_can_not_work(secrets: Any, sentence: str) -> None:
    (found,) = webhook_secret_problems(secrets, "bot_webhook_secrets")
    assert found.startswith(sentence)
    assert OLD not in found.replace(repr(secrets), "")


def test_without_replicas_no_secret_is_needed() -> None:
    assert webhook_secret_problems({}, "bot_webhook_secrets", False) == []
    assert webhook_secret_problems({"shop": ["x"]}, "bot_webhook_secrets", False) != []


def settings(**changes: Any) -> dict[str, Any]:
    names = ("bot_front_", "bot_webhook_health_", "bot_webhook_body_")
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    return {k: v for k, v in defaults.items() if k.startswith(names)} | changes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bot_front_required_headers": [], "bot_front_proxies": ["192.0.2.7", "2001:db8::/32"]},
        # As a template gives them.
        {"bot_front_address_calls": "0", "bot_webhook_body_limit": "65536"},
    ],
)
def test_settings_of_the_front_that_work(changes: dict[str, Any]) -> None:
    assert front_problems(settings(**changes)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bot_front_required_headers", ["a b"]),
        ("bot_front_required_headers", ["x) -m found } deny"]),
        ("bot_front_proxies", ["proxy.example.com"]),
        ("bot_front_proxies", ["192.0.2.7/24"]),
        ("bot_front_connections", 0),
        ("bot_front_address_connections", -1),
        ("bot_webhook_health_port", 65536),
        ("bot_webhook_body_limit", 0),
        ("bot_webhook_health_path", "readyz"),
        ("bot_webhook_health_path", "/ready\nz"),
    ],
)
def test_settings_of_the_front_that_can_not_work(name: str, value: Any) -> None:
    (sentence,) = front_problems(settings(**{name: value}))
    assert sentence.startswith(name)

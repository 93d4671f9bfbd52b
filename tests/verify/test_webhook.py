"""The webhook API, through its front."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from target import HERE, Target, parsed

pytestmark = pytest.mark.group("bot")


@pytest.fixture
def url(target: Target) -> str:
    if not int(target.variables["bot_webhook_replicas"]):
        pytest.skip("bot_webhook_replicas is 0")
    target.used.update(target.names("front", "webhook"))
    (front,) = target.names("front")
    return f"{target.published(front, 8080)}/callbacks/verify"


def signed(target: Target, body: str, *, seconds: int = 0) -> dict[str, str]:
    """The headers of a callback, made inside a replica, so that the secret stays there."""
    name = target.names("webhook")[0]
    script = (HERE / "inside/signature.py").read_text()
    (result,) = target.call(["execute", name, ["python", "-c", script, body, str(seconds)]])
    headers: dict[str, str] = parsed(name, result)
    return headers


def post(target: Target, url: str, body: str, *headers: dict[str, str]) -> list[int]:
    answers: list[dict[str, Any]] = target.call(
        *(["request", "POST", url, h, body] for h in headers)
    )
    return [answer["status"] for answer in answers]


def test_a_signed_callback_is_accepted_once(target: Target, url: str) -> None:
    body = json.dumps({"verify": uuid.uuid4().hex})
    headers = {**signed(target, body), "X-Aisha-Delivery": f"verify-{uuid.uuid4().hex}"}
    assert post(target, url, body, headers, headers) == [202, 200]


def test_a_callback_is_refused_unless_it_is_signed(target: Target, url: str) -> None:
    body = json.dumps({"verify": uuid.uuid4().hex})
    good = signed(target, body)
    forged = {**good, "X-Aisha-Signature": "sha256=" + "0" * 64}
    unsigned = {"X-Aisha-Timestamp": good["X-Aisha-Timestamp"]}
    assert post(target, url, body, forged, unsigned, {}) == [401, 401, 401]
    assert post(target, url, body + " ", good) == [401], "the body is not what was signed"
    old = signed(target, body, seconds=-3600)
    assert post(target, url, body, old) == [401], "a recorded call can be played again"


def test_every_replica_takes_part(target: Target, url: str) -> None:
    """Each replica is asked by itself: a front hides one that is down."""
    for name in target.names("webhook"):
        networks = target.containers[name]["NetworkSettings"]["Networks"].values()
        address = next(network["IPAddress"] for network in networks if network["IPAddress"])
        (answer,) = target.call(["request", "GET", f"http://{address}:8080/readyz"])
        assert answer["status"] == 200, f"{name}: {answer['body']}"

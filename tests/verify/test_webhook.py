"""The webhook API, through its front."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest
from target import Target, parsed

pytestmark = pytest.mark.group("bot")


@pytest.fixture
def url(target: Target) -> str:
    if not int(target.variables["bot_webhook_replicas"]):
        pytest.skip("bot_webhook_replicas is 0")
    target.used.update(target.names("front", "webhook"))
    return f"{target.published(target.one('front'), 8080)}/callbacks/verify"


def signed(target: Target, body: str, *ages: int) -> list[dict[str, str]]:
    """Headers of callbacks of some age in seconds. A replica signs: the secret stays there."""
    name = target.names("webhook")[0]
    delivery = f"verify-{uuid.uuid4().hex}"
    programs = [target.program("signature.py", body, str(age), delivery) for age in ages]
    calls = [["execute", name, program] for program in programs]
    headers: list[dict[str, str]] = [parsed(name, result) for result in target.call(*calls)]
    if not all(headers):
        pytest.skip("bot_webhook_secrets has no source verify, as which these tests may call")
    return headers


def post(target: Target, url: str, *callbacks: tuple[str, dict[str, str]]) -> list[int]:
    calls = [["request", "POST", url, headers, body] for body, headers in callbacks]
    answers: list[dict[str, Any]] = target.call(*calls)
    return [answer["status"] for answer in answers]


def test_a_signed_callback_is_accepted_once(target: Target, url: str) -> None:
    body = json.dumps({"verify": uuid.uuid4().hex})
    (headers,) = signed(target, body, 0)
    assert post(target, url, (body, headers), (body, headers)) == [202, 200]


def test_a_callback_is_refused_unless_it_is_signed(target: Target, url: str) -> None:
    body = json.dumps({"verify": uuid.uuid4().hex})
    good, old = signed(target, body, 0, 3600)
    forged = f"v1,{base64.b64encode(bytes(32)).decode()}"
    callbacks = {
        "no headers": (body, {}),
        "no signature": (body, {**good, "Webhook-Signature": ""}),
        "a forged signature": (body, {**good, "Webhook-Signature": forged}),
        "another body": (body + " ", good),
        "another id": (body, {**good, "Webhook-Id": f"{good['Webhook-Id']}0"}),
        "another time": (body, {**good, "Webhook-Timestamp": old["Webhook-Timestamp"]}),
        "an old call, played again": (body, old),
    }
    answers = dict(zip(callbacks, post(target, url, *callbacks.values()), strict=True))
    assert answers == dict.fromkeys(callbacks, 401)


def test_callers_do_not_reach_what_is_asked_about_the_replicas(target: Target, url: str) -> None:
    front = url.removesuffix("/callbacks/verify")
    paths = ("/healthz", "/readyz", "/metrics", "/front/healthz")
    answers = target.call(*(["request", "GET", front + path] for path in paths))
    assert [answer["status"] for answer in answers] == [404] * len(paths)


def test_every_replica_is_ready(target: Target, url: str) -> None:
    """Each is asked by itself: the front hides one that is down."""
    replicas = target.names("webhook")
    port, path = (target.variables[f"bot_webhook_health_{what}"] for what in ("port", "path"))
    calls = []
    for name in replicas:
        networks = target.containers[name]["NetworkSettings"]["Networks"].values()
        address = next((n["IPAddress"] for n in networks if n["IPAddress"]), None)
        assert address, f"{name} does not run"
        calls.append(["request", "GET", f"http://{address}:{port}{path}"])
    answers = dict(zip(replicas, target.call(*calls), strict=True))
    assert {answer["status"] for answer in answers.values()} == {200}, answers

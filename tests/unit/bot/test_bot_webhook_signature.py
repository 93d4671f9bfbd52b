"""Standard Webhooks: what the headers say, who signed, and the file of the secrets."""

from __future__ import annotations

import json
from base64 import b64encode
from secrets import token_bytes

import pytest
from app.core.webhook_secrets import keys_of, secrets_in
from app.webhook.server import SAY_SECONDS, Sayer
from app.webhook.signature import HEADERS, Claim, claim_of, proven, sign

NOW = 1_800_000_000
OLD, NEW = token_bytes(24), token_bytes(64)


def v1(digest: bytes) -> str:
    return f"v1,{b64encode(digest).decode()}"


def headers(**changes: str) -> dict[str, str]:
    signature = v1(sign(OLD, "msg_1", str(NOW), b"body"))
    good = dict(zip(HEADERS, ("msg_1", str(NOW), signature), strict=True))
    return good | {f"webhook-{name}": value for name, value in changes.items()}


def test_the_published_example() -> None:
    """Of the specification's own libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    key = keys_of(json.dumps({"shop": [secret]}))["shop"]
    example = dict(
        zip(
            HEADERS,
            (
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "1614265330",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            strict=True,
        )
    )
    claim = claim_of(example, 1614265330)
    assert isinstance(claim, Claim)
    assert proven(claim, key, b'{"test": 2432232314}')
    assert not proven(claim, key, b'{"test": 2432232315}')


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_what_is_accepted(age: int) -> None:
    claim = claim_of(headers(), NOW + age)
    assert isinstance(claim, Claim)
    assert (claim.delivery, claim.timestamp) == ("msg_1", str(NOW))
    assert proven(claim, (OLD,), b"body")


@pytest.mark.parametrize(
    ("changes", "now"),
    [
        ({"id": ""}, NOW),
        ({"timestamp": ""}, NOW),
        ({"signature": ""}, NOW),
        ({"id": "a.1"}, NOW),
        ({"id": "a b"}, NOW),
        ({"id": "\xe9"}, NOW),
        ({"id": "x" * 201}, NOW),
        ({}, NOW + 301),
        ({}, NOW - 301),
        ({"timestamp": "\uff11\uff18"}, NOW),
        ({"timestamp": "1_8"}, NOW),
        ({"timestamp": "-5"}, NOW),
        ({"timestamp": f"{NOW}.0"}, NOW),
        ({"timestamp": "nan"}, NOW),
        ({"timestamp": "9" * 5000}, NOW),
        ({"signature": "v1"}, NOW),
        ({"signature": "v1,"}, NOW),
        ({"signature": "v1,\xe9\udcff"}, NOW),
        ({"signature": v1(bytes(31))}, NOW),
        ({"signature": v1(bytes(32)).replace("v1", "v1a")}, NOW),
        ({"signature": v1(bytes(32)).replace("v1,", "sha256=")}, NOW),
        ({"signature": " ".join([v1(bytes(32))] * 9)}, NOW),
    ],
)
def test_what_the_headers_alone_refuse(changes: dict[str, str], now: int) -> None:
    assert isinstance(claim_of(headers(**changes), now), str)


@pytest.mark.parametrize("name", HEADERS)
def test_each_header_is_required(name: str) -> None:
    some = {key: value for key, value in headers().items() if key != name}
    assert isinstance(claim_of(some, NOW), str)


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, b"body "),
        ({"id": "msg_2"}, b"body"),
        ({"timestamp": str(NOW + 1)}, b"body"),
        ({"signature": v1(bytes(32))}, b"body"),
    ],
)
def test_what_no_key_has_signed(changes: dict[str, str], body: bytes) -> None:
    claim = claim_of(headers(**changes), NOW)
    assert isinstance(claim, Claim)
    assert not proven(claim, (OLD, NEW), body)


def test_any_of_the_signatures_and_any_of_the_keys() -> None:
    both = " ".join(
        ["v1a,AAAA", *(v1(sign(key, "msg_1", str(NOW), b"body")) for key in (OLD, NEW))]
    )
    claim = claim_of(headers(signature=both), NOW)
    assert isinstance(claim, Claim)
    assert [proven(claim, keys, b"body") for keys in ((OLD,), (NEW,), (NEW, OLD))] == [True] * 3
    assert not proven(claim, (token_bytes(32),), b"body")
    assert not proven(claim, (), b"body")


def whsec(key: bytes) -> str:
    return f"whsec_{b64encode(key).decode()}"


def test_the_secrets_of_sources() -> None:
    text = json.dumps({"shop": [whsec(OLD), whsec(NEW)], "b.c_d-1": [whsec(token_bytes(32))]})
    assert keys_of(text)["shop"] == (OLD, NEW)
    assert set(secrets_in(text)) >= {whsec(OLD), b64encode(NEW).decode()}


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("no json", "it is no JSON object"),
        ([whsec(OLD)], "it is no JSON object"),
        ({}, "it is no JSON object"),
        ({"a/b": [whsec(OLD)]}, "a source has a name"),
        ({"shop": whsec(OLD)}, "the source shop needs a list"),
        ({"shop": []}, "the source shop needs a list"),
        ({"shop": [whsec(OLD)] * 3}, "the source shop needs a list"),
        ({"shop": [b64encode(OLD).decode()]}, "a secret of the source shop is not whsec_"),
        ({"shop": [whsec(bytes(23))]}, "a secret of the source shop is not whsec_"),
        ({"shop": [whsec(bytes(65))]}, "a secret of the source shop is not whsec_"),
        ({"shop": ["whsec_not base64!"]}, "a secret of the source shop is not whsec_"),
        ({"shop": [7]}, "a secret of the source shop is not whsec_"),
        ({"shop": [whsec(OLD)], "b": [whsec(NEW), whsec(OLD)]}, "the sources shop and b share"),
    ],
)
def test_secrets_that_can_not_work(written: object, sentence: str) -> None:
    text = written if isinstance(written, str) else json.dumps(written)
    with pytest.raises(ValueError, match=sentence) as caught:
        keys_of(text)
    assert b64encode(OLD).decode() not in str(caught.value)


def test_a_flood_is_a_line_now_and_then() -> None:
    now = [0.0]
    sayer = Sayer(lambda: now[0])
    assert [sayer.count("a") for _ in range(5)] == [1, None, None, None, None]
    assert sayer.count("b") == 1
    now[0] += SAY_SECONDS
    assert [sayer.count("a"), sayer.count("a")] == [5, None]

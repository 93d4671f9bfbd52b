"""Standard Webhooks (https://www.standardwebhooks.com): who calls, and how fresh a call is.

What the headers alone can say is judged before the body is read. The source is not among what is
signed: it is bound by its secret, which no other source has.

Our own lines, and not the library `standardwebhooks`: that one judges headers and body together,
takes one secret, and lets a malformed header or a body that is no UTF-8 end in other errors than
its own.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WINDOW_SECONDS = 300
SIGNATURES_AT_MOST = 8
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
# No full stop, which parts id, time and body in what is signed: else "a.1" at 2 is "a" at 1.
DELIVERY = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,200}")
# Digits of ASCII only: int() takes "+1", " 1 " and "1_0" too.
TIMESTAMP = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class Claim:
    """What the headers of a call say, and nobody has proven yet."""

    delivery: str
    timestamp: str
    signatures: tuple[bytes, ...]


def sign(key: bytes, delivery: str, timestamp: str, body: bytes | bytearray) -> bytes:
    digest = hmac.new(key, f"{delivery}.{timestamp}.".encode(), hashlib.sha256)
    digest.update(body)
    return digest.digest()


def claim_of(headers: Mapping[str, str], now: float) -> Claim | str:
    """What the headers say, or why the call is not accepted."""
    delivery, timestamp, signature = (headers.get(name, "") for name in HEADERS)
    if not (delivery and timestamp and signature):
        return "Webhook-Id, Webhook-Timestamp and Webhook-Signature are required"
    if not DELIVERY.fullmatch(delivery):
        return "Webhook-Id is not 1 to 200 visible characters of ASCII without a full stop"
    if not TIMESTAMP.fullmatch(timestamp):
        return "Webhook-Timestamp is not a Unix time in seconds"
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        return f"Webhook-Timestamp is more than {WINDOW_SECONDS} s off"
    signatures = _signatures(signature)
    if not signatures:
        return "Webhook-Signature has no v1, and the base64 of an HMAC-SHA256"
    if len(signatures) > SIGNATURES_AT_MOST:
        return f"Webhook-Signature has more than {SIGNATURES_AT_MOST} signatures"
    return Claim(delivery, timestamp, signatures)


def _signatures(header: str) -> tuple[bytes, ...]:
    """Those of version 1; a caller may send others for other receivers."""
    found = []
    for each in header.split(" "):
        version, _, text = each.partition(",")
        if version != "v1":
            continue
        try:
            digest = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(digest) == hashlib.sha256().digest_size:
            found.append(digest)
    return tuple(found)


def proven(claim: Claim, keys: Iterable[bytes], body: bytes | bytearray) -> bool:
    """Whether one of the signatures was made with one of the keys."""
    return any(
        hmac.compare_digest(sign(key, claim.delivery, claim.timestamp, body), signature)
        for key in keys
        for signature in claim.signatures
    )

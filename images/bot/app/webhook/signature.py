"""Signed callbacks: who may call, and how fresh a call must be."""

import hashlib
import hmac

WINDOW_SECONDS = 300
SCHEME = "sha256="


def sign(secret: str, timestamp: str, body: bytes) -> str:
    message = timestamp.encode("utf-8") + b"." + body
    return SCHEME + hmac.new(secret.encode("utf-8"), message, hashlib.sha256).hexdigest()


def problem_with(
    secret: str, timestamp: str | None, signature: str | None, body: bytes, now: float
) -> str | None:
    """Why the call is not accepted, or None."""
    if not timestamp or not signature:
        return "X-Aisha-Timestamp and X-Aisha-Signature are required"
    # Digits of ASCII only: int() takes "+1", " 1 " and "1_0" too.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "X-Aisha-Timestamp is not a Unix time in seconds"
    # Before the age: a caller without the secret learns nothing about our clock.
    expected = sign(secret, timestamp, body).encode("utf-8")
    if not hmac.compare_digest(expected, signature.strip().lower().encode("utf-8", "replace")):
        return "the signature does not match"
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        return f"X-Aisha-Timestamp is more than {WINDOW_SECONDS} s off"
    return None

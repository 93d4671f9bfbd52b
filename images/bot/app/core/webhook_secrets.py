"""The secrets that callers of the webhook API sign with, each source's own.

The file holds a JSON object, from the name of a source to a list of one or two secrets as Standard
Webhooks writes them: `{"shop": ["whsec_…", "whsec_…"]}`. Two, so that a secret can be changed
while calls come in. No two sources share one: that a call is signed by the secret of its source is
what binds it to that source.
"""

import base64
import binascii
import json
import re
from typing import Any

SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PREFIX = "whsec_"
BYTES = range(24, 65)
AT_ONCE = 2

Keys = dict[str, tuple[bytes, ...]]


def key_of(secret: object) -> bytes | None:
    """The key in a secret, None where it has another form."""
    if not isinstance(secret, str) or not secret.startswith(PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) in BYTES else None


def keys_of(text: str) -> Keys:
    """From a source to its keys; ValueError with a sentence that shows none of them."""
    try:
        sources: Any = json.loads(text)
    except ValueError:
        sources = None
    if not isinstance(sources, dict) or not sources:
        raise ValueError('it is no JSON object like {"shop": ["whsec_…"]}, with a source or more')
    keys: Keys = {}
    for source, secrets in sources.items():
        if not SOURCE.fullmatch(source):
            raise ValueError(
                "a source has a name that can't be in an address: use letters, digits, _ . and -"
            )
        if not isinstance(secrets, list) or not 1 <= len(secrets) <= AT_ONCE:
            raise ValueError(f"the source {source} needs a list of one or two secrets")
        found = [key_of(secret) for secret in secrets]
        if None in found:
            raise ValueError(
                f"a secret of the source {source} is not whsec_ and the base64 of 24 to 64 bytes"
            )
        keys[source] = tuple(key for key in found if key is not None)
    seen: dict[bytes, str] = {}
    for source, own in keys.items():
        for key in own:
            if seen.setdefault(key, source) != source:
                raise ValueError(
                    f"the sources {seen[key]} and {source} share a secret: give each its own"
                )
    return keys


def secrets_in(text: str) -> list[str]:
    """Each secret as it is written, with its prefix and without, to keep it out of logs."""
    try:
        sources = json.loads(text)
        return [
            form
            for secrets in sources.values()
            for secret in secrets
            for form in (secret, secret.removeprefix(PREFIX))
        ]
    except (ValueError, AttributeError, TypeError):
        return [text]

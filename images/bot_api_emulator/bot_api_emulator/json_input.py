"""JSON from outside."""

from __future__ import annotations

import json
from typing import Any

# The server's own limit.
MAX_DEPTH = 100


def parse_json(text: str | bytes) -> Any:
    """Its value; ValueError for what can't be read, or could not be written again."""
    try:
        value = json.loads(text)
        # No NaN, no half of a character: whoever asks what was sent gets it as JSON.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("strings must be encoded in UTF-8") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for holder in level
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return value
    raise ValueError("it is nested too deep")

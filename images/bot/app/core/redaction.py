"""Removes secrets from text that is about to be shown."""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
# A bot token whose secret part this process may not know; %3A is the colon in a URL.
TOKEN = re.compile(r"(?<![0-9])([1-9][0-9]{4,14})(:|%3[Aa])([A-Za-z0-9_-]{30,64})(?![A-Za-z0-9_-])")
PASSWORD_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@\"']*):([^\s/@\"']+)@")
SHORTEST = 4


class Redactor:
    """Knows this process's secrets in every spelling in which a log line could carry them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings: set[str] = set()
        for secret in secrets:
            parts = {secret, unquote(secret)}
            # A token's secret half alone is as good as the token: the bot's id is public.
            head, colon, tail = secret.partition(":")
            if colon and head.isdigit():
                parts.add(tail)
            for part in parts:
                for text in (part, quote(part, safe=""), quote(part), quote_plus(part)):
                    spellings |= {text, json.dumps(text)[1:-1], repr(text)[1:-1]}
                    spellings.add(json.dumps(text, ensure_ascii=False)[1:-1])
        known = sorted((s for s in spellings if len(s) >= SHORTEST), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = TOKEN.sub(rf"\1\2{MASK}", text)
        return PASSWORD_IN_URL.sub(rf"\1:{MASK}@", text)

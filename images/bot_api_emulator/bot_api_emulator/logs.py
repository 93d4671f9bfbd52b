"""Logging that never shows a token."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable
from urllib.parse import unquote

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

HIDDEN = "***"
_MIN_SECRET = 16
_LOOKS_LIKE_TOKEN = re.compile(rf"(\d+)(:|%3[aA])[A-Za-z0-9_-]{{{_MIN_SECRET},}}")
_BOT_PATH = re.compile(r"(/file)?/bot([^/]*)(.*)", re.DOTALL)
_BOT_ID = re.compile(r"([1-9][0-9]*):", re.ASCII)

access_log = logging.getLogger("bot_api_emulator.access")


def redact_path(raw_path: str) -> str:
    """A request's path as it may be logged: the bot's id stays, the secret does not."""
    path = unquote(raw_path).partition("?")[0]
    match = _BOT_PATH.match(path)
    if match is None:
        return _printable(path)
    folder, token, rest = match.groups()
    bot_id = _BOT_ID.match(token)
    shown = f"{bot_id.group(1)}:{HIDDEN}" if bot_id else HIDDEN
    # After a malformed token the rest of the path may hold a piece of one.
    return f"{folder or ''}/bot{shown}{_printable(rest) if bot_id else ''}"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


class RedactingFormatter(logging.Formatter):
    """The last line of defence: also covers exceptions and what libraries log."""

    def __init__(self, tokens: Callable[[], Iterable[str]]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._tokens = tokens

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for token in self._tokens():
            bot_id, _, secret = token.partition(":")
            if secret not in text:
                continue
            if len(secret) >= _MIN_SECRET:
                text = text.replace(secret, HIDDEN)
            for colon in (":", "%3A", "%3a"):
                text = text.replace(f"{bot_id}{colon}{secret}", f"{bot_id}{colon}{HIDDEN}")
        return _LOOKS_LIKE_TOKEN.sub(rf"\1\2{HIDDEN}", text)


class AccessLogger(AbstractAccessLogger):
    """One line for each request of a bot or a tester; health checks are left out."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        path = redact_path(request.rel_url.raw_path)
        if path != "/control/health":
            access_log.info(
                "%s %s %s %d %.1f ms",
                request.remote,
                request.method,
                path,
                response.status,
                time * 1000,
            )


def set_up(level: str, tokens: Callable[[], Iterable[str]]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(tokens))
    logging.basicConfig(level=level, handlers=[handler], force=True)

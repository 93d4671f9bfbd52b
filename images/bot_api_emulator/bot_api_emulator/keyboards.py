"""`reply_markup`: what the server takes for a keyboard, and what it refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .entities import checked_link
from .envelope import JsonObject, bad_request

MAX_CALLBACK_DATA = 64
MAX_BUTTONS = 100
_OTHER_TYPES = (
    "callback_game",
    "pay",
    "switch_inline_query",
    "switch_inline_query_chosen_chat",
    "switch_inline_query_current_chat",
    "copy_text",
)
_STYLES = ("", "default", "primary", "danger", "success")


@dataclass(frozen=True)
class Markup:
    """At most one of these is there."""

    inline: list[list[JsonObject]] | None = None
    reply: list[list[str]] | None = None
    removes: bool = False
    forces_reply: bool = False


class _ButtonError(Exception):
    """Why a button can't be parsed, in the server's words."""


def parse_markup(given: Any, *, inline_only: bool = False) -> Markup:
    if given is None:
        return Markup()
    if not isinstance(given, dict):
        raise bad_request("object expected as reply markup")
    keyboard = _rows(given, "keyboard", "keyboard", _reply_button)
    inline = _rows(given, "inline_keyboard", "inline keyboard", _inline_button)
    if keyboard:
        found = Markup(reply=keyboard)
    elif inline:
        _check_buttons(inline)
        found = Markup(inline=inline)
    else:
        found = Markup(
            removes=given.get("remove_keyboard") is True or given.get("hide_keyboard") is True,
            forces_reply=given.get("force_reply") is True,
        )
    if inline_only and (found.reply or found.removes or found.forces_reply):
        raise bad_request("inline keyboard expected")
    return found


def _rows(given: JsonObject, name: str, what: str, parse: Any) -> list[list[Any]]:
    rows = given.get(name)
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise bad_request(f'field "{name}" must be of type Array')
    whose = " of the InlineKeyboardMarkup" if name == "inline_keyboard" else ""
    found = []
    for row in rows:
        if not isinstance(row, list):
            raise bad_request(f'field "{name}"{whose} must be an Array of Arrays')
        try:
            found.append([parse(button) for button in row])
        except _ButtonError as error:
            raise bad_request(f"can't parse {what} button: {error}") from None
    return [row for row in found if row]


def _string(button: JsonObject, name: str, *, required: bool = False) -> str:
    value = button.get(name)
    if value is None:
        if required:
            raise _ButtonError(f'Can\'t find field "{name}"')
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _ButtonError(f'Field "{name}" must be of type String')
    return value


def _style(button: JsonObject) -> None:
    if _string(button, "style").lower() not in _STYLES:
        raise _ButtonError("invalid button style specified")


def _reply_button(button: Any) -> str:
    if isinstance(button, str):
        return button
    if not isinstance(button, dict):
        raise _ButtonError("KeyboardButton must be a String or an Object")
    _style(button)
    return _string(button, "text", required=True)


def _inline_button(button: Any) -> JsonObject:
    if not isinstance(button, dict):
        raise _ButtonError("InlineKeyboardButton must be an Object")
    _string(button, "text", required=True)
    _style(button)
    typed = (
        bool(_string(button, "url"))
        or bool(_string(button, "callback_data"))
        or any(button.get(name) is not None for name in _OTHER_TYPES)
    )
    for name in ("login_url", "web_app"):
        if button.get(name) is not None:
            if not isinstance(button[name], dict):
                raise _ButtonError(f'Field "{name}" must be of type Object')
            _string(button[name], "url", required=True)
            typed = True
    if not typed:
        raise _ButtonError("Text buttons are unallowed in the inline keyboard")
    return {name: value for name, value in button.items() if value is not None}


def _check_buttons(rows: list[list[JsonObject]]) -> None:
    buttons = [button for row in rows for button in row]
    for button in buttons:
        if not button["text"]:
            raise bad_request("inline keyboard button text must be non-empty")
        if button.get("url"):
            _check_url("URL", button["url"], https_only=False)
        elif button.get("callback_data"):
            if len(str(button["callback_data"]).encode()) > MAX_CALLBACK_DATA:
                raise bad_request("BUTTON_DATA_INVALID")
        elif "login_url" in button:
            _check_url("login URL", button["login_url"]["url"], https_only=True)
        elif "web_app" in button:
            _check_url("Web App URL", button["web_app"]["url"], https_only=True)
    if len(buttons) > MAX_BUTTONS:
        raise bad_request("reply markup is too long")


def _check_url(what: str, url: str, *, https_only: bool) -> None:
    problem = ""
    if https_only and re.match(r"https://", url, re.IGNORECASE) is None:
        problem = "Only HTTPS links are allowed"
    elif not checked_link(url):
        problem = "Wrong HTTP URL"
    if problem:
        raise bad_request(f"inline keyboard button {what} '{url}' is invalid: {problem}")

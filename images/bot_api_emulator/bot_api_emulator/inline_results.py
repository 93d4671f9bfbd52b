"""The results of an inline query, read in the server's order and refused in its words."""

from __future__ import annotations

from typing import Any

from .entities import formatted
from .envelope import JsonObject, Refusal, bad_request
from .keyboards import parse_markup, read_markup

MAX_RESULTS = 50
MAX_RESULT_ID = 64
# Where the file is: an address, or a file that the bot has.
_FILES = {
    "audio": ("audio_url", "audio_file_id"),
    "document": ("document_url", "document_file_id"),
    "gif": ("gif_url", "gif_file_id"),
    "mpeg4_gif": ("mpeg4_url", "mpeg4_file_id"),
    "photo": ("photo_url", "photo_file_id"),
    "video": ("video_url", "video_file_id"),
    "voice": ("voice_url", "voice_file_id"),
}
# What a result must have besides.
_STRINGS = {
    "article": ("title",),
    "audio": (),
    "contact": ("phone_number", "first_name"),
    "document": ("title",),
    "game": ("game_short_name",),
    "gif": (),
    "location": ("title",),
    "mpeg4_gif": (),
    "photo": (),
    "sticker": ("sticker_file_id",),
    "venue": ("title", "address"),
    "video": ("title",),
    "voice": ("title",),
}
# What a result that has an address must have.
_WITH_URL = {"audio": "title", "document": "mime_type", "video": "mime_type"}
_PLACES = ("location", "venue")


class _Unreadable(Exception):
    """Why a result can't be parsed."""


def parse_results(given: Any) -> list[JsonObject]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise bad_request("expected an Array of inline query results")
    if len(given) > MAX_RESULTS:
        raise bad_request("too many inline query results specified")
    for result in given:
        try:
            _check(result)
        except _Unreadable as error:
            raise bad_request(f"can't parse inline query result: {error}") from None
        except Refusal as refusal:
            reason = str(refusal).removeprefix("Bad Request: ")
            reason = reason[:1].upper() + reason[1:]
            raise bad_request(f"can't parse inline query result: {reason}") from None
    # From here on it is not the server that refuses, but Telegram behind it.
    seen: set[str] = set()
    for result in given:
        _check_id(str(result["id"]), seen)
        parse_markup(result.get("reply_markup"), inline_only=True)
    return given


def _check_id(number: str, seen: set[str]) -> None:
    if not 0 < len(number.encode()) <= MAX_RESULT_ID:
        raise bad_request("RESULT_ID_INVALID")
    if number in seen:
        raise bad_request("RESULT_ID_DUPLICATE")
    seen.add(number)


def _string(result: JsonObject, name: str, *, required: bool = True) -> str:
    value = result.get(name)
    if value is None:
        if required:
            raise _Unreadable(f'Can\'t find field "{name}"')
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _Unreadable(f'Field "{name}" must be of type String')
    return value


def _number(result: JsonObject, name: str) -> None:
    value = result.get(name)
    if value is None:
        raise _Unreadable(f'Can\'t find field "{name}"')
    try:
        good = not isinstance(value, bool) and float(value) is not None
    except (ValueError, TypeError):
        good = False
    if not good:
        raise _Unreadable(f'Field "{name}" must be of type Number')


def _object(result: JsonObject, name: str) -> JsonObject | None:
    value = result.get(name)
    if value is not None and not isinstance(value, dict):
        raise _Unreadable(f'Field "{name}" must be of type Object')
    return value


def _check(result: Any) -> None:
    if not isinstance(result, dict):
        raise _Unreadable("Inline query result must be an object")
    kind = _string(result, "type").lower()
    _string(result, "id")
    content = _object(result, "input_message_content")
    if content is None:
        _check_text(result, "message_text", required=kind == "article")
    else:
        _check_content(content, required=kind == "article")
    _check_text(result, "caption", "caption_entities")
    if _object(result, "reply_markup") is not None:
        read_markup(result["reply_markup"])
    if kind not in _STRINGS:
        raise _Unreadable(f'type "{kind}" is unsupported for the inline query result')
    if kind in _PLACES:
        _place(result)
    for name in _STRINGS[kind]:
        _string(result, name)
    if kind in _FILES:
        url, file_id = _FILES[kind]
        if not _string(result, url, required=False):
            _string(result, file_id)
        elif kind in _WITH_URL:
            _string(result, _WITH_URL[kind])


def _check_text(
    holder: JsonObject, name: str, entities: str = "entities", *, required: bool = False
) -> None:
    text = _string(holder, name, required=required)
    mode = _string(holder, "parse_mode", required=False)
    if required and not text:
        raise _Unreadable("Message text is empty")
    formatted(text, mode, holder.get(entities))


def _place(holder: JsonObject) -> None:
    _number(holder, "latitude")
    _number(holder, "longitude")


def _check_content(content: JsonObject, *, required: bool) -> None:
    if _string(content, "message_text", required=False):
        _check_text(content, "message_text")
    elif "latitude" in content and "longitude" in content:
        _place(content)
    elif "phone_number" in content:
        _string(content, "phone_number")
        _string(content, "first_name")
    elif "payload" in content:
        for name in ("title", "description", "payload", "currency"):
            _string(content, name)
    elif required:
        raise _Unreadable("Input message content is not specified")


def check_button(given: Any) -> None:
    """The button above the results."""
    if given is None:
        return

    def wrong(reason: str) -> Refusal:
        return bad_request(f"can't parse inline query results button: {reason}")

    if not isinstance(given, dict):
        raise wrong("InlineQueryResultsButton must be an Object")
    try:
        _string(given, "text")
        if "start_parameter" in given:
            _string(given, "start_parameter")
        elif "web_app" in given:
            web_app = _object(given, "web_app")
            if web_app is None:
                raise _Unreadable('Can\'t find field "web_app"')
            _string(web_app, "url")
        else:
            raise _Unreadable("InlineQueryResultsButton must have exactly one optional field")
    except _Unreadable as error:
        raise wrong(str(error)) from None

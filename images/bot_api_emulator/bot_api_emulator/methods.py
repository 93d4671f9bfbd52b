"""Every method of the Bot API: those that really work, and all others by their published shape."""

from __future__ import annotations

import json
import re
from typing import Any

from . import chats, media, messages, profile, queries
from .arguments import Arguments
from .calls import Call, Handler, Outcome, find_chat, post, too_large
from .clock import SECOND
from .envelope import Answer, JsonObject, Refusal, failure, success
from .media import media_object
from .shapes import METHOD_NAMES, check, message_field, plausible, returns, unknown_parameters

__all__ = ["METHODS", "media_object", "perform", "too_large"]

# What the state machine answers itself.
_OWN = frozenset(
    (
        "getupdates",
        "setwebhook",
        "deletewebhook",
        "getwebhookinfo",
        "close",
        "logout",
        "getfile",
    )
)
_HANDLERS: dict[str, Handler] = {
    "sendPhoto": media.sender("photo"),
    "sendVideo": media.sender("video"),
    "sendAnimation": media.sender("animation"),
    "sendAudio": media.sender("audio"),
    "sendDocument": media.sender("document"),
    "sendVoice": media.sender("voice"),
    "sendVideoNote": media.sender("video_note"),
    "sendSticker": media.sender("sticker"),
    "sendMediaGroup": media.send_media_group,
    **messages.HANDLERS,
    **profile.HANDLERS,
    **chats.HANDLERS,
    **queries.HANDLERS,
}
EMULATED: dict[str, Handler] = {name.lower(): handler for name, handler in _HANDLERS.items()}
METHODS: dict[str, str] = {
    lowered: name for lowered, name in METHOD_NAMES.items() if lowered not in _OWN
}
_IDS = frozenset(
    (
        "chat_id",
        "from_chat_id",
        "user_id",
        "message_id",
        "message_thread_id",
        "reply_to_message_id",
    )
)
_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_TEXTS = ("text", "caption")
NOT_EMULATED = "checked and recorded only: the emulator does not really do this"


def perform(method: str, call: Call, *, strict: bool = False) -> Answer:
    """Do it, note it in the list of what was sent, and say how it ended."""
    name = METHODS[method]
    handler = EMULATED.get(method)
    if handler is None and strict:
        raise Refusal(
            failure(
                404,
                f"Not Found: method not found: the emulator does not really do {name}, "
                "and its mode strict is on",
            )
        )
    outcome = handler(call) if handler is not None else _by_shape(name, call)
    if handler is None or not method.startswith("get"):
        call.bot.record(_entry(name, call, outcome))
    return success(outcome.result, outcome.description)


def _by_shape(name: str, call: Call) -> Outcome:
    """Arguments of the published shape get a result of the published shape, and nothing happens."""
    values = check(name, call.arguments, call.files)
    if "chat_id" in values:
        find_chat(call, write=not name.startswith("get"))
    known: JsonObject = {**values, "date": call.now // SECOND, "User": call.bot.user()}
    kind = returns(name)
    files = {field: {"file_name": f.name, "file_size": f.size} for field, f in call.files.items()}
    result: Any
    if kind == "Message" or (kind == "Message or Boolean" and "chat_id" in values):
        result = _message(name, call, values, known)
    elif kind == "Boolean" or kind == "Message or Boolean":
        result = True
    else:
        result = plausible(kind, known)
    return Outcome(result, files, NOT_EMULATED, emulated=False)


def _message(name: str, call: Call, values: JsonObject, known: JsonObject) -> JsonObject:
    """sendDice leads to a message with `dice`; a change of a message gives that message."""
    place = (values.get("chat_id", 0), values.get("message_id", 0))
    message = call.bot.messages.get(place)
    if message is not None:
        return message
    field = "_".join(re.findall("[A-Z][a-z]*", name)).lower()
    kind = message_field(field)
    content = {field: plausible(kind, known)} if kind else {}
    return post(call, content, markup="reply_markup" in values)


def _entry(name: str, call: Call, outcome: Outcome) -> JsonObject:
    entry: JsonObject = {
        "method": name,
        "parameters": _recorded(call.arguments) | outcome.files,
        "time": call.now / SECOND,
    }
    result = outcome.result
    if isinstance(result, dict) and "message_id" in result:
        entry["message_id"] = result["message_id"]
    if isinstance(result, list) and result and all("message_id" in item for item in result):
        entry["message_ids"] = [item["message_id"] for item in result]
    if not outcome.emulated:
        entry["emulated"] = False
    unknown = unknown_parameters(name, call.arguments)
    if unknown:
        entry["unknown_parameters"] = unknown
    return entry


def _recorded(arguments: Arguments) -> JsonObject:
    """Parameters as a reader wants them: ids as numbers, nested objects as objects."""
    recorded: JsonObject = {}
    for name, text in arguments.as_dict().items():
        recorded[name] = text
        if name in _IDS and _INTEGER.fullmatch(text):
            recorded[name] = int(text)
        elif text[:1] in ("{", "[") and name not in _TEXTS:
            try:
                recorded[name] = json.loads(text)
            except ValueError:
                continue
    return recorded

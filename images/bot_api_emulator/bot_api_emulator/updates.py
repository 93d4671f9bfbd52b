"""Kinds of updates, how long each lives, and what an update must have to be valid."""

from __future__ import annotations

import json
import re
from typing import Any

from .envelope import JsonObject

DAY = 86_400

MESSAGE_KINDS = (
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_message",
    "edited_business_message",
)
LIFETIMES = {
    "message": DAY,
    "edited_message": DAY,
    "channel_post": DAY,
    "edited_channel_post": DAY,
    "inline_query": 30,
    "chosen_inline_result": 600,
    "callback_query": 150,
    "shipping_query": 150,
    "pre_checkout_query": 150,
    "poll": DAY,
    "poll_answer": DAY,
    "my_chat_member": DAY,
    "chat_member": DAY,
    "chat_join_request": DAY,
    "chat_boost": DAY,
    "removed_chat_boost": DAY,
    "message_reaction": DAY,
    "message_reaction_count": DAY,
    "business_connection": DAY,
    "business_message": DAY,
    "edited_business_message": DAY,
    "deleted_business_messages": DAY,
    "purchased_paid_media": DAY,
    "managed_bot": DAY,
    "guest_message": DAY,
}
DEFAULT_ALLOWED = frozenset(LIFETIMES) - {
    "chat_member",
    "message_reaction",
    "message_reaction_count",
}

_COMMAND = re.compile(r"(?<![\w/])/[A-Za-z0-9_]{1,64}(?:@\w{3,32})?(?!\w)")


def parse_allowed(text: str) -> frozenset[str] | None:
    """The set of kinds that `allowed_updates` asks for; None where it asks for no change."""
    try:
        names = json.loads(text)
    except ValueError:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    wanted = frozenset(name.lower() for name in names) & frozenset(LIFETIMES)
    return wanted or DEFAULT_ALLOWED


def user_object(user_id: int) -> JsonObject:
    return {"id": user_id, "is_bot": False, "first_name": f"User {user_id}", "language_code": "en"}


def chat_object(chat_id: int) -> JsonObject:
    if chat_id > 0:
        return {"id": chat_id, "type": "private", "first_name": f"User {chat_id}"}
    kind = "supergroup" if str(chat_id).startswith("-100") else "group"
    return {"id": chat_id, "type": kind, "title": f"Chat {chat_id}"}


def command_entities(text: str) -> list[JsonObject]:
    """Frameworks find a command by its entity, which the real server adds to a user's text."""
    return [
        {
            "type": "bot_command",
            "offset": _utf16_length(text[: match.start()]),
            "length": _utf16_length(match.group()),
        }
        for match in _COMMAND.finditer(text)
    ]


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def complete_message(
    message: JsonObject, *, message_id: int, date: int, channel: bool
) -> JsonObject:
    """Add what every message has and this one lacks."""
    given_chat: Any = message.get("chat")
    chat_id = given_chat.get("id") if isinstance(given_chat, dict) else None
    if not isinstance(chat_id, int) or isinstance(chat_id, bool) or chat_id == 0:
        raise ValueError("a message needs chat.id, an integer that is not 0")
    complete: JsonObject = {"message_id": message_id}
    if not channel:
        complete["from"] = user_object(chat_id if chat_id > 0 else 1_000_001)
    complete |= {"date": date, **message, "chat": {**chat_object(chat_id), **given_chat}}
    sender: Any = message.get("from")
    if isinstance(sender, dict) and isinstance(sender.get("id"), int):
        complete["from"] = {**user_object(sender["id"]), **sender}
    text = complete.get("text")
    if isinstance(text, str) and "entities" not in complete:
        entities = command_entities(text)
        if entities:
            complete["entities"] = entities
    return complete

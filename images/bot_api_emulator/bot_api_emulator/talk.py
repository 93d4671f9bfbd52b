"""A user's side of a conversation, for the control API: press a button, choose a result, wait.

What can't be done is a ValueError with a sentence for the tester, or a TimeoutError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .bot import Bot
from .chats import STATUSES
from .core import Core
from .entities import formatted
from .envelope import JsonObject
from .queue import Update
from .updates import chat_object, user_object

MAX_WAIT_SECONDS = 300.0
DEFAULT_WAIT_SECONDS = 10.0
GROUP_USER = 1_000_001
CHAT_TYPES = ("private", "group", "supergroup", "channel")


# What was sent


@dataclass(frozen=True)
class Wanted:
    """Which of the entries of `sent`."""

    after: int = 0
    method: str = ""
    chat_id: int | None = None
    text: str = ""

    def fits(self, entry: JsonObject) -> bool:
        parameters = entry["parameters"]
        texts = (str(parameters.get("text", "")), str(parameters.get("caption", "")))
        return (
            entry["number"] > self.after
            and self.method in ("", entry["method"].lower())
            and self.chat_id in (None, parameters.get("chat_id"))
            and any(self.text in text for text in texts)
        )


def wanted(query: Mapping[str, str]) -> Wanted:
    unknown = query.keys() - {"after", "method", "chat_id", "text", "count", "timeout_s"}
    if unknown:
        raise ValueError(
            f"unknown parameter {', '.join(sorted(unknown))}; known: after, method, chat_id, text, "
            "and for wait count and timeout_s"
        )
    return Wanted(
        after=_whole(query, "after", 0),
        method=query.get("method", "").lower(),
        chat_id=_whole(query, "chat_id", 0) if "chat_id" in query else None,
        text=query.get("text", ""),
    )


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} must be a whole number") from None


def sent(bot: Bot, query: Mapping[str, str]) -> list[JsonObject]:
    which = wanted(query)
    return [entry for entry in bot.sent if which.fits(entry)]


async def wait(bot: Bot, query: Mapping[str, str]) -> list[JsonObject]:
    """Until so many entries are there. The time is real time, not that of the emulator's clock."""
    which, count = wanted(query), _whole(query, "count", 1)
    try:
        seconds = float(query.get("timeout_s", DEFAULT_WAIT_SECONDS))
    except ValueError:
        seconds = -1.0
    if count < 1 or not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise ValueError(
            f"count must be 1 or more, timeout_s a number from 0 to {MAX_WAIT_SECONDS:.0f}"
        )
    arrived = asyncio.Event()
    bot.on_sent.add(arrived.set)
    try:
        async with asyncio.timeout(seconds):
            while True:
                arrived.clear()
                found = sent(bot, query)
                if len(found) >= count:
                    return found
                await arrived.wait()
    except TimeoutError:
        raise TimeoutError(_nothing(bot, which, count, seconds)) from None
    finally:
        bot.on_sent.discard(arrived.set)


def _nothing(bot: Bot, which: Wanted, count: int, seconds: float) -> str:
    others = [entry for entry in bot.sent if entry["number"] > which.after]
    shown = ", ".join(
        f"{entry['method']} {entry['parameters'].get('text', '')!r}" for entry in others[-10:]
    )
    found = sum(1 for entry in others if which.fits(entry))
    return (
        f"{found} of {count} arrived within {seconds:g} s; "
        f"the bot sent after {which.after}: {shown or 'nothing'}"
    )


# What a user does


def press(core: Core, bot: Bot, body: JsonObject) -> tuple[str, Update | None, JsonObject]:
    """Press a button, by its text or its data: the newest one that fits."""
    _known(body, "text", "data", "chat_id", "message_id", "inline_message_id", "from_id")
    text, data = body.get("text"), body.get("data")
    if not isinstance(text, str) and not isinstance(data, str):
        raise ValueError('say which button: {"text": "what is on it"} or {"data": "…"}')
    found = _find_button(bot, body, text, data)
    if found is None:
        return _press_reply_button(core, bot, body, text)
    message, inline_id, button = found
    if "callback_data" not in button:
        what = next((name for name in button if name not in ("text", "style")), "nothing")
        raise ValueError(
            f"the button {button['text']!r} is one of {what}: pressing it sends the bot nothing"
        )
    query: JsonObject = {"data": button["callback_data"]}
    if message is not None:
        chat_id = message["chat"]["id"]
        query["from"] = _user(bot, body, chat_id)
        query["message"] = message
    else:
        query["from"] = _user(bot, body, GROUP_USER)
        query["inline_message_id"] = inline_id
    update = core.push(bot, "callback_query", query)
    return "callback_query", update, {"callback_query_id": str(bot.conversation.last_query)}


Found = tuple[JsonObject | None, str, JsonObject]


def _find_button(bot: Bot, body: JsonObject, text: Any, data: Any) -> Found | None:
    inline_id = body.get("inline_message_id")
    places: list[tuple[JsonObject, str]] = []
    if inline_id is not None:
        message = bot.conversation.inline_messages.get(str(inline_id))
        places = [(message, str(inline_id))] if message else []
    else:
        places = [
            (message, "")
            for message in reversed(bot.messages.values())
            if body.get("chat_id") in (None, message["chat"]["id"])
            and body.get("message_id") in (None, message["message_id"])
        ]
    for message, number in places:
        for row in message.get("reply_markup", {}).get("inline_keyboard", []):
            for button in row:
                if (text is None or button.get("text") == text) and (
                    data is None or button.get("callback_data") == data
                ):
                    return (None if number else message), number, button
    return None


def _press_reply_button(
    core: Core, bot: Bot, body: JsonObject, text: Any
) -> tuple[str, Update | None, JsonObject]:
    """A button of a reply keyboard writes its text."""
    keyboards = bot.conversation.keyboards
    for chat_id, rows in reversed(keyboards.items()):
        fits = body.get("chat_id") in (None, chat_id)
        if fits and any(text in row for row in rows):
            sender = _user(bot, body, chat_id)
            chat = bot.chats.get(chat_id) or chat_object(chat_id)
            message = {"chat": chat, "from": sender, "text": text}
            return "message", core.push(bot, "message", message), {}
    there = [
        button["text"]
        for message in bot.messages.values()
        for row in message.get("reply_markup", {}).get("inline_keyboard", [])
        for button in row
    ]
    there += [label for rows in keyboards.values() for row in rows for label in row]
    raise ValueError(f"there is no such button; there are: {', '.join(there[-50:]) or 'none'}")


def choose(core: Core, bot: Bot, body: JsonObject) -> tuple[str, Update | None, JsonObject]:
    """Take a result of an answered inline query, as if it were sent to some chat."""
    _known(body, "inline_query_id", "result_id")
    query = bot.conversation.queries.get(str(body.get("inline_query_id")))
    if query is None or query.kind != "inline_query" or not query.answered:
        raise ValueError("inline_query_id must be that of an inline query that the bot answered")
    results = {str(result["id"]): result for result in query.results}
    result = results.get(str(body.get("result_id")))
    if result is None:
        raise ValueError(f"result_id must be one of: {', '.join(results) or 'there are none'}")
    content = result.get("input_message_content") or {}
    shown = formatted(
        str(content.get("message_text", "")),
        str(content.get("parse_mode") or ""),
        content.get("entities"),
    )
    chosen: JsonObject = {
        "result_id": str(result["id"]),
        "from": query.body["from"],
        "query": query.body.get("query", ""),
    }
    extra: JsonObject = {}
    if result.get("reply_markup"):
        # Telegram gives the id of the message only where it has buttons.
        number = f"emulated-inline-{len(bot.conversation.inline_messages) + 1}"
        bot.conversation.inline_messages[number] = {
            **shown.content(),
            "reply_markup": result["reply_markup"],
        }
        chosen["inline_message_id"] = extra["inline_message_id"] = number
    return "chosen_inline_result", core.push(bot, "chosen_inline_result", chosen), extra


def describe_chat(bot: Bot, body: JsonObject) -> JsonObject:
    """Say what a chat is like: its type and names, who is in it, whether it blocked the bot."""
    names = ("type", "title", "username", "first_name", "last_name", "is_forum")
    _known(body, "id", "blocked", "members", *names)
    chat_id = body.get("id")
    if not isinstance(chat_id, int) or isinstance(chat_id, bool) or chat_id == 0:
        raise ValueError("id must be an integer that is not 0")
    if body.get("type", "group") not in CHAT_TYPES:
        raise ValueError(f"type must be one of {', '.join(CHAT_TYPES)}")
    members = body.get("members", [])
    if not isinstance(members, list):
        raise ValueError("members must be a list")
    parsed = [_member(bot, member) for member in members]
    given = {name: body[name] for name in names if name in body}
    bot.chats[chat_id] = {**chat_object(chat_id), **bot.chats.get(chat_id, {}), **given}
    if "blocked" in body:
        blocked = bot.conversation.blocked
        (blocked.add if body["blocked"] is True else blocked.discard)(chat_id)
    for user, status in parsed:
        bot.conversation.set_member(chat_id, user, status)
    return bot.chats[chat_id]


def _member(bot: Bot, given: Any) -> tuple[JsonObject, JsonObject]:
    given = given if isinstance(given, dict) else {}
    user = given.get("user")
    user = user if isinstance(user, dict) else {}
    user_id = user.get("id")
    if not isinstance(user_id, int) or given.get("status") not in STATUSES:
        raise ValueError(
            'a member is {"user": {"id": …}, "status": "…"}, the status one of '
            + ", ".join(STATUSES)
        )
    known = bot.user() if user_id == bot.id else user_object(user_id)
    status = {name: value for name, value in given.items() if name != "user"}
    return {**known, **user}, status


def _user(bot: Bot, body: JsonObject, chat_id: int) -> JsonObject:
    given = body.get("from_id")
    user_id = given if isinstance(given, int) else chat_id if chat_id > 0 else GROUP_USER
    return bot.conversation.users.get(user_id) or user_object(user_id)


def _known(body: JsonObject, *names: str) -> None:
    unknown = body.keys() - set(names)
    if unknown:
        raise ValueError(
            f"unknown field {', '.join(sorted(unknown))}; known: {', '.join(sorted(names))}"
        )

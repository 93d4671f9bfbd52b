"""One call of a method, and what many methods need: its chat, its arguments, its new message."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .arguments import Arguments, Upload
from .bot import Bot
from .clock import SECOND
from .entities import FormattedText, from_arguments
from .envelope import Answer, JsonObject, Refusal, bad_request, failure
from .files import FileStore
from .keyboards import Markup, parse_markup
from .updates import chat_object, user_object

MAX_CAPTION = 1024
_CHAT_ID = re.compile(r"-?[1-9][0-9]{0,18}", re.ASCII)
_USER_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class Call:
    bot: Bot
    store: FileStore
    arguments: Arguments
    files: dict[str, Upload]
    now: int

    def text(self, name: str) -> str:
        return self.arguments.text(name)


@dataclass(frozen=True)
class Outcome:
    result: Any
    # Files as the list of what was sent shows them, by the parameter that gave them.
    files: JsonObject = field(default_factory=dict)
    description: str = ""
    emulated: bool = True


Handler = Callable[[Call], Outcome]


def too_large() -> Answer:
    return failure(413, "Request Entity Too Large")


def forbidden(reason: str) -> Refusal:
    return Refusal(failure(403, f"Forbidden: {reason}"))


def json_argument(call: Call, name: str, complaint: str) -> Any:
    text = call.text(name)
    if not text or text == "null":
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise bad_request(complaint) from None


def find_chat(call: Call, name: str = "chat_id", *, write: bool = True) -> JsonObject:
    """Every number is a chat that the bot may write to, until it was told otherwise."""
    if not call.text(name):
        raise bad_request(f"{name} is empty")
    return chat_named(call.bot, call.text(name), write=write)


def chat_named(bot: Bot, text: str, *, write: bool) -> JsonObject:
    chat: JsonObject | None = None
    if text.startswith("@"):
        wanted = text[1:].lower()
        chats = bot.chats.values()
        chat = next((c for c in chats if str(c.get("username", "")).lower() == wanted), None)
    elif _CHAT_ID.fullmatch(text):
        chat = bot.chats.get(int(text)) or chat_object(int(text))
    if chat is None:
        raise bad_request("chat not found")
    check_access(bot, chat, write=write)
    return chat


def check_access(bot: Bot, chat: JsonObject, *, write: bool) -> None:
    if chat["id"] > 0:
        if write and chat["id"] in bot.conversation.blocked:
            raise forbidden("bot was blocked by the user")
        return
    member = bot.conversation.members.get(chat["id"], {}).get(bot.id)
    kind = chat.get("type", "group")
    if member is not None and member["status"] == "kicked":
        raise forbidden(f"bot was kicked from the {kind} chat")
    if member is not None and member["status"] == "left":
        raise forbidden(f"bot is not a member of the {kind} chat")


def find_user(call: Call, name: str = "user_id") -> JsonObject:
    text = call.text(name)
    if not _USER_ID.fullmatch(text) or int(text) == 0:
        raise bad_request(f"invalid {name} specified")
    user_id = int(text)
    if user_id == call.bot.id:
        return call.bot.user()
    return call.bot.conversation.users.get(user_id) or user_object(user_id)


def find_message(call: Call, chat: JsonObject, what: str, name: str = "message_id") -> JsonObject:
    message = call.bot.messages.get((chat["id"], call.arguments.integer(name, 0)))
    if message is None:
        raise bad_request(f"{what} not found")
    return message


def message_ids(call: Call) -> list[int]:
    text = call.text("message_ids")
    if not text:
        raise bad_request("message identifiers are not specified")
    values = json_argument(call, "message_ids", "can't parse message_ids JSON object")
    if not isinstance(values, list):
        raise bad_request("expected an Array of message identifiers")
    if len(values) > 100:
        raise bad_request("too many message identifiers specified")
    if not values:
        raise bad_request("message identifiers are not specified")
    found = []
    for value in values:
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise bad_request("message identifier must be a Number")
        if value <= 0:
            raise bad_request("invalid message identifier specified")
        found.append(value)
    return found


def caption(call: Call) -> FormattedText:
    found = from_arguments(call.arguments, "caption", "caption_entities")
    check_caption(found)
    return found


def check_caption(found: FormattedText) -> None:
    if len(found.text) > MAX_CAPTION:
        raise bad_request("message caption is too long")


def markup_of(call: Call) -> Markup:
    given = json_argument(call, "reply_markup", "can't parse reply keyboard markup JSON object")
    return parse_markup(given)


def link_preview(call: Call) -> JsonObject:
    complaint = "can't parse link preview options JSON object"
    given = json_argument(call, "link_preview_options", complaint)
    if given is None:
        return {"is_disabled": True} if call.arguments.flag("disable_web_page_preview") else {}
    if not isinstance(given, dict):
        raise bad_request("object expected as link preview options")
    return given


def is_own(bot: Bot, message: JsonObject) -> bool:
    sender: JsonObject = message.get("from") or {}
    return sender.get("id") == bot.id or (
        "from" not in message and message.get("sender_chat") == message["chat"]
    )


def post(call: Call, content: JsonObject, *, markup: bool = True) -> JsonObject:
    """The message that the bot sends, and that its chat has from now on."""
    reply_to = _reply_to(call)
    keyboard = markup_of(call) if markup else Markup()
    chat = find_chat(call)
    original = _replied(call, chat, reply_to)
    bot = call.bot
    message: JsonObject = {"message_id": bot.next_message_id()}
    if chat.get("type") == "channel":
        message["sender_chat"] = chat
    else:
        message["from"] = bot.user()
    message |= {"chat": chat, "date": call.now // SECOND}
    thread = call.arguments.integer("message_thread_id", 0)
    if thread > 0:
        message |= {"message_thread_id": thread, "is_topic_message": True}
    if call.text("business_connection_id"):
        message["business_connection_id"] = call.text("business_connection_id")
    preview = link_preview(call)
    if preview:
        message["link_preview_options"] = preview
    if call.arguments.flag("protect_content"):
        message["has_protected_content"] = True
    if call.text("message_effect_id"):
        message["effect_id"] = call.text("message_effect_id")
    if original is not None and original["chat"]["id"] != chat["id"]:
        message["external_reply"] = {
            "origin": origin_of(original),
            "chat": original["chat"],
            "message_id": original["message_id"],
        }
    elif original is not None:
        message["reply_to_message"] = {
            name: value for name, value in original.items() if name != "reply_to_message"
        }
    message |= content
    if keyboard.inline is not None:
        message["reply_markup"] = {"inline_keyboard": keyboard.inline}
    if keyboard.reply is not None or keyboard.removes:
        bot.conversation.keyboards.pop(chat["id"], None)
    if keyboard.reply is not None:
        bot.conversation.keyboards[chat["id"]] = keyboard.reply
    bot.remember(message)
    return message


def origin_of(message: JsonObject) -> JsonObject:
    """Where a message comes from, for whoever sees it in another place."""
    origin: JsonObject = message.get("forward_origin") or {}
    if origin:
        return origin
    if "from" in message:
        return {"type": "user", "date": message["date"], "sender_user": message["from"]}
    return {
        "type": "channel",
        "date": message["date"],
        "chat": message["chat"],
        "message_id": message["message_id"],
    }


@dataclass(frozen=True)
class ReplyTo:
    number: int
    chat: str = ""
    lenient: bool = False


def _reply_to(call: Call) -> ReplyTo:
    """Which message is replied to, and whether it may be missing."""
    given = json_argument(call, "reply_parameters", "can't parse reply parameters JSON object")
    if given is None:
        lenient = call.arguments.flag("allow_sending_without_reply")
        return ReplyTo(call.arguments.integer("reply_to_message_id", 0), lenient=lenient)
    if not isinstance(given, dict):
        raise bad_request("object expected as reply parameters")
    if not given:
        return ReplyTo(0)
    if "message_id" not in given:
        raise bad_request('can\'t find field "message_id"')
    number = given["message_id"]
    if isinstance(number, str) and number.isascii() and number.isdigit():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        raise bad_request('field "message_id" must be a valid Number')
    chat = "" if given.get("chat_id") is None else str(given["chat_id"])
    return ReplyTo(number, chat, bool(given.get("allow_sending_without_reply")))


def _replied(call: Call, chat: JsonObject, to: ReplyTo) -> JsonObject | None:
    if to.number <= 0:
        return None
    if to.chat:
        chat = chat_named(call.bot, to.chat, write=False)
    original = call.bot.messages.get((chat["id"], to.number))
    # Of a chat that it has not heard of, it can't know what was written before its own start.
    if original is None and not to.lenient and chat["id"] in call.bot.chats:
        raise bad_request("message to be replied not found")
    return original

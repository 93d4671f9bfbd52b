"""The methods that send and describe: enough for a bot to talk, nothing more is promised."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .arguments import Arguments, Upload
from .bot import Bot
from .clock import SECOND
from .envelope import Answer, JsonObject, Refusal, bad_request, failure
from .files import MAX_UPLOAD, FileStore, StoredFile
from .updates import chat_object

MAX_TEXT = 4096
MAX_CAPTION = 1024
MAX_DURATION = 86_400
_CHAT_ID = re.compile(r"-?[1-9][0-9]{0,18}", re.ASCII)
CHAT_ACTIONS = frozenset(
    (
        "cancel",
        "typing",
        "record_video",
        "upload_video",
        "record_audio",
        "record_voice",
        "upload_audio",
        "upload_voice",
        "upload_photo",
        "upload_document",
        "choose_sticker",
        "pick_up_location",
        "find_location",
        "record_video_note",
        "upload_video_note",
    )
)


@dataclass(frozen=True)
class Outcome:
    result: Any
    files: JsonObject = field(default_factory=dict)


Files = dict[str, Upload]
Handler = Callable[[Bot, FileStore, Arguments, Files, int], Outcome]


def too_large() -> Answer:
    return failure(413, "Request Entity Too Large")


def media_object(file: StoredFile, arguments: Arguments) -> JsonObject:
    media: JsonObject = {
        "file_id": file.file_id,
        "file_unique_id": file.unique_id,
        "file_size": file.size,
        "mime_type": file.mime_type,
    }
    if file.kind in ("voice", "audio"):
        media["duration"] = arguments.integer("duration", 0, 0, MAX_DURATION)
    if file.kind != "voice" and file.name:
        media["file_name"] = file.name
    if file.kind == "audio":
        media |= {
            name: arguments.text(name) for name in ("title", "performer") if arguments.text(name)
        }
    return media


def _chat(bot: Bot, arguments: Arguments) -> JsonObject:
    text = arguments.text("chat_id")
    if not text:
        raise bad_request("chat_id is empty")
    if not _CHAT_ID.fullmatch(text):
        raise bad_request("chat not found")
    chat_id = int(text)
    return bot.chats.get(chat_id) or chat_object(chat_id)


def _json(arguments: Arguments, name: str, complaint: str) -> Any:
    text = arguments.text(name)
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise bad_request(complaint) from None


def _post(bot: Bot, arguments: Arguments, now: int, content: JsonObject) -> JsonObject:
    chat = _chat(bot, arguments)
    message: JsonObject = {
        "message_id": bot.next_message_id(),
        "from": bot.user(),
        "chat": chat,
        "date": now // SECOND,
        **content,
    }
    reply = _json(arguments, "reply_parameters", "can't parse reply parameters JSON object")
    reply_to = arguments.integer("reply_to_message_id", 0)
    if isinstance(reply, dict) and isinstance(reply.get("message_id"), int):
        reply_to = reply["message_id"]
    original = bot.messages.get((chat["id"], reply_to))
    if original is not None:
        message["reply_to_message"] = {
            name: value for name, value in original.items() if name != "reply_to_message"
        }
    _add_keyboard(message, arguments)
    bot.remember(message)
    return message


def _add_keyboard(message: JsonObject, arguments: Arguments) -> None:
    markup = _json(arguments, "reply_markup", "can't parse reply keyboard markup JSON object")
    if isinstance(markup, dict) and "inline_keyboard" in markup:
        message["reply_markup"] = markup


def _text(arguments: Arguments) -> JsonObject:
    text = arguments.text("text")
    if not text.strip():
        raise bad_request("message text is empty")
    if len(text) > MAX_TEXT:
        raise bad_request("message is too long")
    content: JsonObject = {"text": text}
    entities = _json(arguments, "entities", "can't parse entities JSON object")
    if entities:
        content["entities"] = entities
    return content


def get_me(bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int) -> Outcome:
    return Outcome(bot.me())


def send_message(
    bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int
) -> Outcome:
    return Outcome(_post(bot, arguments, now, _text(arguments)))


def send_chat_action(
    bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int
) -> Outcome:
    if arguments.text("action").lower() not in CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    _chat(bot, arguments)
    return Outcome(True)


def _sender(kind: str) -> Handler:
    def send(bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int) -> Outcome:
        given = arguments.text(kind)
        upload = files.get(given.removeprefix("attach://") if given else kind)
        if upload is None and not given:
            raise bad_request(f"there is no {kind} in the request")
        caption = arguments.text("caption")
        if len(caption) > MAX_CAPTION:
            raise bad_request("message caption is too long")
        _chat(bot, arguments)
        if upload is None:
            known = store.by_id(bot.id, given)
            if known is None:
                raise bad_request(
                    "wrong remote file identifier specified: the emulator knows file ids that it "
                    "gave to this bot, and fetches no URL"
                )
            file = known
        else:
            if upload.size == 0:
                raise bad_request("file must be non-empty")
            if upload.size > MAX_UPLOAD:
                raise Refusal(too_large())
            file = store.add(bot.id, kind, upload)
        content: JsonObject = {kind: media_object(file, arguments)}
        if caption:
            content["caption"] = caption
        described = {
            "file_id": file.file_id,
            "file_name": file.name,
            "mime_type": file.mime_type,
            "file_size": file.size,
        }
        return Outcome(_post(bot, arguments, now, content), {kind: described})

    return send


def edit_message_text(
    bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int
) -> Outcome:
    content = _text(arguments)
    chat = _chat(bot, arguments)
    message = bot.messages.get((chat["id"], arguments.integer("message_id", 0)))
    if message is None:
        raise bad_request("message to edit not found")
    if message["from"]["id"] != bot.id or "text" not in message:
        raise bad_request("message can't be edited")
    edited = {name: value for name, value in message.items() if name != "reply_markup"}
    edited |= {**content, "edit_date": now // SECOND}
    _add_keyboard(edited, arguments)
    unchanged = edited["text"] == message["text"] and edited.get("reply_markup") == message.get(
        "reply_markup"
    )
    if unchanged:
        raise bad_request("message is not modified")
    bot.remember(edited)
    return Outcome(edited)


def delete_message(
    bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int
) -> Outcome:
    chat = _chat(bot, arguments)
    if bot.messages.pop((chat["id"], arguments.integer("message_id", 0)), None) is None:
        raise bad_request("message to delete not found")
    return Outcome(True)


def answer_callback_query(
    bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int
) -> Outcome:
    if not arguments.text("callback_query_id"):
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    return Outcome(True)


def _command_key(arguments: Arguments) -> tuple[str, str]:
    scope = _json(arguments, "scope", "can't parse BotCommandScope JSON object")
    return json.dumps(scope or {"type": "default"}, sort_keys=True), arguments.text("language_code")


def set_my_commands(
    bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int
) -> Outcome:
    commands = _json(arguments, "commands", "can't parse commands JSON object") or []
    if not isinstance(commands, list):
        raise bad_request("expected an Array of BotCommand")
    for command in commands:
        if not isinstance(command, dict) or not {"command", "description"} <= command.keys():
            raise bad_request("a BotCommand needs command and description")
    bot.commands[_command_key(arguments)] = commands
    return Outcome(True)


def get_my_commands(
    bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int
) -> Outcome:
    return Outcome(bot.commands.get(_command_key(arguments), []))


def delete_my_commands(
    bot: Bot, store: FileStore, arguments: Arguments, files: Files, now: int
) -> Outcome:
    bot.commands.pop(_command_key(arguments), None)
    return Outcome(True)


_HANDLERS: dict[str, Handler] = {
    "getMe": get_me,
    "sendMessage": send_message,
    "sendChatAction": send_chat_action,
    "sendVoice": _sender("voice"),
    "sendAudio": _sender("audio"),
    "sendDocument": _sender("document"),
    "editMessageText": edit_message_text,
    "deleteMessage": delete_message,
    "answerCallbackQuery": answer_callback_query,
    "setMyCommands": set_my_commands,
    "getMyCommands": get_my_commands,
    "deleteMyCommands": delete_my_commands,
}
METHODS: dict[str, tuple[str, Handler]] = {
    name.lower(): (name, handler) for name, handler in _HANDLERS.items()
}
SENDING = frozenset(METHODS) - {"getme", "getmycommands"}

"""Messages of text and small things, and what is done to messages that are there."""

from __future__ import annotations

from .calls import (
    Call,
    Handler,
    Outcome,
    caption,
    find_chat,
    find_message,
    is_own,
    json_argument,
    link_preview,
    message_ids,
    origin_of,
    post,
)
from .clock import SECOND
from .entities import FormattedText, from_arguments
from .envelope import JsonObject, bad_request
from .keyboards import parse_markup
from .media import edited_media

MAX_TEXT = 4096
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
MEDIA = (
    "photo",
    "video",
    "animation",
    "audio",
    "document",
    "voice",
    "video_note",
    "sticker",
)
# What a message is about; all else is around it.
CONTENT = (
    *MEDIA,
    "text",
    "entities",
    "caption",
    "caption_entities",
    "link_preview_options",
    "show_caption_above_media",
    "has_media_spoiler",
    "location",
    "venue",
    "contact",
    "dice",
    "poll",
    "game",
    "invoice",
    "checklist",
)
_CAPTIONED = ("photo", "video", "animation", "audio", "document", "voice")
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)


def _text(call: Call) -> JsonObject:
    if not call.text("text"):
        raise bad_request("message text is empty")
    found = from_arguments(call.arguments, "text", "entities")
    if not found.text:
        raise bad_request("message text is empty")
    if len(found.text) > MAX_TEXT:
        raise bad_request("message is too long")
    return found.content()


def send_message(call: Call) -> Outcome:
    return Outcome(post(call, _text(call)))


def send_chat_action(call: Call) -> Outcome:
    if call.text("action").lower() not in CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    find_chat(call)
    return Outcome(True)


# Copies


def _contents(message: JsonObject) -> JsonObject:
    return {name: message[name] for name in CONTENT if name in message}


def _original(call: Call, what: str) -> JsonObject:
    if not call.text("from_chat_id"):
        raise bad_request('parameter "from_chat_id" is required')
    chat = find_chat(call, "from_chat_id", write=False)
    message = find_message(call, chat, what)
    if not _contents(message):
        done = "copied" if what.endswith("copy") else "forwarded"
        raise bad_request(f"message can't be {done}")
    return message


def _with_caption(call: Call, content: JsonObject) -> JsonObject:
    """The copy with the caption that was asked for, in place of its own."""
    if "caption" not in call.arguments.as_dict() or "text" in content:
        return content
    kept = {k: v for k, v in content.items() if k not in ("caption", "caption_entities")}
    return kept | caption(call).content("caption", "caption_entities")


def copy_message(call: Call) -> Outcome:
    content = _with_caption(call, _contents(_original(call, "message to copy")))
    return Outcome({"message_id": post(call, content)["message_id"]})


def forward_message(call: Call) -> Outcome:
    message = _original(call, "message to forward")
    content = {"forward_origin": origin_of(message), **_contents(message)}
    return Outcome(post(call, content, markup=False))


def _several(call: Call, *, forward: bool) -> Outcome:
    if not call.text("from_chat_id"):
        raise bad_request('parameter "from_chat_id" is required')
    numbers = message_ids(call)
    find_chat(call)
    chat = find_chat(call, "from_chat_id", write=False)
    found = [call.bot.messages.get((chat["id"], number)) for number in numbers]
    originals = [message for message in found if message and _contents(message)]
    if not originals:
        raise bad_request("there are no messages to forward")
    groups: dict[str, str] = {}
    results = []
    for message in originals:
        content = _contents(message)
        if forward:
            content["forward_origin"] = origin_of(message)
        elif call.arguments.flag("remove_caption"):
            content = {k: v for k, v in content.items() if not k.startswith("caption")}
        if "media_group_id" in message:
            group = message["media_group_id"]
            content["media_group_id"] = groups.setdefault(group, call.bot.conversation.next_group())
        results.append({"message_id": post(call, content, markup=False)["message_id"]})
    return Outcome(results)


def copy_messages(call: Call) -> Outcome:
    return _several(call, forward=False)


def forward_messages(call: Call) -> Outcome:
    return _several(call, forward=True)


# Changes


def _change(call: Call, content: JsonObject | None, needs: tuple[str, ...], lacks: str) -> Outcome:
    """Put new content, if there is any, and the new keyboard, if there is one, into a message."""
    given = json_argument(call, "reply_markup", "can't parse reply keyboard markup JSON object")
    inline = not call.text("chat_id") and call.arguments.integer("message_id", 0) == 0
    keyboard = parse_markup(given, inline_only=True).inline
    message = _inline(call) if inline else _editable(call)
    if needs and not inline and not any(name in message for name in needs):
        raise bad_request(lacks)
    kept = {name: value for name, value in message.items() if name != "reply_markup"}
    if content is not None:
        kept = {name: value for name, value in kept.items() if name not in CONTENT}
    edited = kept | (content or {})
    if keyboard is not None:
        edited["reply_markup"] = {"inline_keyboard": keyboard}
    if edited == message:
        raise bad_request(NOT_MODIFIED)
    edited["edit_date"] = call.now // SECOND
    if inline:
        call.bot.conversation.inline_messages[call.text("inline_message_id")] = edited
        return Outcome(True)
    call.bot.remember(edited)
    return Outcome(edited)


def _inline(call: Call) -> JsonObject:
    if not call.text("inline_message_id"):
        raise bad_request("message identifier is not specified")
    message = call.bot.conversation.inline_messages.get(call.text("inline_message_id"))
    if message is None:
        raise bad_request("MESSAGE_ID_INVALID")
    return {name: value for name, value in message.items() if name != "edit_date"}


def _editable(call: Call) -> JsonObject:
    chat = find_chat(call)
    message = find_message(call, chat, "message to edit")
    if not is_own(call.bot, message) or "forward_origin" in message:
        raise bad_request("message can't be edited")
    return {name: value for name, value in message.items() if name != "edit_date"}


def edit_message_text(call: Call) -> Outcome:
    content = _text(call)
    preview = link_preview(call)
    if preview:
        content["link_preview_options"] = preview
    return _change(call, content, ("text",), "there is no text in the message to edit")


def edit_message_caption(call: Call) -> Outcome:
    found: FormattedText = caption(call)
    lacks = "there is no caption in the message to edit"
    inline = not call.text("chat_id")
    message = _inline(call) if inline and call.text("inline_message_id") else _editable(call)
    kept = {k: v for k, v in _contents(message).items() if not k.startswith("caption")}
    return _change(call, kept | found.content("caption", "caption_entities"), _CAPTIONED, lacks)


def edit_message_media(call: Call) -> Outcome:
    content, shown = edited_media(call)
    outcome = _change(call, content, (*_CAPTIONED, "text"), "message can't be edited")
    return Outcome(outcome.result, shown)


def edit_message_reply_markup(call: Call) -> Outcome:
    return _change(call, None, (), "")


def delete_message(call: Call) -> Outcome:
    if not call.text("chat_id"):
        raise bad_request("chat identifier is not specified")
    if call.arguments.integer("message_id", 0) <= 0:
        raise bad_request("message identifier is not specified")
    chat = find_chat(call)
    message = find_message(call, chat, "message to delete")
    _forget(call, chat, message["message_id"])
    return Outcome(True)


def delete_messages(call: Call) -> Outcome:
    numbers = message_ids(call)
    chat = find_chat(call)
    for number in numbers:
        _forget(call, chat, number)
    return Outcome(True)


def _forget(call: Call, chat: JsonObject, number: int) -> None:
    call.bot.messages.pop((chat["id"], number), None)
    pinned = call.bot.conversation.pinned.get(chat["id"], [])
    if number in pinned:
        pinned.remove(number)


# Pins


def pin_chat_message(call: Call) -> Outcome:
    chat = find_chat(call)
    number = find_message(call, chat, "message to pin")["message_id"]
    pinned = call.bot.conversation.pinned.setdefault(chat["id"], [])
    if number in pinned:
        pinned.remove(number)
    pinned.append(number)
    return Outcome(True)


def unpin_chat_message(call: Call) -> Outcome:
    chat = find_chat(call)
    pinned = call.bot.conversation.pinned.setdefault(chat["id"], [])
    if call.arguments.integer("message_id", 0) > 0:
        number = find_message(call, chat, "message to unpin")["message_id"]
        if number in pinned:
            pinned.remove(number)
    elif pinned:
        pinned.pop()
    else:
        raise bad_request("message to unpin not found")
    return Outcome(True)


def unpin_all_chat_messages(call: Call) -> Outcome:
    call.bot.conversation.pinned.pop(find_chat(call)["id"], None)
    return Outcome(True)


HANDLERS: dict[str, Handler] = {
    "sendMessage": send_message,
    "sendChatAction": send_chat_action,
    "copyMessage": copy_message,
    "copyMessages": copy_messages,
    "forwardMessage": forward_message,
    "forwardMessages": forward_messages,
    "editMessageText": edit_message_text,
    "editMessageCaption": edit_message_caption,
    "editMessageMedia": edit_message_media,
    "editMessageReplyMarkup": edit_message_reply_markup,
    "deleteMessage": delete_message,
    "deleteMessages": delete_messages,
    "pinChatMessage": pin_chat_message,
    "unpinChatMessage": unpin_chat_message,
    "unpinAllChatMessages": unpin_all_chat_messages,
}

"""Chats and who is in them."""

from __future__ import annotations

from .calls import Call, Handler, Outcome, find_chat, find_user, json_argument
from .envelope import JsonObject, bad_request
from .shapes import plausible

SUPERGROUPS = ("supergroup", "channel")
ONLY_SUPERGROUPS = "method is available for supergroup and channel chats only"
MAX_TITLE = 128
MAX_DESCRIPTION = 255
ADMIN_RIGHTS = (
    "can_manage_chat",
    "can_change_info",
    "can_delete_messages",
    "can_invite_users",
    "can_restrict_members",
    "can_promote_members",
    "can_manage_video_chats",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
    "can_send_welcome_messages",
    "can_post_messages",
    "can_edit_messages",
    "can_pin_messages",
    "can_manage_topics",
    "can_manage_direct_messages",
    "can_manage_tags",
    "is_anonymous",
)
_MEMBER_TYPES = {
    "creator": "ChatMemberOwner",
    "administrator": "ChatMemberAdministrator",
    "member": "ChatMemberMember",
    "restricted": "ChatMemberRestricted",
    "left": "ChatMemberLeft",
    "kicked": "ChatMemberBanned",
}
STATUSES = tuple(_MEMBER_TYPES)


def get_chat(call: Call) -> Outcome:
    bot = call.bot
    chat = find_chat(call, write=False)
    full: JsonObject = {
        **chat,
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": plausible("AcceptedGiftTypes", {}),
    }
    full |= bot.conversation.chat_texts.get(chat["id"], {})
    pinned = bot.conversation.pinned.get(chat["id"], [])
    message = bot.messages.get((chat["id"], pinned[-1])) if pinned else None
    if message is not None:
        full["pinned_message"] = message
    if chat["id"] < 0 and chat.get("type") != "channel":
        full["permissions"] = {"can_send_messages": True}
    return Outcome(full)


def _complete(member: JsonObject) -> JsonObject:
    """All that a member of its status has, the rights of the creator of a chat among them."""
    result: JsonObject = plausible(_MEMBER_TYPES[member["status"]], {**member, "User": None})
    result["user"] = member["user"]
    if "until_date" in result:
        result["until_date"] = member.get("until_date", 0)
    return result


def member_of(call: Call, chat: JsonObject, user: JsonObject) -> JsonObject:
    bot = call.bot
    conversation = bot.conversation
    member = conversation.members.get(chat["id"], {}).get(user["id"])
    if member is not None:
        return member
    if user["id"] == bot.id or chat["id"] == user["id"]:
        return {"status": "member", "user": user}
    if user["id"] not in conversation.users:
        raise bad_request("user not found")
    return {"status": "left", "user": user}


def get_chat_member(call: Call) -> Outcome:
    user = find_user(call)
    return Outcome(_complete(member_of(call, find_chat(call, write=False), user)))


def get_chat_administrators(call: Call) -> Outcome:
    chat = find_chat(call, write=False)
    if chat["id"] > 0:
        raise bad_request("there are no administrators in the private chat")
    present = call.bot.conversation.present(chat["id"])
    return Outcome([_complete(m) for m in present if m["status"] in ("creator", "administrator")])


def get_chat_member_count(call: Call) -> Outcome:
    chat = find_chat(call, write=False)
    if chat["id"] > 0:
        return Outcome(2)
    others = [
        member
        for member in call.bot.conversation.present(chat["id"])
        if member["user"]["id"] != call.bot.id
    ]
    return Outcome(1 + len(others))


def _set(call: Call, chat: JsonObject, user: JsonObject, status: JsonObject) -> Outcome:
    call.bot.conversation.set_member(chat["id"], user, status)
    return Outcome(True)


def _no_owner(call: Call, chat: JsonObject, user: JsonObject) -> None:
    if member_or_none(call, chat, user) == "creator":
        raise bad_request("can't remove chat owner")


def member_or_none(call: Call, chat: JsonObject, user: JsonObject) -> str:
    member = call.bot.conversation.members.get(chat["id"], {}).get(user["id"])
    return str(member["status"]) if member else ""


def ban_chat_member(call: Call) -> Outcome:
    user, chat = find_user(call), find_chat(call)
    if chat["id"] > 0:
        raise bad_request("can't ban members in private chats")
    _no_owner(call, chat, user)
    until = call.arguments.integer("until_date", 0)
    return _set(call, chat, user, {"status": "kicked", "until_date": until})


def unban_chat_member(call: Call) -> Outcome:
    user, chat = find_user(call), find_chat(call)
    if chat.get("type") not in SUPERGROUPS:
        raise bad_request(ONLY_SUPERGROUPS)
    only_banned = call.arguments.flag("only_if_banned")
    if only_banned and member_or_none(call, chat, user) != "kicked":
        return Outcome(True)
    return _set(call, chat, user, {"status": "left"})


def restrict_chat_member(call: Call) -> Outcome:
    user = find_user(call)
    permissions = json_argument(call, "permissions", "can't parse permissions JSON object")
    if not isinstance(permissions, dict):
        raise bad_request("object expected as permissions")
    chat = find_chat(call)
    if chat.get("type") != "supergroup":
        raise bad_request("method is available only for supergroups")
    _no_owner(call, chat, user)
    until = call.arguments.integer("until_date", 0)
    status = {"status": "restricted", "is_member": True, "until_date": until, **permissions}
    return _set(call, chat, user, status)


def promote_chat_member(call: Call) -> Outcome:
    user, chat = find_user(call), find_chat(call)
    if chat.get("type") not in SUPERGROUPS:
        raise bad_request(ONLY_SUPERGROUPS)
    _no_owner(call, chat, user)
    rights = {name: call.arguments.flag(name) for name in ADMIN_RIGHTS}
    if not any(rights.values()):
        return _set(call, chat, user, {"status": "member"})
    return _set(call, chat, user, {"status": "administrator", "can_be_edited": True, **rights})


def leave_chat(call: Call) -> Outcome:
    chat = find_chat(call, write=False)
    if chat["id"] > 0:
        raise bad_request("chat member status can't be changed in private chats")
    return _set(call, chat, call.bot.user(), {"status": "left"})


def set_chat_title(call: Call) -> Outcome:
    chat = find_chat(call)
    title = call.text("title").strip()
    if chat["id"] > 0:
        raise bad_request("can't change private chat title")
    if not title:
        raise bad_request("title must be non-empty")
    if len(title) > MAX_TITLE:
        raise bad_request("title is too long")
    if title == chat.get("title"):
        raise bad_request("chat title is not modified")
    call.bot.chats[chat["id"]] = {**chat, "title": title}
    return Outcome(True)


def set_chat_description(call: Call) -> Outcome:
    chat = find_chat(call)
    if chat["id"] > 0:
        raise bad_request("can't change private chat description")
    text = call.text("description").strip()[:MAX_DESCRIPTION]
    texts = call.bot.conversation.chat_texts.setdefault(chat["id"], {})
    if text == texts.get("description", ""):
        raise bad_request("chat description is not modified")
    texts["description"] = text
    if not text:
        del texts["description"]
    return Outcome(True)


HANDLERS: dict[str, Handler] = {
    "getChat": get_chat,
    "getChatMember": get_chat_member,
    "getChatAdministrators": get_chat_administrators,
    "getChatMemberCount": get_chat_member_count,
    "banChatMember": ban_chat_member,
    "unbanChatMember": unban_chat_member,
    "restrictChatMember": restrict_chat_member,
    "promoteChatMember": promote_chat_member,
    "leaveChat": leave_chat,
    "setChatTitle": set_chat_title,
    "setChatDescription": set_chat_description,
}

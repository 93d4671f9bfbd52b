"""What a bot says of itself: commands, names, its menu button."""

from __future__ import annotations

import json
import re
from typing import Any

from .calls import Call, Handler, Outcome, chat_named, find_user, json_argument
from .envelope import JsonObject, bad_request

MAX_COMMANDS = 100
MAX_COMMAND = 32
MAX_COMMAND_DESCRIPTION = 256
# How long each may be, and how its getter calls it.
TEXTS = {"name": 64, "description": 512, "short_description": 120}
_COMMAND = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2}", re.ASCII)
_SCOPES = ("default", "all_private_chats", "all_group_chats", "all_chat_administrators")
_CHAT_SCOPES = ("chat", "chat_administrators", "chat_member")


def get_me(call: Call) -> Outcome:
    return Outcome(call.bot.me())


def _language(call: Call) -> str:
    code = call.text("language_code")
    if code and not _LANGUAGE.fullmatch(code):
        raise bad_request("invalid language code specified")
    return code


def _scope(call: Call) -> str:
    given = json_argument(call, "scope", "can't parse BotCommandScope JSON object")
    if given is None:
        return json.dumps({"type": "default"})

    def wrong(reason: str) -> Exception:
        return bad_request(f"can't parse BotCommandScope: {reason}")

    if not isinstance(given, dict):
        raise wrong("BotCommandScope must be an Object")
    kind = given.get("type")
    if kind is None:
        raise wrong('Can\'t find field "type"')
    if kind in _SCOPES:
        return json.dumps({"type": kind})
    if kind not in _CHAT_SCOPES:
        raise wrong("Unsupported type specified")
    if given.get("chat_id") is None:
        raise wrong('Can\'t find field "chat_id"')
    if given["chat_id"] == "":
        raise wrong("Empty chat_id specified")
    if kind == "chat_member" and given.get("user_id") is None:
        raise wrong('Can\'t find field "user_id"')
    chat = chat_named(call.bot, str(given["chat_id"]), write=False)
    scope: JsonObject = {"type": kind, "chat_id": chat["id"]}
    if kind == "chat_member":
        scope["user_id"] = str(given["user_id"])
    return json.dumps(scope)


def _field(command: JsonObject, name: str) -> str:
    value = command.get(name)
    if value is None:
        raise bad_request(f"can't parse BotCommand: Can't find field \"{name}\"")
    if not isinstance(value, str):
        raise bad_request(f'can\'t parse BotCommand: Field "{name}" must be of type String')
    return value.strip()


def _command(given: Any) -> JsonObject:
    if not isinstance(given, dict):
        raise bad_request("can't parse BotCommand: expected an Object")
    name = _field(given, "command").removeprefix("/")
    description = _field(given, "description")
    if not name:
        raise bad_request("command must be non-empty")
    if len(name) > MAX_COMMAND:
        raise bad_request(f"command length must not exceed {MAX_COMMAND}")
    if not description:
        raise bad_request("command description must be non-empty")
    if len(description) > MAX_COMMAND_DESCRIPTION:
        raise bad_request(f"command description length must not exceed {MAX_COMMAND_DESCRIPTION}")
    if not _COMMAND.fullmatch(name):
        raise bad_request("BOT_COMMAND_INVALID")
    return {"command": name, "description": description}


def set_my_commands(call: Call) -> Outcome:
    given = json_argument(call, "commands", "can't parse commands JSON object")
    if given is None:
        given = []
    if not isinstance(given, list):
        raise bad_request("expected an Array of BotCommand")
    commands = [_command(command) for command in given]
    if len(commands) > MAX_COMMANDS:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    call.bot.commands[(_scope(call), _language(call))] = commands
    return Outcome(True)


def get_my_commands(call: Call) -> Outcome:
    return Outcome(call.bot.commands.get((_scope(call), _language(call)), []))


def delete_my_commands(call: Call) -> Outcome:
    call.bot.commands.pop((_scope(call), _language(call)), None)
    return Outcome(True)


def _setter(what: str) -> Handler:
    def set_text(call: Call) -> Outcome:
        language, text = _language(call), call.text(what)
        if len(text) > TEXTS[what]:
            # The server's own word for it is not published.
            raise bad_request(f"{what.replace('_', ' ')} is too long")
        profile = call.bot.conversation.profile
        if text:
            profile[(what, language)] = text
        else:
            profile.pop((what, language), None)
        return Outcome(True)

    return set_text


def _getter(what: str) -> Handler:
    def get_text(call: Call) -> Outcome:
        """Where nothing was set for the language, what is for all of them."""
        profile, language = call.bot.conversation.profile, _language(call)
        usual = call.bot.user()["first_name"] if what == "name" else ""
        text = profile.get((what, language)) or profile.get((what, "")) or usual
        return Outcome({what: text})

    return get_text


def _menu_chat(call: Call) -> int:
    if "chat_id" not in call.arguments.as_dict():
        return 0
    user_id: int = find_user(call, "chat_id")["id"]
    return user_id


def set_chat_menu_button(call: Call) -> Outcome:
    button = json_argument(call, "menu_button", "can't parse menu button JSON object")
    button = {"type": "default"} if button is None else button
    if not isinstance(button, dict):
        raise bad_request("can't parse menu button: MenuButton must be an Object")
    if button.get("type") not in ("default", "commands", "web_app"):
        raise bad_request("can't parse menu button: MenuButton has unsupported type")
    call.bot.conversation.menu_buttons[_menu_chat(call)] = button
    return Outcome(True)


def get_chat_menu_button(call: Call) -> Outcome:
    buttons, chat = call.bot.conversation.menu_buttons, _menu_chat(call)
    found = buttons.get(chat, {"type": "default"})
    if chat and found["type"] == "default":
        found = buttons.get(0, {"type": "commands" if call.bot.commands else "default"})
    return Outcome(found)


HANDLERS: dict[str, Handler] = {
    "getMe": get_me,
    "setMyCommands": set_my_commands,
    "getMyCommands": get_my_commands,
    "deleteMyCommands": delete_my_commands,
    "setMyName": _setter("name"),
    "getMyName": _getter("name"),
    "setMyDescription": _setter("description"),
    "getMyDescription": _getter("description"),
    "setMyShortDescription": _setter("short_description"),
    "getMyShortDescription": _getter("short_description"),
    "setChatMenuButton": set_chat_menu_button,
    "getChatMenuButton": get_chat_menu_button,
}

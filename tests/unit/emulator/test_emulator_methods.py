"""Every method of the Bot API is known, by its published shape."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import aiogram.methods
import pytest
from aiogram.methods.base import TelegramMethod
from emulator_harness import OTHER_TOKEN, TOKEN, Emulator
from pydantic import TypeAdapter

GENERATOR = Path(__file__).resolve().parents[3] / "images/bot_api_emulator/tools/shapes.py"
# What the state machine answers, each tested elsewhere.
OWN = {"getUpdates", "setWebhook", "deleteWebhook", "getWebhookInfo", "close", "logOut", "getFile"}

PUBLISHED: dict[str, type[TelegramMethod[Any]]] = {
    method.__api_method__: method
    for name in aiogram.methods.__all__
    if issubclass(method := getattr(aiogram.methods, name), TelegramMethod)
    and method is not TelegramMethod
}

# One value of each type that a required parameter has.
VALUES: dict[str, Any] = {
    "chat_id": -1005,
    "from_chat_id": -1005,
    "user_id": 77,
    "message_id": 1,
    "emoji": "\N{GAME DIE}",
    "language_code": "en",
}


def test_the_data_is_what_the_installed_aiogram_says() -> None:
    done = subprocess.run(
        [sys.executable, str(GENERATOR), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def required(method: str) -> dict[str, str]:
    from bot_api_emulator import shapes

    fields: dict[str, str] = shapes._METHODS[method].get("required", {})
    return fields


def arguments_for(method: str) -> dict[str, Any]:
    from bot_api_emulator import shapes

    return {
        name: VALUES[name] if name in VALUES else shapes.plausible(kind, {})
        for name, kind in required(method).items()
    }


def by_shape() -> list[str]:
    """The methods that are checked and recorded only."""
    try:
        from bot_api_emulator.methods import EMULATED
    except ImportError:
        return sorted(PUBLISHED)
    return sorted(name for name in PUBLISHED.keys() - OWN if name.lower() not in EMULATED)


@pytest.mark.asyncio
class TestEveryMethod:
    @pytest.mark.parametrize("method", sorted(PUBLISHED))
    async def test_it_is_known(self, emulator: Emulator, method: str) -> None:
        reply = await emulator.call(method)
        assert reply.body.get("description") != "Not Found: method not found"

    @pytest.mark.parametrize("method", by_shape())
    async def test_a_result_of_the_published_shape(self, emulator: Emulator, method: str) -> None:
        reply = await emulator.call(method, **arguments_for(method))
        assert reply.status == 200, reply.body
        TypeAdapter(PUBLISHED[method].__returning__).validate_python(reply.result)
        assert reply.body["description"].endswith("the emulator does not really do this")
        (sent,) = await emulator.sent()
        assert (sent["method"], sent["emulated"]) == (method, False)

    @pytest.mark.parametrize("method", [name for name in by_shape() if required(name)])
    async def test_what_is_required(self, emulator: Emulator, method: str) -> None:
        arguments = arguments_for(method)
        missing = next(iter(arguments))
        del arguments[missing]
        reply = await emulator.call(method, **arguments)
        description = f'Bad Request: parameter "{missing}" is required'
        assert reply.body == {"ok": False, "error_code": 400, "description": description}
        assert await emulator.sent() == []

    @pytest.mark.parametrize("method", by_shape())
    async def test_strict(self, emulator: Emulator, method: str) -> None:
        await emulator.control("/mode", {"strict": True})
        reply = await emulator.call(method, **arguments_for(method))
        assert reply.status == 404
        assert reply.body["description"].startswith("Not Found: method not found")
        assert method in reply.body["description"]
        assert await emulator.sent() == []


GROUP = {"chat_id": -1005}
MESSAGE = {"chat_id": 77, "message_id": 1}
PHOTO_MESSAGE = {"chat_id": 77, "message_id": 2}
MEMBER = {**GROUP, "user_id": 9}
ADDRESS = "https://example.com/file"
MARKUP = {"inline_keyboard": [[{"text": "a", "callback_data": "b"}]]}
REAL: dict[str, dict[str, Any]] = {
    "getMe": {},
    "setMyCommands": {"commands": [{"command": "a", "description": "b"}]},
    "getMyCommands": {},
    "deleteMyCommands": {},
    "setMyName": {"name": "x"},
    "getMyName": {},
    "setMyDescription": {"description": "x"},
    "getMyDescription": {},
    "setMyShortDescription": {"short_description": "x"},
    "getMyShortDescription": {},
    "setChatMenuButton": {"menu_button": {"type": "commands"}},
    "getChatMenuButton": {},
    "sendMessage": {"chat_id": 77, "text": "<b>x</b>", "parse_mode": "HTML"},
    "sendChatAction": {"chat_id": 77, "action": "typing"},
    **{
        f"send{kind}": {"chat_id": 77, field: ADDRESS, "reply_parameters": {"message_id": 1}}
        for kind, field in (
            ("Photo", "photo"),
            ("Video", "video"),
            ("Animation", "animation"),
            ("Audio", "audio"),
            ("Document", "document"),
            ("Voice", "voice"),
            ("VideoNote", "video_note"),
            ("Sticker", "sticker"),
        )
    },
    "sendMediaGroup": {"chat_id": 77, "media": [{"type": "photo", "media": ADDRESS}] * 2},
    "copyMessage": {**MESSAGE, "from_chat_id": 77},
    "copyMessages": {"chat_id": 77, "from_chat_id": 77, "message_ids": [1, 2]},
    "forwardMessage": {**MESSAGE, "from_chat_id": 77},
    "forwardMessages": {"chat_id": 77, "from_chat_id": 77, "message_ids": [1, 2]},
    "editMessageText": {**MESSAGE, "text": "y"},
    "editMessageCaption": {**PHOTO_MESSAGE, "caption": "y"},
    "editMessageMedia": {**PHOTO_MESSAGE, "media": {"type": "video", "media": ADDRESS}},
    "editMessageReplyMarkup": {**MESSAGE, "reply_markup": MARKUP},
    "deleteMessage": MESSAGE,
    "deleteMessages": {"chat_id": 77, "message_ids": [1, 2]},
    "pinChatMessage": MESSAGE,
    "unpinChatMessage": MESSAGE,
    "unpinAllChatMessages": GROUP,
    "getChat": GROUP,
    "getChatMember": MEMBER,
    "getChatAdministrators": GROUP,
    "getChatMemberCount": GROUP,
    "banChatMember": MEMBER,
    "unbanChatMember": MEMBER,
    "restrictChatMember": {**MEMBER, "permissions": {}},
    "promoteChatMember": {**MEMBER, "can_pin_messages": True},
    "leaveChat": GROUP,
    "setChatTitle": {**GROUP, "title": "x"},
    "setChatDescription": {**GROUP, "description": "x"},
    "answerCallbackQuery": {"callback_query_id": "callback_query"},
    "answerInlineQuery": {"inline_query_id": "inline_query", "results": []},
    "answerShippingQuery": {
        "shipping_query_id": "shipping_query",
        "ok": False,
        "error_message": "x",
    },
    "answerPreCheckoutQuery": {"pre_checkout_query_id": "pre_checkout_query", "ok": True},
}


def test_what_really_works_has_a_case() -> None:
    assert REAL.keys() == PUBLISHED.keys() - OWN - set(by_shape())


@pytest.mark.asyncio
class TestWhatReallyWorks:
    @pytest.mark.parametrize("method", sorted(REAL))
    async def test_its_result_is_of_the_published_shape(
        self, emulator: Emulator, method: str
    ) -> None:
        await emulator.call("sendMessage", chat_id=77, text="x")
        await emulator.call("sendPhoto", chat_id=77, photo=ADDRESS)
        members = [{"user": {"id": 9}, "status": "administrator"}]
        await emulator.control("/bots/4242/chats", {"id": -1005, "members": members})
        for kind in ("callback_query", "inline_query", "shipping_query", "pre_checkout_query"):
            await emulator.push_update({kind: {"id": kind, "from": {"id": 9}}})
        reply = await emulator.call(method, **REAL[method])
        assert reply.status == 200, reply.body
        assert "description" not in reply.body
        TypeAdapter(PUBLISHED[method].__returning__).validate_python(reply.result)

    @pytest.mark.parametrize(
        "status", ["creator", "administrator", "member", "restricted", "left", "kicked"]
    )
    async def test_members_of_every_status(self, emulator: Emulator, status: str) -> None:
        members = [{"user": {"id": 9}, "status": status}]
        await emulator.control("/bots/4242/chats", {"id": -1005, "members": members})
        member = (await emulator.call("getChatMember", **MEMBER)).result
        returning: Any = aiogram.methods.GetChatMember.__returning__
        found = TypeAdapter(returning).validate_python(member)
        assert (found.status, found.user.id) == (status, 9)


@pytest.mark.asyncio
class TestArgumentsByShape:
    @pytest.mark.parametrize(
        ("method", "arguments", "problem"),
        [
            ("sendDice", {"chat_id": 77, "message_thread_id": "x"}, "expected an Integer"),
            ("sendLocation", {"chat_id": 77, "latitude": "x", "longitude": 1}, "expected a Float"),
            ("sendDice", {"chat_id": 77, "protect_content": "maybe"}, "expected true or false"),
            (
                "setMessageReaction",
                {"chat_id": 77, "message_id": 1, "reaction": {"type": "emoji"}},
                "expected an Array",
            ),
            (
                "setMessageReaction",
                {"chat_id": 77, "message_id": 1, "reaction": [{"type": "emoji"}]},
                '[0]: field "emoji" of ReactionTypeEmoji must be given',
            ),
            (
                "sendPoll",
                {"chat_id": 77, "question": "?", "options": [{"text": 5, "text_parse_mode": []}]},
                "[0].text_parse_mode: expected String",
            ),
            ("sendPoll", {"chat_id": 77, "question": "?", "options": "x"}, "expected a JSON-"),
        ],
    )
    async def test_a_wrong_type(
        self, emulator: Emulator, method: str, arguments: dict[str, Any], problem: str
    ) -> None:
        reply = await emulator.call(method, **arguments)
        assert reply.status == 400
        assert reply.body["description"].startswith("Bad Request: can't parse parameter \"")
        assert problem in reply.body["description"]

    async def test_what_was_given_is_in_the_result(self, emulator: Emulator) -> None:
        options = [{"text": "yes"}, {"text": "no"}]
        poll = await emulator.call("sendPoll", chat_id=77, question="Well?", options=options)
        assert poll.result["poll"]["question"] == "Well?"
        assert [option["text"] for option in poll.result["poll"]["options"]] == ["yes", "no"]
        place = await emulator.call("sendLocation", chat_id=77, latitude=1.5, longitude=2)
        assert place.result["location"] == {"latitude": 1.5, "longitude": 2}
        assert place.result["message_id"] == poll.result["message_id"] + 1
        assert (
            await emulator.call("deleteMessage", chat_id=77, message_id=place.result["message_id"])
        ).result is True

    async def test_what_is_counted_is_there(self, emulator: Emulator) -> None:
        photos = (await emulator.call("getUserProfilePhotos", user_id=77)).result
        assert photos == {"total_count": 0, "photos": []}

    async def test_the_chat_is_looked_at(self, emulator: Emulator) -> None:
        reply = await emulator.call("sendDice", chat_id="@nobody")
        assert reply.body["description"] == "Bad Request: chat not found"

    async def test_a_name_that_is_misspelt_shows(self, emulator: Emulator) -> None:
        await emulator.call("sendMessage", chat_id=77, text="x", parse_mod="HTML")
        await emulator.call("sendDice", chat_id=77, emojy="x")
        await emulator.call("sendMessage", chat_id=77, text="x", parse_mode="HTML")
        unknown = [entry.get("unknown_parameters") for entry in await emulator.sent()]
        assert unknown == [["parse_mod"], ["emojy"], None]

    async def test_strict_leaves_what_really_works(self, emulator: Emulator) -> None:
        await emulator.control("/mode", {"strict": True})
        assert (await emulator.call("sendMessage", chat_id=77, text="x")).status == 200
        assert (await emulator.call("getMe")).status == 200
        assert (await emulator.call("getUpdates")).status == 200
        await emulator.control("/mode", {"strict": False})
        assert (await emulator.call("sendDice", chat_id=77)).status == 200
        for wrong in (1, "true", None):
            options = {"json": {"strict": wrong}}
            assert (await emulator.request("POST", "/control/mode", **options)).status == 400

    async def test_a_name_that_no_version_has(self, emulator: Emulator) -> None:
        for token, status in ((TOKEN, 404), (OTHER_TOKEN, 401)):
            assert (await emulator.call("sendTelepathy", token, chat_id=77)).status == status

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

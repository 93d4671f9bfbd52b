"""The control API's press, wait and sent?after=."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from emulator_harness import BOT_ID, TOKEN, Emulator, until

pytestmark = pytest.mark.asyncio

PRESS = f"/bots/{BOT_ID}/press"
KEYBOARD = {
    "inline_keyboard": [
        [{"text": "yes", "callback_data": "y"}, {"text": "no", "callback_data": "n"}],
        [{"text": "site", "url": "https://example.com"}],
    ]
}


async def ask(emulator: Emulator, chat_id: int = 77, **more: Any) -> Any:
    arguments = {"chat_id": chat_id, "text": "sure?", "reply_markup": KEYBOARD, **more}
    return (await emulator.call("sendMessage", **arguments)).result


async def latest(emulator: Emulator) -> Any:
    return (await emulator.poll(-1)).result[0]


class TestPress:
    async def test_by_its_text(self, emulator: Emulator) -> None:
        message = await ask(emulator)
        pressed = await emulator.control(PRESS, {"text": "no"})
        update = await latest(emulator)
        query = update["callback_query"]
        assert pressed == {
            "update_id": update["update_id"],
            "callback_query_id": query["id"],
        }
        assert (query["data"], query["from"]["id"]) == ("n", 77)
        assert query["message"] == message
        assert query["chat_instance"]

    async def test_by_its_data_and_place(self, emulator: Emulator) -> None:
        first = await ask(emulator)
        await ask(emulator, chat_id=-1005)
        await ask(emulator)
        body: dict[str, Any] = {"data": "y", "chat_id": 77, "message_id": first["message_id"]}
        await emulator.control(PRESS, body)
        assert (await latest(emulator))["callback_query"]["message"] == first
        await emulator.control(PRESS, {"data": "y", "chat_id": -1005, "from_id": 9})
        query = (await latest(emulator))["callback_query"]
        assert (query["message"]["chat"]["id"], query["from"]["id"]) == (-1005, 9)

    async def test_the_keyboard_as_it_is_now(self, emulator: Emulator) -> None:
        message = await ask(emulator)
        where = {"chat_id": 77, "message_id": message["message_id"]}
        new = {"inline_keyboard": [[{"text": "maybe", "callback_data": "m"}]]}
        await emulator.call("editMessageReplyMarkup", **where, reply_markup=new)
        reply = await emulator.request("POST", f"/control{PRESS}", json={"text": "yes"})
        assert (reply.status, reply.body["error"]) == (
            400,
            "there is no such button; there are: maybe",
        )
        await emulator.control(PRESS, {"text": "maybe"})

    async def test_a_reply_keyboard_writes_its_text(self, emulator: Emulator) -> None:
        await ask(emulator, reply_markup={"keyboard": [["tea", {"text": "coffee"}]]})
        assert (await emulator.control(PRESS, {"text": "coffee"})).keys() == {"update_id"}
        message = (await latest(emulator))["message"]
        assert (message["text"], message["chat"]["id"]) == ("coffee", 77)
        await emulator.call(
            "sendMessage", chat_id=77, text="x", reply_markup={"remove_keyboard": True}
        )
        reply = await emulator.request("POST", f"/control{PRESS}", json={"text": "tea"})
        assert reply.status == 400

    @pytest.mark.parametrize(
        "body", [{}, {"text": 5}, {"text": "site"}, {"text": "other"}, {"button": "yes"}, []]
    )
    async def test_what_cant_be_pressed(self, emulator: Emulator, body: Any) -> None:
        await ask(emulator)
        reply = await emulator.request("POST", f"/control{PRESS}", json=body)
        assert (reply.status, bool(reply.body["error"])) == (400, True)
        assert (await emulator.stats())["pending"] == 0

    async def test_a_bot_that_does_not_want_it(self, emulator: Emulator) -> None:
        await emulator.poll(allowed_updates=["message"])
        await ask(emulator)
        pressed = await emulator.control(PRESS, {"text": "yes"})
        assert pressed["update_id"] is None


class TestSent:
    async def test_after(self, emulator: Emulator) -> None:
        for number in range(3):
            await emulator.call("sendMessage", chat_id=77 + number, text=f"text {number}")
        await emulator.call("sendPhoto", chat_id=77, photo="https://x.example.com/", caption="text")
        assert [entry["number"] for entry in await emulator.sent()] == [1, 2, 3, 4]
        for query, numbers in (
            ("after=2", [3, 4]),
            ("after=4", []),
            ("method=sendphoto", [4]),
            ("chat_id=77", [1, 4]),
            ("text=text", [1, 2, 3, 4]),
            ("text=text%201&after=1", [2]),
        ):
            found = await emulator.control(f"/bots/{BOT_ID}/sent?{query}")
            assert [entry["number"] for entry in found] == numbers

    async def test_numbers_go_on_after_a_reset(self, emulator: Emulator) -> None:
        await emulator.call("sendMessage", chat_id=77, text="x")
        await emulator.control(f"/bots/{BOT_ID}/reset", {})
        await emulator.call("sendMessage", chat_id=77, text="y")
        assert [entry["number"] for entry in await emulator.sent()] == [2]

    @pytest.mark.parametrize("query", ["after=x", "since=1", "chat_id=x"])
    @pytest.mark.parametrize("what", ["sent", "wait"])
    async def test_a_bad_question(self, emulator: Emulator, what: str, query: str) -> None:
        reply = await emulator.request("GET", f"/control/bots/{BOT_ID}/{what}?{query}")
        assert (reply.status, bool(reply.body["error"])) == (400, True)


class TestWait:
    def waiting(self, emulator: Emulator, query: str) -> asyncio.Task[Any]:
        path = f"/control/bots/{BOT_ID}/wait?{query}"
        return emulator.keep(asyncio.create_task(emulator.request("GET", path)))

    async def listened(self, emulator: Emulator, count: int = 1) -> None:
        await until(lambda: len(emulator.core.bots[BOT_ID].on_sent) == count)

    async def test_what_is_there_already(self, emulator: Emulator) -> None:
        await emulator.call("sendMessage", chat_id=77, text="x")
        found = await emulator.control(f"/bots/{BOT_ID}/wait")
        assert [entry["parameters"]["text"] for entry in found] == ["x"]

    async def test_what_comes(self, emulator: Emulator) -> None:
        one = self.waiting(emulator, "text=wanted")
        two = self.waiting(emulator, "count=2&after=1&method=sendMessage")
        await self.listened(emulator, 2)
        for text in ("other", "wanted"):
            await emulator.call("sendMessage", chat_id=77, text=text)
        await emulator.call("sendChatAction", chat_id=77, action="typing")
        assert [entry["number"] for entry in (await one).body] == [2]
        assert not two.done()
        await emulator.call("sendMessage", chat_id=77, text="third")
        assert [entry["number"] for entry in (await two).body] == [2, 4]
        assert not emulator.core.bots[BOT_ID].on_sent

    async def test_what_does_not_come(self, emulator: Emulator) -> None:
        await emulator.call("sendMessage", chat_id=77, text="other")
        began = time.monotonic()
        reply = await emulator.request(
            "GET", f"/control/bots/{BOT_ID}/wait?text=wanted&timeout_s=0.2"
        )
        assert 0.2 <= time.monotonic() - began < 5
        assert reply.status == 408
        assert reply.body["error"] == (
            "0 of 1 arrived within 0.2 s; the bot sent after 0: sendMessage 'other'"
        )
        assert not emulator.core.bots[BOT_ID].on_sent

    @pytest.mark.parametrize("query", ["count=0", "timeout_s=-1", "timeout_s=x", "timeout_s=nan"])
    async def test_a_bad_question(self, emulator: Emulator, query: str) -> None:
        reply = await emulator.request("GET", f"/control/bots/{BOT_ID}/wait?{query}")
        assert (reply.status, bool(reply.body["error"])) == (400, True)


@pytest.mark.parametrize("kind", ["photo", "video", "document"])
async def test_a_user_sends_a_file(emulator: Emulator, kind: str) -> None:
    from aiohttp import FormData

    form = FormData({"chat_id": "77", "caption": "look"})
    form.add_field(kind, b"data", filename="file.bin", content_type="application/octet-stream")
    await emulator.control(f"/bots/{BOT_ID}/updates", data=form)
    message = (await latest(emulator))["message"]
    media = message[kind][-1] if kind == "photo" else message[kind]
    file = (await emulator.call("getFile", file_id=media["file_id"])).result
    path = f"/file/bot{TOKEN}/{file['file_path']}"
    assert (await emulator.request("GET", path)).body == b"data"

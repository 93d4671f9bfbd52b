"""The envelope, tokens, ways to give arguments, the methods that send, files."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession, FormData
from bot_api_emulator.arguments import to_int32
from emulator_harness import BOT_ID, OTHER_TOKEN, TOKEN, Emulator

asyncio_test = pytest.mark.asyncio


def voice_form(data: bytes = b"OggS voice", field: str = "voice", **fields: str) -> FormData:
    form = FormData({"chat_id": "77", **fields})
    form.add_field(field, data, filename="note.ogg", content_type="audio/ogg")
    return form


async def pushed_voice(emulator: Emulator, data: bytes = b"OggS voice") -> dict[str, Any]:
    await emulator.control(f"/bots/{BOT_ID}/updates", data=voice_form(data))
    voice = (await emulator.poll(-1)).result[0]["message"]["voice"]
    assert isinstance(voice, dict)
    return voice


def assert_bad(reply: Any, description: str) -> None:
    assert reply.status == 400
    assert reply.body == {
        "ok": False,
        "error_code": 400,
        "description": f"Bad Request: {description}",
    }


@asyncio_test
class TestEnvelope:
    @pytest.mark.parametrize("path", ["/", "/x", "/bot", f"/bot{TOKEN}", "/file/x", "/x/bot1:a/b"])
    async def test_other_paths(self, emulator: Emulator, path: str) -> None:
        reply = await emulator.request("GET", path)
        assert reply.status == 404
        assert reply.body == {"ok": False, "error_code": 404, "description": "Not Found"}

    async def test_an_unknown_method(self, emulator: Emulator) -> None:
        reply = await emulator.call("noSuchMethod")
        assert (reply.status, reply.body["description"]) == (404, "Not Found: method not found")

    async def test_a_failed_login_comes_before_the_method(self, emulator: Emulator) -> None:
        reply = await emulator.call("noSuchMethod", "1:unknown")
        assert (reply.status, reply.body["description"]) == (401, "Unauthorized")

    @pytest.mark.parametrize(
        ("token", "status", "description"),
        [
            (OTHER_TOKEN, 401, "Unauthorized"),
            (TOKEN + "x", 401, "Unauthorized"),
            ("nocolon", 401, "Unauthorized: invalid token specified"),
            ("04242:abc", 401, "Unauthorized: invalid token specified"),
            ("-5:abc", 401, "Unauthorized: invalid token specified"),
            ("1" * 17 + ":a", 401, "Unauthorized"),
            ("9" * 18 + ":a", 401, "Unauthorized: invalid token specified"),
            ("1:" + "a" * 79, 401, "Unauthorized: invalid token specified"),
            ("abc:def", 421, "Misdirected Request: unallowed token specified"),
            ("5a:def", 421, "Misdirected Request: unallowed token specified"),
            (":def", 421, "Misdirected Request: unallowed token specified"),
            ("9" * 30 + ":a", 421, "Misdirected Request: unallowed token specified"),
        ],
    )
    async def test_tokens(
        self, emulator: Emulator, token: str, status: int, description: str
    ) -> None:
        reply = await emulator.call("getMe", token)
        assert reply.status == status
        assert reply.body == {"ok": False, "error_code": status, "description": description}
        reply = await emulator.request("GET", f"/file/bot{token}/voice/file_1.oga")
        assert reply.status == status

    async def test_the_method_is_case_insensitive(self, emulator: Emulator) -> None:
        for method in ("getMe", "GETME", "getme"):
            assert (await emulator.call(method)).result["id"] == BOT_ID

    async def test_a_token_may_be_percent_encoded(self, emulator: Emulator) -> None:
        reply = await emulator.call("getMe", TOKEN.replace(":", "%3A"))
        assert reply.result["username"] == f"emulated_{BOT_ID}_bot"

    async def test_the_test_environment_is_another_world(self, emulator: Emulator) -> None:
        reply = await emulator.request("GET", f"/bot{TOKEN}/test/getMe")
        assert reply.status == 401

    async def test_only_get_and_post(self, emulator: Emulator) -> None:
        assert (await emulator.request("PUT", f"/bot{TOKEN}/getMe")).status == 501

    async def test_no_spaces_as_the_server_writes_it(self, emulator: Emulator) -> None:
        url = f"{emulator.base}/bot{TOKEN}/getUpdates"
        async with ClientSession() as session, session.get(url) as response:
            assert await response.text() == '{"ok":true,"result":[]}'

    async def test_parameters_beyond_a_mebibyte(self, emulator: Emulator) -> None:
        for options in ({"json": {"text": "x" * (1 << 20)}}, {"data": {"text": "x" * (1 << 20)}}):
            reply = await emulator.request("POST", f"/bot{TOKEN}/sendMessage", **options)
            assert (reply.status, reply.body["error_code"]) == (413, 413)


class TestArguments:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("12", 12),
            ("-12", -12),
            ("12abc", 12),
            ("30.5", 30),
            ("", 0),
            ("x", 0),
            (" 5", 0),
            ("2147483647", 2147483647),
            ("2147483648", -2147483648),
            ("-2147483648", -2147483648),
            ("4294967297", 1),
            ("9" * 5000, 0),
        ],
    )
    def test_integers(self, text: str, value: int) -> None:
        assert to_int32(text) == value

    @asyncio_test
    @pytest.mark.parametrize(
        "options",
        [
            {"params": {"chat_id": "77", "text": "hi"}},
            {"data": {"chat_id": "77", "text": "hi"}},
            {"json": {"chat_id": 77, "text": "hi"}},
            {"params": {"text": "hi"}, "json": {"chat_id": 77, "text": "the query goes first"}},
        ],
        ids=["query", "form", "json", "query and json"],
    )
    async def test_ways_to_give_them(self, emulator: Emulator, options: dict[str, Any]) -> None:
        await emulator.request("POST", f"/bot{TOKEN}/sendMessage", **options)
        assert (await emulator.sent())[0]["parameters"] == {"chat_id": 77, "text": "hi"}

    @asyncio_test
    async def test_by_multipart(self, emulator: Emulator) -> None:
        form = FormData({"chat_id": "77", "text": "grüß dich"}, default_to_multipart=True)
        reply = await emulator.request("POST", f"/bot{TOKEN}/sendMessage", data=form)
        assert reply.result["text"] == "grüß dich"

    @asyncio_test
    async def test_the_method_may_be_an_argument(self, emulator: Emulator) -> None:
        reply = await emulator.request("GET", f"/bot{TOKEN}/?method=getMe")
        assert reply.result["id"] == BOT_ID

    @asyncio_test
    async def test_a_broken_body_is_no_body(self, emulator: Emulator) -> None:
        headers = {"Content-Type": "application/json"}
        reply = await emulator.request("POST", f"/bot{TOKEN}/getMe", data=b"{", headers=headers)
        assert reply.status == 200
        headers = {"Content-Type": "multipart/form-data"}
        reply = await emulator.request("POST", f"/bot{TOKEN}/getMe", data=b"{", headers=headers)
        assert reply.status == 400


@asyncio_test
class TestSending:
    async def test_a_message(self, emulator: Emulator) -> None:
        message = (await emulator.call("sendMessage", chat_id=77, text="hi")).result
        assert message["from"]["id"] == BOT_ID
        assert message["chat"] == {"id": 77, "type": "private", "first_name": "User 77"}
        assert message["text"] == "hi"
        (sent,) = await emulator.sent()
        assert sent["method"] == "sendMessage"
        assert sent["time"] == emulator.core.now() / 1e6
        assert sent["message_id"] == message["message_id"]

    async def test_a_reply_has_the_original(self, emulator: Emulator) -> None:
        await emulator.push("question")
        original = (await emulator.poll()).result[0]["message"]
        reply = await emulator.call(
            "sendMessage",
            chat_id=77,
            text="answer",
            reply_parameters={"message_id": original["message_id"]},
            reply_markup={"inline_keyboard": [[{"text": "ok", "callback_data": "1"}]]},
        )
        assert reply.result["reply_to_message"]["text"] == "question"
        assert "inline_keyboard" in reply.result["reply_markup"]

    @pytest.mark.parametrize(
        ("method", "arguments", "description"),
        [
            ("sendMessage", {"text": "hi"}, "chat_id is empty"),
            ("sendMessage", {"chat_id": 77}, "message text is empty"),
            ("sendMessage", {"chat_id": 77, "text": " "}, "message text is empty"),
            ("sendMessage", {"chat_id": 77, "text": "x" * 4097}, "message is too long"),
            ("sendMessage", {"chat_id": "@nobody", "text": "x"}, "chat not found"),
            ("sendMessage", {"chat_id": 0, "text": "x"}, "chat not found"),
            ("sendChatAction", {"chat_id": 77, "action": "fly"}, None),
            ("sendVoice", {"chat_id": 77}, "there is no voice in the request"),
            ("sendAudio", {"chat_id": 77}, "there is no audio in the request"),
            ("sendVoice", {"chat_id": 77, "voice": "no_such_id"}, None),
            ("getFile", {}, "file_id not specified"),
            ("getFile", {"file_id": "no_such_id"}, "invalid file_id"),
            ("editMessageText", {"chat_id": 77, "message_id": 9, "text": "x"}, None),
            ("deleteMessage", {"chat_id": 77, "message_id": 9}, "message to delete not found"),
            ("answerCallbackQuery", {}, None),
            ("setMyCommands", {"commands": "["}, None),
        ],
    )
    async def test_what_is_refused(
        self, emulator: Emulator, method: str, arguments: dict[str, Any], description: str | None
    ) -> None:
        reply = await emulator.call(method, **arguments)
        assert_bad(reply, description or reply.body["description"].removeprefix("Bad Request: "))
        assert await emulator.sent() == []

    async def test_edit_and_delete(self, emulator: Emulator) -> None:
        sent = (await emulator.call("sendMessage", chat_id=77, text="a")).result
        where = {"chat_id": 77, "message_id": sent["message_id"]}
        edited = (await emulator.call("editMessageText", **where, text="b")).result
        assert (edited["text"], "edit_date" in edited) == ("b", True)
        assert_bad(
            await emulator.call("editMessageText", **where, text="b"),
            "message is not modified: specified new message content and reply markup are exactly "
            "the same as a current content and reply markup of the message",
        )
        assert (await emulator.call("deleteMessage", **where)).result is True

    @pytest.mark.parametrize("kind", ["voice", "audio", "document"])
    async def test_a_file(self, emulator: Emulator, kind: str) -> None:
        form = voice_form(b"bytes", field=kind, duration="5", caption="listen")
        method = f"/bot{TOKEN}/send{kind}"
        message = (await emulator.request("POST", method, data=form)).result
        media = message[kind]
        assert (media["file_size"], message["caption"]) == (5, "listen")
        assert media.get("duration") == (None if kind == "document" else 5)
        again = await emulator.call(f"send{kind}", chat_id=77, **{kind: media["file_id"]})
        assert again.result[kind]["file_id"] == media["file_id"]
        first = (await emulator.sent())[0]
        assert first["method"] == f"send{kind.title()}"
        assert first["parameters"][kind] == {
            "file_id": media["file_id"],
            "file_name": "note.ogg",
            "mime_type": "audio/ogg",
            "file_size": 5,
        }

    async def test_an_attached_file(self, emulator: Emulator) -> None:
        form = voice_form(field="part", voice="attach://part")
        reply = await emulator.request("POST", f"/bot{TOKEN}/sendVoice", data=form)
        assert reply.result["voice"]["file_size"] == len(b"OggS voice")

    async def test_at_most_50_mib(self, emulator: Emulator) -> None:
        for size, status in ((50 << 20, 200), ((50 << 20) + 1, 413)):
            form = voice_form(bytes(size), field="audio")
            reply = await emulator.request("POST", f"/bot{TOKEN}/sendAudio", data=form)
            assert reply.status == status

    async def test_an_empty_file(self, emulator: Emulator) -> None:
        reply = await emulator.request("POST", f"/bot{TOKEN}/sendVoice", data=voice_form(b""))
        assert_bad(reply, "file must be non-empty")


@asyncio_test
class TestFiles:
    async def test_a_users_voice_is_downloaded_byte_for_byte(self, emulator: Emulator) -> None:
        data = bytes(range(256)) * 1000
        voice = await pushed_voice(emulator, data)
        assert voice["file_size"] == len(data)
        file = (await emulator.call("getFile", file_id=voice["file_id"])).result
        assert file["file_unique_id"] == voice["file_unique_id"]
        reply = await emulator.request("GET", f"/file/bot{TOKEN}/{file['file_path']}")
        assert (reply.status, reply.body) == (200, data)

    async def test_exactly_20_mib_can_be_downloaded_and_a_byte_more_not(
        self, emulator: Emulator
    ) -> None:
        voice = await pushed_voice(emulator, bytes(20 << 20))
        path = (await emulator.call("getFile", file_id=voice["file_id"])).result["file_path"]
        reply = await emulator.request("GET", f"/file/bot{TOKEN}/{path}")
        assert len(reply.body) == 20 << 20
        voice = await pushed_voice(emulator, bytes((20 << 20) + 1))
        assert voice["file_size"] == (20 << 20) + 1
        assert_bad(await emulator.call("getFile", file_id=voice["file_id"]), "file is too big")

    async def test_a_file_belongs_to_one_bot(self, emulator: Emulator) -> None:
        await emulator.control("/bots", {"token": OTHER_TOKEN})
        voice = await pushed_voice(emulator)
        path = (await emulator.call("getFile", file_id=voice["file_id"])).result["file_path"]
        other = await emulator.call("getFile", OTHER_TOKEN, file_id=voice["file_id"])
        assert_bad(other, "invalid file_id")
        reply = await emulator.request("GET", f"/file/bot{OTHER_TOKEN}/{path}")
        assert reply.status == 404

    async def test_memory_is_bounded_and_the_oldest_goes_first(self, emulator: Emulator) -> None:
        emulator.core.files.limit = 1000
        old = await pushed_voice(emulator, bytes(600))
        new = await pushed_voice(emulator, bytes(600))
        assert_bad(
            await emulator.call("getFile", file_id=old["file_id"]),
            "wrong file_id or the file is temporarily unavailable",
        )
        assert (await emulator.call("getFile", file_id=new["file_id"])).status == 200

"""What bots need at their start and in talk really works, or is refused as Telegram does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import FormData
from emulator_harness import BOT_ID, TOKEN, Emulator, Reply

pytestmark = pytest.mark.asyncio

TOO_OLD = "query is too old and response timeout expired or query ID is invalid"
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)
GROUP = -1005
PHOTO = {"type": "photo", "media": "attach://one"}
USER = {"id": 9, "is_bot": False, "first_name": "Ann"}


def refused(reply: Reply, description: str, code: int = 400) -> None:
    kind = {400: "Bad Request", 403: "Forbidden"}[code]
    assert reply.body == {
        "ok": False,
        "error_code": code,
        "description": f"{kind}: {description}",
    }


def keyboard(*buttons: dict[str, Any]) -> dict[str, Any]:
    return {"inline_keyboard": [list(buttons)]}


async def send(emulator: Emulator, text: str = "x", **more: Any) -> Any:
    return (await emulator.call("sendMessage", **{"chat_id": 77, "text": text, **more})).result


class TestCommands:
    async def test_scope_and_language(self, emulator: Emulator) -> None:
        lists = {
            (): [{"command": "start", "description": "begin"}],
            (("language_code", "de"),): [{"command": "start", "description": "anfangen"}],
            (("scope", '{"type": "chat", "chat_id": 77}'),): [
                {"command": "secret", "description": "only you"}
            ],
        }
        for where, commands in lists.items():
            assert (
                await emulator.call("setMyCommands", commands=commands, **dict(where))
            ).result is True
        for where, commands in lists.items():
            assert (await emulator.call("getMyCommands", **dict(where))).result == commands
        # The same chat, said in another way.
        scope = {"chat_id": "77", "type": "chat"}
        assert (await emulator.call("getMyCommands", scope=scope)).result[0]["command"] == "secret"
        assert (await emulator.call("getMyCommands", language_code="fr")).result == []
        assert (await emulator.call("deleteMyCommands", scope=scope)).result is True
        assert (await emulator.call("getMyCommands", scope=scope)).result == []
        assert len((await emulator.call("getMyCommands")).result) == 1

    async def test_a_slash_before_a_command_is_taken_away(self, emulator: Emulator) -> None:
        await emulator.call("setMyCommands", commands=[{"command": "/a", "description": " b "}])
        assert (await emulator.call("getMyCommands")).result == [
            {"command": "a", "description": "b"}
        ]

    @pytest.mark.parametrize(
        ("command", "description", "reason"),
        [
            ("Start", "x", "BOT_COMMAND_INVALID"),
            ("my-command", "x", "BOT_COMMAND_INVALID"),
            ("два", "x", "BOT_COMMAND_INVALID"),
            ("", "x", "command must be non-empty"),
            ("/", "x", "command must be non-empty"),
            ("a" * 33, "x", "command length must not exceed 32"),
            ("a", " ", "command description must be non-empty"),
            ("a", "x" * 257, "command description length must not exceed 256"),
        ],
    )
    async def test_bad_names(
        self, emulator: Emulator, command: str, description: str, reason: str
    ) -> None:
        commands = [{"command": command, "description": description}]
        refused(await emulator.call("setMyCommands", commands=commands), reason)

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({"commands": {}}, "expected an Array of BotCommand"),
            ({"commands": "["}, "can't parse commands JSON object"),
            ({"commands": ["start"]}, "can't parse BotCommand: expected an Object"),
            (
                {"commands": [{"command": "a"}]},
                "can't parse BotCommand: Can't find field \"description\"",
            ),
            (
                {"commands": [{"command": "a", "description": "b"}] * 101},
                "BOT_COMMANDS_TOO_MUCH",
            ),
            ({"language_code": "english"}, "invalid language code specified"),
            ({"scope": "["}, "can't parse BotCommandScope JSON object"),
            (
                {"scope": {"type": "galaxy"}},
                "can't parse BotCommandScope: Unsupported type specified",
            ),
            (
                {"scope": {"type": "chat"}},
                "can't parse BotCommandScope: Can't find field \"chat_id\"",
            ),
            ({"scope": {"type": "chat", "chat_id": "@nobody"}}, "chat not found"),
        ],
    )
    async def test_bad_arguments(
        self, emulator: Emulator, arguments: dict[str, Any], reason: str
    ) -> None:
        refused(await emulator.call("setMyCommands", **arguments), reason)


class TestNames:
    @pytest.mark.parametrize(
        ("kind", "what", "usual"),
        [
            ("Name", "name", f"Emulated bot {BOT_ID}"),
            ("Description", "description", ""),
            ("ShortDescription", "short_description", ""),
        ],
    )
    async def test_by_language(self, emulator: Emulator, kind: str, what: str, usual: str) -> None:
        async def get(**where: str) -> Any:
            return (await emulator.call(f"getMy{kind}", **where)).result[what]

        assert await get() == usual
        await emulator.call(f"setMy{kind}", **{what: "one"})
        await emulator.call(f"setMy{kind}", **{what: "eins"}, language_code="de")
        assert [await get(), await get(language_code="de"), await get(language_code="fr")] == [
            "one",
            "eins",
            "one",
        ]
        await emulator.call(f"setMy{kind}", **{what: ""}, language_code="de")
        assert await get(language_code="de") == "one"
        refused(
            await emulator.call(f"setMy{kind}", **{what: "x"}, language_code="D"),
            "invalid language code specified",
        )
        assert (await emulator.call(f"setMy{kind}", **{what: "x" * 513})).status == 400

    async def test_the_name_is_the_bots(self, emulator: Emulator) -> None:
        await emulator.call("setMyName", name="Echo")
        assert (await emulator.call("getMe")).result["first_name"] == "Echo"
        assert (await send(emulator))["from"]["first_name"] == "Echo"

    async def test_the_menu_button(self, emulator: Emulator) -> None:
        assert (await emulator.call("getChatMenuButton")).result == {"type": "default"}
        button = {"type": "web_app", "text": "Go", "web_app": {"url": "https://example.com"}}
        await emulator.call("setChatMenuButton", menu_button=button)
        assert (await emulator.call("getChatMenuButton")).result == button
        assert (await emulator.call("getChatMenuButton", chat_id=77)).result == button
        await emulator.call("setChatMenuButton", menu_button={"type": "commands"}, chat_id=77)
        assert (await emulator.call("getChatMenuButton", chat_id=77)).result["type"] == "commands"
        reply = await emulator.call("setChatMenuButton", menu_button={"type": "x"})
        refused(reply, "can't parse menu button: MenuButton has unsupported type")


class TestChats:
    async def test_a_chat(self, emulator: Emulator) -> None:
        full = (await emulator.call("getChat", chat_id=77)).result
        assert (full["id"], full["type"], full["first_name"]) == (77, "private", "User 77")
        assert full.keys() >= {"accent_color_id", "max_reaction_count", "accepted_gift_types"}
        refused(await emulator.call("getChat", chat_id="@nobody"), "chat not found")

    async def test_a_chat_that_is_described(self, emulator: Emulator) -> None:
        body = {
            "id": GROUP,
            "title": "Us",
            "username": "us",
            "members": [
                {"user": USER, "status": "creator"},
                {"user": {"id": BOT_ID}, "status": "administrator", "can_delete_messages": True},
                {"user": {"id": 10}, "status": "kicked"},
            ],
        }
        await emulator.control(f"/bots/{BOT_ID}/chats", body)
        full = (await emulator.call("getChat", chat_id="@us")).result
        assert (full["id"], full["title"], full["type"]) == (GROUP, "Us", "supergroup")
        owner, bot = (await emulator.call("getChatAdministrators", chat_id=GROUP)).result
        assert (owner["status"], owner["user"]["first_name"]) == ("creator", "Ann")
        assert (bot["user"]["id"], bot["can_delete_messages"], bot["can_promote_members"]) == (
            BOT_ID,
            True,
            False,
        )
        assert (await emulator.call("getChatMemberCount", chat_id=GROUP)).result == 2
        banned = (await emulator.call("getChatMember", chat_id=GROUP, user_id=10)).result
        assert (banned["status"], banned["until_date"]) == ("kicked", 0)
        message = await send(emulator, chat_id="@us")
        assert message["chat"]["id"] == GROUP

    async def test_who_writes_is_a_member(self, emulator: Emulator) -> None:
        await emulator.push_update({"message": {"chat": {"id": GROUP}, "from": USER, "text": "x"}})
        member = (await emulator.call("getChatMember", chat_id=GROUP, user_id=9)).result
        assert (member["status"], member["user"]["first_name"]) == ("member", "Ann")
        left = (await emulator.call("getChatMember", chat_id=-1006, user_id=9)).result
        assert left["status"] == "left"
        refused(await emulator.call("getChatMember", chat_id=GROUP, user_id=11), "user not found")
        refused(
            await emulator.call("getChatMember", chat_id=GROUP, user_id="x"),
            "invalid user_id specified",
        )
        refused(
            await emulator.call("getChatAdministrators", chat_id=77),
            "there are no administrators in the private chat",
        )

    async def test_members_are_changed(self, emulator: Emulator) -> None:
        await emulator.push_update({"message": {"chat": {"id": GROUP}, "from": USER, "text": "x"}})
        who = {"chat_id": GROUP, "user_id": 9}

        async def status() -> Any:
            return (await emulator.call("getChatMember", **who)).result["status"]

        for method, more, after in (
            ("promoteChatMember", {"can_pin_messages": True}, "administrator"),
            ("promoteChatMember", {}, "member"),
            ("restrictChatMember", {"permissions": {"can_send_messages": False}}, "restricted"),
            ("banChatMember", {}, "kicked"),
            ("unbanChatMember", {}, "left"),
        ):
            assert (await emulator.call(method, **who, **more)).result is True
            assert await status() == after
        refused(
            await emulator.call("unbanChatMember", chat_id=-5, user_id=9),
            "method is available for supergroup and channel chats only",
        )

    async def test_a_bot_that_is_not_there_any_more(self, emulator: Emulator) -> None:
        await emulator.control(f"/bots/{BOT_ID}/chats", {"id": 77, "blocked": True})
        refused(
            await emulator.call("sendMessage", chat_id=77, text="x"),
            "bot was blocked by the user",
            403,
        )
        await emulator.control(f"/bots/{BOT_ID}/chats", {"id": 77, "blocked": False})
        assert await send(emulator)
        kicked = [{"user": {"id": BOT_ID}, "status": "kicked"}]
        await emulator.control(f"/bots/{BOT_ID}/chats", {"id": GROUP, "members": kicked})
        for method, more in (("sendMessage", {"text": "x"}), ("getChat", {}), ("sendDice", {})):
            reply = await emulator.call(method, chat_id=GROUP, **more)
            refused(reply, "bot was kicked from the supergroup chat", 403)
        await emulator.call("leaveChat", chat_id=-1006)
        reply = await emulator.call("sendMessage", chat_id=-1006, text="x")
        refused(reply, "bot is not a member of the supergroup chat", 403)

    async def test_title_description_and_pins(self, emulator: Emulator) -> None:
        await emulator.call("setChatTitle", chat_id=GROUP, title="New")
        refused(
            await emulator.call("setChatTitle", chat_id=GROUP, title="New"),
            "chat title is not modified",
        )
        await emulator.call("setChatDescription", chat_id=GROUP, description="About")
        message = await send(emulator, chat_id=GROUP)
        where = {"chat_id": GROUP, "message_id": message["message_id"]}
        await emulator.call("pinChatMessage", **where)
        full = (await emulator.call("getChat", chat_id=GROUP)).result
        assert (full["title"], full["description"]) == ("New", "About")
        assert full["pinned_message"]["message_id"] == message["message_id"]
        await emulator.call("unpinChatMessage", **where)
        assert "pinned_message" not in (await emulator.call("getChat", chat_id=GROUP)).result
        refused(
            await emulator.call("pinChatMessage", chat_id=GROUP, message_id=99),
            "message to pin not found",
        )

    async def test_a_channel(self, emulator: Emulator) -> None:
        await emulator.control(f"/bots/{BOT_ID}/chats", {"id": GROUP, "type": "channel"})
        post = await send(emulator, chat_id=GROUP)
        assert ("from" in post, post["sender_chat"]["type"]) == (False, "channel")
        where = {"chat_id": GROUP, "message_id": post["message_id"]}
        assert (await emulator.call("editMessageText", **where, text="y")).result["text"] == "y"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"id": 0},
            {"id": "77"},
            {"id": 77, "type": "forum"},
            {"id": 77, "colour": "red"},
            {"id": 77, "members": [{"user": {"id": 5}, "status": "boss"}]},
            {"id": 77, "members": [5]},
        ],
    )
    async def test_a_bad_description(self, emulator: Emulator, body: Any) -> None:
        reply = await emulator.request("POST", f"/control/bots/{BOT_ID}/chats", json=body)
        assert (reply.status, bool(reply.body["error"])) == (400, True)


class TestMedia:
    @pytest.mark.parametrize(
        "kind", ["photo", "video", "animation", "document", "video_note", "sticker"]
    )
    async def test_a_file(self, emulator: Emulator, kind: str) -> None:
        method = "send" + kind.title().replace("_", "")
        form = FormData({"chat_id": "77"})
        form.add_field(kind, b"bytes", filename="a.bin", content_type="application/x-thing")
        message = (await emulator.request("POST", f"/bot{TOKEN}/{method}", data=form)).result
        media = message[kind][-1] if kind == "photo" else message[kind]
        assert media["file_size"] == 5
        again = await emulator.call(method, chat_id=77, **{kind: media["file_id"]})
        assert kind in again.result
        file = (await emulator.call("getFile", file_id=media["file_id"])).result
        path = f"/file/bot{TOKEN}/{file['file_path']}"
        assert (await emulator.request("GET", path)).body == b"bytes"
        reply = await emulator.call("sendVoice", chat_id=77, voice=media["file_id"])
        assert reply.body["description"].endswith("as VoiceNote")
        reply = await emulator.call(method, chat_id=77)
        refused(reply, f"there is no {kind.replace('_', ' ')} in the request")

    async def test_an_address(self, emulator: Emulator) -> None:
        """Nothing is fetched: the machine may have no network."""
        url = "https://example.com/cat.jpg"
        message = (await emulator.call("sendPhoto", chat_id=77, photo=url, caption="cat")).result
        assert (message["photo"][0]["file_size"], message["caption"]) == (0, "cat")
        assert (await emulator.sent())[0]["parameters"]["photo"]["file_name"] == "cat.jpg"

    async def test_a_caption_that_is_too_long(self, emulator: Emulator) -> None:
        arguments = {"chat_id": 77, "photo": "https://example.com/cat.jpg"}
        reply = await emulator.call("sendPhoto", **arguments, caption="x" * 1025)
        refused(reply, "message caption is too long")
        reply = await emulator.call(
            "sendPhoto", **arguments, caption=f"<b>{'x' * 1024}</b>", parse_mode="HTML"
        )
        assert len(reply.result["caption"]) == 1024

    async def group(self, emulator: Emulator, *items: Any) -> Reply:
        form = FormData({"chat_id": "77", "media": json.dumps(items)})
        for name in ("one", "two"):
            form.add_field(name, name.encode(), filename=f"{name}.jpg", content_type="image/jpeg")
        return await emulator.request("POST", f"/bot{TOKEN}/sendMediaGroup", data=form)

    async def test_a_media_group(self, emulator: Emulator) -> None:
        reply = await self.group(
            emulator,
            {"type": "photo", "media": "attach://one", "caption": "<b>x</b>", "parse_mode": "HTML"},
            {"type": "video", "media": "attach://two", "width": 3, "height": 4, "duration": 5},
        )
        photo, video = reply.result
        assert photo["media_group_id"] == video["media_group_id"]
        assert (photo["caption"], photo["caption_entities"][0]["type"]) == ("x", "bold")
        assert (video["video"]["width"], video["video"]["duration"]) == (3, 5)
        (sent,) = await emulator.sent()
        assert sent["message_ids"] == [photo["message_id"], video["message_id"]]
        assert [file["file_name"] for file in sent["parameters"]["files"]] == ["one.jpg", "two.jpg"]

    @pytest.mark.parametrize(
        ("items", "reason"),
        [
            ([], "there are no messages to send"),
            ([PHOTO] * 11, "too many messages to send as an album"),
            (
                [PHOTO, {"type": "audio", "media": "attach://two"}],
                "audio can't be mixed with other media types",
            ),
            ([{"media": "attach://one"}], "can't parse InputMedia: Can't find field \"type\""),
            ([{"type": "photo"}], "can't parse InputMedia: media not found"),
            (
                [{"type": "photo", "media": "attach://three"}],
                "can't parse InputMedia: media not found",
            ),
            (
                [{"type": "animation", "media": "attach://one"}],
                "can't parse InputMedia: type \"animation\" can't be used in sendMediaGroup",
            ),
            (
                [{"type": "hologram", "media": "attach://one"}],
                'can\'t parse InputMedia: type "hologram" is unsupported',
            ),
        ],
    )
    async def test_a_bad_media_group(
        self, emulator: Emulator, items: list[Any], reason: str
    ) -> None:
        refused(await self.group(emulator, *items), reason)
        assert await emulator.sent() == []


class TestReplies:
    async def test_a_message_that_is_not_there(self, emulator: Emulator) -> None:
        message = await send(emulator)
        number = message["message_id"]
        await emulator.call("deleteMessage", chat_id=77, message_id=number)
        for arguments in (
            {"reply_parameters": {"message_id": number}},
            {"reply_to_message_id": number},
        ):
            reply = await emulator.call("sendMessage", chat_id=77, text="x", **arguments)
            refused(reply, "message to be replied not found")
        parameters = {"message_id": number, "allow_sending_without_reply": True}
        assert "reply_to_message" not in await send(emulator, reply_parameters=parameters)

    async def test_a_message_of_another_chat(self, emulator: Emulator) -> None:
        there = await send(emulator, "there", chat_id=78)
        parameters = {"message_id": there["message_id"], "chat_id": 78}
        message = await send(emulator, reply_parameters=parameters)
        assert "reply_to_message" not in message
        assert message["external_reply"]["message_id"] == there["message_id"]
        assert message["external_reply"]["origin"]["sender_user"]["id"] == BOT_ID

    @pytest.mark.parametrize(
        ("parameters", "reason"),
        [
            ("[", "can't parse reply parameters JSON object"),
            ([1], "object expected as reply parameters"),
            ({"chat_id": 77}, 'can\'t find field "message_id"'),
            ({"message_id": "x"}, 'field "message_id" must be a valid Number'),
        ],
    )
    async def test_bad_parameters(self, emulator: Emulator, parameters: Any, reason: str) -> None:
        reply = await emulator.call(
            "sendMessage", chat_id=77, text="x", reply_parameters=parameters
        )
        refused(reply, reason)


class TestKeyboards:
    async def test_at_most_64_bytes_of_data(self, emulator: Emulator) -> None:
        for data, good in (
            ("x" * 64, True),
            ("x" * 65, False),
            ("é" * 32, True),
            ("é" * 33, False),
        ):
            markup = keyboard({"text": "ok", "callback_data": data})
            reply = await emulator.call("sendMessage", chat_id=77, text="x", reply_markup=markup)
            if good:
                assert reply.result["reply_markup"] == markup
            else:
                refused(reply, "BUTTON_DATA_INVALID")
        assert len(await emulator.sent()) == 2

    @pytest.mark.parametrize(
        ("markup", "reason"),
        [
            ("[", "can't parse reply keyboard markup JSON object"),
            ([], "object expected as reply markup"),
            (
                {"inline_keyboard": [{"text": "x", "callback_data": "y"}]},
                'field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays',
            ),
            ({"keyboard": ["x"]}, 'field "keyboard" must be an Array of Arrays'),
            (
                keyboard({"text": "x"}),
                "can't parse inline keyboard button: "
                "Text buttons are unallowed in the inline keyboard",
            ),
            (
                keyboard({"text": "x", "callback_data": ""}),
                "can't parse inline keyboard button: "
                "Text buttons are unallowed in the inline keyboard",
            ),
            (
                keyboard({"callback_data": "x"}),
                "can't parse inline keyboard button: Can't find field \"text\"",
            ),
            (
                keyboard({"text": "", "callback_data": "x"}),
                "inline keyboard button text must be non-empty",
            ),
            (
                keyboard({"text": "x", "url": "nowhere"}),
                "inline keyboard button URL 'nowhere' is invalid: Wrong HTTP URL",
            ),
            (
                keyboard({"text": "x", "web_app": {"url": "http://example.com"}}),
                "inline keyboard button Web App URL 'http://example.com' is invalid: "
                "Only HTTPS links are allowed",
            ),
            (
                {"keyboard": [[5]]},
                "can't parse keyboard button: KeyboardButton must be a String or an Object",
            ),
            (
                {"inline_keyboard": [[{"text": "x", "callback_data": "y"}]] * 101},
                "reply markup is too long",
            ),
        ],
    )
    async def test_what_is_refused(self, emulator: Emulator, markup: Any, reason: str) -> None:
        refused(
            await emulator.call("sendMessage", chat_id=77, text="x", reply_markup=markup), reason
        )


class TestChanges:
    async def test_text_caption_markup_and_media(self, emulator: Emulator) -> None:
        where = {"chat_id": 77, "message_id": (await send(emulator))["message_id"]}
        markup = keyboard({"text": "ok", "callback_data": "1"})
        edited = (
            await emulator.call(
                "editMessageText", **where, text="<i>y</i>", parse_mode="HTML", reply_markup=markup
            )
        ).result
        assert (edited["text"], edited["entities"][0]["type"]) == ("y", "italic")
        assert edited["reply_markup"] == markup
        refused(
            await emulator.call(
                "editMessageText", **where, text="<i>y</i>", parse_mode="HTML", reply_markup=markup
            ),
            NOT_MODIFIED,
        )
        refused(
            await emulator.call("editMessageReplyMarkup", **where, reply_markup=markup),
            NOT_MODIFIED,
        )
        assert "reply_markup" not in (await emulator.call("editMessageReplyMarkup", **where)).result
        refused(await emulator.call("editMessageReplyMarkup", **where), NOT_MODIFIED)
        refused(
            await emulator.call("editMessageCaption", **where, caption="x"),
            "there is no caption in the message to edit",
        )
        refused(
            await emulator.call(
                "editMessageText", **where, text="z", reply_markup={"force_reply": True}
            ),
            "inline keyboard expected",
        )

        photo = {"chat_id": 77, "photo": "https://example.com/cat.jpg", "caption": "a"}
        where["message_id"] = (await emulator.call("sendPhoto", **photo)).result["message_id"]
        edited = (await emulator.call("editMessageCaption", **where, caption="b")).result
        assert (edited["caption"], bool(edited["photo"])) == ("b", True)
        refused(await emulator.call("editMessageCaption", **where, caption="b"), NOT_MODIFIED)
        assert "caption" not in (await emulator.call("editMessageCaption", **where)).result
        refused(
            await emulator.call("editMessageText", **where, text="x"),
            "there is no text in the message to edit",
        )
        media = {"type": "video", "media": "https://example.com/cat.mp4", "caption": "c"}
        edited = (await emulator.call("editMessageMedia", **where, media=media)).result
        assert (edited["caption"], "photo" in edited, "video" in edited) == ("c", False, True)

    async def test_whose_and_which(self, emulator: Emulator) -> None:
        await emulator.push("mine")
        user = (await emulator.poll()).result[0]["message"]["message_id"]
        for method in ("editMessageText", "editMessageReplyMarkup"):
            reply = await emulator.call(method, chat_id=77, message_id=user, text="x")
            refused(reply, "message can't be edited")
            reply = await emulator.call(method, chat_id=77, message_id=99, text="x")
            refused(reply, "message to edit not found")
            reply = await emulator.call(method, text="x")
            refused(reply, "message identifier is not specified")
            reply = await emulator.call(method, text="x", message_id=5)
            refused(reply, "chat_id is empty")
            reply = await emulator.call(method, text="x", inline_message_id="nonsense")
            refused(reply, "MESSAGE_ID_INVALID")

    async def test_delete(self, emulator: Emulator) -> None:
        numbers = [(await send(emulator))["message_id"] for _ in range(3)]
        one, *others = numbers
        refused(await emulator.call("deleteMessage"), "chat identifier is not specified")
        refused(
            await emulator.call("deleteMessage", chat_id=77), "message identifier is not specified"
        )
        where = {"chat_id": 77, "message_id": one}
        assert (await emulator.call("deleteMessage", **where)).result is True
        refused(await emulator.call("deleteMessage", **where), "message to delete not found")
        arguments: dict[str, Any] = {"chat_id": 77, "message_ids": [*others, 99]}
        assert (await emulator.call("deleteMessages", **arguments)).result is True
        for wrong, reason in (
            ([], "message identifiers are not specified"),
            ([-1], "invalid message identifier specified"),
            (list(range(1, 102)), "too many message identifiers specified"),
            ({}, "expected an Array of message identifiers"),
        ):
            reply = await emulator.call("deleteMessages", chat_id=77, message_ids=wrong)
            refused(reply, reason)

    async def test_copy_and_forward(self, emulator: Emulator) -> None:
        original = await send(emulator, "<b>x</b>", parse_mode="HTML")
        source = {"from_chat_id": 77, "message_id": original["message_id"], "chat_id": 78}
        copy = (await emulator.call("copyMessage", **source)).result
        assert copy.keys() == {"message_id"}
        forward = (await emulator.call("forwardMessage", **source)).result
        assert (forward["text"], forward["chat"]["id"]) == ("x", 78)
        assert forward["forward_origin"]["sender_user"]["id"] == BOT_ID
        where = {"chat_id": 78, "message_id": copy["message_id"]}
        edited = (await emulator.call("editMessageText", **where, text="y")).result
        assert ("forward_origin" in edited, edited["text"]) == (False, "y")
        many = {"from_chat_id": 77, "chat_id": 78, "message_ids": [original["message_id"], 99]}
        assert len((await emulator.call("copyMessages", **many)).result) == 1
        assert len((await emulator.call("forwardMessages", **many)).result) == 1
        source["message_id"] = 99
        refused(await emulator.call("copyMessage", **source), "message to copy not found")
        refused(await emulator.call("forwardMessage", **source), "message to forward not found")
        del source["from_chat_id"]
        refused(
            await emulator.call("copyMessage", **source), 'parameter "from_chat_id" is required'
        )

    async def test_a_copy_with_another_caption(self, emulator: Emulator) -> None:
        photo = {"chat_id": 77, "photo": "https://example.com/cat.jpg", "caption": "a"}
        number = (await emulator.call("sendPhoto", **photo)).result["message_id"]
        source = {"from_chat_id": 77, "message_id": number, "chat_id": 77}
        copy = (await emulator.call("copyMessage", **source, caption="b")).result["message_id"]
        bot = emulator.core.bots[BOT_ID]
        assert bot.messages[(77, copy)]["caption"] == "b"


class TestQueries:
    async def pressed(self, emulator: Emulator) -> str:
        markup = keyboard({"text": "ok", "callback_data": "1"})
        await send(emulator, reply_markup=markup)
        pressed = await emulator.control(f"/bots/{BOT_ID}/press", {"text": "ok"})
        return str(pressed["callback_query_id"])

    async def test_an_unknown_callback_query(self, emulator: Emulator) -> None:
        for number in ("1", "", "x"):
            reply = await emulator.call("answerCallbackQuery", callback_query_id=number)
            refused(reply, TOO_OLD)
        assert await emulator.sent() == []

    async def test_an_answer(self, emulator: Emulator) -> None:
        query = await self.pressed(emulator)
        answer = {"callback_query_id": query, "text": "done", "show_alert": True}
        assert (await emulator.call("answerCallbackQuery", **answer)).result is True
        assert (await emulator.sent())[-1]["parameters"]["text"] == "done"
        answer["text"] = "x" * 201
        refused(await emulator.call("answerCallbackQuery", **answer), "MESSAGE_TOO_LONG")
        reply = await emulator.call("answerInlineQuery", inline_query_id=query, results=[])
        refused(reply, TOO_OLD)

    async def test_an_answer_that_is_too_late(self, emulator: Emulator) -> None:
        query = await self.pressed(emulator)
        await emulator.advance(151)
        refused(await emulator.call("answerCallbackQuery", callback_query_id=query), TOO_OLD)

    async def test_one_that_was_pushed_by_hand(self, emulator: Emulator) -> None:
        body = {"id": "5", "from": {"id": 5}, "data": "x"}
        await emulator.push_update({"callback_query": body})
        assert (await emulator.call("answerCallbackQuery", callback_query_id="5")).result is True

    async def inline(self, emulator: Emulator, query: str = "cats") -> str:
        await emulator.push_update({"inline_query": {"query": query, "from": {"id": 9}}})
        update = (await emulator.poll(-1)).result[0]["inline_query"]
        assert (update["query"], update["from"]["id"], update["offset"]) == (query, 9, "")
        return str(update["id"])

    @staticmethod
    def article(number: str = "1", **more: Any) -> dict[str, Any]:
        content = {"message_text": "*meow*", "parse_mode": "MarkdownV2"}
        return {
            "type": "article",
            "id": number,
            "title": "Cat",
            "input_message_content": content,
            **more,
        }

    async def test_an_inline_query(self, emulator: Emulator) -> None:
        query = await self.inline(emulator)
        markup = keyboard({"text": "more", "callback_data": "m"})
        arguments = {"inline_query_id": query, "results": [self.article(reply_markup=markup)]}
        assert (await emulator.call("answerInlineQuery", **arguments)).result is True
        chosen = await emulator.control(
            f"/bots/{BOT_ID}/choose", {"inline_query_id": query, "result_id": "1"}
        )
        update = (await emulator.poll(-1)).result[0]["chosen_inline_result"]
        number = update["inline_message_id"]
        assert (update["result_id"], update["query"], number) == (
            "1",
            "cats",
            chosen["inline_message_id"],
        )
        # Its buttons can be pressed, and it can be edited.
        await emulator.control(
            f"/bots/{BOT_ID}/press", {"text": "more", "inline_message_id": number}
        )
        pressed = (await emulator.poll(-1)).result[0]["callback_query"]
        assert (pressed["inline_message_id"], "message" in pressed) == (number, False)
        edit = {"inline_message_id": number, "text": "purr"}
        assert (await emulator.call("editMessageText", **edit)).result is True
        refused(await emulator.call("editMessageText", **edit), NOT_MODIFIED)

    @pytest.mark.parametrize(
        ("results", "reason"),
        [
            ({}, 'can\'t parse parameter "results": expected an Array'),
            ([{"type": "article", "id": "1"}], None),
            ([{"type": "article", "id": "1", "title": "x"}], None),
        ],
    )
    async def test_bad_results(self, emulator: Emulator, results: Any, reason: str | None) -> None:
        query = await self.inline(emulator)
        reply = await emulator.call("answerInlineQuery", inline_query_id=query, results=results)
        assert reply.status == 400
        assert reason is None or reply.body["description"] == f"Bad Request: {reason}"

    async def test_more_bad_results(self, emulator: Emulator) -> None:
        query = await self.inline(emulator)
        article = self.article
        for results, reason in (
            ([article("1"), article("1")], "RESULT_ID_DUPLICATE"),
            ([article("x" * 65)], "RESULT_ID_INVALID"),
            ([article(str(n)) for n in range(51)], "too many inline query results specified"),
            (
                [article(input_message_content={"message_text": "<b>", "parse_mode": "HTML"})],
                "can't parse entities: Can't find end tag corresponding to start tag \"b\"",
            ),
            (
                [article(reply_markup=keyboard({"text": "x", "callback_data": "y" * 65}))],
                "BUTTON_DATA_INVALID",
            ),
        ):
            reply = await emulator.call("answerInlineQuery", inline_query_id=query, results=results)
            refused(reply, reason)

    async def test_an_inline_answer_that_is_too_late(self, emulator: Emulator) -> None:
        query = await self.inline(emulator)
        await emulator.advance(31)
        reply = await emulator.call("answerInlineQuery", inline_query_id=query, results=[])
        refused(reply, TOO_OLD)

    async def test_checkout(self, emulator: Emulator) -> None:
        user = {"id": 9}
        await emulator.push_update({"pre_checkout_query": {"from": user, "currency": "XTR"}})
        number = (await emulator.poll(-1)).result[0]["pre_checkout_query"]["id"]
        answer = {"pre_checkout_query_id": number, "ok": False}
        refused(
            await emulator.call("answerPreCheckoutQuery", **answer),
            'parameter "error_message" is required',
        )
        answer["ok"] = True
        assert (await emulator.call("answerPreCheckoutQuery", **answer)).result is True
        answer["pre_checkout_query_id"] = "5"
        refused(await emulator.call("answerPreCheckoutQuery", **answer), TOO_OLD)

"""Whatever comes is answered: no request ends in "Internal Server Error", or stops the others."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from bot_api_emulator.arguments import Upload
from bot_api_emulator.clock import ManualClock
from bot_api_emulator.core import Core
from bot_api_emulator.files import FileStore
from emulator_harness import BOT_ID, TOKEN, Emulator, answer_of
from webhook_receiver import Receiver

UPDATES = f"/control/bots/{BOT_ID}/updates"
DEEP = "[" * 100_000 + "]" * 100_000
DIGITS = "9" * 5_000
# Not what a field should be.
WRONG: tuple[Any, ...] = (5, 1.5, True, "x", "http://[", "\0", [], [[]], [5], {}, {"id": []})
DISPOSITION = b"Content-Disposition: form-data; name="
CHAT = DISPOSITION + b'"chat_id"\r\n\r\n77'
FORM = "multipart/form-data; boundary=xx"


def form(*parts: bytes) -> bytes:
    return b"".join(b"--xx\r\n" + part + b"\r\n" for part in parts) + b"--xx--\r\n"


async def is_well(emulator: Emulator) -> None:
    assert (await emulator.call("getMe")).status == 200
    assert (await emulator.request("GET", f"/control/bots/{BOT_ID}/sent")).status == 200
    assert (await emulator.request("GET", f"/control/bots/{BOT_ID}/stats")).status == 200


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("sendMessage", "entities"),
        ("sendMessage", "reply_markup"),
        ("sendMessage", "reply_parameters"),
        ("sendMessage", "not_a_parameter"),
        ("sendMediaGroup", "media"),
        ("sendPoll", "options"),
        ("answerInlineQuery", "results"),
        ("setMyCommands", "commands"),
        ("getUpdates", "allowed_updates"),
    ],
)
async def test_json_that_is_nested_too_deep_is_refused(
    emulator: Emulator, method: str, name: str
) -> None:
    required = {"chat_id": 77, "text": "a", "question": "q", "inline_query_id": "1"}
    reply = await emulator.call(method, **required, **{name: DEEP})
    assert reply.status < 500, reply.body
    body = json.dumps(required)[:-1] + f', "{name}": {DEEP}}}'
    # With an offset, so that it is no second poll that waits.
    path, headers = f"/bot{TOKEN}/{method}?offset=5", {"Content-Type": "application/json"}
    reply = await emulator.request("POST", path, data=body, headers=headers)
    assert reply.status < 500, reply.body
    await is_well(emulator)


@pytest.mark.parametrize("path", ["/control/bots", UPDATES, "/control/mode", "/control/clock"])
@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"advance": NaN}',
        '{"advance": 1e999}',
        '{"message": {"chat": {"id": 77}, "text": "\\ud800"}}',
    ],
    ids=["list", "object", "nan", "infinite", "surrogate"],
)
async def test_json_that_is_none_is_refused_by_the_control_api(
    emulator: Emulator, path: str, body: str
) -> None:
    reply = await emulator.request("POST", path, data=body)
    assert reply.status == 400
    assert isinstance(reply.body["error"], str)
    assert (await emulator.poll()).result == []


async def test_half_a_character_is_no_text(emulator: Emulator) -> None:
    path, headers = f"/bot{TOKEN}/sendMessage", {"Content-Type": "application/json"}
    body = '{"chat_id": 77, "text": "a\\ud800b"}'
    reply = await emulator.request("POST", path, data=body, headers=headers)
    assert (reply.status, reply.body["error_code"]) == (400, 400)
    whole = '{"chat_id": 77, "text": "a\\ud83d\\ude00b"}'
    reply = await emulator.request("POST", path, data=whole, headers=headers)
    assert reply.result["text"] == "a\N{GRINNING FACE}b"


@pytest.mark.parametrize(
    "name", ["reply_to_message_id", "message_thread_id", "user_id", "from_chat_id"]
)
async def test_numbers_of_thousands_of_digits_are_recorded_as_they_came(
    emulator: Emulator, name: str
) -> None:
    reply = await emulator.call("sendMessage", chat_id=77, text="a", **{name: DIGITS})
    assert reply.status == 200
    assert (await emulator.sent())[0]["parameters"][name] == DIGITS


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("sendMessage", {"entities": [{"type": "?", "offset": 0, "length": 1}]}),
        ("sendMessage", {"reply_markup": {"inline_keyboard": [[{"text": "a", "url": "?"}]]}}),
        (
            "sendMessage",
            {"reply_markup": {"inline_keyboard": [[{"text": "a", "login_url": {"url": "?"}}]]}},
        ),
        (
            "sendMessage",
            {"reply_markup": {"inline_keyboard": [[{"text": "a", "web_app": {"url": "?"}}]]}},
        ),
        ("sendPhoto", {"photo": "?"}),
        ("sendMediaGroup", {"media": [{"type": "photo", "media": "?"}]}),
        ("restrictChatMember", {"permissions": {"status": "?"}}),
        ("restrictChatMember", {"permissions": {"user": "?"}}),
        ("sendMessage", {"text": "![x](tg://[emoji?id=5)", "parse_mode": "MarkdownV2", "x": "?"}),
    ],
    ids=str,
)
async def test_arguments_of_another_kind_are_refused_or_done(
    emulator: Emulator, method: str, arguments: dict[str, Any], value: Any
) -> None:
    filled = json.loads(json.dumps(arguments).replace('"?"', json.dumps(value)))
    chat = -1007 if method == "restrictChatMember" else 77
    given = {"chat_id": chat, "user_id": 5, "text": "a", **filled}
    assert (await emulator.call(method, **given)).status in (200, 400)
    assert (await emulator.call("getChatMember", chat_id=-1007, user_id=5)).status in (200, 400)
    await is_well(emulator)


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("kind", ["message", "callback_query", "my_chat_member", "poll"])
async def test_pushed_updates_of_any_shape_are_taken_or_refused(
    emulator: Emulator, kind: str, value: Any
) -> None:
    """What a user's side pushes is pressed, edited and copied later."""
    contents: list[Any] = [value]
    for name in ("from", "message_id", "id", "text", "chat", "date", "reply_markup"):
        contents.append({"chat": {"id": 77}, "message_id": 9, name: value})
    contents += [
        {"chat": {"id": 77}, "from": {"id": value}},
        {"chat": {"id": 77, "type": value}},
        {"chat": {"id": 77}, "reply_markup": {"inline_keyboard": value}},
        {"chat": {"id": 77}, "reply_markup": {"inline_keyboard": [value]}},
        {"chat": {"id": 77}, "reply_markup": {"inline_keyboard": [[value]]}},
    ]
    for content in contents:
        pushed = await emulator.request("POST", UPDATES, json={kind: content})
        assert pushed.status in (200, 400), (content, pushed.body)
        for button in ({"text": "no such button"}, {"data": "no such data"}):
            reply = await emulator.request("POST", f"/control/bots/{BOT_ID}/press", json=button)
            assert reply.status == 400, (content, reply.body)
        for method in ("copyMessage", "forwardMessage", "editMessageText"):
            given = {"chat_id": 77, "from_chat_id": 77, "message_id": 9, "text": "new"}
            assert (await emulator.call(method, **given)).status in (200, 400), content
    assert (await emulator.poll()).status == 200
    await is_well(emulator)


async def test_an_update_of_any_shape_stops_no_webhook(emulator: Emulator) -> None:
    await emulator.control("/mode", {"local": True})
    async with Receiver() as receiver:
        await emulator.call("setWebhook", url=receiver.url)
        await emulator.control(
            f"/bots/{BOT_ID}/updates", {"my_chat_member": {"chat": {"id": [1]}, "from": {"id": {}}}}
        )
        await emulator.push("after it")
        async with asyncio.timeout(10):
            while len(receiver.updates) < 2:
                await asyncio.sleep(0.01)
    await is_well(emulator)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 caf\xe9\r\nContent-Length: 0\r\n\r\n", b"\0\xff is no answer\r\n\r\n"],
    ids=["reason", "no answer"],
)
async def test_what_a_webhook_says_is_shown_in_one_line(emulator: Emulator, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await emulator.control("/mode", {"local": True})
    await emulator.call("setWebhook", url=f"http://127.0.0.1:{port}")
    await emulator.push()
    async with asyncio.timeout(10):
        while True:
            info = await emulator.call("getWebhookInfo")
            assert info.status == 200, info.body
            if "last_error_message" in info.result:
                break
            await asyncio.sleep(0.01)
    assert info.result["last_error_message"].startswith("Wrong response from the webhook: ")
    assert "\n" not in info.result["last_error_message"]
    server.close()


@pytest.mark.parametrize("path", [f"/bot{TOKEN}/sendDocument", UPDATES], ids=["bot", "control"])
@pytest.mark.parametrize(
    "body",
    [
        form(CHAT, DISPOSITION + b'"document"; filename="\xff\xfe.txt"\r\n\r\ndata'),
        form(CHAT, DISPOSITION + b'"document"; filename="a\0.txt"\r\n\r\ndata'),
        form(
            CHAT,
            DISPOSITION + b'"document"; filename="a.txt"\r\nContent-Type: text/\xff\r\n\r\ndata',
        ),
        b"--xx\r\nContent-Disp",
        b"--xx\r\nA: " + b"a" * 100_000 + b"\r\n\r\nb\r\n--xx--\r\n",
        b"--xx\r\n" + b"A: b\r\n" * 10_000 + b"\r\nb\r\n--xx--\r\n",
    ],
    ids=["name", "zero", "type", "cut", "long header", "many headers"],
)
async def test_forms_that_are_broken_or_in_another_encoding(
    emulator: Emulator, path: str, body: bytes
) -> None:
    reply = await emulator.request("POST", path, data=body, headers={"Content-Type": FORM})
    assert reply.status in (200, 400), reply.body
    await emulator.poll()
    await is_well(emulator)


async def test_a_file_with_a_name_in_another_encoding_is_sent(emulator: Emulator) -> None:
    body = form(CHAT, DISPOSITION + b'"document"; filename="caf\xe9.txt"\r\n\r\ndata')
    path, headers = f"/bot{TOKEN}/sendDocument", {"Content-Type": FORM}
    reply = await emulator.request("POST", path, data=body, headers=headers)
    assert reply.result["document"]["file_name"] == "caf\N{REPLACEMENT CHARACTER}.txt"


@pytest.mark.parametrize("path", [f"/bot{TOKEN}/getMe", "/control/clock", UPDATES])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", FORM])
async def test_a_body_that_is_not_packed_as_it_says(
    emulator: Emulator, path: str, encoding: str, kind: str
) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": encoding}
    reply = await emulator.request("POST", path, data=b"not packed", headers=headers)
    assert reply.status == 400
    await is_well(emulator)


async def test_a_type_of_content_that_only_names_a_form(emulator: Emulator) -> None:
    headers = {"Content-Type": "text/plain; multipart/form-data; boundary=xx"}
    reply = await emulator.request("POST", f"/bot{TOKEN}/getMe", data=form(CHAT), headers=headers)
    assert reply.status < 500


async def test_a_defect_ends_its_own_call_only(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that of a call which a fault has delayed: nobody else drives the clock over it."""

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Core, "_call_method", broken)
    await emulator.control(f"/bots/{BOT_ID}/faults", {"method": "getMe", "delay_s": 5, "times": 1})
    late = asyncio.create_task(emulator.call("getMe"))
    while not emulator.core._unanswered:
        await asyncio.sleep(0.002)
    await emulator.advance(6)
    assert (await answer_of(late)).status == 500
    assert (await emulator.call("getMe")).status == 500
    assert not emulator.core._unanswered
    assert (await emulator.poll()).result == []


async def test_only_files_are_read_in_local_mode(emulator: Emulator, tmp_path: Path) -> None:
    """A device has no end, and a pipe no beginning."""
    await emulator.control("/mode", {"local": True})
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe"), str(tmp_path)):
        async with asyncio.timeout(10):
            reply = await emulator.call("sendDocument", chat_id=77, document=f"file://{path}")
        assert (reply.status, reply.body["description"]) == (400, "Bad Request: file not found")


def test_files_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot_api_emulator.files.MAX_FILES", 3)
    store = FileStore(Core(ManualClock())._random)
    upload = Upload("a.txt", "text/plain", 4, b"data")
    files = [store.add(1, "document", upload) for _ in range(5)]
    known = [store.by_id(1, file.file_id) is not None for file in files]
    assert known == [False, False, True, True, True]
    assert [store.by_path(1, file.path) is not None for file in files] == known
    store.forget(1)
    assert store.by_id(1, files[4].file_id) is None


@pytest.mark.parametrize("path", [f"/bot{TOKEN}/sendMessage", UPDATES], ids=["bot", "control"])
async def test_a_field_without_end_is_refused_while_it_comes(emulator: Emulator, path: str) -> None:
    """It was read to its end first, however much memory that took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
    writer.write(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
    writer.write(b"--xx\r\n" + DISPOSITION + b'"text"\r\n\r\n' + b"a" * (3 << 20))
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()

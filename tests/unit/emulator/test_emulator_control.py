"""The control API."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import FormData
from emulator_harness import BOT_ID, HOOK, OTHER_TOKEN, TOKEN, Emulator, answer_of

pytestmark = pytest.mark.asyncio

UPDATES = f"/control/bots/{BOT_ID}/updates"


async def test_register(emulator: Emulator) -> None:
    assert (await emulator.call("getMe", OTHER_TOKEN)).status == 401
    body = {"token": OTHER_TOKEN}
    assert await emulator.control("/bots", body) == {"id": 4343, "username": "emulated_4343_bot"}
    assert (await emulator.call("getMe", OTHER_TOKEN)).result["id"] == 4343
    assert await emulator.control("/bots") == [
        {"id": BOT_ID, "username": f"emulated_{BOT_ID}_bot"},
        {"id": 4343, "username": "emulated_4343_bot"},
    ]


async def test_registering_again_changes_nothing(emulator: Emulator) -> None:
    a = await emulator.start_poll(7)
    await emulator.control("/bots", {"token": TOKEN})
    assert await emulator.still_waits(a)
    update = await emulator.push()
    await emulator.control("/bots", {"token": TOKEN})
    assert (await emulator.poll(0)).ids == [update]


async def test_names_can_be_given(emulator: Emulator) -> None:
    names = {"username": "echo_bot", "first_name": "Echo"}
    await emulator.control("/bots", {"token": OTHER_TOKEN, **names})
    me = (await emulator.call("getMe", OTHER_TOKEN)).result
    assert {name: me[name] for name in names} == names


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"token": 5},
        {"token": "nocolon"},
        {"token": "0:abc"},
        {"token": "x:abc"},
        {"token": "5:"},
        {"token": "5:a/b"},
        {"token": "5:" + "a" * 79},
        {"token": "5:abc", "username": 5},
        [],
    ],
)
async def test_a_bad_registration(emulator: Emulator, body: Any) -> None:
    reply = await emulator.request("POST", "/control/bots", json=body)
    assert reply.status == 400
    assert "a/b" not in reply.body["error"]


async def test_health(emulator: Emulator) -> None:
    health = await emulator.control("/health")
    assert (health["status"], health["bots"]) == ("ok", 1)


async def test_a_short_message_is_completed(emulator: Emulator) -> None:
    await emulator.push("/start now")
    (update,) = (await emulator.poll()).result
    message = update["message"]
    assert message["message_id"] == 1
    assert message["from"]["id"] == 77
    assert message["chat"]["type"] == "private"
    assert message["date"] == emulator.core.now() // 1_000_000
    assert message["entities"] == [{"type": "bot_command", "offset": 0, "length": 6}]


async def test_what_is_given_stays(emulator: Emulator) -> None:
    given: dict[str, Any] = {
        "message_id": 500,
        "date": 1_700_000_000,
        "chat": {"id": -1005, "type": "supergroup", "title": "Us"},
        "from": {"id": 9, "is_bot": False, "first_name": "Ann"},
        "text": "/x",
        "entities": [],
    }
    await emulator.push_update({"message": given})
    message = (await emulator.poll()).result[0]["message"]
    assert message == given | {"from": {"language_code": "en", **given["from"]}}
    reply = await emulator.call("sendMessage", chat_id=-1005, text="x")
    assert (reply.result["message_id"], reply.result["chat"]) == (501, given["chat"])


async def test_other_kinds_pass_unchanged(emulator: Emulator) -> None:
    query = {"id": "1", "from": {"id": 5}, "data": "x"}
    update = await emulator.push_update({"callback_query": query})
    assert (await emulator.poll()).result == [{"update_id": update, "callback_query": query}]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"message": 5},
        {"message": {}},
        {"message": {"chat": {"id": "77"}}},
        {"message": {"chat": {"id": 77}}, "update_id": 5},
        {"no_such_kind": {}},
        {"message": {"chat": {"id": 77}}, "poll": {}},
        {"message": {"chat": {"id": 77}, "message_id": "x"}},
        {"message": {"chat": {"id": 77}, "text": "x" * 600_000}},
    ],
)
async def test_a_bad_update(emulator: Emulator, body: Any) -> None:
    reply = await emulator.request("POST", UPDATES, json=body)
    assert reply.status == 400
    assert reply.body["error"]
    assert (await emulator.stats())["pending"] == 0


@pytest.mark.parametrize(
    ("kind", "mime_type", "suffix"), [("voice", "audio/ogg", "oga"), ("audio", "audio/mpeg", "mp3")]
)
async def test_a_file_by_form(emulator: Emulator, kind: str, mime_type: str, suffix: str) -> None:
    fields = {"chat_id": "-1005", "from_id": "9", "duration": "12", "caption": "hi"}
    form = FormData(fields)
    form.add_field(kind, b"data", filename="file", content_type="application/octet-stream")
    update = await emulator.control(f"/bots/{BOT_ID}/updates", data=form)
    (received,) = (await emulator.poll()).result
    assert received["update_id"] == update["update_id"]
    message = received["message"]
    assert message["chat"]["type"] == "supergroup"
    assert (message["from"]["id"], message["caption"]) == (9, "hi")
    media = message[kind]
    assert (media["duration"], media["mime_type"], media["file_size"]) == (12, mime_type, 4)
    file = (await emulator.call("getFile", file_id=media["file_id"])).result
    assert file["file_path"].endswith(f".{suffix}")


@pytest.mark.parametrize(
    "fields",
    [{}, {"chat_id": "x"}, {"chat_id": "0"}, {"chat_id": "7", "duration": "x"}, {"chat": "7"}],
)
async def test_a_bad_form(emulator: Emulator, fields: dict[str, str]) -> None:
    form = FormData(fields)
    form.add_field("voice", b"data", filename="v.ogg")
    reply = await emulator.request("POST", UPDATES, data=form)
    assert (reply.status, bool(reply.body["error"])) == (400, True)


async def test_a_form_without_a_file(emulator: Emulator) -> None:
    form = FormData({"chat_id": "7"}, default_to_multipart=True)
    assert (await emulator.request("POST", UPDATES, data=form)).status == 400


async def test_stats(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 10)
    await emulator.advance(10)
    await answer_of(a)
    await emulator.advance(0.25)
    b = await emulator.start_poll(0, 10)
    stats = await emulator.stats()
    start = stats["now"] - 10.25
    assert stats == {
        "now": stats["now"],
        "polls": 2,
        "parked": 1,
        "max_parked": 1,
        "open": 1,
        "max_open": 1,
        "pending": 0,
        "conflicts": {"C1": 0, "C2": 0, "C3": 0, "C4": 0},
        "conflicts_unseen": {"C1": 0, "C2": 0, "C3": 0, "C4": 0},
        "delivered": 0,
        "redelivered": 0,
        "confirmed": 0,
        "confirmed_undelivered": 0,
        "dropped": 0,
        "expired": 0,
        "webhook": {"sent": 0, "failed": 0, "open": 0, "max_open": 0},
        "pollers": [
            {
                "peer": "127.0.0.1",
                "user_agent": "tests",
                "first": start,
                "last": stats["now"],
                "polls": 2,
            }
        ],
        "gaps_ms": [250.0],
    }
    assert await emulator.still_waits(b)


async def test_a_poll_that_can_bring_nothing_closes_no_gap(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 10)
    await emulator.call("setWebhook", url=HOOK)
    await answer_of(a)
    await emulator.advance(5)
    assert (await emulator.poll(0)).status == 409
    await emulator.call("deleteWebhook")
    await emulator.advance(2)
    await emulator.poll(5)
    assert (await emulator.stats())["gaps_ms"] == [7000.0]


async def test_two_programs_at_one_address_are_two_pollers(emulator: Emulator) -> None:
    for agent in ("one", "two", "one"):
        await emulator.request(
            "GET", f"/bot{TOKEN}/getUpdates?offset=1", headers={"User-Agent": agent}
        )
        await emulator.advance(3)
    pollers = (await emulator.stats())["pollers"]
    assert [(poller["user_agent"], poller["polls"]) for poller in pollers] == [
        ("one", 2),
        ("two", 1),
    ]


async def test_reset(emulator: Emulator) -> None:
    first = await emulator.push()
    await emulator.poll(allowed_updates=["message"])
    await emulator.call("setWebhook", url=HOOK)
    await emulator.call("sendMessage", chat_id=77, text="x")
    assert await emulator.control(f"/bots/{BOT_ID}/reset", {}) == {
        "id": BOT_ID,
        "username": f"emulated_{BOT_ID}_bot",
    }
    assert await emulator.sent() == []
    assert (await emulator.stats())["polls"] == 0
    info = (await emulator.call("getWebhookInfo")).result
    assert info == {"url": "", "has_custom_certificate": False, "pending_update_count": 0}
    assert await emulator.push() == first + 1


async def test_reset_leaves_a_living_poll_parked(emulator: Emulator) -> None:
    a = await emulator.start_poll()
    await emulator.control(f"/bots/{BOT_ID}/reset", {})
    stats = await emulator.stats()
    assert (stats["parked"], stats["open"], stats["polls"], len(stats["pollers"])) == (1, 1, 1, 1)
    update = await emulator.push()
    await emulator.advance(0.002)
    assert (await answer_of(a)).ids == [update]


async def test_reset_lets_a_logged_out_bot_in(emulator: Emulator) -> None:
    await emulator.call("logOut")
    await emulator.control(f"/bots/{BOT_ID}/reset", {})
    assert (await emulator.call("getMe")).status == 200


async def test_modes(emulator: Emulator) -> None:
    modes: dict[str, Any] = {"ghost": 0, "webhook_delay": 0, "local": False, "strict": False}
    assert await emulator.control("/mode") == modes
    modes["ghost"] = 1.5
    assert await emulator.control("/mode", {"ghost": 1.5}) == modes
    modes["local"] = True
    assert await emulator.control("/mode", {"local": True}) == modes
    for body in (
        {},
        {"ghost": -1},
        {"ghost": "5"},
        {"ghost": True},
        {"other": 5},
        {"local": 1},
        {"strict": 1},
    ):
        assert (await emulator.request("POST", "/control/mode", json=body)).status == 400
    assert await emulator.control("/mode") == modes


async def test_the_clock(emulator: Emulator) -> None:
    before = (await emulator.control("/clock"))["now"]
    assert (await emulator.control("/clock", {"advance": 1.5}))["now"] == before + 1.5
    for body in ({}, {"advance": -1}, {"advance": "1"}, {"advance": 1e300}, {"set": 5}):
        assert (await emulator.request("POST", "/control/clock", json=body)).status == 400


async def test_the_real_clock_can_be_advanced_too(live: Emulator) -> None:
    a = await live.start_poll(0, 50)
    await live.advance(50)
    assert (await answer_of(a)).result == []


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/control"),
        ("GET", "/control/nothing"),
        ("DELETE", "/control/bots"),
        ("GET", "/control/bots/5/stats"),
        ("GET", "/control/bots/x/stats"),
        ("GET", "/control/bots/²/stats"),
        ("GET", f"/control/bots/{'9' * 5000}/stats"),
    ],
)
async def test_what_is_not_there(emulator: Emulator, verb: str, path: str) -> None:
    reply = await emulator.request(verb, path)
    assert (reply.status, bool(reply.body["error"])) == (404, True)


async def test_no_answer_holds_a_token(emulator: Emulator) -> None:
    await emulator.start_poll()
    await emulator.call("sendMessage", chat_id=77, text="x")
    secret = TOKEN.partition(":")[2]
    for path in ("/bots", f"/bots/{BOT_ID}/sent", f"/bots/{BOT_ID}/stats", "/health"):
        assert secret not in str(await emulator.control(path))

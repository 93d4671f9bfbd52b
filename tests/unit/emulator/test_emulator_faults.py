"""Faults that a tester sets: what they strike, what a bot sees of them, how they end."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import FormData
from bot_api_emulator.faults import MAX_FAULTS
from emulator_harness import BOT_ID, OTHER_TOKEN, TOKEN, Emulator, Reply, answer_of, until

pytestmark = pytest.mark.asyncio

FAULTS = f"/bots/{BOT_ID}/faults"


async def fault(emulator: Emulator, method: str = "sendMessage", **what: Any) -> int:
    answer = await emulator.control(FAULTS, {"method": method, **what})
    assert answer.keys() == {"id"}
    fault_id = answer["id"]
    assert isinstance(fault_id, int)
    return fault_id


async def send(emulator: Emulator, text: str = "x", chat_id: int | str = 77) -> Reply:
    return await emulator.call("sendMessage", chat_id=chat_id, text=text)


async def texts(emulator: Emulator) -> list[str]:
    return [sent["parameters"]["text"] for sent in await emulator.sent()]


async def struck(emulator: Emulator) -> list[int]:
    return [fault["struck"] for fault in await emulator.control(FAULTS)]


async def end(emulator: Emulator, fault_id: int | None = None) -> Any:
    path = f"/control{FAULTS}" + (f"/{fault_id}" if fault_id else "")
    reply = await emulator.request("DELETE", path)
    assert reply.status == 200, reply.body
    return reply.body


class TestErrors:
    @pytest.mark.parametrize(
        ("asked", "code", "description"),
        [
            (
                {"error_code": 400, "description": "Bad Request: chat not found"},
                400,
                "Bad Request: chat not found",
            ),
            ({"error_code": 401}, 401, "Unauthorized"),
            ({"error_code": 403}, 403, "Forbidden: bot was blocked by the user"),
            ({"error_code": 500}, 500, "Internal Server Error"),
            ({"error_code": 502}, 502, "Bad Gateway"),
            ({"error_code": 418}, 418, "Refused"),
        ],
    )
    async def test_an_error_in_the_envelope(
        self, emulator: Emulator, asked: dict[str, Any], code: int, description: str
    ) -> None:
        await fault(emulator, **asked)
        reply = await send(emulator)
        assert reply.status == code
        assert reply.body == {"ok": False, "error_code": code, "description": description}
        assert "Retry-After" not in reply.headers
        assert await emulator.sent() == []

    async def test_a_flood_wait(self, emulator: Emulator) -> None:
        await fault(emulator, error_code=429, retry_after=7)
        reply = await send(emulator)
        assert (reply.status, reply.headers["Retry-After"]) == (429, "7")
        assert reply.body == {
            "ok": False,
            "error_code": 429,
            "description": "Too Many Requests: retry after 7",
            "parameters": {"retry_after": 7},
        }

    async def test_a_flood_wait_says_how_long_it_still_lasts(self, emulator: Emulator) -> None:
        await fault(emulator, error_code=429, for_s=10)
        waits = []
        for _ in range(3):
            waits.append((await send(emulator)).body["parameters"]["retry_after"])
            await emulator.advance(3.5)
        assert waits == [10, 7, 3]
        assert (await send(emulator)).status == 200

    async def test_a_poll_is_refused_without_being_counted(self, emulator: Emulator) -> None:
        await fault(emulator, "getUpdates", error_code=502)
        assert (await emulator.poll()).status == 502
        assert (await emulator.stats())["polls"] == 0


class TestWhatIsStruck:
    async def test_one_method_in_any_spelling(self, emulator: Emulator) -> None:
        await fault(emulator, "SENDmessage", error_code=500)
        assert (await emulator.call("sendmessage", chat_id=77, text="x")).status == 500
        assert (await emulator.call("getMe")).status == 200

    async def test_all_methods(self, emulator: Emulator) -> None:
        await fault(emulator, "*", error_code=500)
        for method in ("getMe", "getUpdates", "setWebhook", "sendMessage", "noSuchMethod", "close"):
            assert (await emulator.call(method)).status == 500
        assert await struck(emulator) == [6]

    @pytest.mark.parametrize("chat_id", [77, -1005, "@channel"])
    async def test_one_chat(self, emulator: Emulator, chat_id: int | str) -> None:
        await fault(emulator, "*", chat_id=chat_id, error_code=403)
        assert (await send(emulator, chat_id=78)).status == 200
        assert (await emulator.call("getMe")).status == 200
        assert (await send(emulator, chat_id=chat_id)).status == 403
        form = FormData({"chat_id": str(chat_id), "text": "x"}, default_to_multipart=True)
        reply = await emulator.request("POST", f"/bot{TOKEN}/sendMessage", data=form)
        assert reply.status == 403

    async def test_after_some_calls_and_so_many_times(self, emulator: Emulator) -> None:
        await fault(emulator, after=2, times=3, error_code=500)
        statuses = [(await send(emulator)).status for _ in range(7)]
        assert statuses == [200, 200, 500, 500, 500, 200, 200]
        assert await struck(emulator) == [3]

    async def test_for_a_time(self, emulator: Emulator) -> None:
        await fault(emulator, for_s=2.5, error_code=500)
        await emulator.advance(2.499)
        assert (await send(emulator)).status == 500
        await emulator.advance(0.001)
        assert (await send(emulator)).status == 200

    async def test_the_time_runs_from_the_last_call_let_through(self, emulator: Emulator) -> None:
        await fault(emulator, after=1, for_s=5, error_code=500)
        await emulator.advance(60)
        assert (await send(emulator)).status == 200
        await emulator.advance(4)
        assert (await send(emulator)).status == 500
        await emulator.advance(1)
        assert (await send(emulator)).status == 200

    async def test_one_fault_strikes_a_call_and_the_next_takes_over(
        self, emulator: Emulator
    ) -> None:
        await fault(emulator, times=1, error_code=500)
        await fault(emulator, "*", times=1, error_code=502)
        assert [(await send(emulator)).status for _ in range(3)] == [500, 502, 200]
        assert await struck(emulator) == [1, 1]

    async def test_a_bot_has_faults_of_its_own(self, emulator: Emulator) -> None:
        await emulator.control("/bots", {"token": OTHER_TOKEN})
        await fault(emulator, "*", error_code=500)
        assert (await emulator.call("getMe", OTHER_TOKEN)).status == 200

    async def test_a_wrong_token_is_refused_first(self, emulator: Emulator) -> None:
        await fault(emulator, "*", error_code=500)
        assert (await emulator.call("getMe", TOKEN + "x")).status == 401

    async def test_a_download(self, emulator: Emulator) -> None:
        form = FormData({"chat_id": "77"})
        form.add_field("voice", b"data", filename="v.ogg")
        await emulator.control(f"/bots/{BOT_ID}/updates", data=form)
        file_id = (await emulator.poll()).result[0]["message"]["voice"]["file_id"]
        path = (await emulator.call("getFile", file_id=file_id)).result["file_path"]
        await fault(emulator, "download", times=1, error_code=502)
        # This client asks for a lost GET once more by itself.
        await fault(emulator, "download", times=2, lose="reply")
        assert (await emulator.request("GET", f"/file/bot{TOKEN}/{path}")).status == 502
        with pytest.raises(aiohttp.ClientConnectionError):
            await emulator.request("GET", f"/file/bot{TOKEN}/{path}")
        assert (await emulator.request("GET", f"/file/bot{TOKEN}/{path}")).body == b"data"


class TestLost:
    async def test_a_lost_reply_is_done_all_the_same(self, emulator: Emulator) -> None:
        await fault(emulator, lose="reply", times=1)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await send(emulator, "lost")
        await send(emulator, "again")
        assert await texts(emulator) == ["lost", "again"]

    async def test_a_lost_request_is_not_done(self, emulator: Emulator) -> None:
        await fault(emulator, lose="request", times=1)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await send(emulator, "lost")
        await send(emulator, "again")
        assert await texts(emulator) == ["again"]

    async def test_a_lost_refusal_is_lost_too(self, emulator: Emulator) -> None:
        await fault(emulator, lose="reply")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await send(emulator, "")

    async def test_updates_of_a_lost_reply_are_delivered_later(self, emulator: Emulator) -> None:
        update = await emulator.push()
        await fault(emulator, "getUpdates", lose="reply", times=1)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await emulator.poll()
        stats = await emulator.stats()
        assert (stats["polls"], stats["delivered"], stats["open"]) == (1, 0, 0)
        assert (await emulator.poll(5)).ids == [update]
        stats = await emulator.stats()
        assert (stats["delivered"], stats["redelivered"]) == (1, 0)

    async def test_a_parked_poll_loses_its_answer(self, emulator: Emulator) -> None:
        await fault(emulator, "getUpdates", lose="reply", times=1)
        task = await emulator.start_poll()
        assert await emulator.still_waits(task)
        await emulator.push()
        await emulator.advance(0.002)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await answer_of(task)
        stats = await emulator.stats()
        assert (stats["delivered"], stats["pending"], stats["open"]) == (0, 1, 0)

    async def test_a_lost_poll_is_not_done(self, emulator: Emulator) -> None:
        first = await emulator.push()
        await fault(emulator, "getUpdates", lose="request", times=1)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await emulator.poll(first + 1)
        stats = await emulator.stats()
        assert (stats["polls"], stats["confirmed"], stats["pending"]) == (0, 0, 1)


class TestDelay:
    async def test_a_call_is_done_later(self, emulator: Emulator) -> None:
        await fault(emulator, delay_s=4.5, times=1)
        task = emulator.keep(asyncio.create_task(send(emulator, "slow")))
        await until(lambda: bool(emulator.core._unanswered))
        await send(emulator, "fast")
        await emulator.advance(4.499)
        assert await emulator.still_waits(task)
        await emulator.advance(0.001)
        assert (await answer_of(task)).result["text"] == "slow"
        assert await texts(emulator) == ["fast", "slow"]

    async def test_it_is_done_though_the_client_gave_up(self, emulator: Emulator) -> None:
        await fault(emulator, delay_s=10)
        with pytest.raises(TimeoutError):
            await emulator.request(
                "POST",
                f"/bot{TOKEN}/sendMessage",
                json={"chat_id": 77, "text": "x"},
                timeout=aiohttp.ClientTimeout(total=0.1),
            )
        assert await texts(emulator) == []
        await emulator.advance(10)
        assert await texts(emulator) == ["x"]
        assert not emulator.core._unanswered

    async def test_a_refusal_comes_late_too(self, emulator: Emulator) -> None:
        await fault(emulator, delay_s=1)
        task = emulator.keep(asyncio.create_task(send(emulator, "")))
        await until(lambda: bool(emulator.core._unanswered))
        await emulator.advance(1)
        assert (await answer_of(task)).status == 400

    async def test_a_delayed_poll_of_a_client_that_is_gone_opens_nothing(
        self, emulator: Emulator
    ) -> None:
        await fault(emulator, "getUpdates", delay_s=10)
        with pytest.raises(TimeoutError):
            await emulator.request(
                "GET",
                f"/bot{TOKEN}/getUpdates?timeout=5",
                timeout=aiohttp.ClientTimeout(total=0.1),
            )
        held = next(iter(emulator.core._unanswered))
        await until(lambda: not held.connected)
        await emulator.advance(10)
        stats = await emulator.stats()
        assert (stats["polls"], stats["open"], stats["parked"]) == (1, 0, 1)
        await emulator.advance(5)
        stats = await emulator.stats()
        assert (stats["open"], stats["parked"], stats["delivered"]) == (0, 0, 0)


class TestHang:
    @pytest.mark.parametrize("asked", [{"lose": "hang"}, {"hang": True}])
    async def test_a_call_that_hangs_is_never_done(
        self, emulator: Emulator, asked: dict[str, Any]
    ) -> None:
        await fault(emulator, times=1, **asked)
        task = emulator.keep(asyncio.create_task(send(emulator, "never")))
        await until(lambda: bool(emulator.core._unanswered))
        await emulator.advance(100_000)
        await end(emulator)
        assert await emulator.still_waits(task)
        task.cancel()
        await until(lambda: not emulator.core._unanswered)
        assert await texts(emulator) == []

    async def test_the_emulators_end_is_its_end(self, emulator: Emulator) -> None:
        await fault(emulator, lose="hang")
        task = emulator.keep(asyncio.create_task(send(emulator)))
        await until(lambda: bool(emulator.core._unanswered))
        emulator.core.shutdown()
        assert (await answer_of(task)).status == 429


class TestListAndEnd:
    async def test_the_list_is_what_was_asked_and_how_often_it_struck(
        self, emulator: Emulator
    ) -> None:
        asked: dict[str, Any] = {"method": "sendMessage", "chat_id": 77, "times": 1}
        asked["error_code"] = 500
        first = await fault(emulator, **asked)
        second = await fault(emulator, "getMe", for_s=5, delay_s=1)
        await send(emulator)
        await send(emulator)
        assert await emulator.control(FAULTS) == [
            {"id": first, **asked, "struck": 1, "over": True},
            {"id": second, "method": "getMe", "for_s": 5, "delay_s": 1, "struck": 0, "over": False},
        ]

    async def test_one_ends(self, emulator: Emulator) -> None:
        first = await fault(emulator, error_code=500)
        await fault(emulator, error_code=502)
        await send(emulator)
        ended = await end(emulator, first)
        assert (ended["id"], ended["struck"]) == (first, 1)
        assert (await send(emulator)).status == 502
        reply = await emulator.request("DELETE", f"/control{FAULTS}/{first}")
        assert reply.status == 404
        assert "no such fault" in reply.body["error"]

    async def test_all_end(self, emulator: Emulator) -> None:
        for code in (500, 502):
            await fault(emulator, error_code=code)
        await send(emulator)
        assert [fault["struck"] for fault in await end(emulator)] == [1, 0]
        assert (await send(emulator)).status == 200
        assert await emulator.control(FAULTS) == []

    async def test_a_reset_ends_them(self, emulator: Emulator) -> None:
        await fault(emulator, error_code=500)
        await emulator.control(f"/bots/{BOT_ID}/reset", {})
        assert (await send(emulator)).status == 200

    async def test_ids_are_not_used_again(self, emulator: Emulator) -> None:
        first = await fault(emulator, error_code=500)
        await end(emulator)
        assert await fault(emulator, error_code=500) > first


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "exactly one of error_code, delay_s, lose, hang"),
        ([], "JSON object"),
        ({"method": "sendMessage"}, "exactly one of"),
        ({"method": "sendMessage", "error_code": 500, "delay_s": 1}, "error_code, delay_s"),
        ({"error_code": 500}, "method must be"),
        ({"method": 5, "error_code": 500}, "method must be"),
        ({"method": "sendMesage", "error_code": 500}, "sendMesage"),
        ({"method": "*", "error_code": 500, "chat": 5}, "no field of a fault: chat"),
        ({"method": "*", "error_code": 500, "chat_id": True}, "chat_id must be"),
        ({"method": "*", "error_code": 500, "chat_id": None}, "chat_id must be"),
        ({"method": "*", "error_code": 200}, "error_code must be"),
        ({"method": "*", "error_code": "500"}, "error_code must be"),
        ({"method": "*", "error_code": 500, "after": -1}, "after must be"),
        ({"method": "*", "error_code": 500, "after": 1.5}, "after must be"),
        ({"method": "*", "error_code": 500, "times": 0}, "times must be"),
        ({"method": "*", "error_code": 500, "times": True}, "times must be"),
        ({"method": "*", "error_code": 500, "for_s": 0}, "for_s must be"),
        ({"method": "*", "error_code": 500, "for_s": "5"}, "for_s must be"),
        ({"method": "*", "error_code": 500, "description": 5}, "description must be"),
        ({"method": "*", "error_code": 500, "retry_after": 5}, "error_code 429 only"),
        ({"method": "*", "error_code": 429, "retry_after": 0}, "retry_after must be"),
        ({"method": "*", "delay_s": 1, "description": "x"}, "description goes with"),
        ({"method": "*", "delay_s": 0}, "delay_s must be"),
        ({"method": "*", "delay_s": True}, "delay_s must be"),
        ({"method": "*", "lose": "answer"}, "lose must be one of reply, request, hang"),
        ({"method": "*", "lose": []}, "lose must be one of"),
        ({"method": "*", "hang": False}, "hang must be true"),
    ],
)
async def test_a_bad_fault_is_refused(emulator: Emulator, body: Any, says: str) -> None:
    reply = await emulator.request("POST", f"/control{FAULTS}", json=body)
    assert reply.status == 400
    assert says in reply.body["error"]
    assert await emulator.control(FAULTS) == []


async def test_an_infinite_time_is_refused(emulator: Emulator) -> None:
    for number in ("Infinity", "NaN", "1e400"):
        body = f'{{"method": "*", "delay_s": {number}}}'
        reply = await emulator.request("POST", f"/control{FAULTS}", data=body)
        assert (reply.status, "delay_s must be" in reply.body["error"]) == (400, True)


async def test_there_is_an_end_of_faults(emulator: Emulator) -> None:
    for _ in range(MAX_FAULTS):
        await fault(emulator, error_code=500)
    body = {"method": "*", "error_code": 500}
    reply = await emulator.request("POST", f"/control{FAULTS}", json=body)
    assert (reply.status, "end some by DELETE" in reply.body["error"]) == (400, True)


async def test_faults_of_no_bot(emulator: Emulator) -> None:
    reply = await emulator.request(
        "POST", "/control/bots/5/faults", json={"method": "*", "error_code": 500}
    )
    assert reply.status == 404

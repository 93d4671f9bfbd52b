"""The test vectors of the Bot API's rules, one test each, over real HTTP on a clock by hand."""

from __future__ import annotations

import aiohttp
import pytest
from emulator_harness import (
    BOT_ID,
    C1,
    C2,
    C3,
    HOOK,
    TOKEN,
    Emulator,
    answer_of,
    until,
)

pytestmark = pytest.mark.asyncio


async def test_v1_a_newer_poll_ends_the_parked_one(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 30)
    await emulator.advance(5)
    b = await emulator.start_poll(0, 30)
    (await answer_of(a)).assert_conflict(C1)
    assert await emulator.still_waits(b)
    assert await emulator.parked() == 1


async def test_v2_the_second_conflict_within_3_s_is_answered_after_exactly_3_s(
    emulator: Emulator,
) -> None:
    a = await emulator.start_poll(0, 30)
    await emulator.advance(5)
    b = await emulator.start_poll(0, 30)
    await answer_of(a)
    await emulator.advance(1)
    a = await emulator.start_poll(0, 30)
    await emulator.advance(2.999)
    assert await emulator.still_waits(a, b)
    await emulator.advance(0.001)
    (await answer_of(b)).assert_conflict(C1)
    assert await emulator.still_waits(a)
    assert await emulator.conflicts() == {"C1": 2}


async def test_v3_a_poll_answered_at_once_leaves_the_parked_one_alone(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 30)
    reply = await emulator.poll(7, 0)
    assert (reply.status, reply.result) == (200, [])
    assert await emulator.still_waits(a)
    assert await emulator.conflicts() == {}


async def test_v4_a_repeated_probe_parks_and_ends_the_real_poller(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 30)
    await emulator.advance(2.9)
    b = await emulator.start_poll(0, 0)
    (await answer_of(a)).assert_conflict(C1)
    await emulator.advance(2.999)
    assert await emulator.still_waits(b)
    await emulator.advance(0.001)
    assert (await answer_of(b)).result == []


async def test_v5_an_update_wakes_the_parked_poll_and_stays_pending(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 30)
    update = await emulator.push()
    await emulator.advance(0.000_9)
    assert await emulator.still_waits(a)
    await emulator.advance(0.000_1)
    assert (await answer_of(a)).ids == [update]
    assert (await emulator.stats())["pending"] == 1


async def test_v6_the_update_goes_to_a_second_client_too(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 30)
    update = await emulator.push()
    await emulator.advance(0.002)
    await answer_of(a)
    assert (await emulator.poll(0, 30)).ids == [update]
    stats = await emulator.stats()
    assert (stats["delivered"], stats["redelivered"]) == (1, 1)
    assert await emulator.conflicts() == {}


async def test_v7_the_next_offset_confirms_the_update(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 30)
    update = await emulator.push()
    await emulator.advance(0.002)
    await answer_of(a)
    a = await emulator.start_poll(update + 1, 30)
    stats = await emulator.stats()
    assert (stats["pending"], stats["confirmed"], stats["parked"]) == (0, 1, 1)
    assert await emulator.still_waits(a)


async def test_v8_an_offset_outside_the_window_is_ignored(emulator: Emulator) -> None:
    ids = [await emulator.push() for _ in range(5)]
    tail = ids[-1] + 1
    assert (await emulator.poll(tail + 11)).ids == ids
    assert (await emulator.poll(1)).ids == ids
    assert (await emulator.stats())["pending"] == 5


async def test_v9_a_negative_offset_keeps_only_the_last(emulator: Emulator) -> None:
    ids = [await emulator.push() for _ in range(5)]
    assert (await emulator.poll(-1)).ids == ids[-1:]
    assert (await emulator.poll(0)).ids == ids[-1:]
    assert (await emulator.stats())["dropped"] == 4


async def test_v10_a_vanished_poller_loses_nothing(emulator: Emulator) -> None:
    async with aiohttp.ClientSession() as session:
        await emulator.start_poll(0, 30, session=session)
    await until(lambda: emulator.core.bots[BOT_ID].vanished is not None)
    assert await emulator.parked() == 1
    update = await emulator.push()
    await emulator.advance(0.002)
    assert (await emulator.poll(0)).ids == [update]
    stats = await emulator.stats()
    assert (stats["delivered"], stats["redelivered"]) == (1, 0)
    assert await emulator.conflicts() == {}


async def test_v11_set_webhook_ends_the_parked_poll_and_bars_others(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 30)
    reply = await emulator.call("setWebhook", url=HOOK)
    assert reply.body == {"ok": True, "result": True, "description": "Webhook was set"}
    (await answer_of(a)).assert_conflict(C3)
    b = await emulator.start_poll(0, 30)
    await emulator.advance(2.999)
    assert await emulator.still_waits(b)
    await emulator.advance(0.001)
    (await answer_of(b)).assert_conflict(C2)
    (await emulator.poll(0, 30)).assert_conflict(C2)
    assert await emulator.conflicts() == {"C2": 2, "C3": 1}


async def test_v12_delete_webhook_without_one_leaves_the_parked_poll_alone(
    emulator: Emulator,
) -> None:
    a = await emulator.start_poll(0, 30)
    reply = await emulator.call("deleteWebhook")
    assert reply.body["description"] == "Webhook is already deleted"
    assert await emulator.still_waits(a)


async def test_v13_timeout_and_limit_are_clamped(emulator: Emulator) -> None:
    a = await emulator.start_poll(0, 999)
    await emulator.advance(49.999)
    assert await emulator.still_waits(a)
    await emulator.advance(0.001)
    assert (await answer_of(a)).result == []
    ids = [await emulator.push() for _ in range(3)]
    assert (await emulator.poll(0, limit=0)).ids == ids[:1]


async def test_v14_an_inline_query_is_gone_after_31_s(emulator: Emulator) -> None:
    await emulator.push_update(
        {"inline_query": {"id": "1", "from": {"id": 5}, "query": "", "offset": ""}}
    )
    await emulator.advance(31)
    assert (await emulator.poll()).result == []


async def test_v15_two_set_webhooks_within_a_second(emulator: Emulator) -> None:
    await emulator.call("setWebhook", url=HOOK)
    await emulator.advance(0.2)
    reply = await emulator.call("setWebhook", url=HOOK)
    assert reply.status == 429
    assert reply.headers["Retry-After"] == "1"
    assert reply.body == {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 1",
        "parameters": {"retry_after": 1},
    }


async def test_the_vectors_are_reached_by_get_too(emulator: Emulator) -> None:
    reply = await emulator.request("GET", f"/bot{TOKEN}/getUpdates?offset=0&timeout=0")
    assert reply.result == []

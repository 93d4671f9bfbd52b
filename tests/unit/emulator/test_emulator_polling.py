"""getUpdates beyond the vectors: delays, the busy-loop rule, offsets, kinds, lifetimes, ends."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from emulator_harness import (
    BOT_ID,
    C1,
    C2,
    HOOK,
    OTHER_TOKEN,
    TOKEN,
    Emulator,
    answer_of,
    until,
)

pytestmark = pytest.mark.asyncio

INLINE = {"id": "1", "from": {"id": 5}, "query": "", "offset": ""}


async def vanish(emulator: Emulator, offset: int = 0, timeout: int = 30) -> None:
    """A poller parks, then its connection closes."""
    emulator.core.bots[BOT_ID].vanished = None
    async with aiohttp.ClientSession() as session:
        await emulator.start_poll(offset, timeout, session=session)
    await until(lambda: emulator.core.bots[BOT_ID].vanished is not None)


class TestConflictDelay:
    async def test_a_delayed_answer_does_not_move_the_clock(self, emulator: Emulator) -> None:
        await emulator.call("setWebhook", url=HOOK)
        (await emulator.poll(0)).assert_conflict(C2)
        await emulator.advance(2.999)
        delayed = await emulator.start_poll(0)
        await emulator.advance(0.001)
        (await emulator.poll(0)).assert_conflict(C2)
        assert await emulator.still_waits(delayed)
        await emulator.advance(2.999)
        (await answer_of(delayed)).assert_conflict(C2)

    async def test_bots_have_clocks_of_their_own(self, emulator: Emulator) -> None:
        await emulator.control("/bots", {"token": OTHER_TOKEN})
        await emulator.call("setWebhook", url=HOOK)
        await emulator.call("setWebhook", OTHER_TOKEN, url=HOOK)
        (await emulator.poll(0)).assert_conflict(C2)
        (await emulator.call("getUpdates", OTHER_TOKEN)).assert_conflict(C2)


class TestBusyLoop:
    async def test_the_limit_becomes_1_within_half_a_second(self, emulator: Emulator) -> None:
        ids = [await emulator.push() for _ in range(3)]
        assert (await emulator.poll(0)).ids == ids
        await emulator.advance(0.499)
        assert (await emulator.poll(0)).ids == ids[:1]
        await emulator.advance(0.5)
        assert (await emulator.poll(0)).ids == ids

    async def test_another_offset_is_no_busy_loop(self, emulator: Emulator) -> None:
        assert (await emulator.poll(0)).result == []
        assert (await emulator.poll(5)).result == []
        assert (await emulator.poll(0)).result == []

    async def test_three_seconds_later_it_is_no_busy_loop(self, emulator: Emulator) -> None:
        await emulator.poll(0)
        await emulator.advance(3)
        assert (await emulator.poll(0)).result == []

    async def test_the_raw_offset_counts(self, emulator: Emulator) -> None:
        ids = [await emulator.push() for _ in range(2)]
        assert (await emulator.poll(0)).ids == ids
        assert (await emulator.poll(ids[0])).ids == ids


class TestOffset:
    async def test_the_window_reaches_10_past_the_tail(self, emulator: Emulator) -> None:
        ids = [await emulator.push() for _ in range(2)]
        assert (await emulator.poll(ids[-1] + 1 + 10)).result == []
        assert (await emulator.stats())["confirmed"] == 2

    async def test_the_window_reaches_100000_before_the_head(self, emulator: Emulator) -> None:
        ids = [await emulator.push() for _ in range(2)]
        assert (await emulator.poll(ids[0] - 100_000)).ids == ids
        assert (await emulator.poll(ids[0] - 100_001)).ids == ids
        assert (await emulator.stats())["pending"] == 2

    async def test_a_parked_offset_swallows_what_comes_before_it(self, emulator: Emulator) -> None:
        first = await emulator.push()
        a = await emulator.start_poll(first + 1 + 2)
        await emulator.push()
        await emulator.advance(0.002)
        assert (await answer_of(a)).result == []
        stats = await emulator.stats()
        assert (stats["pending"], stats["confirmed"], stats["confirmed_undelivered"]) == (0, 2, 2)

    async def test_an_offset_confirms_even_if_the_poll_ends_in_c1(self, emulator: Emulator) -> None:
        first = await emulator.push()
        a = await emulator.start_poll(first + 1)
        await emulator.start_poll(first + 1)
        (await answer_of(a)).assert_conflict(C1)
        assert (await emulator.stats())["pending"] == 0

    async def test_before_the_first_update_any_offset_parks(self, emulator: Emulator) -> None:
        a = await emulator.start_poll(123)
        update = await emulator.push()
        await emulator.advance(0.002)
        assert (await answer_of(a)).ids == [update]

    async def test_minus_n_keeps_n(self, emulator: Emulator) -> None:
        ids = [await emulator.push() for _ in range(5)]
        assert (await emulator.poll(-3, limit=2)).ids == ids[2:4]

    @pytest.mark.parametrize("limit", ["x", "-5", 0])
    async def test_a_limit_that_makes_no_sense_is_1(
        self, emulator: Emulator, limit: str | int
    ) -> None:
        ids = [await emulator.push() for _ in range(2)]
        assert (await emulator.poll(0, limit=limit)).ids == ids[:1]

    async def test_at_most_100_at_a_time(self, emulator: Emulator) -> None:
        bot = emulator.core.bots[BOT_ID]
        for _ in range(105):
            emulator.core.push(bot, "message", {"chat": {"id": 77}, "text": "x"})
        assert len((await emulator.poll(0)).result) == 100
        assert len((await emulator.poll(1, limit=1000)).result) == 100

    async def test_an_answer_stays_under_4_mib(self, emulator: Emulator) -> None:
        bot = emulator.core.bots[BOT_ID]
        for _ in range(12):
            emulator.core.push(bot, "message", {"chat": {"id": 77}, "text": "x" * 500_000})
        assert len((await emulator.poll(0)).result) == 8

    async def test_the_first_id_is_in_its_range_and_ids_go_up_by_one(
        self, emulator: Emulator
    ) -> None:
        first = await emulator.push()
        assert 2_000_001 <= first <= 1_000_000_000
        assert await emulator.push() == first + 1


class TestWaking:
    async def test_updates_within_2_ms_come_together(self, emulator: Emulator) -> None:
        a = await emulator.start_poll()
        ids = [await emulator.push()]
        for _ in range(2):
            await emulator.advance(0.000_8)
            ids.append(await emulator.push())
        await emulator.advance(0.000_3)
        assert await emulator.still_waits(a)
        await emulator.advance(0.000_1)
        assert (await answer_of(a)).ids == ids

    async def test_the_real_clock_wakes_a_poll_within_milliseconds(self, live: Emulator) -> None:
        bot = live.core.bots[BOT_ID]
        waits = []
        for _ in range(20):
            task = await live.start_poll(bot.queue.tail)
            pushed = asyncio.get_running_loop().time()
            live.core.push(bot, "message", {"chat": {"id": 77}, "text": "x"})
            assert len((await answer_of(task)).result) == 1
            waits.append(asyncio.get_running_loop().time() - pushed)
        # The best of 20 shows what the emulator does; the others show how loaded the machine is.
        assert min(waits) < 0.02

    async def test_one_poll_ends_at_its_deadline_while_another_bot_waits(
        self, emulator: Emulator
    ) -> None:
        await emulator.control("/bots", {"token": OTHER_TOKEN})
        other = emulator.keep(
            asyncio.create_task(emulator.call("getUpdates", OTHER_TOKEN, timeout=40))
        )
        a = await emulator.start_poll(timeout=10)
        await emulator.advance(10)
        assert (await answer_of(a)).result == []
        assert await emulator.still_waits(other)


class TestAllowedUpdates:
    async def test_it_is_sticky_and_not_retroactive(self, emulator: Emulator) -> None:
        before = await emulator.push()
        assert (await emulator.poll(allowed_updates=["inline_query"])).ids == [before]
        skipped = await emulator.control(
            f"/bots/{BOT_ID}/updates", {"message": {"chat": {"id": 77}, "text": "no"}}
        )
        assert skipped["update_id"] is None
        after = await emulator.push_update({"inline_query": INLINE})
        assert after == before + 1
        assert (await emulator.poll(before + 1)).ids == [after]
        info = (await emulator.call("getWebhookInfo")).result
        assert info["allowed_updates"] == ["inline_query"]

    @pytest.mark.parametrize("value", [[], ["no_such_kind"]])
    async def test_nothing_known_means_the_default(
        self, emulator: Emulator, value: list[str]
    ) -> None:
        await emulator.poll(allowed_updates=["inline_query"])
        await emulator.poll(1, allowed_updates=value)
        assert "allowed_updates" not in (await emulator.call("getWebhookInfo")).result
        await emulator.push()

    @pytest.mark.parametrize("value", ["[", "{}", "5", '["message", 5]'])
    async def test_bad_json_changes_nothing(self, emulator: Emulator, value: str) -> None:
        await emulator.poll(allowed_updates=["inline_query"])
        await emulator.poll(1, allowed_updates=value)
        info = (await emulator.call("getWebhookInfo")).result
        assert info["allowed_updates"] == ["inline_query"]

    @pytest.mark.parametrize("kind", ["chat_member", "message_reaction", "message_reaction_count"])
    async def test_some_kinds_come_only_when_asked_for(self, emulator: Emulator, kind: str) -> None:
        path = f"/bots/{BOT_ID}/updates"
        assert (await emulator.control(path, {kind: {}}))["update_id"] is None
        await emulator.poll(allowed_updates=[kind.upper()])
        assert (await emulator.control(path, {kind: {}}))["update_id"] is not None


class TestLifetimes:
    @pytest.mark.parametrize(
        ("kind", "seconds"),
        [
            ("message", 86_400),
            ("my_chat_member", 86_400),
            ("inline_query", 30),
            ("callback_query", 150),
            ("shipping_query", 150),
            ("pre_checkout_query", 150),
            ("chosen_inline_result", 600),
        ],
    )
    async def test_each_kind_has_its_own(self, emulator: Emulator, kind: str, seconds: int) -> None:
        await emulator.push_update({kind: {"chat": {"id": 5}}})
        await emulator.advance(seconds)
        assert len((await emulator.poll(1)).result) == 1
        await emulator.advance(1)
        assert (await emulator.poll(2)).result == []
        stats = await emulator.stats()
        assert (stats["pending"], stats["expired"]) == (0, 1)


class TestVanished:
    async def test_the_successor_gets_no_conflict(self, emulator: Emulator) -> None:
        await vanish(emulator)
        successor = await emulator.start_poll()
        assert await emulator.still_waits(successor)
        stats = await emulator.stats()
        assert sum(stats["conflicts"].values()) == 0
        assert stats["conflicts_unseen"]["C1"] == 1

    async def test_it_stays_parked_until_its_timeout(self, emulator: Emulator) -> None:
        await vanish(emulator, timeout=20)
        await emulator.advance(19.999)
        assert await emulator.parked() == 1
        await emulator.advance(0.001)
        assert await emulator.parked() == 0

    async def test_it_swallows_by_its_offset_like_a_living_one(self, emulator: Emulator) -> None:
        first = await emulator.push()
        await vanish(emulator, offset=first + 3)
        await emulator.push()
        await emulator.advance(0.002)
        assert (await emulator.stats())["pending"] == 0


class TestGhost:
    async def test_newcomers_get_c1_until_it_is_over(self, emulator: Emulator) -> None:
        await emulator.control("/mode", {"ghost": 60})
        await vanish(emulator)
        (await emulator.poll(0, 0)).assert_conflict(C1)
        newcomer = await emulator.start_poll(0, 30)
        await emulator.advance(2.999)
        assert await emulator.still_waits(newcomer)
        await emulator.advance(0.001)
        (await answer_of(newcomer)).assert_conflict(C1)
        update = await emulator.push()
        await emulator.advance(56.999)
        (await emulator.poll(0, 0)).assert_conflict(C1)
        await emulator.advance(0.001)
        assert (await emulator.poll(0, 30)).ids == [update]

    async def test_it_takes_a_vanished_poller(self, emulator: Emulator) -> None:
        await emulator.control("/mode", {"ghost": 60})
        first = await emulator.start_poll()
        await emulator.advance(30)
        assert (await answer_of(first)).result == []
        assert (await emulator.poll(5)).result == []

    async def test_it_can_be_switched_off(self, emulator: Emulator) -> None:
        await emulator.control("/mode", {"ghost": 60})
        await vanish(emulator)
        await emulator.control("/mode", {"ghost": 0})
        assert (await emulator.poll(5)).result == []


class TestEnds:
    async def test_close_answers_the_parked_poll_and_starts_afresh(
        self, emulator: Emulator
    ) -> None:
        a = await emulator.start_poll()
        assert (await emulator.call("close")).result is True
        assert (await answer_of(a)).result == []
        reply = await emulator.call("close")
        assert reply.body["description"] == "Bad Request: the bot has already been closed"
        assert (await emulator.poll(0)).result == []

    async def test_close_keeps_queue_webhook_and_kinds(self, emulator: Emulator) -> None:
        await emulator.push()
        await emulator.call("setWebhook", url=HOOK, allowed_updates=["message"])
        await emulator.call("close")
        info = (await emulator.call("getWebhookInfo")).result
        assert (info["url"], info["pending_update_count"]) == (HOOK, 1)
        assert info["allowed_updates"] == ["message"]

    async def test_close_is_refused_in_the_first_10_minutes_of_a_late_bot(
        self, emulator: Emulator
    ) -> None:
        await emulator.advance(601)
        await emulator.call("getMe")
        await emulator.advance(60)
        reply = await emulator.call("close")
        assert (reply.status, reply.body["parameters"]) == (429, {"retry_after": 540})
        await emulator.advance(540)
        assert (await emulator.call("close")).result is True

    async def test_log_out_clears_all_and_locks_the_bot_out(self, emulator: Emulator) -> None:
        await emulator.push()
        await emulator.call("setWebhook", url=HOOK, allowed_updates=["message"])
        assert (await emulator.call("logOut")).result is True
        reply = await emulator.call("getMe")
        assert (reply.status, reply.body["description"]) == (400, "Logged out")
        await emulator.advance(1800)
        info = (await emulator.call("getWebhookInfo")).result
        assert info == {"url": "", "has_custom_certificate": False, "pending_update_count": 0}

    async def test_log_out_of_an_old_session_locks_out_for_a_second(
        self, emulator: Emulator
    ) -> None:
        await emulator.call("getMe")
        await emulator.advance(1801)
        await emulator.call("logOut")
        assert (await emulator.call("getMe")).status == 400
        await emulator.advance(1)
        assert (await emulator.call("getMe")).status == 200

    async def test_shutting_down_answers_429_to_all_that_waits(self, emulator: Emulator) -> None:
        await emulator.call("setWebhook", url=HOOK)
        await emulator.poll(0)
        delayed = await emulator.start_poll(0)
        await emulator.call("deleteWebhook")
        parked = await emulator.start_poll(0)
        emulator.core.shutdown()
        for task in (delayed, parked):
            reply = await answer_of(task)
            assert (reply.status, reply.body["parameters"]) == (429, {"retry_after": 5})
        assert (await emulator.call("getMe")).status == 429


class TestIdentity:
    async def test_the_queue_belongs_to_the_bot_and_not_to_its_token(
        self, emulator: Emulator
    ) -> None:
        a = await emulator.start_poll()
        rotated = f"{BOT_ID}:rotated_rotated_rotated_rotated"
        await emulator.control("/bots", {"token": rotated})
        assert (await answer_of(a)).result == []
        update = await emulator.push()
        assert (await emulator.call("getMe", TOKEN)).status == 401
        assert (await emulator.call("getUpdates", rotated)).ids == [update]

    async def test_get_me_and_get_webhook_info_disturb_nobody(self, emulator: Emulator) -> None:
        a = await emulator.start_poll()
        assert (await emulator.call("getMe")).result["is_bot"] is True
        await emulator.call("getWebhookInfo")
        assert await emulator.still_waits(a)

"""setWebhook, deleteWebhook, getWebhookInfo."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from emulator_harness import BOT_ID, C2, C3, C4, HOOK, TOKEN, Emulator, Reply, answer_of, until

pytestmark = pytest.mark.asyncio


async def start_set_webhook(emulator: Emulator, url: str) -> asyncio.Task[Reply]:
    def pending() -> object:
        session = emulator.core.bots[BOT_ID].session
        return session and session.pending_webhook

    before = pending()
    task = emulator.keep(asyncio.create_task(emulator.call("setWebhook", url=url)))
    await until(lambda: pending() not in (None, before))
    assert await emulator.still_waits(task)
    return task


async def info(emulator: Emulator) -> Any:
    return (await emulator.call("getWebhookInfo")).result


async def test_info_always_has_three_fields(emulator: Emulator) -> None:
    await emulator.push()
    assert await info(emulator) == {
        "url": "",
        "has_custom_certificate": False,
        "pending_update_count": 1,
    }


async def test_info_of_a_set_webhook(emulator: Emulator) -> None:
    await emulator.call("setWebhook", url=HOOK, max_connections=7, ip_address="1.2.3.4")
    assert await info(emulator) == {
        "url": HOOK,
        "has_custom_certificate": False,
        "pending_update_count": 0,
        "max_connections": 7,
        "ip_address": "1.2.3.4",
    }


async def test_the_same_again_is_already_set(emulator: Emulator) -> None:
    await emulator.call("setWebhook", url=HOOK)
    await emulator.advance(1)
    reply = await emulator.call("setWebhook", url=HOOK)
    assert reply.body == {"ok": True, "result": True, "description": "Webhook is already set"}


async def test_delete_says_what_it_did(emulator: Emulator) -> None:
    await emulator.call("setWebhook", url=HOOK)
    reply = await emulator.call("deleteWebhook")
    assert reply.body == {"ok": True, "result": True, "description": "Webhook was deleted"}
    reply = await emulator.call("deleteWebhook")
    assert reply.body["description"] == "Webhook is already deleted"
    assert (await emulator.poll(0)).result == []


async def test_an_empty_url_deletes_too_and_as_often_as_one_likes(emulator: Emulator) -> None:
    await emulator.call("setWebhook", url=HOOK)
    reply = await emulator.call("setWebhook", url="")
    assert reply.body["description"] == "Webhook was deleted"
    reply = await emulator.call("setWebhook")
    assert reply.body["description"] == "Webhook is already deleted"


@pytest.mark.parametrize("method", ["setWebhook", "deleteWebhook"])
async def test_pending_updates_are_dropped_only_when_asked(emulator: Emulator, method: str) -> None:
    await emulator.push()
    await emulator.call(method, url=HOOK)
    assert (await info(emulator))["pending_update_count"] == 1
    await emulator.advance(1)
    await emulator.call(method, url=HOOK, drop_pending_updates=True)
    assert (await info(emulator))["pending_update_count"] == 0


async def test_dropping_does_not_abort_a_poll(emulator: Emulator) -> None:
    a = await emulator.start_poll()
    reply = await emulator.call("deleteWebhook", drop_pending_updates=True)
    assert reply.body["description"] == "Webhook is already deleted"
    assert await emulator.still_waits(a)


async def test_c4_the_second_of_two_pending_ends_the_first(emulator: Emulator) -> None:
    await emulator.control("/mode", {"webhook_delay": 10})
    first = await start_set_webhook(emulator, HOOK)
    (await emulator.poll(0)).assert_conflict(C2)
    await emulator.advance(3)
    second = await start_set_webhook(emulator, HOOK + "/2")
    (await answer_of(first)).assert_conflict(C4)
    await emulator.advance(10)
    assert (await answer_of(second)).body["description"] == "Webhook was set"
    assert (await info(emulator))["url"] == HOOK + "/2"


async def test_c4_by_a_delete_shares_the_delay_of_the_others(emulator: Emulator) -> None:
    await emulator.control("/mode", {"webhook_delay": 10})
    parked = await emulator.start_poll()
    pending = await start_set_webhook(emulator, HOOK)
    (await answer_of(parked)).assert_conflict(C3)
    reply = await emulator.call("deleteWebhook")
    assert reply.body["description"] == "Webhook was deleted"
    await emulator.advance(2.999)
    assert await emulator.still_waits(pending)
    await emulator.advance(0.001)
    (await answer_of(pending)).assert_conflict(C4)


@pytest.mark.parametrize(
    ("arguments", "description"),
    [
        ({"url": "ftp://hook.example.com"}, "invalid webhook URL specified"),
        ({"url": "https://"}, "invalid webhook URL specified"),
        ({"url": "https://hook.example.com:x"}, "invalid webhook URL specified"),
        (
            {"url": "http://hook.example.com"},
            "bad webhook: An HTTPS URL must be provided for webhook",
        ),
        (
            {"url": "https://hook.example.com:444"},
            "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443",
        ),
        ({"url": "https://127.0.0.1"}, "bad webhook: IP address 127.0.0.1 is reserved"),
        ({"url": "https://localhost:8443"}, "bad webhook: IP address 127.0.0.1 is reserved"),
        ({"url": "https://[2001:db8::1]"}, "bad webhook: IPv6-only addresses are not allowed"),
        (
            {"url": HOOK, "ip_address": "192.168.1.1"},
            "bad webhook: IP address 192.168.1.1 is reserved",
        ),
        ({"url": HOOK, "ip_address": "here"}, "bad webhook: Invalid IP address specified"),
        ({"url": HOOK, "secret_token": "x" * 257}, "secret token is too long"),
        ({"url": HOOK, "secret_token": "a b"}, "secret token contains unallowed characters"),
    ],
)
async def test_a_bad_webhook_is_refused(
    emulator: Emulator, arguments: dict[str, str], description: str
) -> None:
    reply = await emulator.call("setWebhook", **arguments)
    assert (reply.status, reply.body["description"]) == (400, f"Bad Request: {description}")
    assert (await info(emulator))["url"] == ""


async def test_updates_wait_while_a_webhook_is_set(emulator: Emulator) -> None:
    await emulator.call("setWebhook", url=HOOK)
    update = await emulator.push()
    await emulator.call("deleteWebhook")
    assert (await emulator.poll(0)).ids == [update]


async def test_it_works_by_form(emulator: Emulator) -> None:
    reply = await emulator.request("POST", f"/bot{TOKEN}/setwebhook", data={"url": HOOK})
    assert reply.body["description"] == "Webhook was set"


async def test_dropping_what_waits_deletes_though_no_webhook_is_set(emulator: Emulator) -> None:
    await emulator.push()
    reply = await emulator.call("deleteWebhook")
    assert reply.body["description"] == "Webhook is already deleted"
    reply = await emulator.call("deleteWebhook", drop_pending_updates=True)
    assert reply.body["description"] == "Webhook was deleted"
    reply = await emulator.call("deleteWebhook", drop_pending_updates=True)
    assert reply.body["description"] == "Webhook is already deleted"
    await emulator.push()
    reply = await emulator.call("setWebhook", drop_pending_updates=True)
    assert reply.body["description"] == "Webhook was deleted"

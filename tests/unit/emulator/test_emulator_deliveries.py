"""Updates are brought to webhooks, and what they answer is done."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import FormData, MultipartWriter, web
from emulator_harness import BOT_ID, HOOK, TOKEN, Emulator, Reply, answer_of, until
from webhook_receiver import Receiver, hang_up, says, says_json, status

pytestmark = pytest.mark.asyncio

HOUR = 3600


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


async def set_webhook(emulator: Emulator, receiver: Receiver, **arguments: Any) -> Reply:
    await emulator.control("/mode", {"local": True})
    reply = await emulator.call("setWebhook", **{"url": receiver.url, **arguments})
    assert reply.status == 200, reply.body
    return reply


async def info(emulator: Emulator) -> Any:
    return (await emulator.call("getWebhookInfo")).result


async def settled(emulator: Emulator) -> None:
    """Nothing is under way."""
    outbox = emulator.core.bots[BOT_ID].outbox
    await until(lambda: outbox is None or not outbox.in_flight)


async def push(emulator: Emulator, text: str, chat_id: int = 77) -> int:
    return await emulator.push_update({"message": {"chat": {"id": chat_id}, "text": text}})


class TestDelivery:
    async def test_an_update_comes_as_the_bot_api_sends_it(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        url, secret = f"{receiver.url}?a=b", secrets.token_urlsafe()
        await set_webhook(emulator, receiver, url=url, secret_token=secret)
        update = await push(emulator, "grüße")
        await receiver.got(1)
        await settled(emulator)
        assert receiver.updates[0]["update_id"] == update
        assert receiver.texts == ["grüße"]
        assert receiver.paths == ["/hook?a=b"]
        headers = receiver.headers[0]
        assert headers["X-Telegram-Bot-Api-Secret-Token"] == secret
        assert headers["Content-Type"] == "application/json"
        assert headers["Host"] == f"127.0.0.1:{receiver.port}"
        assert "User-Agent" not in headers
        assert await info(emulator) == {
            "url": url,
            "has_custom_certificate": False,
            "pending_update_count": 0,
            "max_connections": 40,
            "ip_address": "127.0.0.1",
        }
        stats = await emulator.stats()
        assert (stats["delivered"], stats["confirmed"], stats["confirmed_undelivered"]) == (1, 1, 0)
        assert stats["webhook"] == {"sent": 1, "failed": 0, "open": 0, "max_open": 1}

    async def test_without_a_secret_there_is_no_header(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        await push(emulator, "x")
        await receiver.got(1)
        assert "X-Telegram-Bot-Api-Secret-Token" not in receiver.headers[0]

    async def test_what_waited_comes_when_a_webhook_is_set(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        for text in "abc":
            await push(emulator, text)
        await set_webhook(emulator, receiver)
        await receiver.got(3)
        assert receiver.texts == ["a", "b", "c"]

    async def test_nothing_comes_before_the_webhook_is_verified(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await emulator.control("/mode", {"local": True, "webhook_delay": 5})
        await push(emulator, "x")
        task = asyncio.create_task(emulator.call("setWebhook", url=receiver.url))
        emulator.keep(task)
        await until(lambda: bool(emulator.core._unanswered))
        assert receiver.updates == []
        await emulator.advance(5)
        assert (await answer_of(task)).status == 200
        await receiver.got(1)

    async def test_one_connection_is_used_again(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(200, 500, says(text="thank you"))
        for text in "abc":
            await push(emulator, text)
            await settled(emulator)
        assert receiver.texts == ["a", "b", "b", "c"]
        assert len(receiver.connections) == 1

    async def test_only_kinds_that_are_allowed(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver, allowed_updates=["callback_query"])
        await emulator.control(
            f"/bots/{BOT_ID}/updates", {"message": {"chat": {"id": 1}, "text": "x"}}
        )
        await emulator.push_update({"callback_query": {"id": "1", "from": {"id": 5}, "data": "x"}})
        await receiver.got(1)
        assert receiver.updates[0]["callback_query"]["data"] == "x"

    async def test_a_name_and_a_login_in_the_address(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        login = f"me:{secrets.token_urlsafe()}"
        url = f"http://{login}@localhost:{receiver.port}/hook"
        await set_webhook(emulator, receiver, url=url)
        await push(emulator, "x")
        await receiver.got(1)
        assert receiver.headers[0]["Authorization"] == f"Basic {b64encode(login.encode()).decode()}"

    async def test_the_address_that_the_bot_gives_is_called(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        url = f"http://hook.example.com:{receiver.port}/"
        await set_webhook(emulator, receiver, url=url, ip_address="127.0.0.1")
        await push(emulator, "x")
        await receiver.got(1)
        assert receiver.headers[0]["Host"] == f"hook.example.com:{receiver.port}"
        assert (await info(emulator))["ip_address"] == "127.0.0.1"


class TestOrder:
    async def test_updates_of_one_chat_come_one_after_the_other(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(receiver.hold)
        for text in "abc":
            await push(emulator, text)
        await receiver.got(1)
        await emulator.stats()
        assert receiver.texts == ["a"]
        receiver.release()
        await receiver.got(3)
        assert receiver.texts == ["a", "b", "c"]

    async def test_those_of_several_chats_side_by_side_up_to_max_connections(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver, max_connections=3)
        await push(emulator, "first")
        await settled(emulator)
        receiver.then(*[receiver.hold] * 3)
        for chat in range(1, 7):
            await push(emulator, str(chat), chat)
        await receiver.got(4)
        stats = await emulator.stats()
        assert (stats["webhook"]["open"], receiver.open, stats["pending"]) == (3, 3, 6)
        receiver.release()
        await receiver.got(7)
        await settled(emulator)
        assert (await emulator.stats())["webhook"]["max_open"] == 3

    async def test_until_it_has_answered_lately_there_is_one_connection(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(receiver.hold)
        for chat in range(1, 5):
            await push(emulator, str(chat), chat)
        await receiver.got(1)
        assert (await emulator.stats())["webhook"]["open"] == 1
        receiver.release()
        await receiver.got(4)

    async def test_a_chat_that_fails_delays_no_other(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(200, 500, 500)
        await push(emulator, "first", 1)
        await settled(emulator)
        await push(emulator, "bad", 2)
        await settled(emulator)
        await push(emulator, "after bad", 2)
        await push(emulator, "other", 3)
        await receiver.got(4)
        assert receiver.texts == ["first", "bad", "bad", "other"]
        await settled(emulator)
        await emulator.advance(2)
        await receiver.got(6)
        assert receiver.texts[4:] == ["bad", "after bad"]


class TestRetries:
    async def test_the_pause_doubles(self, emulator: Emulator, receiver: Receiver) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(*[500] * 9)
        await push(emulator, "x")
        await receiver.got(2)
        tries = 2
        for pause in (2, 4, 8, 16, 32):
            await settled(emulator)
            await emulator.advance(pause - 0.001)
            assert len(receiver.updates) == tries
            await emulator.advance(0.001)
            tries += 1
            await receiver.got(tries)
        await settled(emulator)
        await emulator.advance(59.999)
        assert len(receiver.updates) == tries
        await emulator.advance(60)
        await receiver.got(tries + 1)
        assert (await emulator.stats())["pending"] == 1

    async def test_the_last_error_is_told(self, emulator: Emulator, receiver: Receiver) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(404, 503)
        await push(emulator, "x")
        await receiver.got(2)
        await settled(emulator)
        told = await info(emulator)
        assert told["last_error_message"] == (
            "Wrong response from the webhook: 503 Service Unavailable"
        )
        assert told["last_error_date"] == emulator.core.now() // 1_000_000
        assert told["pending_update_count"] == 1
        await emulator.advance(2)
        await receiver.got(3)
        await settled(emulator)
        told = await info(emulator)
        assert (told["pending_update_count"], "last_error_date" in told) == (0, True)
        stats = await emulator.stats()
        assert (stats["delivered"], stats["redelivered"], stats["confirmed"]) == (1, 2, 1)
        assert stats["webhook"] == {"sent": 3, "failed": 2, "open": 0, "max_open": 1}

    async def test_setting_it_anew_forgets_the_error(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(500, 500)
        await push(emulator, "x")
        await receiver.got(2)
        await settled(emulator)
        await emulator.advance(1)
        await set_webhook(emulator, receiver, max_connections=5)
        await receiver.got(3)
        assert "last_error_message" not in await info(emulator)

    async def test_retry_after_is_kept(self, emulator: Emulator, receiver: Receiver) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(status(429, Retry_After="30"), status(429, Retry_After="999999"))
        await push(emulator, "x")
        await receiver.got(1)
        await settled(emulator)
        await emulator.advance(29.999)
        assert len(receiver.updates) == 1
        await emulator.advance(0.001)
        await receiver.got(2)
        await settled(emulator)
        await emulator.advance(HOUR)
        await receiver.got(3)

    async def test_an_update_too_old_by_then_is_dropped(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(status(500, Retry_After="200"))
        await emulator.push_update({"callback_query": {"id": "1", "from": {"id": 5}, "data": "x"}})
        await receiver.got(1)
        await settled(emulator)
        stats = await emulator.stats()
        assert (stats["pending"], stats["expired"]) == (0, 1)

    @pytest.mark.parametrize("code", [301, 302, 304])
    async def test_a_redirect_is_not_followed(
        self, emulator: Emulator, receiver: Receiver, code: int
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(status(code, Location=receiver.url), status(code, Location=receiver.url))
        await push(emulator, "x")
        await receiver.got(2)
        await settled(emulator)
        assert str(code) in (await info(emulator))["last_error_message"]

    async def test_nobody_listens(self, emulator: Emulator, receiver: Receiver) -> None:
        await set_webhook(emulator, receiver)
        await receiver.deaf()
        await push(emulator, "x")
        await settled(emulator)
        assert (await info(emulator))["last_error_message"] == "Connection refused"
        assert (await emulator.stats())["webhook"]["sent"] == 1
        await receiver.listen()
        await emulator.advance(2)
        await receiver.got(1)

    async def test_it_hangs_up(self, emulator: Emulator, receiver: Receiver) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(hang_up)
        await push(emulator, "x")
        await receiver.got(1)
        await settled(emulator)
        assert (await info(emulator))["last_error_message"] == "Connection closed"
        await emulator.advance(2)
        await receiver.got(2)

    async def test_a_webhook_that_is_gone_for_23_hours_is_closed(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(*[status(410, Retry_After=str(HOUR))] * 30)
        await push(emulator, "x")
        for hour in range(23):
            await receiver.got(hour + 1)
            await settled(emulator)
            await emulator.advance(HOUR)
        await settled(emulator)
        assert (await info(emulator))["url"] == receiver.url
        await emulator.advance(HOUR)
        await settled(emulator)
        await until(lambda: not emulator.core.bots[BOT_ID].webhook.url)


class TestEnds:
    async def test_a_deleted_webhook_gets_no_more(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(receiver.hold)
        first = await push(emulator, "a")
        await receiver.got(1)
        await emulator.call("deleteWebhook")
        await until(lambda: receiver.open == 0)
        second = await push(emulator, "b")
        assert (await emulator.poll()).ids == [first, second]
        assert receiver.texts == ["a"]

    async def test_dropping_ends_what_is_planned(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        receiver.then(500, 500)
        await push(emulator, "old")
        await receiver.got(2)
        await settled(emulator)
        await emulator.advance(1)
        await set_webhook(emulator, receiver, drop_pending_updates=True)
        await push(emulator, "new")
        await receiver.got(3)
        assert receiver.texts == ["old", "old", "new"]

    @pytest.mark.parametrize("way", ["reset", "logOut", "a new token"])
    async def test_other_ends(self, emulator: Emulator, receiver: Receiver, way: str) -> None:
        await set_webhook(emulator, receiver)
        if way == "reset":
            await emulator.control(f"/bots/{BOT_ID}/reset", {})
        elif way == "logOut":
            await emulator.call("logOut")
        else:
            await emulator.control("/bots", {"token": TOKEN + "x"})
        await push(emulator, "x")
        await emulator.stats()
        assert emulator.core.bots[BOT_ID].outbox is None
        assert receiver.updates == []

    async def test_without_local_nothing_is_called(
        self, emulator: Emulator, receiver: Receiver
    ) -> None:
        await set_webhook(emulator, receiver)
        await emulator.control("/mode", {"local": False})
        await push(emulator, "x")
        await emulator.advance(10)
        assert receiver.updates == []
        await emulator.control("/mode", {"local": True})
        await receiver.got(1)


class TestLocal:
    async def test_more_connections(self, emulator: Emulator, receiver: Receiver) -> None:
        await set_webhook(emulator, receiver, max_connections=200_000)
        assert (await info(emulator))["max_connections"] == 100_000

    async def test_not_local_100_are_the_most(self, emulator: Emulator) -> None:
        await emulator.call("setWebhook", url=HOOK, max_connections=200_000)
        assert (await info(emulator))["max_connections"] == 100

    async def test_ipv6(self, emulator: Emulator) -> None:
        await emulator.control("/mode", {"local": True})
        assert (await emulator.call("setWebhook", url="http://[::1]:8081/")).status == 200

    @pytest.mark.parametrize("host", ["unknown.example.com", "x" * 64 + ".example.com"])
    async def test_a_name_that_is_none(
        self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        """The one part of the machine that may not be asked here is its name server."""
        asked = socket.getaddrinfo

        def getaddrinfo(name: str, *more: Any, **options: Any) -> Any:
            if name == "unknown.example.com":
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return asked(name, *more, **options)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        await emulator.control("/mode", {"local": True})
        reply = await emulator.call("setWebhook", url=f"http://{host}/hook")
        assert (reply.status, reply.body["description"]) == (
            400,
            "Bad Request: bad webhook: Failed to resolve host: Name or service not known",
        )
        assert (await info(emulator))["url"] == ""
        assert (await emulator.poll(5)).result == []

    async def test_a_name_that_is_one(
        self, emulator: Emulator, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = socket.getaddrinfo

        def getaddrinfo(name: str, *more: Any, **options: Any) -> Any:
            return asked("127.0.0.1" if name == "bot.example.com" else name, *more, **options)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        await push(emulator, "x")
        await set_webhook(emulator, receiver, url=f"http://bot.example.com:{receiver.port}/")
        assert (await info(emulator))["ip_address"] == "127.0.0.1"
        await receiver.got(1)
        assert receiver.headers[0]["Host"] == f"bot.example.com:{receiver.port}"


class TestAnswers:
    async def answered(self, emulator: Emulator, receiver: Receiver, answer: Any) -> list[Any]:
        await set_webhook(emulator, receiver)
        receiver.then(answer)
        await push(emulator, "x")
        await receiver.got(1)
        await settled(emulator)
        return await emulator.sent()

    async def test_by_json(self, emulator: Emulator, receiver: Receiver) -> None:
        body = {"method": "sendMessage", "chat_id": 77, "text": "grüße"}
        (sent,) = await self.answered(emulator, receiver, says_json(body))
        assert (sent["method"], sent["parameters"]["text"]) == ("sendMessage", "grüße")

    async def test_by_form(self, emulator: Emulator, receiver: Receiver) -> None:
        form = "application/x-www-form-urlencoded"
        answer = says(text="method=SENDMESSAGE&chat_id=77&text=hi+there", content_type=form)
        (sent,) = await self.answered(emulator, receiver, answer)
        assert sent["parameters"]["text"] == "hi there"

    async def test_a_file(self, emulator: Emulator, receiver: Receiver) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            form = MultipartWriter("form-data")
            for name, value in (("method", "sendVoice"), ("chat_id", "77")):
                form.append(value).set_content_disposition("form-data", name=name)
            part = form.append(b"OggS", {"Content-Type": "audio/ogg"})
            part.set_content_disposition("form-data", name="voice", filename="v.ogg")
            return web.Response(body=form)

        (sent,) = await self.answered(emulator, receiver, answer)
        assert sent["parameters"]["voice"]["file_size"] == 4

    @pytest.mark.parametrize(
        "answer",
        [
            says(text="ok"),
            says_json({"ok": True}),
            says_json([1]),
            says(text="{", content_type="application/json"),
            says_json({"method": "noSuchMethod"}),
            says_json({"method": "sendMessage"}),
        ],
    )
    async def test_one_that_asks_for_nothing(
        self, emulator: Emulator, receiver: Receiver, answer: Any
    ) -> None:
        assert await self.answered(emulator, receiver, answer) == []
        assert (await emulator.stats())["pending"] == 0

    @pytest.mark.parametrize("method", ["deleteWebhook", "setWebhook", "close", "logOut", "getMe"])
    async def test_methods_that_are_not_done_so(
        self, emulator: Emulator, receiver: Receiver, method: str
    ) -> None:
        await self.answered(emulator, receiver, says_json({"method": method}))
        assert (await info(emulator))["url"] == receiver.url

    async def test_a_refusal_asks_for_nothing(self, emulator: Emulator, receiver: Receiver) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            body = {"method": "sendMessage", "chat_id": 77, "text": "x"}
            return web.json_response(body, status=500)

        await set_webhook(emulator, receiver)
        receiver.then(answer, answer)
        await push(emulator, "x")
        await receiver.got(2)
        await settled(emulator)
        assert await emulator.sent() == []

    async def test_a_fault_strikes_it_too(self, emulator: Emulator, receiver: Receiver) -> None:
        await set_webhook(emulator, receiver)
        await emulator.control(f"/bots/{BOT_ID}/faults", {"method": "*", "error_code": 500})
        body = {"method": "sendMessage", "chat_id": 77, "text": "x"}
        receiver.then(says_json(body))
        await push(emulator, "x")
        await receiver.got(1)
        await settled(emulator)
        assert await emulator.sent() == []
        (fault,) = await emulator.control(f"/bots/{BOT_ID}/faults")
        assert fault["struck"] == 1


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> tuple[Path, Path]:
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        subprocess.run(
            (
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=hook"),
                *("-addext", "subjectAltName=IP:127.0.0.1,DNS:hook.example.com"),
                *("-keyout", str(key), "-out", str(certificate)),
            ),
            check=True,
            capture_output=True,
        )
        return key, certificate

    def server(self, certificate: tuple[Path, Path]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate[1], certificate[0])
        return context

    async def test_with_the_certificate_that_the_bot_sends(
        self, emulator: Emulator, certificate: tuple[Path, Path]
    ) -> None:
        await emulator.control("/mode", {"local": True})
        async with Receiver(self.server(certificate)) as receiver:
            form = FormData({"url": receiver.url})
            form.add_field("certificate", certificate[1].read_bytes(), filename="cert.pem")
            reply = await emulator.request("POST", f"/bot{TOKEN}/setWebhook", data=form)
            assert reply.result is True
            assert (await info(emulator))["has_custom_certificate"] is True
            await push(emulator, "x")
            await receiver.got(1)

    async def test_without_it(self, emulator: Emulator, certificate: tuple[Path, Path]) -> None:
        async with Receiver(self.server(certificate)) as receiver:
            await set_webhook(emulator, receiver)
            await push(emulator, "x")
            await settled(emulator)
            assert (await info(emulator))["last_error_message"] == (
                "SSL error {certificate verify failed: self-signed certificate}"
            )
            assert receiver.updates == []

    async def test_a_certificate_that_is_none(self, emulator: Emulator) -> None:
        form = FormData({"url": HOOK})
        form.add_field("certificate", b"no certificate", filename="cert.pem")
        reply = await emulator.request("POST", f"/bot{TOKEN}/setWebhook", data=form)
        assert reply.body["description"] == (
            "Bad Request: bad webhook: Failed to set custom certificate file"
        )

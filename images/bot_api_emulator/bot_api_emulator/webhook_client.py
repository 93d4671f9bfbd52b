"""Brings updates to webhooks by HTTP, and tells the state machine what came of it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from .arguments import Arguments, Upload
from .bodies import MAX_PARAMETER_BYTES, TooLargeError, read_body
from .core import Core
from .deliveries import WebhookReply
from .outbox import Delivery, Outbox
from .webhook import Webhook, full_url, ssl_context

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
HEADER = "X-Telegram-Bot-Api-Secret-Token"


class Resolver(AbstractResolver):
    """The address that the bot has given, else the system's; getWebhookInfo shows it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        fixed = self._outbox.webhook.ip_address
        results = await self._system.resolve(fixed or host, port, family)
        self._outbox.ip_address = results[0]["host"]
        for result in results:
            result["hostname"] = host
        return results

    async def close(self) -> None:
        await self._system.close()


class WebhookClient:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._sessions: dict[Outbox, aiohttp.ClientSession] = {}
        self._tasks: dict[Outbox, set[asyncio.Task[None]]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        core.deliveries.on_begin = self.send
        core.deliveries.on_closed = self.close
        core.deliveries.on_look_up = self.look_up

    def send(self, delivery: Delivery) -> None:
        self._begin(delivery.outbox, self._deliver(delivery))

    def look_up(self, outbox: Outbox, done: Callable[[str], None]) -> None:
        self._begin(outbox, self._look_up(outbox, done))

    def _begin(self, outbox: Outbox, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks = self._tasks.setdefault(outbox, set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_tell)

    async def _look_up(self, outbox: Outbox, done: Callable[[str], None]) -> None:
        host = urlsplit(full_url(outbox.webhook.url)).hostname or ""
        try:
            await Resolver(outbox).resolve(host)
        except UnicodeError:
            wrong = unresolved(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        except OSError as error:
            wrong = unresolved(error)
        else:
            wrong = ""
        done(wrong)

    def close(self, outbox: Outbox) -> None:
        """End what is under way for a webhook that is no more."""
        task = asyncio.get_running_loop().create_task(self._close(outbox))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        self._core.deliveries.on_begin = None
        self._core.deliveries.on_closed = None
        self._core.deliveries.on_look_up = None
        for outbox in list(self._sessions.keys() | self._tasks.keys()):
            self.close(outbox)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _close(self, outbox: Outbox) -> None:
        tasks = self._tasks.pop(outbox, set())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session = self._sessions.pop(outbox, None)
        if session is not None:
            await session.close()

    def _session(self, outbox: Outbox) -> aiohttp.ClientSession:
        session = self._sessions.get(outbox)
        if session is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                resolver=Resolver(outbox),
                ssl=_ssl_context(outbox.webhook),
                keepalive_timeout=IDLE_SECONDS,
            )
            session = self._sessions[outbox] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=IDLE_SECONDS, sock_read=IDLE_SECONDS
                ),
                skip_auto_headers=("User-Agent", "Accept"),
            )
        return session

    async def _deliver(self, delivery: Delivery) -> None:
        webhook = delivery.outbox.webhook
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate"}
        if webhook.secret_token:
            headers[HEADER] = webhook.secret_token
        arguments = Arguments()
        files: dict[str, Upload] = {}
        try:
            session = self._session(delivery.outbox)
            async with session.post(
                URL(full_url(webhook.url)),
                data=delivery.body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                if 200 <= response.status <= 299:
                    files = await read_body(
                        response.headers,
                        response.content,
                        arguments,
                        keep=self._core.keep,
                        most=self._core.most,
                    )
                await _drain(response.content)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TooLargeError) as error:
            self._core.webhook_failed(delivery, why_not(error))
            return
        reply = WebhookReply(
            response.status,
            response.reason or "",
            _retry_after(response.headers.get("Retry-After", "")),
            arguments,
            files,
        )
        self._core.webhook_answered(delivery, reply)


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a delivery failed; this is a defect", exc_info=task.exception())


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read what nobody wants, so that the connection can be used again."""
    room = MAX_PARAMETER_BYTES
    async for chunk in content.iter_any():
        room -= len(chunk)
        if room < 0:
            return


def _ssl_context(webhook: Webhook) -> ssl.SSLContext | bool:
    if urlsplit(full_url(webhook.url)).scheme != "https":
        return True
    return ssl_context(webhook.certificate)


def _retry_after(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def unresolved(error: OSError) -> str:
    return f"Failed to resolve host: {error.strerror or 'unknown error'}"


def why_not(error: Any) -> str:
    """An error as getWebhookInfo words it."""
    if isinstance(error, aiohttp.InvalidURL):
        return "Wrong URL"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return unresolved(error.os_error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "Connection timed out"
    if isinstance(error, TimeoutError):
        return "Read timeout expired"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "")
        return f"SSL error {{certificate verify failed: {reason or 'unknown error'}}}"
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return f"SSL error {{{getattr(error, 'reason', '') or 'handshake failed'}}}"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return "Connection closed"
    if isinstance(error, OSError) and error.errno:
        # The text of the number: asyncio's own has addresses in it.
        return os.strerror(error.errno)
    if isinstance(error, aiohttp.ClientResponseError):
        return f"Wrong response from the webhook: {error.message}"
    if isinstance(error, TooLargeError):
        return "Wrong response from the webhook: it is too large"
    if isinstance(error, ValueError):
        return f"Wrong response from the webhook: {error}"
    return "Connection closed"

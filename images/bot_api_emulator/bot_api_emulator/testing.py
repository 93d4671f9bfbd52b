"""A bot's tests: the emulator in this process, a bot in it, a chat with that bot, and what it sent.

The emulator runs in a thread of its own, and all goes over HTTP. So the bot under test may run in
the test, in another thread or as a program, in any language.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from aiohttp import web

from .clock import LiveClock
from .core import Core
from .envelope import JsonObject
from .server import make_runner

START_SECONDS = 30.0
# What the control API waits at most in one request, with room for a slow machine.
ROUND_SECONDS = 20.0
DEFAULT_TIMEOUT = 30.0
USER = 1001
_bot_ids = itertools.count(secrets.randbelow(900_000_000) + 100_000_000)


class NotSent(AssertionError):
    """The bot did not send what the test waits for."""


class Emulator:
    """An emulator in a thread of this process, or one that runs already, at `url`."""

    def __init__(self, url: str = "") -> None:
        self.url = url.rstrip("/")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        if not url:
            self._thread = threading.Thread(target=self._run, name="bot_api_emulator", daemon=True)
            self._thread.start()
            if not self._ready.wait(START_SECONDS) or self._problem is not None:
                raise RuntimeError("the Bot API emulator did not start") from self._problem

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._problem = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        core = Core(LiveClock())
        runner: web.AppRunner = make_runner(core)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._stop.wait()
            core.shutdown()
        finally:
            await runner.cleanup()

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(START_SECONDS)

    def control(
        self, method: str, path: str, body: Any = None, *, timeout: float = ROUND_SECONDS
    ) -> Any:
        """A request to the control API; an error is a ValueError, a wait in vain a TimeoutError."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        return self._request(method, path, data, headers, timeout)

    def upload(self, path: str, fields: dict[str, str], name: str, file: Upload) -> Any:
        boundary = secrets.token_hex(16)
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{file.name}"\r\nContent-Type: {file.mime_type}\r\n\r\n'
        )
        tail = f"\r\n--{boundary}--\r\n"
        data = "".join(parts).encode() + head.encode() + file.data + tail.encode()
        content_type = f"multipart/form-data; boundary={boundary}"
        return self._request("POST", path, data, {"Content-Type": content_type}, ROUND_SECONDS)

    def _request(
        self, method: str, path: str, data: Any, headers: dict[str, str], timeout: float
    ) -> Any:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(parts.hostname or "", parts.port, timeout=timeout + ROUND_SECONDS)
        try:
            connection.request(method, f"{parts.path}/control{path}", data, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status == 200:
            return answer
        error = TimeoutError if response.status == 408 else ValueError
        raise error(answer["error"])

    def new_bot(self, username: str = "", first_name: str = "") -> EmulatedBot:
        token = f"{next(_bot_ids)}:{secrets.token_hex(16)}"
        names = {"username": username, "first_name": first_name}
        found = self.control("POST", "/bots", {"token": token, **names})
        return EmulatedBot(self, found["id"], token, found["username"])


@dataclass(frozen=True)
class Upload:
    data: bytes
    name: str = "file"
    mime_type: str = "application/octet-stream"


@dataclass(frozen=True)
class EmulatedBot:
    """What the bot under test needs: its token, and the address in place of api.telegram.org."""

    emulator: Emulator
    id: int
    token: str = field(repr=False)
    username: str

    @property
    def url(self) -> str:
        """In place of https://api.telegram.org."""
        return self.emulator.url

    @property
    def base_url(self) -> str:
        """The same, as python-telegram-bot wants it."""
        return f"{self.url}/bot"

    @property
    def base_file_url(self) -> str:
        return f"{self.url}/file/bot"

    def control(self, method: str, path: str = "", body: Any = None) -> Any:
        """The control API of this bot, for example `bot.control("GET", "/stats")`."""
        return self.emulator.control(method, f"/bots/{self.id}{path}", body)

    def fault(self, method: str = "*", **what: Any) -> int:
        """Let calls fail, for example `bot.fault("sendMessage", error_code=429, retry_after=3)`."""
        return int(self.control("POST", "/faults", {"method": method, **what})["id"])

    def update(self, **update: Any) -> int | None:
        """Any update, for example `bot.update(poll_answer={…})`."""
        number: int | None = self.control("POST", "/updates", update)["update_id"]
        return number


@dataclass(frozen=True)
class Chat:
    """A chat with the bot, and the user who writes in it."""

    bot: EmulatedBot
    id: int = USER
    user_id: int = USER

    def say(self, text: str, **message: Any) -> None:
        """Write a message; more fields of it by name, for example `reply_to_message`."""
        self.bot.update(message={**self._message(), "text": text, **message})

    def send(self, kind: str, data: bytes, name: str = "", caption: str = "", **more: Any) -> None:
        """Send a file: `kind` is voice, audio, photo, video or document."""
        fields = {"chat_id": self.id, "from_id": self.user_id, "caption": caption, **more}
        texts = {key: str(value) for key, value in fields.items() if value not in ("", None)}
        path = f"/bots/{self.bot.id}/updates"
        self.bot.emulator.upload(path, texts, kind, Upload(data, name or kind))

    def press(self, text: str = "", *, data: str = "") -> None:
        """Press the newest button with this text, or with this callback data."""
        which = {"text": text} if text else {"data": data}
        body = {**which, "chat_id": self.id, "from_id": self.user_id}
        self.bot.control("POST", "/press", body)

    def ask_inline(self, query: str, offset: str = "") -> None:
        """Write `@bot query` in some chat."""
        sender = {"id": self.user_id}
        self.bot.update(inline_query={"from": sender, "query": query, "offset": offset})

    def is_like(self, **what: Any) -> None:
        """Say what the chat is like: `type`, `title`, `members`, `blocked`."""
        self.bot.control("POST", "/chats", {"id": self.id, **what})

    def _message(self) -> JsonObject:
        return {"chat": {"id": self.id}, "from": {"id": self.user_id}}


@dataclass(frozen=True)
class Call:
    """One call of the bot that did something: a message, an answer to a pressed button."""

    number: int
    method: str
    parameters: JsonObject
    time: float
    message_id: int | None = None
    message_ids: tuple[int, ...] = ()
    # False where the emulator only checked and recorded it.
    emulated: bool = True
    unknown_parameters: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Its text or caption, as the bot gave it."""
        return str(self.parameters.get("text", self.parameters.get("caption", "")))

    @property
    def chat_id(self) -> Any:
        return self.parameters.get("chat_id")

    @property
    def is_message(self) -> bool:
        return self.message_id is not None or bool(self.message_ids)

    @property
    def buttons(self) -> list[str]:
        """The texts on its buttons, row by row."""
        markup = self.parameters.get("reply_markup")
        markup = markup if isinstance(markup, dict) else {}
        rows = markup.get("inline_keyboard") or markup.get("keyboard") or []
        return [b if isinstance(b, str) else b["text"] for row in rows for b in row]


class Sent:
    """What the bot sent, in order. `wait` gives each call once."""

    def __init__(self, bot: EmulatedBot) -> None:
        self._bot = bot
        self._seen = 0

    def __iter__(self) -> Iterator[Call]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())

    def all(self, method: str = "") -> list[Call]:
        return [_call(entry) for entry in self._bot.control("GET", _query("/sent", method=method))]

    @property
    def texts(self) -> list[str]:
        """The texts of all messages."""
        return [call.text for call in self.all() if call.is_message]

    def wait(self, text: str = "", *, method: str = "", timeout: float = DEFAULT_TIMEOUT) -> Call:
        """The next message, or the next one with this text in it, or the next call of a method."""
        deadline = time.monotonic() + timeout
        after = self._seen
        while True:
            left = max(0.0, deadline - time.monotonic())
            path = _query(
                "/wait",
                after=str(after),
                text=text,
                method=method,
                timeout_s=f"{min(left, ROUND_SECONDS):.3f}",
            )
            try:
                found = [_call(entry) for entry in self._bot.control("GET", path)]
            except TimeoutError as error:
                if time.monotonic() < deadline:
                    continue
                raise NotSent(self._missing(text, method, timeout, str(error))) from None
            for call in found:
                if method or call.is_message:
                    self._seen = call.number
                    return call
                after = call.number

    async def wait_async(
        self, text: str = "", *, method: str = "", timeout: float = DEFAULT_TIMEOUT
    ) -> Call:
        """The same for a test that runs its bot in its own event loop."""
        return await asyncio.to_thread(self.wait, text, method=method, timeout=timeout)

    def nothing(self, seconds: float = 0.5) -> None:
        """Fails where the bot sends another message within this time."""
        try:
            call = self.wait(timeout=seconds)
        except NotSent:
            return
        raise AssertionError(f"the bot sent {call.method} {call.text!r}")

    def _missing(self, text: str, method: str, timeout: float, error: str) -> str:
        what = method or "message"
        which = f"no {what}" + (f" with {text!r}" if text else "")
        since = error.partition("; ")[2]
        return f"{which} came within {timeout:g} s; {since}"


def _query(path: str, **values: str) -> str:
    given = {name: value for name, value in values.items() if value}
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path


def _call(entry: JsonObject) -> Call:
    return Call(
        number=entry["number"],
        method=entry["method"],
        parameters=entry["parameters"],
        time=entry["time"],
        message_id=entry.get("message_id"),
        message_ids=tuple(entry.get("message_ids", ())),
        emulated=entry.get("emulated", True),
        unknown_parameters=tuple(entry.get("unknown_parameters", ())),
    )


@dataclass(frozen=True)
class BotApi:
    """A bot that nobody else uses, a private chat with it, and what it sent."""

    bot: EmulatedBot
    chat: Chat
    sent: Sent

    def __iter__(self) -> Iterator[Any]:
        return iter((self.bot, self.chat, self.sent))

    def chat_with(self, chat_id: int, user_id: int = USER, **what: Any) -> Chat:
        """Another chat: a group (its id is negative), or one with another user."""
        chat = Chat(self.bot, chat_id, chat_id if chat_id > 0 else user_id)
        if what:
            chat.is_like(**what)
        return chat

    def strict(self, on: bool = True) -> None:
        """Refuse what the emulator only checks and records; this holds for all bots in it."""
        self.bot.emulator.control("POST", "/mode", {"strict": on})


def new_bot_api(emulator: Emulator) -> BotApi:
    bot = emulator.new_bot()
    return BotApi(bot, Chat(bot), Sent(bot))

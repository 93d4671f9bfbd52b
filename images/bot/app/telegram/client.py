"""The Bot API as every role and every library in it uses it: one client for all.

Workers don't import aiogram: its models take seconds and 130 MB, for two methods.
"""

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, TraceConfig

from app import __version__
from app.core.config import Settings
from app.core.errors import Again, BotApiFailed, FloodWait, Refused
from app.core.health import REMEMBERED_SECONDS, Heartbeat, Streak
from app.storage.files import FileStore, too_big
from app.telegram.local_files import shared_file

if TYPE_CHECKING:
    from app.telegram.limiter import Limiter

SEND_SECONDS = 10.0
DOWNLOAD_SECONDS = 60.0
UNAVAILABLE = "I could not fetch this file from Telegram. Please send it again."
CHUNK = 65536
# A turn to send is waited for so long; who would wait for longer is sent away.
TURN_SECONDS = 4.0
# What is kept back while the Bot API wants a pause; of these, what is counted as a message.
UNPACED = ("getupdates", "getme")
MESSAGES = ("send", "copy", "forward", "edit")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ApiError(Exception):
    """An answer with ok=false."""

    def __init__(self, code: int, description: str, retry_after: float | None = None) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.description = description
        self.retry_after = retry_after


class ApiUnreachable(Exception):
    """No answer, or none that is the Bot API's."""


def parse(status: int, body: bytes) -> Any:
    """The `result` of an answer; ApiError or ApiUnreachable for everything else."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("ok"), bool):
        raise ApiUnreachable(f"HTTP {status} with something that is no Bot API answer")
    if data["ok"]:
        return data.get("result")
    raise ApiError(
        int(data.get("error_code") or status),
        str(data.get("description") or "no description"),
        retry_after(data),
    )


def retry_after(data: dict[str, Any]) -> float | None:
    parameters = data.get("parameters")
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else None


def explain(error: BaseException) -> str:
    """One line for the log."""
    if isinstance(error, ApiError) and error.code == 401:
        return f"{error}: the token in BOT_TOKEN_FILE is not valid at BOT_API_URL"
    return " ".join(str(error).split())[:300] or type(error).__name__


def reset_socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket whose close drops what was not delivered, instead of trying on for minutes.

    The request of a poll that was given up must not reach the Bot API later: it would end the
    poll that is parked there then, ours or our successor's.
    """
    family, kind, protocol = info[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return made


def later(method: str, error: ApiError) -> Again:
    """What kind of failure an answer is that may be another one next time."""
    text = f"Bot API: {method}: {explain(error)}"
    if error.code == 429:
        return FloodWait(text, error.retry_after)
    return BotApiFailed(text, error.retry_after)


def _pause(body: bytes) -> float:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    return (retry_after(data) if isinstance(data, dict) else None) or 1.0


class BotApi:
    """All requests go through `exchange`: in their turn, and not while a pause is asked for."""

    def __init__(self, settings: Settings, heartbeat: Heartbeat | None = None) -> None:
        self.base = settings.reveal("bot_api_url")
        token = settings.reveal("bot_token")
        self._settings = settings
        self._methods = f"{self.base}/bot{token}/"
        self._files = f"{self.base}/file/bot{token}/"
        self._session: ClientSession | None = None
        self._polls: ClientSession | None = None
        self._limiter: Limiter | None = None
        self._heartbeat = heartbeat
        self._answers = Streak(unproven=3, proven=3)
        # Set once a first poll is on its way.
        self.polling = asyncio.Event()

    def _open(self) -> ClientSession:
        if self._session is None:
            # A container that is re-created has another address: don't keep names for long.
            self._session = self._make(TCPConnector(limit=32, ttl_dns_cache=5))
        return self._session

    def _open_for_polls(self) -> ClientSession:
        if self._polls is None:
            sent = TraceConfig()

            async def on_sent(*_: object) -> None:
                self.polling.set()

            sent.on_request_chunk_sent.append(on_sent)
            connector = TCPConnector(limit=4, ttl_dns_cache=5, socket_factory=reset_socket)
            self._polls = self._make(connector, sent)
        return self._polls

    @staticmethod
    def _make(connector: TCPConnector, *traces: TraceConfig) -> ClientSession:
        return ClientSession(
            connector=connector,
            headers={"User-Agent": f"aisha-bot/{__version__}"},
            timeout=ClientTimeout(total=SEND_SECONDS, connect=5),
            trace_configs=list(traces),
        )

    async def close(self) -> None:
        for session in (self._session, self._polls):
            if session is not None:
                await session.close()
        if self._limiter is not None:
            await self._limiter.close()

    def _limits(self) -> "Limiter":
        if self._limiter is None:
            # Imports redis, which the first poll must not wait for.
            from app.telegram.limiter import Limiter

            self._limiter = Limiter(self._settings)
        return self._limiter

    async def _turn(self, method: str, chat: str | None) -> None:
        """Wait until this request may go out; FloodWait when that takes too long."""
        from app.telegram.limiter import spread

        limiter = self._limits()
        paced = method.lower().startswith(MESSAGES)
        deadline = time.monotonic() + TURN_SECONDS
        while True:
            turn = await limiter.turn(chat, paced=paced)
            if turn.ours and turn.wait <= 0:
                return
            wait = turn.wait
            if turn.ours:
                # The place is kept; but a pause may begin meanwhile.
                paced = False
            else:
                wait = spread(wait)
                if time.monotonic() + wait > deadline:
                    raise FloodWait(f"{method}: not before {wait:.1f} s are over", wait)
            await asyncio.sleep(wait)

    async def exchange(
        self, method: str, chat: int | str | None, seconds: float, **content: Any
    ) -> tuple[int, bytes]:
        """One request, whoever asks for it: (status, body)."""
        chat = None if chat is None else str(chat)
        name = method.lower()
        if name not in UNPACED:
            await self._turn(method, chat)
        try:
            if name == "getupdates":
                status, body = await self._poll(method, seconds, content)
            else:
                limit = ClientTimeout(total=seconds, connect=5)
                status, body = await self._post(self._open(), method, limit, content)
        except TimeoutError as error:
            text = f"{method}: no answer within {seconds:.0f} s"
            self._note(name, chat, None, text)
            raise ApiUnreachable(text) from error
        except (ClientError, OSError) as error:
            # The text of some of them has the URL, and the URL has the token.
            text = f"{method}: {type(error).__name__}: {error}"
            self._note(name, chat, None, text)
            raise ApiUnreachable(text) from None
        if status == 429 and name not in UNPACED:
            await self._limits().flood(chat, _pause(body))
        self._note(name, chat, status, f"{method}: HTTP {status}")
        return status, body

    async def _post(
        self, session: ClientSession, method: str, limit: ClientTimeout, content: dict[str, Any]
    ) -> tuple[int, bytes]:
        async with session.post(self._methods + method, timeout=limit, **content) as response:
            return response.status, await response.read()

    async def _poll(
        self, method: str, seconds: float, content: dict[str, Any]
    ) -> tuple[int, bytes]:
        """A poll that is given up is aborted by the end of its session, before anything can close
        its connection in the usual way: TLS would say goodbye first, and wait for the answer."""
        session = self._open_for_polls()
        limit = ClientTimeout(total=None, connect=5)
        request = asyncio.ensure_future(self._post(session, method, limit, content))
        try:
            if not (await asyncio.wait({request}, timeout=seconds))[0]:
                raise TimeoutError
            return request.result()
        finally:
            if not request.done():
                self._polls = None
                await session.close()
                request.cancel()
                await asyncio.wait({request})

    def _note(self, name: str, chat: str | None, status: int | None, text: str) -> None:
        """Health: do answers go out? A user who blocks the bot (403) and a pause (429) say nothing
        about that; other refusals do when they come from several chats, failures always."""
        if not name.startswith(MESSAGES) or self._heartbeat is None or status in (403, 429):
            return
        now = time.monotonic()
        if status == 200:
            self._answers.worked()
        else:
            what = chat if status in (400, 404) else now
            self._answers.failed(what, text, now)
        problem = self._answers.verdict(now)
        text = f"answers can't be sent: {problem}" if problem else ""
        self._heartbeat.failing("answers", text or None, REMEMBERED_SECONDS)

    async def call(self, method: str, seconds: float = SEND_SECONDS, **arguments: Any) -> Any:
        status, body = await self.exchange(
            method,
            arguments.get("chat_id"),
            seconds,
            json={key: value for key, value in arguments.items() if value is not None},
        )
        return parse(status, body)

    async def send(self, chat_id: int, text: str, reply_to: int | None) -> int:
        """Send a message; Refused when it can never arrive (the user blocked the bot)."""
        reply = None
        if reply_to is not None:
            reply = {"message_id": reply_to, "allow_sending_without_reply": True}
        try:
            message = await self.call(
                "sendMessage", chat_id=chat_id, text=text, reply_parameters=reply
            )
        except ApiError as error:
            if error.code in (400, 403, 404):
                raise Refused("", f"sendMessage: {error}") from error
            raise later("sendMessage", error) from error
        except ApiUnreachable as error:
            raise BotApiFailed(f"Bot API: {explain(error)}") from error
        return int(message["message_id"])

    async def download(
        self, file_id: str, files: FileStore, target: Path, limit: int, attempts: int
    ) -> None:
        """Make `target`: the whole file, or a link to where a local Bot API server has put it.

        Refused or Again when it can't be had.
        """
        try:
            file = cast("dict[str, Any]", await self.call("getFile", file_id=file_id))
        except ApiError as error:
            # By its text, because the Bot API has one code for all that is wrong with a file.
            if "too big" in error.description:
                raise too_big(limit, f"getFile: {error}") from error
            # "wrong file_id or the file is temporarily unavailable" is one and the same answer.
            if error.code in (400, 404) and attempts >= 3:
                raise Refused(UNAVAILABLE, f"getFile: {error}") from error
            raise later("getFile", error) from error
        except ApiUnreachable as error:
            raise BotApiFailed(f"Bot API: {explain(error)}") from error
        size = file.get("file_size")
        if isinstance(size, int) and size > limit:
            raise too_big(limit, f"the file has {size} bytes, the limit is {limit}")
        path = file.get("file_path")
        if not isinstance(path, str) or not path:
            raise Again("Bot API: getFile gave no file_path")
        if path.startswith("/"):
            found = shared_file(
                path, self._settings.bot_api_server_dir, self._settings.bot_api_files_dir, limit
            )
            # The server's path holds the token, and whoever converts it has a command line.
            files.link(found, target)
            return
        try:
            async with self._open().get(
                self._files + path,
                timeout=ClientTimeout(total=DOWNLOAD_SECONDS, connect=5, sock_read=20),
            ) as response:
                if response.status != 200:
                    raise Again(f"Bot API: file download: HTTP {response.status}")
                await files.save(response.content.iter_chunked(CHUNK), target, limit)
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            raise Again("Bot API: file download: no data in time") from error
        except (ClientError, OSError) as error:
            raise Again(f"Bot API: file download: {type(error).__name__}") from None

    async def stream(
        self,
        url: str,
        seconds: float,
        chunk: int = CHUNK,
        headers: dict[str, Any] | None = None,
        *,
        strict: bool = True,
    ) -> AsyncGenerator[bytes]:
        """The content of a file, for libraries; of no other place than the Bot API's."""
        if not url.startswith(self._files):
            raise ApiUnreachable("this file is not at BOT_API_URL")
        async with self._open().get(
            url,
            headers=headers,
            timeout=ClientTimeout(total=seconds, connect=5),
            raise_for_status=strict,
        ) as response:
            async for part in response.content.iter_chunked(chunk):
                yield part

"""The Bot API as every role uses it: a thin client.

Workers don't import aiogram: its models take seconds and 130 MB, for two methods.
"""

import asyncio
import json
from typing import Any, cast

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from app import __version__
from app.core.config import Settings
from app.core.errors import Again, Refused
from app.storage.files import FileStore, too_big

SEND_SECONDS = 10.0
DOWNLOAD_SECONDS = 60.0
UNAVAILABLE = "I could not fetch this file from Telegram. Please send it again."
CHUNK = 65536


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
    parameters = data.get("parameters")
    retry_after = parameters.get("retry_after") if isinstance(parameters, dict) else None
    raise ApiError(
        int(data.get("error_code") or status),
        str(data.get("description") or "no description"),
        float(retry_after) if isinstance(retry_after, int | float) else None,
    )


def explain(error: BaseException) -> str:
    """One line for the log."""
    if isinstance(error, ApiError) and error.code == 401:
        return f"{error}: the token in BOT_TOKEN_FILE is not valid at BOT_API_URL"
    return " ".join(str(error).split())[:300] or type(error).__name__


class BotApi:
    def __init__(self, settings: Settings) -> None:
        base = settings.reveal("bot_api_url")
        token = settings.reveal("bot_token")
        self._methods = f"{base}/bot{token}/"
        self._files = f"{base}/file/bot{token}/"
        self._session: ClientSession | None = None

    def _open(self) -> ClientSession:
        if self._session is None:
            # A container that is re-created has another address: don't keep names for long.
            self._session = ClientSession(
                connector=TCPConnector(limit=32, ttl_dns_cache=5),
                headers={"User-Agent": f"aisha-bot/{__version__}"},
                timeout=ClientTimeout(total=SEND_SECONDS, connect=5),
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, seconds: float = SEND_SECONDS, **arguments: Any) -> Any:
        try:
            async with self._open().post(
                self._methods + method,
                json={key: value for key, value in arguments.items() if value is not None},
                timeout=ClientTimeout(total=seconds, connect=5),
            ) as response:
                body = await response.read()
        except TimeoutError as error:
            raise ApiUnreachable(f"{method}: no answer within {seconds:.0f} s") from error
        except (ClientError, OSError) as error:
            # The text of some of them has the URL, and the URL has the token.
            raise ApiUnreachable(f"{method}: {type(error).__name__}: {error}") from None
        return parse(response.status, body)

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
            raise Again(f"Bot API: sendMessage: {explain(error)}", error.retry_after) from error
        except ApiUnreachable as error:
            raise Again(f"Bot API: {explain(error)}") from error
        return int(message["message_id"])

    async def download(
        self, file_id: str, files: FileStore, target: Any, limit: int, attempts: int
    ) -> int:
        """Stream a file into `target`; Refused or Again, never half a file."""
        try:
            file = cast("dict[str, Any]", await self.call("getFile", file_id=file_id))
        except ApiError as error:
            if "too big" in error.description:
                raise too_big(limit, f"getFile: {error}") from error
            # "wrong file_id or the file is temporarily unavailable" is one and the same answer.
            if error.code in (400, 404) and attempts >= 3:
                raise Refused(UNAVAILABLE, f"getFile: {error}") from error
            raise Again(f"Bot API: getFile: {explain(error)}", error.retry_after) from error
        except ApiUnreachable as error:
            raise Again(f"Bot API: {explain(error)}") from error
        size = file.get("file_size")
        if isinstance(size, int) and size > limit:
            raise too_big(limit, f"the file has {size} bytes, the limit is {limit}")
        path = file.get("file_path")
        if not isinstance(path, str) or not path:
            raise Again("Bot API: getFile gave no file_path")
        try:
            async with self._open().get(
                self._files + path,
                timeout=ClientTimeout(total=DOWNLOAD_SECONDS, connect=5, sock_read=20),
            ) as response:
                if response.status != 200:
                    raise Again(f"Bot API: file download: HTTP {response.status}")
                return await files.save(response.content.iter_chunked(CHUNK), target, limit)
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            raise Again("Bot API: file download: no data in time") from error
        except (ClientError, OSError) as error:
            raise Again(f"Bot API: file download: {type(error).__name__}") from None

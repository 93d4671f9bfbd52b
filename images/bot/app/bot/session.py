"""aiogram's way to the Bot API: the client that everything else here uses, too.

Its own session knows Telegram's address only, keeps no pace, and waits for minutes.
"""

from collections.abc import AsyncGenerator
from typing import Any, cast

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import TelegramMethod
from aiogram.methods.base import TelegramType

from app.telegram.client import ApiUnreachable, BotApi

SECONDS = 20.0


class OneClient(BaseSession):
    def __init__(self, api: BotApi) -> None:
        super().__init__(api=TelegramAPIServer.from_base(api.base), timeout=SECONDS)
        self._client = api

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        # Builds the form from nothing but its arguments.
        form = AiohttpSession.build_form_data(cast(AiohttpSession, self), bot, method)
        try:
            status, body = await self._client.exchange(
                method.__api_method__,
                getattr(method, "chat_id", None),
                timeout or self.timeout,
                data=form,
            )
        except ApiUnreachable as error:
            raise TelegramNetworkError(method=method, message=str(error)) from error
        answer = self.check_response(
            bot=bot, method=method, status_code=status, content=body.decode("utf-8", "replace")
        )
        return cast(TelegramType, answer.result)

    async def stream_content(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        timeout: int = 30,
        chunk_size: int = 65536,
        raise_for_status: bool = True,
    ) -> AsyncGenerator[bytes]:
        async for chunk in self._client.stream(
            url, timeout, chunk_size, headers, strict=raise_for_status
        ):
            yield chunk

    async def close(self) -> None:
        """The client is closed by whoever made it."""

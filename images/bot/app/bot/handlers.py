"""What the bot does with a message: one row each, then somebody's job."""

from aiogram import F, Router
from aiogram.enums import ChatType
from aiogram.filters import Command, CommandStart
from aiogram.types import Audio, Message, Update, Voice

from app.bot.inbox import Inbox
from app.storage.files import TOO_BIG
from app.storage.repository import NewMessage
from app.telegram.texts import HELP, START


def make_router(inbox: Inbox, bot_id: int, max_bytes: int) -> Router:
    router = Router(name="messages")
    megabytes = max_bytes / 1024 / 1024

    def text_row(message: Message, update: Update, answer: str) -> NewMessage:
        return NewMessage(
            bot_id=bot_id,
            update_id=update.update_id,
            chat_id=message.chat.id,
            message_id=message.message_id,
            kind="text",
            answer_text=answer.format(limit=megabytes),
        )

    @router.message(CommandStart())
    async def start(message: Message, event_update: Update) -> None:
        await inbox.accept(text_row(message, event_update, START))

    @router.message(Command("help"))
    async def help_(message: Message, event_update: Update) -> None:
        await inbox.accept(text_row(message, event_update, HELP))

    @router.message(F.voice | F.audio)
    async def recording(message: Message, event_update: Update) -> None:
        file: Voice | Audio | None = message.voice or message.audio
        if file is None:
            return
        oversize = file.file_size is not None and file.file_size > max_bytes
        await inbox.accept(
            NewMessage(
                bot_id=bot_id,
                update_id=event_update.update_id,
                chat_id=message.chat.id,
                message_id=message.message_id,
                kind="voice" if message.voice else "audio",
                file_id=file.file_id,
                file_size=file.file_size,
                mime_type=(file.mime_type or "")[:100].replace("\x00", "") or None,
                status="failed" if oversize else "received",
                answer_text=TOO_BIG.format(limit=megabytes) if oversize else None,
                error=f"{file.file_size} bytes, the limit is {max_bytes}" if oversize else None,
            )
        )

    @router.message(F.chat.type == ChatType.PRIVATE)
    async def other(message: Message, event_update: Update) -> None:
        await inbox.accept(text_row(message, event_update, HELP))

    return router

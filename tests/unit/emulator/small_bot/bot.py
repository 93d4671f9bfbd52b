import asyncio
import os

from aiogram import Bot, Dispatcher, F
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.filters import CommandStart
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

dispatcher = Dispatcher()


@dispatcher.message(CommandStart())
async def start(message):
    button = InlineKeyboardButton(text="Yes", callback_data="tea")
    markup = InlineKeyboardMarkup(inline_keyboard=[[button]])
    await message.answer("<b>Tea?</b>", parse_mode="HTML", reply_markup=markup)


@dispatcher.callback_query(F.data == "tea")
async def tea(query):
    await query.answer("One moment")
    await query.message.edit_text("Here it is")


api = TelegramAPIServer.from_base(os.environ["BOT_API_URL"])
bot = Bot(os.environ["BOT_TOKEN"], session=AiohttpSession(api=api))
asyncio.run(dispatcher.start_polling(bot))

import os
import subprocess
import sys

import pytest


@pytest.fixture
def running_bot(bot_api):
    bot, chat, sent = bot_api
    env = {**os.environ, "BOT_TOKEN": bot.token, "BOT_API_URL": bot.url}
    process = subprocess.Popen([sys.executable, "bot.py"], env=env)
    yield chat, sent
    process.kill()
    process.wait()


def test_tea(running_bot):
    chat, sent = running_bot
    chat.say("/start")
    question = sent.wait()
    assert (question.text, question.buttons) == ("<b>Tea?</b>", ["Yes"])
    chat.press("Yes")
    assert sent.wait(method="answerCallbackQuery").text == "One moment"
    assert sent.wait().text == "Here it is"

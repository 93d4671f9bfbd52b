"""The package by itself: installed from its folder, with a fixture for the tests of a bot."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bot_api_emulator.testing import BotApi, Emulator, NotSent, new_bot_api

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[2] / "images/bot_api_emulator"
SMALL_BOT = HERE / "small_bot"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment in which only the emulator is installed, from its folder.

    What it depends on comes from this environment: the network is asked for the build backend only.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    (site / "these.pth").write_text(sysconfig.get_path("purelib"))
    python = folder / "venv/bin/python"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, PACKAGE],
        check=True,
        env={**os.environ, "UV_NATIVE_TLS": "1", "UV_LINK_MODE": "copy"},
    )
    return python.parent


def environment() -> dict[str, str]:
    # Without compiled modules a bot takes seconds to import its framework.
    own = ("PYTHONPATH", "PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in own}


def test_a_small_bot_with_the_fixture(installed: Path, tmp_path: Path) -> None:
    """As its author would write and run it, in a folder that knows nothing of this project."""
    shutil.copytree(SMALL_BOT, tmp_path / "small", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [installed / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_bot.py"],
        cwd=tmp_path / "small",
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_readme_shows_that_bot_and_its_test() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)
    assert (SMALL_BOT / "bot.py").read_text() in blocks
    assert (SMALL_BOT / "test_bot.py").read_text() in blocks


def test_the_program(installed: Path, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [installed / "bot-api-emulator", "--port", "0"], stderr=log, env=environment()
        )
        try:
            deadline = time.monotonic() + 30
            while not (found := re.search(r"127\.0\.0\.1:(\d+)", (tmp_path / "log").read_text())):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
            connection.request("GET", "/control/health")
            assert json.loads(connection.getresponse().read())["status"] == "ok"
            # Tests can use one that runs already.
            running = Emulator(f"http://127.0.0.1:{found[1]}")
            assert new_bot_api(running).bot.url == running.url
            running.stop()
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait()


def test_what_it_needs(installed: Path) -> None:
    """Its requirements are those that the image pins, and no more."""
    show = "from importlib.metadata import requires; print(*requires('bot-api-emulator'))"
    found = subprocess.run(
        [installed / "python", "-c", show], check=True, capture_output=True, text=True
    )
    assert found.stdout.split()[0].startswith("aiohttp")
    assert "aiohttp==" in (PACKAGE / "requirements.txt").read_text()


# What the fixture gives


@pytest.fixture(scope="module")
def emulator_thread() -> Iterator[Emulator]:
    emulator = Emulator()
    yield emulator
    emulator.stop()
    assert not any(thread.name == "bot_api_emulator" for thread in threading.enumerate())


@pytest.fixture
def api(emulator_thread: Emulator) -> BotApi:
    return new_bot_api(emulator_thread)


def call(api: BotApi, method: str, **arguments: Any) -> Any:
    """The bot under test, as one that calls a method by hand."""
    connection = http.client.HTTPConnection("127.0.0.1", int(api.bot.url.rpartition(":")[2]))
    headers = {"Content-Type": "application/json"}
    path = f"/bot{api.bot.token}/{method}"
    connection.request("POST", path, json.dumps(arguments), headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["result"] if answer["ok"] else answer["description"]


def update(api: BotApi) -> Any:
    return call(api, "getUpdates", offset=-1)[0]


class TestFixture:
    def test_each_bot_is_a_new_one(self, api: BotApi, emulator_thread: Emulator) -> None:
        other = new_bot_api(emulator_thread)
        assert other.bot.id != api.bot.id
        assert call(api, "getMe")["id"] == api.bot.id
        api.chat.say("x")
        assert call(other, "getUpdates") == []
        bot, chat, sent = api
        assert (bot, chat, sent) == (api.bot, api.chat, api.sent)
        assert bot.token not in repr(api)

    def test_a_user(self, api: BotApi) -> None:
        api.chat.say("/start now")
        message = update(api)["message"]
        assert (message["text"], message["entities"][0]["type"]) == ("/start now", "bot_command")
        api.chat.send("voice", b"data", "a.ogg", duration=3)
        message = update(api)["message"]
        assert (message["voice"]["file_size"], message["voice"]["duration"]) == (4, 3)
        api.chat.ask_inline("cats")
        assert update(api)["inline_query"]["query"] == "cats"

    def test_buttons(self, api: BotApi) -> None:
        markup = {"inline_keyboard": [[{"text": "a", "callback_data": "b"}]]}
        call(api, "sendMessage", chat_id=api.chat.id, text="x", reply_markup=markup)
        assert api.sent.wait().buttons == ["a"]
        for which in ({"text": "a"}, {"data": "b"}):
            api.chat.press(**which)
            assert update(api)["callback_query"]["data"] == "b"
        with pytest.raises(ValueError, match="no such button; there are: a"):
            api.chat.press("c")

    def test_a_group(self, api: BotApi) -> None:
        owner = {"user": {"id": 5}, "status": "creator"}
        group = api.chat_with(-1005, user_id=5, title="Us", members=[owner])
        group.say("hello")
        message = update(api)["message"]
        assert (message["chat"]["title"], message["from"]["id"]) == ("Us", 5)

    def test_wait_gives_each_message_once(self, api: BotApi) -> None:
        call(api, "setMyCommands", commands=[])
        for text in ("one", "two", "three"):
            call(api, "sendChatAction", chat_id=1, action="typing")
            call(api, "sendMessage", chat_id=1, text=text)
        assert [api.sent.wait().text, api.sent.wait("three").text] == ["one", "three"]
        assert api.sent.texts == ["one", "two", "three"]
        assert len(api.sent) == 7
        assert [found.method for found in api.sent.all("setMyCommands")] == ["setMyCommands"]
        api.sent.nothing(0.1)
        call(api, "sendMessage", chat_id=1, text="four")
        with pytest.raises(AssertionError, match="four"):
            api.sent.nothing(0.1)

    def test_wait_for_what_comes_later(self, api: BotApi) -> None:
        def later() -> None:
            time.sleep(0.3)
            call(api, "sendChatAction", chat_id=1, action="typing")
            call(api, "sendMessage", chat_id=1, text="late")

        thread = threading.Thread(target=later)
        thread.start()
        assert api.sent.wait("late").message_id == 1
        thread.join()

    async def test_in_an_event_loop(self, api: BotApi) -> None:
        waiting = asyncio.create_task(api.sent.wait_async())
        await asyncio.sleep(0)
        await asyncio.to_thread(call, api, "sendMessage", chat_id=1, text="x")
        assert (await waiting).text == "x"

    def test_what_does_not_come(self, api: BotApi) -> None:
        call(api, "sendMessage", chat_id=1, text="other")
        with pytest.raises(NotSent, match=r"no message with 'x' came within 0.2 s; .*'other'"):
            api.sent.wait("x", timeout=0.2)

    def test_faults(self, api: BotApi) -> None:
        api.bot.fault("sendMessage", error_code=429, retry_after=3, times=1)
        assert "retry after 3" in call(api, "sendMessage", chat_id=1, text="x")
        assert call(api, "sendMessage", chat_id=1, text="x")["text"] == "x"
        with pytest.raises(ValueError, match="sendMassage"):
            api.bot.fault("sendMassage", error_code=400)

    def test_strict(self, api: BotApi) -> None:
        call(api, "sendDice", chat_id=1, emojy="x")
        dice = api.sent.wait()
        assert (dice.emulated, dice.unknown_parameters) == (False, ("emojy",))
        api.strict()
        assert call(api, "sendDice", chat_id=1).startswith("Not Found: method not found")
        api.strict(False)

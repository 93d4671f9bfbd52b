"""Fixtures for the tests of a bot: `bot_api`, and the emulator behind it, `bot_api_emulator`.

What they need is imported when they are used first, so that the plugin costs other tests nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import BotApi, Emulator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bot-api-emulator",
        default="",
        metavar="URL",
        help="use the Bot API emulator that runs there, and start none",
    )


@pytest.fixture(scope="session")
def bot_api_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """One emulator for all tests, on a free port of 127.0.0.1."""
    from .testing import Emulator

    emulator = Emulator(str(request.config.getoption("--bot-api-emulator")))
    yield emulator
    emulator.stop()


@pytest.fixture
def bot_api(bot_api_emulator: Emulator) -> Iterator[BotApi]:
    """A new bot, a chat with it, and what it sent: `bot, chat, sent = bot_api`."""
    from .testing import new_bot_api

    found = new_bot_api(bot_api_emulator)
    yield found
    found.strict(False)
    found.bot.control("POST", "/reset", {})

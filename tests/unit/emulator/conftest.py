"""Fixtures: the emulator on loopback, with a clock that stands still or with the real one."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

# What a user of the package writes: test_emulator_package.py runs it.
collect_ignore = ["small_bot"]
HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[2] / "images/bot_api_emulator"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from bot_api_emulator.clock import LiveClock, ManualClock  # noqa: E402  needs the path above
from emulator_harness import Emulator  # noqa: E402  needs the path above


@pytest_asyncio.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(ManualClock()) as running:
        yield running


@pytest_asyncio.fixture
async def live() -> AsyncIterator[Emulator]:
    async with Emulator(LiveClock()) as running:
        yield running

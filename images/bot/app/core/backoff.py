"""Waiting between attempts."""

import asyncio
import contextlib
import random


class Backoff:
    """Exponential delays with a little jitter, so that containers don't retry in step."""

    def __init__(self, first: float = 0.5, longest: float = 15.0) -> None:
        self._first = first
        self._longest = longest
        self.failures = 0

    def reset(self) -> None:
        self.failures = 0

    def next(self) -> float:
        delay = min(self._longest, self._first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return delay * random.uniform(0.9, 1.1)  # noqa: S311 - no secret depends on it


async def sleep_or(stop: asyncio.Event, seconds: float) -> bool:
    """Sleep; True as soon as `stop` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()

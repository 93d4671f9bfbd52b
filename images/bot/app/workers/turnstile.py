"""Who may work at a time in one process: so many beside each other, or one alone."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping

from app.queue.broker import LANES, Lane


class Turnstile:
    """Places for long and for short work.

    A job that may kill its process gets the process for itself, so that it condemns nobody. While
    it waits no long work is begun; short work goes on until no long work is left.
    """

    def __init__(self, places: Mapping[Lane, int]) -> None:
        self._places = places
        self._changed = asyncio.Condition()
        self._running: Counter[Lane] = Counter()
        self._wanting = 0
        self._alone = False
        self._shut = False

    def free(self, lane: Lane) -> int:
        return self._places[lane] - self._running[lane]

    @property
    def running(self) -> int:
        return sum(self._running[lane] for lane in LANES)

    def _open(self, lane: Lane) -> bool:
        if self._alone or self.free(lane) < 1:
            return False
        return not self._wanting or (lane == "short" and self._running["long"] > 0)

    async def enter(self, lane: Lane) -> bool:
        """Wait for a place; False when there will be none any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._shut or self._open(lane))
            if self._shut:
                return False
            self._running[lane] += 1
            return True

    def join(self, lane: Lane) -> None:
        """Beside somebody who is in already, so nobody is alone: no waiting."""
        self._running[lane] += 1

    async def leave(self, lane: Lane) -> None:
        async with self._changed:
            self._running[lane] -= 1
            self._changed.notify_all()

    async def shut(self) -> None:
        """Nobody comes in any more; who is in goes on."""
        async with self._changed:
            self._shut = True
            self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def alone(self, lane: Lane) -> AsyncIterator[bool]:
        """For one who is in: nobody else is, while the block runs. False when there is no time."""
        async with self._changed:
            self._running[lane] -= 1
            self._wanting += 1
            self._changed.notify_all()
            try:
                await self._changed.wait_for(
                    lambda: self._shut or not (self._alone or self.running)
                )
                mine = not self._shut
                self._alone = self._alone or mine
            except BaseException:
                self._running[lane] += 1
                raise
            finally:
                self._wanting -= 1
                self._changed.notify_all()
        try:
            yield mine
        finally:
            async with self._changed:
                if mine:
                    self._alone = False
                self._running[lane] += 1
                self._changed.notify_all()

"""Time for the state machine: whole microseconds since 1970, so that deadlines compare exactly."""

from __future__ import annotations

import time
from typing import Protocol

MILLISECOND = 1_000
SECOND = 1_000_000


class Clock(Protocol):
    def now(self) -> int: ...

    def advance(self, microseconds: int) -> None: ...


class LiveClock:
    """Real time plus what was advanced; a step of the system's clock does not show."""

    def __init__(self) -> None:
        self._base = time.time_ns() // 1_000 - time.monotonic_ns() // 1_000

    def now(self) -> int:
        return self._base + time.monotonic_ns() // 1_000

    def advance(self, microseconds: int) -> None:
        self._base += microseconds


class ManualClock:
    """Stands still until it is advanced."""

    def __init__(self, now: int = 1_800_000_000 * SECOND) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def advance(self, microseconds: int) -> None:
        self._now += microseconds

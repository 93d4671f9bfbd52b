"""The queue of one bot's updates."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from random import Random

from .clock import SECOND
from .envelope import JsonObject

FIRST_ID = (2_000_001, 1_000_000_000)
MAX_ID = 2_000_000_000
MAX_UPDATES = 100_000
MAX_UPDATE_BYTES = 8 * 65_536
PAST_WINDOW = 100_000
FUTURE_WINDOW = 10


class QueueError(Exception):
    """An update that the queue can't take."""


@dataclass(eq=False)
class Update:
    id: int
    kind: str
    body: JsonObject
    size: int
    expires_at: int
    deliveries: int = 0

    def as_json(self) -> JsonObject:
        return {"update_id": self.id, self.kind: self.body}


@dataclass
class UpdateQueue:
    """Ids go up by one. `tail` is the next id, 0 before the first update."""

    random: Random
    tail: int = 0
    _earliest: int = 0
    _updates: deque[Update] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._updates)

    @property
    def head(self) -> int:
        return self._updates[0].id if self._updates else self.tail

    def push(self, kind: str, body: JsonObject, lifetime: int, now: int) -> Update:
        size = len(json.dumps(body, ensure_ascii=False).encode())
        if size > MAX_UPDATE_BYTES:
            raise QueueError(f"the update has {size} bytes; the limit is {MAX_UPDATE_BYTES}")
        if len(self._updates) >= MAX_UPDATES:
            raise QueueError(f"the queue is full ({MAX_UPDATES} updates)")
        if self.tail == 0 or self.tail + 1 >= MAX_ID:
            self._updates.clear()
            self.tail = self.random.randint(*FIRST_ID)
        update = Update(self.tail, kind, body, size, now // SECOND + lifetime)
        self.tail += 1
        earliest = self._earliest if self._updates else update.expires_at
        self._earliest = min(earliest, update.expires_at)
        self._updates.append(update)
        return update

    def expire(self, now: int) -> int:
        """Drop what has outlived its time; the clock of lifetimes counts whole seconds."""
        second = now // SECOND
        if second <= self._earliest:
            return 0
        kept = [update for update in self._updates if update.expires_at >= second]
        gone = len(self._updates) - len(kept)
        self._earliest = min((update.expires_at for update in kept), default=second)
        if gone:
            self._updates = deque(kept)
        return gone

    def holds(self, offset: int) -> bool:
        """Whether an offset is near enough to the queue to mean a place in it."""
        if self.tail == 0:
            return True
        return self.head - PAST_WINDOW <= offset <= self.tail + FUTURE_WINDOW and offset < MAX_ID

    def confirm(self, offset: int) -> list[Update]:
        gone = []
        while self._updates and self._updates[0].id < offset:
            gone.append(self._updates.popleft())
        return gone

    def remove(self, update: Update) -> bool:
        """Take one out wherever it stands; False where it is no longer there."""
        try:
            self._updates.remove(update)
        except ValueError:
            return False
        return True

    def keep_last(self, count: int) -> list[Update]:
        gone = []
        while len(self._updates) > count:
            gone.append(self._updates.popleft())
        return gone

    def read(self, limit: int) -> list[Update]:
        return [update for update, _ in zip(self._updates, range(limit), strict=False)]

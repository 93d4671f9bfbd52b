"""What goes out to one webhook: which update is sent when, and when again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .clock import SECOND
from .queue import Update
from .updates import MESSAGE_KINDS
from .webhook import Webhook

ACTIVE_FOR = 10 * SECOND
PAUSE_AFTER_LOST_CONNECTION = 2 * SECOND
MAX_RETRY_AFTER = 3600
MAX_DELAY = (60, 120)
GONE_FOR = 23 * 3600 * SECOND
HTTP_GONE = 410


@dataclass
class _Retry:
    fails: int = 0
    delay: int = 1
    due: int = 0


@dataclass(eq=False)
class Delivery:
    """One attempt to bring one update to the webhook."""

    outbox: Outbox
    update: Update
    started: int

    @property
    def body(self) -> bytes:
        return json.dumps(self.update.as_json(), ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(eq=False)
class Outbox:
    """Updates of one chat go out one after the other, those of several side by side."""

    bot_id: int
    webhook: Webhook
    in_flight: dict[int, Delivery] = field(default_factory=dict)
    closed: bool = False
    wake: int | None = None
    error_message: str = ""
    error_date: int = 0
    last_success: int | None = None
    ip_address: str = ""
    _retries: dict[int, _Retry] = field(default_factory=dict)
    _quiet_until: int = 0
    _gone_since: int | None = None

    @property
    def window(self) -> int:
        """So many of the oldest updates are looked at."""
        return self.webhook.max_connections * 2

    def due(self, updates: Iterable[Update], now: int) -> tuple[list[Delivery], int | None]:
        """Begin what may go out now; and when to look again, if that is not an answer's time."""
        waits: list[int] = []
        begun: list[Delivery] = []
        busy = {lane(delivery.update) for delivery in self.in_flight.values()}
        kept: dict[int, _Retry] = {}
        for update in updates:
            retry = self._retries.get(update.id)
            if retry is not None:
                kept[update.id] = retry
            if lane(update) in busy:
                continue
            busy.add(lane(update))
            due = max(retry.due if retry else 0, self._quiet_until)
            if due > now:
                waits.append(due)
            elif len(self.in_flight) < self._connections(now):
                delivery = Delivery(self, update, now)
                self.in_flight[update.id] = delivery
                begun.append(delivery)
        self._retries = kept
        return begun, min(waits, default=None)

    def close(self) -> None:
        """What is under way no longer counts."""
        self.closed = True
        self.in_flight.clear()

    def succeeded(self, delivery: Delivery, now: int) -> None:
        self.in_flight.pop(delivery.update.id, None)
        self._retries.pop(delivery.update.id, None)
        self.last_success = now
        self._gone_since = None

    def failed(
        self, delivery: Delivery, message: str, now: int, random: Random, retry_after: int = 0
    ) -> bool:
        """Plan the next try; False where the update would be too old by then."""
        update = delivery.update
        self.in_flight.pop(update.id, None)
        self.error_message = message
        self.error_date = now // SECOND
        retry = self._retries.setdefault(update.id, _Retry())
        wait = min(retry_after, MAX_RETRY_AFTER)
        if wait == 0 and retry.fails:
            wait = retry.delay = min(random.randint(*MAX_DELAY), retry.delay * 2)
        retry.fails += 1
        retry.due = now + wait * SECOND
        return now // SECOND + wait <= update.expires_at

    def lost_connection(self, delivery: Delivery, now: int) -> None:
        if not self._active(now):
            self._quiet_until = max(now, delivery.started + PAUSE_AFTER_LOST_CONNECTION)

    def gone(self, status: int, now: int) -> bool:
        """Whether the webhook has said for so long that it is gone that it is closed."""
        if status != HTTP_GONE:
            self._gone_since = None
            return False
        if self._gone_since is None:
            self._gone_since = now
        return now > self._gone_since + GONE_FOR

    def _active(self, now: int) -> bool:
        return self.last_success is not None and now <= self.last_success + ACTIVE_FOR

    def _connections(self, now: int) -> int:
        """One until the webhook has answered lately, then as many as it allows."""
        return self.webhook.max_connections if self._active(now) else 1


def lane(update: Update) -> tuple[str, Any]:
    """What must stay in order: messages of one chat, and what else comes of one user or chat."""
    body = update.body
    if update.kind in MESSAGE_KINDS:
        return "message", _id(body.get("chat"))
    owner = _id(body.get("chat")) or _id(body.get("from")) or _id(body.get("user"))
    return update.kind, owner or update.id


def _id(owner: Any) -> Any:
    return owner.get("id") if isinstance(owner, dict) else None

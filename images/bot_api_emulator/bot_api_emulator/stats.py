"""What an instrument counts for one bot."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from .clock import MILLISECOND, SECOND
from .envelope import JsonObject
from .queue import Update

CONFLICTS = ("C1", "C2", "C3", "C4")
MAX_GAPS = 10_000


@dataclass(frozen=True)
class Client:
    """Who sent a request: the address without its port, so that a reconnect is no new client."""

    peer: str
    user_agent: str


@dataclass
class Poller:
    first: int
    last: int
    polls: int = 0


@dataclass
class Stats:
    polls: int = 0
    max_parked: int = 0
    open: int = 0
    max_open: int = 0
    delivered: int = 0
    redelivered: int = 0
    confirmed: int = 0
    confirmed_undelivered: int = 0
    dropped: int = 0
    expired: int = 0
    webhook_sent: int = 0
    webhook_failed: int = 0
    webhook_max_open: int = 0
    conflicts: Counter[str] = field(default_factory=Counter)
    conflicts_unseen: Counter[str] = field(default_factory=Counter)
    pollers: dict[Client, Poller] = field(default_factory=dict)
    gaps: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_GAPS))
    last_closed: int | None = None

    def on_poll(self, client: Client, now: int) -> None:
        self.polls += 1
        poller = self.pollers.setdefault(client, Poller(now, now))
        poller.last = now
        poller.polls += 1

    def on_open(self, now: int) -> None:
        if self.open == 0 and self.last_closed is not None:
            self.gaps.append(now - self.last_closed)
        self.open += 1
        self.max_open = max(self.max_open, self.open)

    def on_close(self, now: int) -> None:
        self.open -= 1
        if self.open == 0:
            self.last_closed = now

    def on_conflict(self, kind: str, seen: bool) -> None:
        (self.conflicts if seen else self.conflicts_unseen)[kind] += 1

    def on_webhook_sent(self, count: int, open_now: int) -> None:
        self.webhook_sent += count
        self.webhook_max_open = max(self.webhook_max_open, open_now)

    def on_delivery(self, updates: list[Update]) -> None:
        for update in updates:
            if update.deliveries:
                self.redelivered += 1
            else:
                self.delivered += 1
            update.deliveries += 1

    def on_confirmed(self, updates: list[Update]) -> None:
        self.confirmed += len(updates)
        self.confirmed_undelivered += sum(1 for update in updates if not update.deliveries)

    def as_json(self, *, now: int, parked: int, pending: int, webhook_open: int) -> JsonObject:
        return {
            "now": now / SECOND,
            "polls": self.polls,
            "parked": parked,
            "max_parked": self.max_parked,
            "open": self.open,
            "max_open": self.max_open,
            "pending": pending,
            "conflicts": {kind: self.conflicts[kind] for kind in CONFLICTS},
            "conflicts_unseen": {kind: self.conflicts_unseen[kind] for kind in CONFLICTS},
            "delivered": self.delivered,
            "redelivered": self.redelivered,
            "confirmed": self.confirmed,
            "confirmed_undelivered": self.confirmed_undelivered,
            "dropped": self.dropped,
            "expired": self.expired,
            "webhook": {
                "sent": self.webhook_sent,
                "failed": self.webhook_failed,
                "open": webhook_open,
                "max_open": self.webhook_max_open,
            },
            "pollers": [
                {
                    "peer": client.peer,
                    "user_agent": client.user_agent,
                    "first": poller.first / SECOND,
                    "last": poller.last / SECOND,
                    "polls": poller.polls,
                }
                for client, poller in self.pollers.items()
            ],
            "gaps_ms": [gap / MILLISECOND for gap in self.gaps],
        }

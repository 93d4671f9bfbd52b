"""Deliveries to webhooks: begun when something is due, planned again when they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from .arguments import Arguments, Upload
from .bot import Bot
from .outbox import Delivery, Outbox
from .stats import Client
from .webhook import Webhook

log = logging.getLogger(__name__)

NEVER_BY_ANSWER = frozenset(("setwebhook", "deletewebhook", "close", "logout"))
BY_ANSWER = Client("webhook", "the answer of a webhook")


@dataclass(frozen=True)
class WebhookReply:
    status: int
    reason: str = ""
    retry_after: int = 0
    arguments: Arguments = field(default_factory=Arguments)
    files: dict[str, Upload] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return 200 <= self.status <= 299

    @property
    def method(self) -> str:
        """The method that the answer asks for, empty where it asks for none."""
        method = self.arguments.text("method")
        refused = method.lower() in NEVER_BY_ANSWER or method.lower().startswith("get")
        return "" if refused else method


class Deliveries:
    def __init__(
        self,
        random: Random,
        *,
        may_go: Callable[[Bot, int], bool],
        answered: Callable[[Bot, WebhookReply], None],
        at: Callable[[int, Callable[[int], None]], None],
    ) -> None:
        self._random = random
        self._may_go = may_go
        self._on_answer = answered
        self._at = at
        self.on_begin: Callable[[Delivery], None] | None = None
        self.on_closed: Callable[[Outbox], None] | None = None
        self.on_look_up: Callable[[Outbox, Callable[[str], None]], None] | None = None

    def replace(self, bot: Bot, webhook: Webhook) -> None:
        """Set a bot's webhook, and end what is under way to the one before."""
        if bot.outbox is not None:
            bot.outbox.close()
            if self.on_closed is not None:
                self.on_closed(bot.outbox)
        bot.webhook = webhook
        bot.outbox = Outbox(bot.id, webhook) if webhook.url else None

    def look_up(self, bot: Bot, done: Callable[[str], None]) -> None:
        """Find the address of the webhook's host; `done` gets what went wrong, if anything."""
        if bot.outbox is not None and self.on_look_up is not None:
            self.on_look_up(bot.outbox, done)
        else:
            done("")

    def send_out(self, bot: Bot, now: int) -> None:
        outbox = bot.outbox
        if outbox is None or self.on_begin is None or not self._may_go(bot, now):
            return
        deliveries, wake = outbox.due(bot.queue.read(outbox.window), now)
        bot.stats.on_webhook_sent(len(deliveries), len(outbox.in_flight))
        for delivery in deliveries:
            self.on_begin(delivery)
        if wake is not None and (outbox.wake is None or wake < outbox.wake):
            outbox.wake = wake
            self._at(wake, lambda at: self._wake(bot, outbox, at))

    def _wake(self, bot: Bot, outbox: Outbox, now: int) -> None:
        if bot.outbox is outbox and outbox.wake is not None and outbox.wake <= now:
            outbox.wake = None
            self.send_out(bot, now)

    def answered(self, bot: Bot, delivery: Delivery, reply: WebhookReply, now: int) -> None:
        outbox = delivery.outbox
        if outbox.closed:
            return
        bot.stats.on_delivery([delivery.update])
        if reply.ok:
            outbox.succeeded(delivery, now)
            if bot.queue.remove(delivery.update):
                bot.stats.on_confirmed([delivery.update])
            self._on_answer(bot, reply)
        elif outbox.gone(reply.status, now):
            log.warning("bot %d: its webhook is gone for good, and closed", bot.id)
            self.replace(bot, Webhook())
        else:
            message = f"Wrong response from the webhook: {reply.status} {reply.reason}"
            self._plan_again(bot, delivery, message, now, reply.retry_after)
        self.send_out(bot, now)

    def failed(self, bot: Bot, delivery: Delivery, message: str, now: int) -> None:
        if delivery.outbox.closed:
            return
        delivery.outbox.lost_connection(delivery, now)
        self._plan_again(bot, delivery, message, now)
        self.send_out(bot, now)

    def _plan_again(
        self, bot: Bot, delivery: Delivery, message: str, now: int, retry_after: int = 0
    ) -> None:
        log.info("bot %d: update %d: %s", bot.id, delivery.update.id, message)
        bot.stats.webhook_failed += 1
        lives = delivery.outbox.failed(delivery, message, now, self._random, retry_after)
        if not lives and bot.queue.remove(delivery.update):
            bot.stats.expired += 1

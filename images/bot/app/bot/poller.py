"""The poller: the only place that calls getUpdates.

aiogram's own loop is not used for three reasons: it advances the offset past an update whose
handler failed, it keeps trying without telling anybody whether it succeeds, and it does not
confirm its last batch when it stops.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from app.bot.client import ApiError, BotApi, explain
from app.core.backoff import Backoff, sleep_or
from app.core.errors import Again
from app.core.health import Heartbeat
from app.core.logs import log
from app.core.metrics import CONFLICTS, LAST_POLL, POLLS
from app.storage.postgres import TRANSIENT, describe

ALLOWED_UPDATES = ["message"]
CHECK = "getUpdates"
# The first poll returns soon, so that a new primary is soon known to work.
FIRST_TIMEOUT = 1
MAX_ATTEMPTS = 5
GRACE_SECONDS = 4.0
CONFIRM_SECONDS = 5
LATER: tuple[type[Exception], ...] = (*TRANSIENT, Again)

Feed = Callable[[dict[str, Any]], Awaitable[Any]]


class BadUpdate(Exception):
    """An update of a shape that the Bot API does not describe."""


def handled_prefix(ids: list[int], done: set[int]) -> int | None:
    """The last id up to which everything is handled: only that much may be confirmed."""
    last = None
    for update_id in ids:
        if update_id not in done:
            break
        last = update_id
    return last


class Poller:
    def __init__(
        self,
        api: BotApi,
        feed: Feed,
        heartbeat: Heartbeat,
        stop: asyncio.Event,
        *,
        poll_timeout: int,
        backoff: Backoff,
    ) -> None:
        self._api = api
        self._feed = feed
        self._heartbeat = heartbeat
        self._stop = stop
        self._timeout = poll_timeout
        self._backoff = backoff
        self._offset = 0
        self._asked = 0
        self._conflicts = 0
        self._stopped_at = 0.0

    async def run(self) -> None:
        first = True
        while not self._stop.is_set():
            updates = await self._poll(FIRST_TIMEOUT if first else self._timeout)
            if updates is None:
                continue
            first = False
            if updates:
                await self._handle(updates)
        await self._confirm()

    async def _poll(self, timeout: int) -> list[dict[str, Any]] | None:
        """One getUpdates; None when it failed (after a pause) or was given up to stop."""
        self._asked = self._offset
        poll = asyncio.ensure_future(
            self._api.call(
                "getUpdates",
                timeout + 10,
                offset=self._offset,
                timeout=timeout,
                allowed_updates=ALLOWED_UPDATES,
            )
        )
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({poll, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not poll.done():
                # Whatever this poll would bring stays unconfirmed, for our successor.
                poll.cancel()
                await asyncio.wait({poll})
        if poll.cancelled():
            return None
        error = poll.exception()
        if error is not None:
            await self._failed(error)
            return None
        if self._backoff.failures:
            log.info("polling works again", failures=self._backoff.failures)
            self._backoff.reset()
        POLLS.labels("ok").inc()
        LAST_POLL.set_to_current_time()
        self._heartbeat.beat(CHECK, last_success=time.time(), conflicts=self._conflicts)
        return list(poll.result())

    async def _failed(self, error: BaseException) -> None:
        if not isinstance(error, Exception):
            raise error
        delay = self._backoff.next()
        text = explain(error)
        if isinstance(error, ApiError) and error.code == 409:
            self._conflicts += 1
            CONFLICTS.inc()
            POLLS.labels("conflict").inc()
            log.error(
                "409 Conflict: somebody else polls with this token, or a webhook is set",
                answer=error.description,
                conflicts=self._conflicts,
                retry_in_s=round(delay, 1),
            )
            self._heartbeat.fail(
                CHECK,
                text,
                conflicts=self._conflicts,
                last_conflict=time.time(),
            )
        else:
            POLLS.labels("error").inc()
            if isinstance(error, ApiError) and error.retry_after:
                delay = max(delay, error.retry_after)
            log.warning("getUpdates failed", error=text, retry_in_s=round(delay, 1))
            self._heartbeat.fail(CHECK, text)
        await sleep_or(self._stop, delay)

    async def _handle(self, raw_updates: list[dict[str, Any]]) -> None:
        """All updates of a batch: those of one chat in order, different chats side by side."""
        ids = [int(raw["update_id"]) for raw in raw_updates]
        done: set[int] = set()
        chats: dict[Any, list[dict[str, Any]]] = {}
        for raw in raw_updates:
            message = raw.get("message")
            chat = message.get("chat") if isinstance(message, dict) else None
            key = chat.get("id") if isinstance(chat, dict) else None
            chats.setdefault(key if isinstance(key, int) else None, []).append(raw)
        await asyncio.gather(*(self._handle_chat(batch, done) for batch in chats.values()))
        last = handled_prefix(ids, done)
        if last is not None:
            # Not the highest id ever seen: after a week of silence Telegram starts anew.
            self._offset = last + 1

    async def _handle_chat(self, updates: list[dict[str, Any]], done: set[int]) -> None:
        for raw in updates:
            if not await self._handle_one(raw):
                return
            done.add(int(raw["update_id"]))

    async def _handle_one(self, raw: dict[str, Any]) -> bool:
        """True when the update is dealt with; False only when we must stop before it is."""
        update_id = raw["update_id"]
        backoff = Backoff(0.5, 5.0)
        attempt = 0
        while True:
            try:
                await self._feed(raw)
            except BadUpdate as error:
                log.error("update skipped: bad shape", update_id=update_id, error=str(error))
                return True
            except LATER as error:
                delay = backoff.next()
                text = describe(error)
                log.warning(
                    "update waits",
                    update_id=update_id,
                    error=text,
                    retry_in_s=round(delay, 1),
                )
                self._heartbeat.fail(CHECK, f"updates wait: {text}")
            except Exception:
                attempt += 1
                if attempt >= MAX_ATTEMPTS:
                    log.exception("update skipped: its handler fails", update_id=update_id)
                    return True
                delay = backoff.next()
                log.exception("handler failed", update_id=update_id, attempt=attempt)
            else:
                return True
            if await self._sleep_while_allowed(delay):
                log.warning("stopped before this update was recorded", update_id=update_id)
                return False

    async def _sleep_while_allowed(self, delay: float) -> bool:
        """Sleep; True when a stop leaves no more time."""
        if not self._stop.is_set():
            await sleep_or(self._stop, delay)
        else:
            await asyncio.sleep(min(delay, 1.0))
        if not self._stop.is_set():
            return False
        now = asyncio.get_running_loop().time()
        self._stopped_at = self._stopped_at or now
        return now - self._stopped_at > GRACE_SECONDS

    async def _confirm(self) -> None:
        """Tell the Bot API what we handled since the last poll, or our successor gets it again.

        Safe at any time, because it is answered at once, and what is answered at once aborts
        nobody's poll. It is answered at once because of timeout=0, which the busy-loop rule
        raises to 3 s only if the bot's previous getUpdates had the same offset less than 3 s
        ago. Hence: never when the last poll asked with this very offset (then all is confirmed
        already), and never twice: a try that may have arrived is not repeated. A successor begins
        with another offset, 0.
        """
        if self._offset == self._asked:
            return
        try:
            await self._api.call(
                "getUpdates",
                CONFIRM_SECONDS,
                offset=self._offset,
                limit=1,
                timeout=0,
                allowed_updates=ALLOWED_UPDATES,
            )
        except Exception as error:
            log.warning(
                "last batch not confirmed: it will come again, and be recognised",
                offset=self._offset,
                error=explain(error),
            )
        else:
            log.info("last batch confirmed", offset=self._offset)

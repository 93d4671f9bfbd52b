"""The poller: the only place that calls getUpdates. It stores what comes, and looks into nothing.

aiogram's own loop is not used for three reasons: it advances the offset past an update whose
handler failed, it keeps trying without telling anybody whether it succeeds, and it does not
confirm its last batch when it stops.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from app.bot import checks
from app.core.backoff import Backoff, sleep_or
from app.core.errors import Again
from app.core.health import Heartbeat
from app.core.logs import log
from app.core.metrics import CONFLICTS, LAST_POLL, POLLS
from app.telegram.client import ApiError, ApiUnreachable, BotApi, explain

ALLOWED_UPDATES = ["message"]
# The first poll returns soon, so that a new primary is soon known to work.
FIRST_TIMEOUT = 1
GRACE_SECONDS = 4.0
CONFIRM_SECONDS = 5
# Writes all of a batch, or raises; what it wrote may be confirmed.
Store = Callable[[list[dict[str, Any]]], Awaitable[Any]]


def _is_update(raw: object) -> bool:
    return isinstance(raw, dict) and type(raw.get("update_id")) is int


class Poller:
    def __init__(
        self,
        api: BotApi,
        store: Store,
        heartbeat: Heartbeat,
        stop: asyncio.Event,
        *,
        poll_timeout: int,
        backoff: Backoff,
    ) -> None:
        self._api = api
        self._store = store
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
                await self._keep(updates)
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
        if error is None:
            updates = poll.result()
            if not isinstance(updates, list) or not all(map(_is_update, updates)):
                error = ApiUnreachable("getUpdates gave something that is no list of updates")
        if error is not None:
            await self._failed(error)
            return None
        if self._backoff.failures:
            log.info("polling works again", failures=self._backoff.failures)
            self._backoff.reset()
        POLLS.labels("ok").inc()
        LAST_POLL.set_to_current_time()
        self._heartbeat.beat(checks.POLLS, last_success=time.time(), conflicts=self._conflicts)
        return list(updates)

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
                checks.POLLS,
                text,
                conflicts=self._conflicts,
                last_conflict=time.time(),
            )
        else:
            POLLS.labels("error").inc()
            if isinstance(error, ApiError) and error.retry_after:
                delay = max(delay, error.retry_after)
            log.warning("getUpdates failed", error=text, retry_in_s=round(delay, 1))
            self._heartbeat.fail(checks.POLLS, text)
        await sleep_or(self._stop, delay)

    async def _keep(self, updates: list[dict[str, Any]]) -> None:
        """Have a batch written, however long that takes; only then may it be confirmed."""
        backoff = Backoff(0.5, 5.0)
        while True:
            try:
                await self._store(updates)
                break
            except Exception as error:
                # Of whatever kind: what is not written is not confirmed, and health says so.
                delay = backoff.next()
                text = explain(error)
                log.warning(
                    "update waits",
                    updates=len(updates),
                    error=text,
                    retry_in_s=round(delay, 1),
                    exc_info=not isinstance(error, Again),
                )
                self._heartbeat.fail(checks.POLLS, f"updates wait: {text}")
            if await self._sleep_while_allowed(delay):
                log.warning("stopped before these updates were recorded", updates=len(updates))
                return
        # Not the highest id ever seen: after a week of silence Telegram starts anew.
        self._offset = int(updates[-1]["update_id"]) + 1

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

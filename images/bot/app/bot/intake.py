"""From the Bot API's answer to a handler, by way of a row: stored first, handled from the row.

Chats are handled side by side, each in its order. What fails is tried again with its chat waiting
behind it, then put aside as `failed`: seen and run again by `python -m app replay`.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from psycopg.rows import DictRow

from app.bot.checks import HANDLER_SECONDS, HANDLERS
from app.core.backoff import Backoff, sleep_or
from app.core.config import Settings
from app.core.errors import Again, FloodWait
from app.core.health import REMEMBERED_SECONDS, Heartbeat, Streak
from app.core.logs import log
from app.core.metrics import UPDATES_FAILED, UPDATES_OLDEST, UPDATES_OPEN
from app.storage.postgres import TRANSIENT, describe
from app.storage.updates import NewUpdate, Updates, chat_of

MAX_ATTEMPTS = 5
# Rows in this process's hands at a time.
IN_HAND = 200
# What nobody told us of (a row that was put off, a lease that ended, a replay) is found so soon.
LOOK_SECONDS = 1.0
TIDY_SECONDS = 60.0
DRAIN_SECONDS = 4.0
AWAY: tuple[type[Exception], ...] = (*TRANSIENT, TimeoutError)
LATER: tuple[type[Exception], ...] = (*TRANSIENT, Again)

Feed = Callable[[dict[str, Any]], Awaitable[Any]]
Outcome = Literal["done", "closed", "left"]


class BadUpdate(Exception):
    """An update that the library can't read: of a newer Bot API, or of a shape that none has."""


class Intake:
    def __init__(
        self, settings: Settings, updates: Updates, heartbeat: Heartbeat, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._updates = updates
        self._heartbeat = heartbeat
        self._stop = stop
        self._bot_id = settings.bot_id
        self._claim = uuid.uuid4()
        self._handlers = Streak(unproven=1, proven=3)
        self._tries = Streak(unproven=1, proven=1)
        self._proven = False
        self._wake = asyncio.Event()
        self._hand: set[int] = set()
        # Of these, those that the Bot API itself keeps waiting (429).
        self._paused: set[int] = set()
        self._done: list[int] = []
        self._settle = asyncio.Event()
        self._noting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def store(self, raws: list[dict[str, Any]]) -> None:
        """Write all of them; nothing has looked into them before."""
        new = [NewUpdate(raw["update_id"], chat_of(raw), json.dumps(raw)) for raw in raws]
        try:
            count = await self._updates.store(self._bot_id, new)
        except TRANSIENT as error:
            raise Again(describe(error)) from error
        log.info("updates stored", updates=len(new), new=count)
        self._wake.set()

    async def run(self, feed: Feed) -> None:
        """Handle what is there and what comes, until `stop`."""
        helpers = [asyncio.create_task(helper()) for helper in (self._settler, self._keeper)]
        helpers.append(asyncio.create_task(self._tidier()))
        backoff = Backoff(0.5, 5.0)
        try:
            while not self._stop.is_set():
                self._wake.clear()
                try:
                    full = await self._take(feed)
                except TRANSIENT as error:
                    delay = backoff.next()
                    text = describe(error)
                    log.warning("no updates to handle: PostgreSQL is away", error=text)
                    self._heartbeat.fail(HANDLERS, text)
                    await sleep_or(self._stop, delay)
                    continue
                backoff.reset()
                for task in helpers:
                    if task.done():
                        # A loop that ends by itself is a defect: end loudly, be restarted.
                        task.result()
                self._vouch()
                if not full:
                    await self._pause()
            await self._drain()
        finally:
            for task in (*helpers, *self._tasks):
                task.cancel()
            await asyncio.gather(*helpers, *self._tasks, return_exceptions=True)

    async def _pause(self) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._wake, self._stop)]
        try:
            await asyncio.wait(waits, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _vouch(self) -> None:
        """Nothing waits for a handler. A process that has only failed so far does not say that:
        it must not look healthy between two tries."""
        if not self._hand - self._paused and (
            self._proven or not self._tries.verdict(time.monotonic())
        ):
            self._heartbeat.beat(HANDLERS)

    async def _take(self, feed: Feed) -> bool:
        """Begin with what may be begun; True when there may be more at once."""
        limit = IN_HAND - len(self._hand)
        if limit <= 0:
            return False
        rows = await self._updates.claim(
            self._bot_id, self._claim, self._settings.instance_id, self._lease, limit
        )
        chats: dict[Any, list[DictRow]] = {}
        for row in rows:
            # A row whose lease ended while it was in our hands (a paused process) stays there.
            if row["id"] not in self._hand:
                chat = ("none", row["id"]) if row["chat_id"] is None else row["chat_id"]
                chats.setdefault(chat, []).append(row)
                self._hand.add(row["id"])
        for batch in chats.values():
            task = asyncio.create_task(self._chat(feed, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(rows) == limit and bool(chats)

    @property
    def _lease(self) -> float:
        return self._settings.lease_seconds

    async def _chat(self, feed: Feed, rows: list[DictRow]) -> None:
        """One chat's rows in their order, up to one that has to wait."""
        left = [row["id"] for row in rows]
        try:
            for row in rows:
                outcome = "left" if self._stop.is_set() else await self._row(feed, row)
                if outcome == "left":
                    break
                left.remove(row["id"])
                if outcome == "done":
                    self._done.append(row["id"])
                    self._settle.set()
                else:
                    self._hand.discard(row["id"])
        finally:
            # The row that waits is not ours any more; those behind it must not be either.
            if left:
                try:
                    async with asyncio.timeout(2):
                        await self._updates.release(self._claim, left)
                except AWAY as error:
                    log.warning("rows not released, their lease will end", error=describe(error))
                self._hand.difference_update(left)
            self._wake.set()

    async def _row(self, feed: Feed, row: DictRow) -> Outcome:
        update_id, attempt = row["update_id"], row["attempts"] + 1
        backoff = Backoff(0.5, 15.0)
        while True:
            try:
                async with asyncio.timeout(HANDLER_SECONDS):
                    await feed(json.loads(row["raw"]))
            except LATER as error:
                # Nothing of the handler's: something that it needs is away.
                delay = backoff.next()
                if isinstance(error, Again) and error.delay is not None:
                    delay = max(delay, error.delay)
                text = describe(error)
                log.warning(
                    "handler waits", update_id=update_id, error=text, retry_in_s=round(delay, 1)
                )
                self._heartbeat.fail(HANDLERS, text)
                if isinstance(error, FloodWait):
                    self._paused.add(row["id"])
                stopped = await sleep_or(self._stop, delay)
                self._paused.discard(row["id"])
                if stopped:
                    return "left"
            except BadUpdate as error:
                log.error("update failed: it can't be read", update_id=update_id, error=str(error))
                return await self._failed(row, str(error), None)
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
                last = attempt >= MAX_ATTEMPTS
                log.exception(
                    "update failed: its handler raises" if last else "handler failed",
                    update_id=update_id,
                    attempt=attempt,
                )
                return await self._failed(row, text, None if last else 2.0 ** (attempt - 2))
            else:
                self._proven = True
                self._handlers.worked()
                self._tries.worked()
                self._judge()
                self._heartbeat.beat(HANDLERS)
                return "done"

    async def _failed(self, row: DictRow, text: str, delay: float | None) -> Outcome:
        """Put the row off, or, without a delay, aside; "left" when not even that can be written."""
        self._tries.failed(row["update_id"], text, time.monotonic())
        if delay is None:
            self._handlers.failed(row["update_id"], text, time.monotonic())
            self._judge()
        self._heartbeat.fail(HANDLERS, text)
        try:
            if delay is None:
                await self._updates.failed(self._claim, row["id"], text)
                return "closed"
            await self._updates.again(self._claim, row["id"], delay, text)
        except TRANSIENT as error:
            log.warning("a failure is not recorded", error=describe(error))
        return "left"

    def _judge(self) -> None:
        problem = self._handlers.verdict(time.monotonic())
        text = f"handlers fail: {problem} (see python -m app replay)" if problem else None
        self._heartbeat.failing("handlers", text, REMEMBERED_SECONDS)

    async def _settler(self) -> None:
        """Notes what is done, all that came together in one statement."""
        backoff = Backoff(0.2, 2.0)
        while True:
            await self._settle.wait()
            try:
                await self._note_done()
            except TRANSIENT as error:
                log.warning("what is done waits for PostgreSQL", error=describe(error))
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()

    async def _note_done(self) -> None:
        async with self._noting:
            self._settle.clear()
            ids, self._done = self._done, []
            if not ids:
                return
            try:
                await self._updates.done(self._claim, ids)
            except BaseException:
                self._done = ids + self._done
                self._settle.set()
                raise
            self._hand.difference_update(ids)
            self._wake.set()

    async def _keeper(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            if not self._hand:
                continue
            try:
                await self._updates.extend(self._claim, list(self._hand), self._lease)
            except TRANSIENT as error:
                log.warning("lease of updates not extended", error=describe(error))

    async def _tidier(self) -> None:
        hours = self._settings.keep_updates_hours, self._settings.keep_failed_updates_hours
        told = 0
        while True:
            try:
                removed = await self._updates.prune(*hours)
                counts = await self._updates.counts(self._bot_id)
            except TRANSIENT as error:
                log.debug("updates not tidied up", error=describe(error))
            else:
                UPDATES_OPEN.set(counts["open"])
                UPDATES_OLDEST.set(counts["oldest"])
                UPDATES_FAILED.set(counts["failed"])
                if removed:
                    log.info("old updates removed", removed=removed)
                if counts["failed"] > told:
                    log.warning("updates failed: see python -m app replay", failed=counts["failed"])
                told = counts["failed"]
            await asyncio.sleep(TIDY_SECONDS)

    async def _drain(self) -> None:
        """Let the handlers end that are at work; what they did not begin goes back."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
            if late:
                log.warning("handlers did not end in time; their updates stay", handlers=len(late))
                await asyncio.wait(late, timeout=3)
        try:
            async with asyncio.timeout(2):
                await self._note_done()
        except AWAY as error:
            log.warning("what is done is not noted: it comes again", error=describe(error))

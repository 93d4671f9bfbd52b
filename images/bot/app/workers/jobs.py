"""What a job does. A job is only a row's number: the row says what is still to be done.

Done once, whoever delivers it how often: the claim lets one in, and a closed row lets nobody in.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from psycopg.rows import DictRow

from app.core.backoff import Backoff
from app.core.config import Settings
from app.core.errors import Again, DiskFull, FloodWait, LeaseLost, Refused
from app.core.logs import log
from app.core.metrics import ANSWERS, JOB_SECONDS, JOBS
from app.queue.broker import Lane, Witness
from app.storage.files import FileStore
from app.storage.postgres import TRANSIENT, describe
from app.storage.repository import Repository, Stored, Table
from app.storage.s3 import ObjectStore, object_key
from app.telegram.client import BotApi
from app.telegram.texts import GIVE_UP, stored_text
from app.workers import audio
from app.workers.outlook import Outlook
from app.workers.turnstile import Turnstile

# Tries that end badly: the process vanished, ffmpeg died or took too long, an error nobody foresaw.
MAX_BAD_TRIES = 3
TEXT_LIMIT = 4096
NOTED_SECONDS = 0.1


def retry_delay(attempts: int) -> float:
    """Seconds before the next attempt: 1, 2, 4 … 60."""
    return float(min(60, 2 ** max(0, min(attempts, 10) - 1)))


def notification(body: bytes) -> tuple[int, str] | None:
    """(chat id, text) when a callback asks to tell somebody; None when there is nothing to do."""
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    chat, text = data.get("chat_id"), data.get("text")
    if isinstance(chat, bool) or not isinstance(chat, int) or abs(chat) >= 2**52:
        return None
    if not isinstance(text, str) or not text.strip():
        return None
    return chat, text[:TEXT_LIMIT]


@dataclass
class Jobs:
    settings: Settings
    repository: Repository
    api: BotApi
    files: FileStore
    witness: Witness
    owner: str
    store: ObjectStore | None = None
    # Both are a worker's only.
    turnstile: Turnstile | None = None
    outlook: Outlook | None = None
    # When the work on each row in hand began.
    working: dict[tuple[Table, int], float] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def _lease(self, table: Table, row: DictRow) -> AsyncIterator[None]:
        """Keep the row ours while the block runs; cancel the block when somebody else has it."""
        worker = asyncio.current_task()
        lost = False

        async def keep() -> None:
            nonlocal lost
            while True:
                await asyncio.sleep(self.settings.lease_seconds / 3)
                try:
                    ours = await self.repository.extend(table, row, self.settings.lease_seconds)
                except TRANSIENT as error:
                    log.warning("lease not extended", row=row["id"], error=describe(error))
                    continue
                if not ours:
                    lost = True
                    if worker is not None:
                        worker.cancel()
                    return

        keeper = asyncio.create_task(keep())
        try:
            yield
        except asyncio.CancelledError:
            if lost and worker is not None:
                worker.uncancel()
                raise LeaseLost from None
            raise
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper

    async def _insist(self, write: Callable[[], Awaitable[bool]]) -> bool:
        """A write that must not be lost to a short outage of PostgreSQL."""
        backoff = Backoff(0.2, 2.0)
        while True:
            try:
                return await write()
            except TRANSIENT as error:
                delay = backoff.next()
                log.warning("a result waits for PostgreSQL", error=describe(error))
                await asyncio.sleep(delay)

    async def process(self, table: Table, row_id: int, lane: Lane = "short") -> None:
        """Do what the row still needs, unless somebody does or did; `lane` has our place."""
        # A process without ffmpeg has nothing that kills it.
        suspects = self.turnstile is None
        try:
            row = await self._claim(table, row_id, suspects=suspects)
            if row is not None:
                await self._work(table, row)
                return
            suspect = not suspects and await self.repository.is_suspect(table, row_id)
        except TRANSIENT as error:
            # Nothing is lost: the row is still due, and the sweeper brings it back.
            log.warning("job put off: no PostgreSQL", row=row_id, error=describe(error))
            return
        if suspect:
            await self._alone(table, row_id, lane)
            return
        log.debug("job is done or in work already", table=table, row=row_id)
        JOBS.labels(table, "repeated").inc()

    async def answer(self, row: DictRow) -> None:
        """Answer a message whose row was made as ours."""
        await self._work("messages", row)

    async def hand_back(self, row: DictRow) -> None:
        """A row that was made as ours, and that we have no time for."""
        await self._release("messages", row, 0, "the process was stopped", bad=False)

    async def _alone(self, table: Table, row_id: int, lane: Lane) -> None:
        """Not claimed while it waits: whoever kills this process meanwhile must not condemn it."""
        if self.turnstile is None:
            return
        log.info("this job waits to be alone: a try of it ended badly", table=table, row=row_id)
        async with self.turnstile.alone(lane) as mine:
            if not mine:
                return
            try:
                row = await self._claim(table, row_id, suspects=True)
            except TRANSIENT as error:
                log.warning("job put off: no PostgreSQL", row=row_id, error=describe(error))
                return
            if row is not None:
                await self._work(table, row)

    async def _claim(self, table: Table, row_id: int, *, suspects: bool) -> DictRow | None:
        asked = time.monotonic()
        row = await self.repository.claim(
            table, row_id, self.owner, self.settings.lease_seconds, suspects=suspects
        )
        if row is not None:
            row["held_since"] = asked
        return row

    async def _work(self, table: Table, row: DictRow) -> None:
        key = (table, int(row["id"]))
        self.working[key] = time.monotonic()
        try:
            await self._try(table, row)
        finally:
            self.working.pop(key, None)

    async def _try(self, table: Table, row: DictRow) -> None:
        began = time.monotonic()
        logger = log.bind(table=table, row=row["id"], attempt=row["attempts"])
        if table == "messages":
            logger = logger.bind(update_id=row["update_id"])
        delay, said, bad, known = retry_delay(row["attempts"]), "", False, False
        try:
            async with self._lease(table, row):
                work = self._message if table == "messages" else self._callback
                result = await work(row)
        except LeaseLost:
            result = "lost"
            logger.warning("another worker took this job over")
        except asyncio.CancelledError:
            # Stopping: hand the row back at once, so that nobody waits for the lease to end.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await self.repository.release(table, row, 0, "the worker was stopped")
            JOBS.labels(table, "released").inc()
            raise
        except audio.Killed as error:
            result, said, bad = "retry", str(error), True
            logger.warning("ffmpeg ended badly", error=said, bad_tries=row["crashes"] + 1)
        except Again as error:
            result, said, known = "retry", str(error), isinstance(error, FloodWait)
            delay = error.delay if error.delay is not None else delay
            logger.warning("job will be tried again", error=said, retry_in_s=delay)
        except TRANSIENT as error:
            result, said = "retry", describe(error)
            logger.warning("job will be tried again", error=said, retry_in_s=delay)
        except Exception as error:
            result, said, bad = "error", f"{type(error).__name__}: {error}", True
            logger.exception("job failed in a way that nobody foresaw", retry_in_s=delay)
        if said:
            await self._release(table, row, delay, said, bad=bad)
        if self.outlook is not None and not known:
            # A pause that the Bot API asks for is nobody's trouble.
            self.outlook.note((table, row["id"]), result, said)
        took = time.monotonic() - began
        JOBS.labels(table, result).inc()
        JOB_SECONDS.labels(table).observe(took)
        # A text that was answered was recorded a moment ago; more than one line says nothing more.
        quiet = self.turnstile is None and not said
        (logger.debug if quiet else logger.info)("job ended", result=result, ms=round(took * 1000))

    async def _release(
        self, table: Table, row: DictRow, delay: float, error: str, *, bad: bool
    ) -> None:
        try:
            await self.repository.release(table, row, delay, error, bad=bad)
        except TRANSIENT as problem:
            log.warning("row not released, its lease will end", error=describe(problem))

    # Messages

    async def _message(self, row: DictRow) -> str:
        if row["status"] == "received" and row["answer_text"] is None:
            try:
                self._give_up_if_hopeless(row)
                stored = await self._convert(row)
            except Refused as refusal:
                log.info("refused", update_id=row["update_id"], reason=str(refusal))
                if not await self.repository.set_refused(row, refusal.answer, str(refusal)):
                    raise LeaseLost from refusal
                row |= {"status": "failed", "answer_text": refusal.answer}
            else:
                asked = time.monotonic()
                if not await self.repository.set_stored(row, stored, self.settings.lease_seconds):
                    raise LeaseLost
                row["held_since"] = asked
                if not self.settings.keep_audio_hours:
                    self.files.remove(self.files.audio(row["bot_id"], row["update_id"]))
                row |= {"status": "stored", "answer_text": stored.answer_text}
        if self._age(row) > 2 * self.settings.job_max_age_hours * 3600:
            problem = f"the answer could not be sent; last error: {row['last_error']}"
            await self._insist(lambda: self.repository.close_message(row["id"], None, problem))
        else:
            await self._answer(row)
        self.files.remove(self.files.source(row["bot_id"], row["update_id"]))
        return str(row["status"])

    @staticmethod
    def _age(row: DictRow) -> float:
        """Seconds by the database's clock: the claim has just set `updated_at`."""
        return float((row["updated_at"] - row["created_at"]).total_seconds())

    def _give_up_if_hopeless(self, row: DictRow) -> None:
        if row["crashes"] >= MAX_BAD_TRIES:
            raise Refused(
                audio.TOO_HARD,
                f"{row['crashes']} tries ended badly, with the worker or with ffmpeg; "
                f"last: {row['last_error']}",
            )
        age = self._age(row)
        if age > self.settings.job_max_age_hours * 3600:
            raise Refused(GIVE_UP, f"not done after {age / 3600:.1f} h; last: {row['last_error']}")

    async def _convert(self, row: DictRow) -> Stored:
        if self.store is None:
            raise Again("this process does not convert audio", delay=0)
        source = self.files.source(row["bot_id"], row["update_id"])
        target = self.files.audio(row["bot_id"], row["update_id"])
        try:
            # Downloaded here, where it is converted: the primary may run on another host. What an
            # earlier try has downloaded is there still.
            if not source.exists():
                await self.api.download(
                    row["file_id"],
                    self.files,
                    source,
                    self.settings.max_file_bytes,
                    row["attempts"],
                )
            limits = audio.Limits(self.settings.transcode_seconds, self.settings.max_audio_seconds)
            found = await audio.convert(source, target, limits)
            size = target.stat().st_size
            key = object_key(row["bot_id"], row["update_id"])
            await self.store.put(key, target, audio.CONTENT_TYPE)
        except audio.Killed as error:
            if row["crashes"] + 1 < MAX_BAD_TRIES:
                raise
            self._throw_away(row)
            reason = f"{row['crashes'] + 1} tries ended badly; last: {error}"
            raise Refused(error.answer, reason) from error
        except (Refused, DiskFull):
            # A full disk: make room, both can be had again.
            self._throw_away(row)
            raise
        milliseconds = round(found.duration * 1000)
        return Stored(
            object_key=key,
            object_size=size,
            duration_ms=milliseconds,
            source_format=f"{found.format}/{found.codec}"[:100],
            answer_text=stored_text(milliseconds, size),
        )

    def _throw_away(self, row: DictRow) -> None:
        self.files.remove(self.files.source(row["bot_id"], row["update_id"]))
        self.files.remove(self.files.audio(row["bot_id"], row["update_id"]))

    async def _answer(self, row: DictRow) -> None:
        async def close(message_id: int | None, error: str | None) -> bool:
            return await self.repository.close_message(row["id"], message_id, error)

        await self._send_once(
            "messages", row, (row["chat_id"], row["answer_text"], row["message_id"]), close
        )

    async def _send_once(
        self,
        table: Table,
        row: DictRow,
        message: tuple[int, str, int | None] | None,
        close: Callable[[int | None, str | None], Awaitable[bool]],
    ) -> str | None:
        """Send and close the row; gives the reason when it can't be delivered.

        Exactly once but for one edge: Telegram takes the message and this process dies before it
        could note that in Redis or PostgreSQL, or Telegram's answer is lost on the way. Then the
        user gets it twice, because the other choice is that some users get none.
        """

        async def send_and_close() -> str | None:
            message_id, problem, sent = None, None, None
            if message is not None:
                # Nobody can have sent it before the first try.
                if row["attempts"] > 1:
                    message_id = await self.witness.seen(row["job"])
                if message_id is not None:
                    ANSWERS.labels("already_sent").inc()
                else:
                    message_id, problem = await self._send(row, message)
                    sent = message_id
            closing = asyncio.ensure_future(self._insist(lambda: close(message_id, problem)))
            if sent is not None:
                # Where PostgreSQL does not take it at once, Redis must know.
                await asyncio.wait({closing}, timeout=NOTED_SECONDS)
                if not closing.done():
                    await self.witness.remember(row["job"], sent)
            await closing
            return problem

        # The last look before what can't be undone. Sending takes less time than the lease.
        lease = self.settings.lease_seconds
        fresh = time.monotonic() - row["held_since"] < lease / 4
        if not fresh and not await self.repository.extend(table, row, lease):
            raise LeaseLost
        task = asyncio.ensure_future(send_and_close())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Stopped in the middle: without the note that it was sent, it would be sent again.
            await asyncio.wait({task})
            raise

    async def _send(
        self, row: DictRow, message: tuple[int, str, int | None]
    ) -> tuple[int | None, str | None]:
        try:
            message_id = await self.api.send(*message)
        except Refused as error:
            ANSWERS.labels("undeliverable").inc()
            return None, str(error)
        ANSWERS.labels("sent").inc()
        return message_id, None

    # Callbacks

    async def _callback(self, row: DictRow) -> str:
        wanted = notification(bytes(row["body"]))
        too_late = self._age(row) > self.settings.job_max_age_hours * 3600

        async def close(message_id: int | None, error: str | None) -> bool:
            if wanted is not None and (too_late or hopeless):
                error = f"given up; last error: {row['last_error']}"
            return await self.repository.close_callback(row["id"], message_id, error)

        hopeless = row["crashes"] >= MAX_BAD_TRIES
        message = None if wanted is None or too_late or hopeless else (*wanted, None)
        problem = await self._send_once("callbacks", row, message, close)
        return "failed" if problem or (wanted and message is None) else "processed"

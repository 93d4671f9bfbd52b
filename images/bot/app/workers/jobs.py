"""What a job does. A job is only a row's number: the row says what is still to be done.

Done once, whoever delivers it how often: the claim lets one in, and a closed row lets nobody in.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from psycopg.rows import DictRow

from app.bot.client import BotApi
from app.core.backoff import Backoff
from app.core.config import Settings
from app.core.errors import Again, LeaseLost, Refused
from app.core.logs import log
from app.core.metrics import ANSWERS, JOB_SECONDS, JOBS
from app.storage.files import FileStore
from app.storage.postgres import TRANSIENT, describe
from app.storage.repository import Repository, Stored, Table
from app.storage.s3 import ObjectStore, object_key
from app.workers import audio
from app.workers.broker import Witness
from app.workers.texts import GIVE_UP, stored_text

MAX_CRASHES = 3
TEXT_LIMIT = 4096


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

    async def process_message(self, row_id: int) -> None:
        await self._process("messages", row_id, self._message)

    async def process_callback(self, row_id: int) -> None:
        await self._process("callbacks", row_id, self._callback)

    async def _process(
        self, table: Table, row_id: int, work: Callable[[DictRow], Awaitable[str]]
    ) -> None:
        try:
            row = await self.repository.claim(
                table, row_id, self.owner, self.settings.lease_seconds
            )
        except TRANSIENT as error:
            # Nothing is lost: the row is still due, and the sweeper brings it back.
            log.warning("job put off: no PostgreSQL", row=row_id, error=describe(error))
            return
        if row is None:
            log.debug("job is done or in work already", table=table, row=row_id)
            JOBS.labels(table, "repeated").inc()
            return
        began = time.monotonic()
        logger = log.bind(table=table, row=row_id, attempt=row["attempts"])
        if table == "messages":
            logger = logger.bind(update_id=row["update_id"])
        try:
            async with self._lease(table, row):
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
        except Again as error:
            result = "retry"
            delay = error.delay if error.delay is not None else retry_delay(row["attempts"])
            logger.warning("job will be tried again", error=str(error), retry_in_s=delay)
            await self._release(table, row, delay, str(error))
        except TRANSIENT as error:
            result = "retry"
            delay = retry_delay(row["attempts"])
            logger.warning("job will be tried again", error=describe(error), retry_in_s=delay)
            await self._release(table, row, delay, describe(error))
        except Exception as error:
            result = "error"
            delay = retry_delay(row["attempts"])
            logger.exception("job failed in a way that nobody foresaw", retry_in_s=delay)
            await self._release(table, row, delay, f"{type(error).__name__}: {error}")
        took = time.monotonic() - began
        JOBS.labels(table, result).inc()
        JOB_SECONDS.labels(table).observe(took)
        logger.info("job ended", result=result, ms=round(took * 1000))

    async def _release(self, table: Table, row: DictRow, delay: float, error: str) -> None:
        try:
            await self.repository.release(table, row, delay, error)
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
                if not await self.repository.set_stored(row, stored):
                    raise LeaseLost
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
        if row["crashes"] >= MAX_CRASHES:
            raise Refused(audio.TOO_HARD, f"the worker vanished {row['crashes']} times with it")
        age = self._age(row)
        if age > self.settings.job_max_age_hours * 3600:
            raise Refused(GIVE_UP, f"not done after {age / 3600:.1f} h; last: {row['last_error']}")

    async def _convert(self, row: DictRow) -> Stored:
        if self.store is None:
            raise Again("this process does not convert audio", delay=0)
        source = self.files.source(row["bot_id"], row["update_id"])
        target = self.files.audio(row["bot_id"], row["update_id"])
        try:
            if not source.exists():
                # The primary may run on another host, or had no time or space to download.
                await self.api.download(
                    row["file_id"],
                    self.files,
                    source,
                    self.settings.max_file_bytes,
                    row["attempts"],
                )
            found = await audio.probe(source)
            if found.duration and found.duration > self.settings.max_audio_seconds:
                raise Refused(audio.TOO_LONG, f"{found.duration:.0f} s of audio")
            duration = await audio.transcode(source, target, self.settings.transcode_seconds)
            size = target.stat().st_size
            key = object_key(row["bot_id"], row["update_id"])
            await self.store.put(key, target, audio.CONTENT_TYPE)
        except Refused:
            self.files.remove(source)
            self.files.remove(target)
            raise
        except Again as error:
            if "is full" in str(error):
                # Make room: both can be had again.
                self.files.remove(source)
                self.files.remove(target)
            raise
        milliseconds = round(duration * 1000)
        return Stored(
            object_key=key,
            object_size=size,
            duration_ms=milliseconds,
            source_format=f"{found.format}/{found.codec}"[:100],
            answer_text=stored_text(milliseconds, size),
        )

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
            message_id, problem = None, None
            if message is not None:
                message_id = await self.witness.seen(row["job"])
                if message_id is not None:
                    ANSWERS.labels("already_sent").inc()
                else:
                    message_id, problem = await self._send(row, message)
            await self._insist(lambda: close(message_id, problem))
            return problem

        # The last look before what can't be undone. Sending takes less time than the lease.
        if not await self.repository.extend(table, row, self.settings.lease_seconds):
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
        await self.witness.remember(row["job"], message_id)
        return message_id, None

    # Callbacks

    async def _callback(self, row: DictRow) -> str:
        wanted = notification(bytes(row["body"]))
        too_late = self._age(row) > self.settings.job_max_age_hours * 3600

        async def close(message_id: int | None, error: str | None) -> bool:
            if wanted is not None and (too_late or hopeless):
                error = f"given up; last error: {row['last_error']}"
            return await self.repository.close_callback(row["id"], message_id, error)

        hopeless = row["crashes"] >= MAX_CRASHES
        message = None if wanted is None or too_late or hopeless else (*wanted, None)
        problem = await self._send_once("callbacks", row, message, close)
        return "failed" if problem or (wanted and message is None) else "processed"
